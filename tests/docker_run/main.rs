//! The Docker executor on a real engine: at `MODELSHIP_TEST_DOCKER_HOST`, or else at the usual socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod classes;
mod images;
mod jobs;
mod world;

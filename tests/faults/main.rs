//! Bad input and faults, through the real door: the real program, real pushes, real processes, real disks and clocks.
//!
//! Each story breaks something and looks at three things: the right person is told once and clearly, nothing is lost, and
//! nothing is done twice. What is shown elsewhere is not shown here again:
//!
//! | fault | shown by |
//! |---|---|
//! | malformed, huge, deeply nested, aliased, tagged YAML: sweep, manifest, policy | [`files`]; one by one in `domain/yaml` |
//! | a grid of 10^12; steps of zero, below zero, NaN, that miss the end; empty lists | [`files`]; `domain/sweep/design` |
//! | a parameter that the model lacks, or out of its bounds | [`files`] |
//! | a broken policy refuses instead of allowing | [`files`] |
//! | a missing Dockerfile | `what_the_manifest_names_and_the_source_lacks_is_told_at_its_place` in `tests/docker_build/images.rs` |
//! | a missing build program; a build that fails, prints 100 MB, never ends, leaves processes | [`builds`] |
//! | a build that fails its tests | `tests/stories/push.rs` |
//! | a run that exits with a status, is killed, takes too long, prints 100 MB | [`models`] |
//! | a run that leaves children, in its group and out of it | [`models`]; on a timeout `tests/runner/main.rs` |
//! | a run without summary, with NaN, with 11 MB of it, with links in its place | [`models`] |
//! | a run that leaves more files than `outputs.limit`, also sparse ones | [`models`] |
//! | a run that takes too much memory | `tests/runner/main.rs` |
//! | output that poses as Markdown or HTML | [`models`]; `domain/report/escape.rs` |
//! | names with spaces, line breaks, leading dashes, `..`, shell and markup | [`names`]; trees in `src/edge/source/tests.rs` |
//! | forged and unsigned deliveries; one delivery 100 times at once, and under other ids | [`webhook`]; forms of signatures in `tests/webhook/` |
//! | kill -9 and an ordinary stop of the server under a flood of deliveries; one push told by two hooks | [`flood`] |
//! | bodies of 24 MB at once | [`flood`] |
//! | kill -9 of the server at 200 random moments of a story | [`kills`]; at chosen moments `tests/stories/crash.rs` |
//! | kill -9 of the server while runs wait for the one slot | [`kills`]; slots in `src/runner/slots.rs` |
//! | kill -9 of a terminal that runs a sweep | `tests/stories/laptop.rs` |
//! | disk full under the database, under the artifacts, under a run | [`disk`] |
//! | the clock set back, while the server runs and while it is down | [`clock`]; both databases in `src/store/tests/history.rs` |
//! | PostgreSQL stopped and started, under load and under a server; a replica dies | `src/store/tests/replicas.rs`, `tests/stories/database.rs` |
//! | a lease lost while its worker lives | `src/store/tests/effects.rs`, `events.rs` |

#![expect(clippy::unwrap_used, reason = "a story that cannot go on says where")]

mod builds;
mod clock;
mod disk;
mod files;
mod flood;
mod kills;
mod models;
mod names;
mod trouble;
mod webhook;
#[path = "../world/mod.rs"]
#[expect(dead_code, reason = "the other stories use the rest of it")]
mod world;

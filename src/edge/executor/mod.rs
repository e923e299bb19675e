//! Executors: where jobs run.
//!
//! Each has the same verbs. A job is told what to do by files in its place, and leaves records there; an executor starts
//! it, says whether it still works, and ends it.

mod container;
pub mod docker;
pub mod process;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::domain::sweep::state::JobHandle;
use crate::runner::JobSpec;
use docker::DockerExecutor;
use process::ProcessExecutor;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// It works.
    Running,
    /// It ended by itself: every run that it took has a record.
    Ended,
    /// It is gone and has not ended. Runs without a record were interrupted.
    Vanished,
}

/// Why jobs were not started.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// What they need is not to be had here: the image, or a GPU. The text is for the user.
    #[error("{0}")]
    Refused(String),
    /// Ours.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// The executor of this instance.
#[derive(Debug)]
pub enum Executor {
    /// Processes of this machine.
    Process(Arc<ProcessExecutor>),
    /// Containers of a Docker engine on this machine.
    Docker(Box<DockerExecutor>),
}

impl Executor {
    /// Starts the jobs of one round: all, or none that is not known already.
    ///
    /// # Errors
    /// As [`SubmitError`] says.
    pub async fn submit(&self, jobs: Vec<JobSpec>) -> Result<Vec<JobHandle>, SubmitError> {
        match self {
            Self::Process(executor) => {
                Ok(on_thread(executor, move |executor| jobs.iter().map(|job| executor.submit(job)).collect()).await?)
            }
            Self::Docker(executor) => executor.submit(&jobs).await,
        }
    }

    /// How each job stands, in the order of `jobs`.
    ///
    /// # Errors
    /// When the executor cannot be asked.
    pub async fn status(&self, jobs: &[JobHandle]) -> anyhow::Result<Vec<JobStatus>> {
        match self {
            Self::Process(executor) => Ok(executor.status(jobs)),
            Self::Docker(executor) => executor.status(jobs).await,
        }
    }

    /// What the runner of a vanished job said last, and how its container ended; empty when nobody knows.
    pub async fn last_words(&self, job: &JobHandle) -> String {
        match self {
            Self::Process(executor) => executor.last_words(job),
            Self::Docker(executor) => executor.last_words(job).await,
        }
    }

    /// Waits until one of the jobs no longer works, at most `timeout`. Returns at once when one does not already.
    ///
    /// # Errors
    /// When the executor cannot be asked.
    pub async fn wait_for_change(&self, jobs: &[JobHandle], timeout: Duration) -> anyhow::Result<()> {
        match self {
            Self::Process(executor) => executor.wait_for_change(jobs, timeout).await,
            Self::Docker(executor) => executor.wait_for_change(jobs, timeout).await,
        }
    }

    /// Ends jobs: their runners get SIGTERM and some seconds to end their runs, then everything of them is killed. Jobs
    /// that are gone already are no fault. Records that were written stay. Takes seconds.
    ///
    /// # Errors
    /// When something of them is still there afterwards.
    pub async fn cancel(&self, jobs: &[JobHandle]) -> anyhow::Result<()> {
        match self {
            Self::Process(executor) => {
                let jobs = jobs.to_vec();
                on_thread(executor, move |executor| jobs.iter().try_for_each(|job| executor.cancel(job))).await
            }
            Self::Docker(executor) => executor.cancel(jobs).await,
        }
    }

    /// Lets go of a job that does not work any more and whose records were read.
    ///
    /// # Errors
    /// When the executor cannot be asked.
    pub async fn forget(&self, job: &JobHandle) -> anyhow::Result<()> {
        match self {
            Self::Process(_) => Ok(()),
            Self::Docker(executor) => executor.forget(job).await,
        }
    }

    /// The jobs of this instance that can be found without knowing them, which are those in containers.
    ///
    /// # Errors
    /// When the executor cannot be asked.
    pub async fn found(&self) -> anyhow::Result<Vec<JobHandle>> {
        match self {
            Self::Process(_) => Ok(Vec::new()),
            Self::Docker(executor) => executor.found().await,
        }
    }

    /// Ends what an earlier process of this instance left: runs whose runner is dead, and containers of jobs that are
    /// not among `open`. Says how many there were. Called when the server starts.
    ///
    /// # Errors
    /// When one of them is still there afterwards.
    pub async fn reap_orphans(&self, open: &[JobHandle]) -> anyhow::Result<usize> {
        match self {
            Self::Process(executor) => on_thread(executor, ProcessExecutor::reap_orphans).await,
            Self::Docker(executor) => executor.reap_orphans(open).await,
        }
    }
}

/// Does what blocks on a thread that may.
async fn on_thread<T: Send + 'static>(
    executor: &Arc<ProcessExecutor>,
    work: impl FnOnce(&ProcessExecutor) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let executor = Arc::clone(executor);
    tokio::task::spawn_blocking(move || work(&executor)).await.context("the executor panicked")?
}

//! Runs jobs as containers of a Docker engine that shares this machine's files.
//!
//! A round is several jobs, each one container with the limits of one run; they take their runs from one slice. The
//! containers outlive the server. Their names say whose they are, so that a job is never started twice, and they are
//! found again by their labels.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::models::{ContainerState, ContainerStateStatusEnum, ContainerSummaryStateEnum as Summary};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, InspectContainerOptions, ListContainersOptions, LogsOptions,
    RemoveContainerOptions, StartContainerOptions, StopContainerOptions, WaitContainerOptions,
};
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};
use secrecy::ExposeSecret as _;
use tokio::sync::OnceCell;

use super::container::{Surroundings, container, scratch_in, seen_from_within};
use super::{JobStatus, SubmitError};
use crate::domain::ids::Digest;
use crate::domain::sweep::state::JobHandle;
use crate::edge::docker::Docker;
use crate::runner::place::{self, write_durably};
use crate::runner::redact::redact;
use crate::runner::share::make_cursor;
use crate::runner::slots::make_slots;
use crate::runner::tree::remove_tree;
use crate::runner::{JobSpec, SlotsSpec, tail_of};

/// The label that says for which artifact store a container works.
const ARTIFACTS: &str = "org.modelship.artifacts";

/// The labels that say which sweep, job and round it is of, and the one that holds the whole place.
const PARTS: [(&str, usize); 3] = [("org.modelship.sweep", 1), ("org.modelship.job", 3), ("org.modelship.round", 4)];
const PLACE: &str = "org.modelship.place";

/// How many containers are started or ended at once.
const AT_ONCE: usize = 4;

/// How long a runner has to end its runs after SIGTERM, in seconds. It gives them two itself.
const CANCEL_GRACE: i32 = 5;

/// What the engine says when it has no GPU to give.
const NO_DEVICE: &str = "could not select device driver";

/// How much of a runner's log is shown, in lines.
const LINES: &str = "50";

/// How this executor is set up. All paths are absolute, and mean the same to the engine.
#[derive(Debug, Clone)]
pub struct ContainerSettings {
    /// The root of the artifact store; every job's place lies below it, and a handle names it relative to this.
    pub artifacts: PathBuf,
    /// The slots that all jobs of the machine share.
    pub slots: SlotsSpec,
    /// Most processes and threads in one container.
    pub processes: u32,
}

/// Starts, watches and ends jobs on a Docker engine.
#[derive(Debug)]
pub struct DockerExecutor {
    docker: Docker,
    settings: ContainerSettings,
    /// The engine, once it has answered.
    ready: OnceCell<Ready>,
}

/// An engine that has answered.
#[derive(Debug)]
struct Ready {
    docker: Docker,
    cpus: u32,
}

/// A container as the engine knows it.
struct Known {
    id: String,
    state: ContainerState,
}

impl DockerExecutor {
    /// An executor on `docker`, which need not be up yet.
    #[must_use]
    pub fn new(docker: Docker, settings: ContainerSettings) -> Self {
        Self { docker, settings, ready: OnceCell::new() }
    }

    /// Starts `jobs`, whose scratch directories and slots are this executor's own, whatever they say. A job whose
    /// container runs, or that has ended, is not started again. When one cannot be started, all are ended.
    ///
    /// # Errors
    /// When a place lies outside of the artifact store or cannot be written, the image is not to be had, or the engine
    /// refuses.
    pub async fn submit(&self, jobs: &[JobSpec]) -> Result<Vec<JobHandle>, SubmitError> {
        let ready = self.ready().await?;
        let places = jobs.iter().map(|job| self.relative(&job.place)).collect::<anyhow::Result<Vec<_>>>()?;
        self.remove_beyond(&places).await?;
        let starts: Vec<_> = jobs.iter().map(|job| self.submit_one(ready, job)).collect();
        let mut started = futures_util::stream::iter(starts).buffered(AT_ONCE);
        let mut handles = Vec::with_capacity(jobs.len());
        while let Some(handle) = started.next().await {
            match handle {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    drop(started);
                    let all: Vec<_> =
                        places.into_iter().map(|place| JobHandle { place, token: String::new() }).collect();
                    self.cancel(&all).await?;
                    return Err(error);
                }
            }
        }
        Ok(handles)
    }

    /// Removes containers of the same rounds as `places` that are not among them: an earlier attempt to submit may have
    /// made more.
    async fn remove_beyond(&self, places: &[String]) -> anyhow::Result<()> {
        let round_of = |place: &str| {
            let parts: Vec<_> = place.split('/').collect();
            (parts.len() == 5).then(|| [parts[1].to_owned(), parts[4].to_owned()])
        };
        for (place, (id, _)) in self.containers().await? {
            let same = |other: &String| round_of(other).is_some_and(|round| Some(round) == round_of(&place));
            if !places.contains(&place) && places.iter().any(same) {
                self.remove(&id).await?;
            }
        }
        Ok(())
    }

    async fn submit_one(&self, ready: &Ready, job: &JobSpec) -> Result<JobHandle, SubmitError> {
        let api = ready.docker.api();
        let place = self.relative(&job.place)?;
        let name = self.name_of(&place);
        let ended = self.has_ended(&place);
        if let Some(Known { id, state }) = self.find(&name).await? {
            let handle = JobHandle { place: place.clone(), token: id };
            match state.status {
                Some(ContainerStateStatusEnum::CREATED) => {
                    let options = None::<StartContainerOptions>;
                    unless(304, api.start_container(&name, options).await).context("failed to start a container")?;
                    return Ok(handle);
                }
                _ if is_alive(&state) || ended => return Ok(handle),
                _ => self.remove(&name).await?,
            }
        } else if ended {
            return Ok(JobHandle { place, token: String::new() });
        }
        self.prepare(job).await?;
        let around = Surroundings {
            labels: self.labels(&place),
            network: &ready.docker.settings().network,
            processes: self.settings.processes,
            cpus: ready.cpus,
            slots: &self.settings.slots,
        };
        let body = container(job, around)?;
        let reference = body.image.clone().unwrap_or_default();
        let options = || Some(CreateContainerOptions { name: Some(name.clone()), ..CreateContainerOptions::default() });
        let created = match api.create_container(options(), body.clone()).await {
            Err(error) if status_of(&error) == Some(404) => {
                self.fetch(ready, &reference).await?;
                api.create_container(options(), body).await
            }
            created => created,
        };
        let id = created.with_context(|| format!("failed to make a container of `{reference}`"))?.id;
        let started = unless(304, api.start_container(&id, None::<StartContainerOptions>).await);
        if let Err(Error::DockerResponseServerError { message, .. }) = &started
            && message.contains(NO_DEVICE)
        {
            let need = "the model asks for a GPU, and the Docker engine has no driver for any";
            return Err(SubmitError::Refused(format!("{need}: {message}")));
        }
        started.context("failed to start a container")?;
        Ok(JobHandle { place, token: id })
    }

    /// How each job stands, in the order of `jobs`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn status(&self, jobs: &[JobHandle]) -> anyhow::Result<Vec<JobStatus>> {
        let alive = self.containers().await?;
        let status = |job: &JobHandle| match alive.get(&job.place) {
            Some((_, state)) if !matches!(state, Summary::CREATED | Summary::EXITED | Summary::DEAD) => {
                JobStatus::Running
            }
            _ if self.has_ended(&job.place) => JobStatus::Ended,
            _ => JobStatus::Vanished,
        };
        Ok(jobs.iter().map(status).collect())
    }

    /// How the container of a vanished job ended and what its runner said last; empty when it is not there any more.
    pub async fn last_words(&self, job: &JobHandle) -> String {
        let name = self.name_of(&job.place);
        let Ok(Some(Known { state, .. })) = self.find(&name).await else { return String::new() };
        let options = LogsOptions { stdout: true, stderr: true, tail: LINES.to_owned(), ..LogsOptions::default() };
        let mut said = match (state.oom_killed, state.exit_code) {
            (Some(true), _) => "the container was killed for lack of memory\n".to_owned(),
            (_, Some(code)) => format!("the container ended with status {code}\n"),
            (_, None) => String::new(),
        };
        said.push_str(state.error.as_deref().unwrap_or_default());
        let mut log = self.docker().api().logs(&name, Some(options));
        while let Some(Ok(part)) = log.next().await {
            said.push_str(&String::from_utf8_lossy(&part.into_bytes()));
        }
        tail_of(&redact(&said))
    }

    /// Waits until the container of one of the jobs has ended, at most `timeout`. Returns at once when one has already,
    /// so callers leave out the jobs that they know to have ended.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn wait_for_change(&self, jobs: &[JobHandle], timeout: Duration) -> anyhow::Result<()> {
        let api = self.ready().await?.docker.api();
        let options = || Some(WaitContainerOptions { condition: "not-running".to_owned() });
        let wait = |job: &JobHandle| {
            let mut ended = Box::pin(api.wait_container(&self.name_of(&job.place), options()));
            async move { ended.next().await }
        };
        let mut ends: FuturesUnordered<_> = jobs.iter().map(wait).collect();
        match tokio::time::timeout(timeout, ends.next()).await {
            Err(_) | Ok(None | Some(None | Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })))) => Ok(()),
            // One that is not there has ended.
            Ok(Some(Some(Err(error)))) if status_of(&error) == Some(404) => Ok(()),
            Ok(Some(Some(Err(error)))) => Err(error).context("failed to wait for a container"),
        }
    }

    /// Ends jobs: their runners get SIGTERM and some seconds to end their runs, then their containers are removed. Jobs
    /// that are gone already are no fault. Records that were written stay.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn cancel(&self, jobs: &[JobHandle]) -> anyhow::Result<()> {
        let cancels: Vec<_> = jobs.iter().map(|job| self.cancel_one(job)).collect();
        futures_util::stream::iter(cancels).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn cancel_one(&self, job: &JobHandle) -> anyhow::Result<()> {
        let name = self.name_of(&job.place);
        let options = StopContainerOptions { t: Some(CANCEL_GRACE), ..StopContainerOptions::default() };
        let stopped = self.ready().await?.docker.api().stop_container(&name, Some(options)).await;
        unless(304, unless(404, stopped)).context("failed to stop a container")?;
        self.remove(&name).await?;
        let scratch = scratch_in(&self.settings.artifacts.join(&job.place));
        let removed = tokio::task::spawn_blocking(move || remove_tree(&scratch)).await;
        if let Err(error) = removed.context("removing a directory panicked")? {
            // What another user's runner left when it was killed cannot always be removed, and hurts nobody.
            tracing::warn!(error = %error, "a job's scratch directory is left behind");
        }
        Ok(())
    }

    /// Removes the container of a job whose records were read.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn forget(&self, job: &JobHandle) -> anyhow::Result<()> {
        self.remove(&self.name_of(&job.place)).await
    }

    /// The jobs of this artifact store that have a container.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn found(&self) -> anyhow::Result<Vec<JobHandle>> {
        let found = self.containers().await?.into_iter();
        Ok(found.map(|(place, (token, _))| JobHandle { place, token }).collect())
    }

    /// Removes the containers of this artifact store's jobs that are not among `open`, and says how many there were.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn reap_orphans(&self, open: &[JobHandle]) -> anyhow::Result<usize> {
        let mut left = self.containers().await?;
        left.retain(|place, _| open.iter().all(|job| job.place != *place));
        let removals: Vec<_> = left.values().map(|(id, _)| self.remove(id)).collect();
        futures_util::stream::iter(removals).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(left.len())
    }

    /// The engine, which has answered at least once.
    async fn ready(&self) -> anyhow::Result<&Ready> {
        let connect = || async {
            let docker = self.docker.negotiated().await?;
            let info = docker.api().info().await.context("the Docker engine does not say what it is")?;
            let cpus = info.ncpu.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(1).max(1);
            Ok(Ready { docker, cpus })
        };
        self.ready.get_or_try_init(connect).await
    }

    /// The engine as far as it is known.
    fn docker(&self) -> &Docker {
        self.ready.get().map_or(&self.docker, |ready| &ready.docker)
    }

    /// The container called `name`, if there is one.
    async fn find(&self, name: &str) -> anyhow::Result<Option<Known>> {
        let api = self.ready().await?.docker.api();
        match api.inspect_container(name, None::<InspectContainerOptions>).await {
            Ok(found) => Ok(Some(Known { id: found.id.unwrap_or_default(), state: found.state.unwrap_or_default() })),
            Err(error) if status_of(&error) == Some(404) => Ok(None),
            Err(error) => Err(error).context("failed to look at a container"),
        }
    }

    /// The containers of this artifact store's jobs by place, with their ids and states.
    async fn containers(&self) -> anyhow::Result<HashMap<String, (String, Summary)>> {
        let label = format!("{ARTIFACTS}={}", self.settings.artifacts.display());
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
            ..ListContainersOptions::default()
        };
        let listed = self.ready().await?.docker.api().list_containers(Some(options)).await;
        let listed = listed.context("failed to list the containers")?;
        let known = listed.into_iter().filter_map(|found| {
            let place = found.labels?.remove(PLACE)?;
            Some((place, (found.id?, found.state.unwrap_or(Summary::EMPTY))))
        });
        Ok(known.collect())
    }

    async fn remove(&self, name: &str) -> anyhow::Result<()> {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        let removed = self.ready().await?.docker.api().remove_container(name, Some(options)).await;
        // 409: somebody else is removing it.
        unless(409, unless(404, removed)).context("failed to remove a container")
    }

    /// Brings the image from its registry.
    async fn fetch(&self, ready: &Ready, reference: &str) -> Result<(), SubmitError> {
        let missing = |why: &str| {
            SubmitError::Refused(format!(
                "the image `{reference}` is no longer on the engine{why}; build the version again"
            ))
        };
        if reference.starts_with("sha256:") {
            return Err(missing(""));
        }
        let login = ready.docker.settings().registry_login.as_ref();
        let login = login.map(|(user, password)| DockerCredentials {
            username: Some(user.clone()),
            password: Some(password.expose_secret().to_owned()),
            ..DockerCredentials::default()
        });
        let options = CreateImageOptions { from_image: Some(reference.to_owned()), ..CreateImageOptions::default() };
        let pulled = ready.docker.api().create_image(Some(options), None, login);
        match pulled.try_for_each(|_| async { Ok(()) }).await {
            Ok(()) => {
                let fetched = ready.docker.image(reference).await?;
                let fetched = fetched.with_context(|| format!("the Docker engine lost `{reference}`, just fetched"))?;
                match ready.docker.refuse_large(&fetched).await {
                    None => Ok(()),
                    Some(reason) => Err(SubmitError::Refused(format!("`{reference}` is {reason}"))),
                }
            }
            Err(error) if status_of(&error) == Some(404) => Err(missing(", nor at its registry")),
            Err(error) => {
                let error = anyhow::Error::new(error).context(format!("failed to fetch the image `{reference}`"));
                Err(SubmitError::Internal(error))
            }
        }
    }

    /// Makes what the container finds: a place that any user may write to, beneath a directory that only this program
    /// may enter; the slots; and what the runner is told.
    async fn prepare(&self, job: &JobSpec) -> anyhow::Result<()> {
        let (job, slots) = (job.clone(), self.settings.slots.clone());
        let prepared = tokio::task::spawn_blocking(move || {
            fs_err::create_dir_all(&job.place)?;
            if let Some(parent) = job.place.parent() {
                fs_err::set_permissions(parent, PermissionsExt::from_mode(0o700))?;
            }
            fs_err::set_permissions(&job.place, PermissionsExt::from_mode(0o777))?;
            make_slots(&slots)?;
            if let Some(cursor) = &job.cursor {
                make_cursor(cursor)?;
            }
            let text = serde_json::to_vec_pretty(&seen_from_within(&job, &slots))?;
            write_durably(&job.place.join(place::JOB), &text)
        });
        prepared.await.context("preparing a job panicked")?.context("failed to make a job's place")
    }

    fn has_ended(&self, place: &str) -> bool {
        matches!(place::ended(&self.settings.artifacts.join(place)), Ok(Some(_)))
    }

    /// What the container of the job in `place` is called, which nobody else's is.
    fn name_of(&self, place: &str) -> String {
        let whole = format!("{}\n{place}", self.settings.artifacts.display());
        format!("modelship-job-{}", &Digest::of(whole).hex()[..24])
    }

    fn labels(&self, place: &str) -> HashMap<String, String> {
        let parts: Vec<_> = place.split('/').collect();
        let parts = PARTS.iter().filter_map(|(label, at)| Some(((*label).to_owned(), (*parts.get(*at)?).to_owned())));
        let whole = [
            (ARTIFACTS.to_owned(), self.settings.artifacts.display().to_string()),
            (PLACE.to_owned(), place.to_owned()),
        ];
        parts.chain(whole).collect()
    }

    fn relative(&self, place: &Path) -> anyhow::Result<String> {
        let below = place.strip_prefix(&self.settings.artifacts).ok();
        let plain = |path: &&Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        let text = below.filter(plain).and_then(Path::to_str).filter(|text| !text.is_empty());
        let root = self.settings.artifacts.display();
        text.map(str::to_owned)
            .with_context(|| format!("the job's place `{}` does not lie within `{root}`", place.display()))
    }
}

fn is_alive(state: &ContainerState) -> bool {
    state.running == Some(true) || state.paused == Some(true) || state.restarting == Some(true)
}

/// The engine's own answer to a request that it refused.
fn status_of(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The answer `status` is no fault: things are as they should be already.
fn unless(status: u16, result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if status_of(&error) == Some(status) => Ok(()),
        other => other,
    }
}

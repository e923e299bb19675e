//! A verb's hold on the instance.
//!
//! Every verb that changes something tells the same engine that the server runs. Whoever holds the instance's lock runs
//! the engine; a verb that finds a server at work only tells it, and waits for the answer to appear in the database. So
//! a laptop needs no server, and a terminal beside a server does nothing behind its back.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use secrecy::ExposeSecret as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::output::CliError;
use crate::domain::decide::State;
use crate::domain::event::Key;
use crate::engine::{Clock, Engine, Outside};
use crate::settings::Settings;
use crate::store::Store;

/// How often is the database asked whether the answer is there?
const LOOK: Duration = Duration::from_millis(40);

/// How long does a server wait for one that was killed? A program that it was about to start holds its lock until that
/// begins.
const ENDING: Duration = Duration::from_secs(5);

/// The lock that says who runs the engine of an instance. It falls with its process.
#[derive(Debug)]
pub(crate) struct InstanceLock(#[expect(dead_code, reason = "the lock is held by the open file")] fs_err::File);

impl InstanceLock {
    /// Takes the lock of the instance whose state lies in `state`; none when somebody else holds it.
    pub(crate) fn try_take(state: &Path) -> Result<Option<Self>> {
        fs_err::create_dir_all(state)?;
        let file =
            fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(state.join("engine.lock"))?;
        match file.file().try_lock().map_err(io::Error::from) {
            Ok(()) => Ok(Some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("cannot lock the instance"),
        }
    }

    /// The same for a server, which waits a little for one that is just ending.
    pub(crate) async fn take(state: &Path) -> Result<Option<Self>> {
        Self::take_within(state, ENDING).await
    }

    async fn take_within(state: &Path, patience: Duration) -> Result<Option<Self>> {
        let begun = Instant::now();
        loop {
            let lock = Self::try_take(state)?;
            if lock.is_some() || begun.elapsed() >= patience {
                return Ok(lock);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether the state folder can be made and written to, which is for whoever chose it to mend.
pub(crate) fn check_state(settings: &Settings) -> Result<(), CliError> {
    let usable = fs_err::create_dir_all(&settings.state).and_then(|()| tempfile::tempfile_in(&settings.state));
    match usable {
        Ok(_) => Ok(()),
        Err(error) => Err(CliError::User(format!(
            "the state folder `{}` cannot be used ({error}); choose one that you can write to with `--state DIR`",
            settings.state.display()
        ))),
    }
}

/// A verb's engine.
pub(crate) struct Session {
    pub(crate) settings: Settings,
    pub(crate) engine: Arc<Engine>,
    at_work: Option<AtWork>,
}

/// The engine running in this process.
struct AtWork {
    _lock: InstanceLock,
    stop: CancellationToken,
    engine: JoinHandle<Result<()>>,
}

impl Session {
    /// Opens the instance that `settings` describe. Nothing runs yet.
    pub(crate) async fn open(settings: Settings) -> Result<Self, CliError> {
        check_state(&settings)?;
        let store = Store::open(settings.database.expose_secret()).await?;
        let outside = Outside::open(&settings)?;
        let engine = Engine::new(store, outside, settings.rules(), Clock::system());
        Ok(Self { settings, engine, at_work: None })
    }

    /// The database.
    pub(crate) fn store(&self) -> &Store {
        self.engine.store()
    }

    /// Waits until `answer` finds what it looks for, with the engine at work here or in the process that holds the lock.
    pub(crate) async fn until<T>(&mut self, mut answer: impl AsyncFnMut(&Engine) -> Result<Option<T>>) -> Result<T> {
        loop {
            self.work_if_free().await?;
            if let Some(found) = answer(&self.engine).await? {
                return Ok(found);
            }
            if let Some(at_work) = &mut self.at_work
                && at_work.engine.is_finished()
            {
                (&mut at_work.engine).await.context("the engine panicked")??;
                anyhow::bail!("the engine ended before there was an answer");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The state of `key`.
    pub(crate) async fn state(&self, key: &Key) -> Result<Option<State>> {
        let json = self.store().state(&key.to_string()).await?;
        Ok(json.map(|json| self.engine.read_state(&key.to_string(), &json)).transpose()?)
    }

    /// Lets the engine come to rest.
    pub(crate) async fn close(mut self) -> Result<()> {
        if let Some(at_work) = self.at_work.take() {
            at_work.stop.cancel();
            at_work.engine.await.context("the engine panicked")??;
        }
        self.store().close().await;
        Ok(())
    }

    async fn work_if_free(&mut self) -> Result<()> {
        if self.at_work.is_some() {
            return Ok(());
        }
        let Some(lock) = InstanceLock::try_take(&self.settings.state)? else { return Ok(()) };
        self.engine.check_states().await?;
        self.engine.recover().await?;
        let stop = CancellationToken::new();
        let (engine, token) = (Arc::clone(&self.engine), stop.clone());
        let engine = tokio::spawn(async move { engine.run(None, &token).await });
        self.at_work = Some(AtWork { _lock: lock, stop, engine });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_waits_for_one_that_is_just_ending_and_for_no_other() {
        let state = tempfile::tempdir().unwrap();
        let ending = InstanceLock::try_take(state.path()).unwrap().unwrap();
        let (lock, ()) = tokio::join!(InstanceLock::take(state.path()), async { drop(ending) });
        let working = lock.unwrap().expect("it has ended");
        assert!(InstanceLock::take_within(state.path(), LOOK).await.unwrap().is_none());
        drop(working);
        assert!(InstanceLock::try_take(state.path()).unwrap().is_some());
    }
}

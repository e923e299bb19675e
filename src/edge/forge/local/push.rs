//! What a push does to the forge: it is told of, and pull requests follow their branches.

use super::error::refused;
use super::files::Lock;
use super::payload::{self, Scene};
use super::pulls::PullFile;
use super::{Delivery, LocalForge, Result, accounts};
use crate::domain::forge::PullStatus;
use crate::domain::ids::RepositoryName;
use crate::edge::source::Source;

/// How git writes "no object".
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// A reference that a push moved, made or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) reference: String,
    /// The object that it pointed to; none when it is new.
    pub(super) before: Option<String>,
    /// The object that it points to; none when it is gone.
    pub(super) after: Option<String>,
}

impl LocalForge {
    /// Looks at what a push did. `lines` is what git gives its `post-receive` hook: `old new reference`, one a line.
    /// Gives a `push` for every branch and tag, and a `pull_request` for every pull request that changed by it.
    ///
    /// # Errors
    /// [`super::LocalForgeError::Refused`] for a line of another form; when the repository cannot be read.
    pub fn post_receive(&self, repository: &RepositoryName, lines: &str) -> Result<Vec<Delivery>> {
        let moves = lines.lines().filter(|line| !line.trim().is_empty()).map(parse).collect::<Result<Vec<_>>>()?;
        let pusher = accounts::os_login();
        let mut deliveries = Vec::new();
        {
            let lock = Lock::take(&self.root)?;
            let mut record = self.record()?;
            let sender = self.account(&lock, &mut record, &pusher)?;
            self.write_record(&lock, &record)?;
            let repository = record.by_name(repository)?.repository.clone();
            let source = self.source(&repository.name)?;
            let scene = Scene { record: &record, repository: &repository, source: &source, sender: &sender };
            for moved in &moves {
                if moved.reference.starts_with("refs/heads/") || moved.reference.starts_with("refs/tags/") {
                    deliveries.push(payload::push(&scene, moved)?);
                }
            }
        }
        deliveries.extend(self.settle_pulls(repository, &pusher)?);
        Ok(deliveries)
    }

    /// Lets open pull requests follow their branches: a moved head is told as `synchronize`; one whose head lies in its
    /// base by now is merged; one with a missing branch is closed.
    pub(super) fn settle_pulls(&self, repository: &RepositoryName, actor: &str) -> Result<Vec<Delivery>> {
        let lock = Lock::take(&self.root)?;
        let mut record = self.record()?;
        let sender = self.account(&lock, &mut record, actor)?;
        self.write_record(&lock, &record)?;
        let repository = record.by_name(repository)?.repository.clone();
        let source = self.source(&repository.name)?;
        let scene = Scene { record: &record, repository: &repository, source: &source, sender: &sender };
        let mut deliveries = Vec::new();
        for mut file in self.pull_files(&repository.name)? {
            if file.status != PullStatus::Open {
                continue;
            }
            let told = settle(&source, &scene, &mut file)?;
            if !told.is_empty() {
                file.updated_at = self.now();
                self.write_pull(&lock, &repository, &file)?;
                deliveries.extend(told);
            }
        }
        Ok(deliveries)
    }
}

fn settle(source: &Source, scene: &Scene<'_>, file: &mut PullFile) -> Result<Vec<Delivery>> {
    let (head, base) = (source.branch(&file.head_branch)?, source.branch(&file.base_branch)?);
    let (Some(head), Some(base)) = (head, base) else {
        file.status = PullStatus::Closed;
        return Ok(vec![payload::pull_request(scene, file, "closed")?]);
    };
    let mut told = Vec::new();
    let mut grown = true;
    if head != file.head {
        grown = source.contains(&head, &file.head).unwrap_or(false);
        let before = std::mem::replace(&mut file.head, head.clone());
        told.push(payload::synchronize(scene, file, &before)?);
    }
    if source.contains(&base, &head)? {
        // A head that was reset to something that the base held all along is not merged: there is nothing left of it.
        if grown {
            file.status = PullStatus::Merged;
            file.merge_commit = Some(base);
        } else {
            file.status = PullStatus::Closed;
        }
        told.push(payload::pull_request(scene, file, "closed")?);
    }
    Ok(told)
}

fn parse(line: &str) -> Result<Moved> {
    let mut fields = line.splitn(3, ' ');
    let (Some(old), Some(new), Some(reference)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(refused(format!("`{}` is not a line `old new reference`", line.escape_debug())));
    };
    let object = |text: &str| {
        let hexadecimal = text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        match text {
            NOTHING => Ok(None),
            text if hexadecimal => Ok(Some(text.to_owned())),
            _ => Err(refused(format!("`{}` is not a git object id", text.escape_debug()))),
        }
    };
    Ok(Moved { reference: reference.to_owned(), before: object(old)?, after: object(new)? })
}

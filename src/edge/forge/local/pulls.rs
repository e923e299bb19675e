//! Pull requests: opening, talking, closing, merging.

use serde::{Deserialize, Serialize};

use super::error::{Context as _, refused};
use super::files::{self, Lock};
use super::payload::{self, Scene};
use super::{Comment, Delivery, LocalForge, LocalForgeError, NewPull, PullThread, Record, Result};
use crate::domain::forge::{HeadOrigin, Permission, PullSnapshot, PullStatus, User};
use crate::domain::ids::{CommitSha, PullNumber, PullRef, Repository, RepositoryName, Time};
use crate::edge::source::{MergeAuthor, Source};

/// Longest body of a comment, in characters, as on GitHub.
const MAX_BODY: usize = 65_536;

/// Longest title, in characters, as on GitHub.
const MAX_TITLE: usize = 256;

/// A pull request as its file keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PullFile {
    pub(super) id: i64,
    pub(super) number: PullNumber,
    pub(super) title: String,
    pub(super) author: User,
    pub(super) status: PullStatus,
    pub(super) head_branch: String,
    /// The head that was last told of; an open pull request's true head is its branch's.
    pub(super) head: CommitSha,
    pub(super) base_branch: String,
    pub(super) merge_commit: Option<CommitSha>,
    pub(super) opened_at: Time,
    pub(super) updated_at: Time,
    pub(super) comments: Vec<Comment>,
}

impl LocalForge {
    /// Opens a pull request.
    ///
    /// # Errors
    /// [`LocalForgeError::Refused`] when the branches are the same, one is missing, nothing differs, or there is an
    /// open pull request between them already.
    pub fn open_pull(&self, new: &NewPull) -> Result<(PullSnapshot, Vec<Delivery>)> {
        let title = check_title(&new.title)?;
        let lock = Lock::take(&self.root)?;
        let mut record = self.record()?;
        let repository = record.by_name(&new.repository)?.repository.clone();
        let source = self.source(&repository.name)?;
        let tip = |branch: &str| {
            let known = source.branch(branch)?;
            known.ok_or_else(|| refused(format!("there is no branch `{}` in `{}`", shown(branch), repository.name)))
        };
        if new.head == new.base {
            return Err(refused(format!("`{}` cannot be merged into itself", shown(&new.head))));
        }
        let (head, base) = (tip(&new.head)?, tip(&new.base)?);
        if source.contains(&base, &head)? {
            return Err(refused(format!("`{}` holds every commit of `{}` already", new.base, new.head)));
        }
        let between = |pull: &&PullFile| {
            pull.status == PullStatus::Open && pull.head_branch == new.head && pull.base_branch == new.base
        };
        if let Some(other) = self.pull_files(&repository.name)?.iter().find(between) {
            return Err(refused(format!("#{} is open from `{}` to `{}` already", other.number, new.head, new.base)));
        }
        let author = self.account(&lock, &mut record, &new.author)?;
        let now = self.now();
        let file = PullFile {
            id: record.take_id(),
            number: take_number(&mut record, &repository),
            title,
            author: author.clone(),
            status: PullStatus::Open,
            head_branch: new.head.clone(),
            head,
            base_branch: new.base.clone(),
            merge_commit: None,
            opened_at: now,
            updated_at: now,
            comments: Vec::new(),
        };
        self.write_record(&lock, &record)?;
        self.write_pull(&lock, &repository, &file)?;
        let scene = Scene { record: &record, repository: &repository, source: &source, sender: &author };
        let delivery = payload::pull_request(&scene, &file, "opened")?;
        Ok((self.snapshot(&repository, &file)?, vec![delivery]))
    }

    /// Writes a comment. Gives it and the deliveries that tell of it.
    ///
    /// # Errors
    /// [`LocalForgeError::Refused`] when the body is empty or longer than 65,536 characters.
    pub fn comment(&self, pull: &PullRef, author: &str, body: &str) -> Result<(Comment, Vec<Delivery>)> {
        let body = check_body(body)?;
        self.change(pull, author, |desk| {
            let now = desk.file.updated_at;
            let id = desk.record.take_id();
            let comment =
                Comment { id, author: desk.actor.clone(), body, marker: None, created_at: now, updated_at: now };
            desk.file.comments.push(comment.clone());
            let delivery = payload::issue_comment(&desk.scene(), &desk.file, &comment)?;
            Ok((comment, vec![delivery]))
        })
    }

    /// Closes an open pull request without merging it.
    ///
    /// # Errors
    /// [`LocalForgeError::Refused`] when it is not open; [`LocalForgeError::Forbidden`] when `author` neither opened it
    /// nor may write.
    pub fn close(&self, pull: &PullRef, author: &str) -> Result<(PullSnapshot, Vec<Delivery>)> {
        self.change(pull, author, |desk| {
            desk.needs_open()?;
            desk.needs_write_or_authorship("close")?;
            desk.file.head = self.head_of(&desk.source, &desk.file)?;
            desk.file.status = PullStatus::Closed;
            let delivery = payload::pull_request(&desk.scene(), &desk.file, "closed")?;
            Ok((self.snapshot(&desk.repository, &desk.file)?, vec![delivery]))
        })
    }

    /// Opens a closed pull request again, with what its branch holds now.
    ///
    /// # Errors
    /// [`LocalForgeError::Refused`] when it is open or merged, or its branches are gone or have another open pull
    /// request; [`LocalForgeError::Forbidden`] as for [`LocalForge::close`].
    pub fn reopen(&self, pull: &PullRef, author: &str) -> Result<(PullSnapshot, Vec<Delivery>)> {
        self.change(pull, author, |desk| {
            if desk.file.status != PullStatus::Closed {
                return Err(refused(format!("#{} is not closed", desk.file.number)));
            }
            desk.needs_write_or_authorship("reopen")?;
            let PullFile { head_branch, base_branch, .. } = desk.file.clone();
            let head =
                desk.source.branch(&head_branch)?.filter(|_| matches!(desk.source.branch(&base_branch), Ok(Some(_))));
            let head = head.ok_or_else(|| refused(format!("`{head_branch}` or `{base_branch}` is gone")))?;
            let twin = |other: &PullFile| {
                other.status == PullStatus::Open && other.head_branch == head_branch && other.base_branch == base_branch
            };
            if self.pull_files(&desk.repository.name)?.iter().any(twin) {
                return Err(refused(format!("another pull request from `{head_branch}` to `{base_branch}` is open")));
            }
            desk.file.head = head;
            desk.file.status = PullStatus::Open;
            let delivery = payload::pull_request(&desk.scene(), &desk.file, "reopened")?;
            Ok((self.snapshot(&desk.repository, &desk.file)?, vec![delivery]))
        })
    }

    /// Merges an open pull request with a merge commit in the bare repository. The deliveries tell of the push to the
    /// base branch, of this pull request, and of others that the push changes.
    ///
    /// # Errors
    /// [`LocalForgeError::Merge`] on a conflict; [`LocalForgeError::Forbidden`] when `author` may not write;
    /// [`LocalForgeError::Refused`] when it is not open.
    pub fn merge(&self, pull: &PullRef, author: &str) -> Result<(PullSnapshot, Vec<Delivery>)> {
        let (merged, mut deliveries) = self.change(pull, author, |desk| {
            desk.needs_open()?;
            if self.permission_of(desk.actor.id)? < Permission::Write {
                return Err(LocalForgeError::Forbidden(format!("`{}` may not merge here", desk.actor.login)));
            }
            let head = self.head_of(&desk.source, &desk.file)?;
            let base = desk.file.base_branch.clone();
            let before = desk.source.branch(&base)?;
            let file = &mut desk.file;
            let message = format!("Merge pull request #{} from {}\n\n{}\n", file.number, file.head_branch, file.title);
            let by = MergeAuthor {
                name: desk.actor.login.clone(),
                email: format!("{}@localhost", desk.actor.login),
                at: file.updated_at,
            };
            let commit = desk.source.merge_commit(&base, &head, &message, &by).map_err(LocalForgeError::Merge)?;
            file.head = head;
            file.status = PullStatus::Merged;
            file.merge_commit = Some(commit.clone());
            let line = super::push::Moved {
                reference: format!("refs/heads/{base}"),
                before: before.map(|sha| sha.to_string()),
                after: Some(commit.to_string()),
            };
            let push = payload::push(&desk.scene(), &line)?;
            let closed = payload::pull_request(&desk.scene(), &desk.file, "closed")?;
            Ok((self.snapshot(&desk.repository, &desk.file)?, vec![push, closed]))
        })?;
        deliveries.extend(self.settle_pulls(&pull.repository.name, author)?);
        Ok((merged, deliveries))
    }

    /// The repository's pull requests, oldest first; all of them when `status` is none.
    ///
    /// # Errors
    /// [`LocalForgeError::Unknown`] when there is no such repository.
    pub fn list_pulls(&self, repository: &RepositoryName, status: Option<PullStatus>) -> Result<Vec<PullSnapshot>> {
        let repository = self.repository(repository)?;
        let files = self.pull_files(&repository.name)?.into_iter();
        let wanted = files.filter(|file| status.is_none_or(|status| file.status == status));
        wanted.map(|file| self.snapshot(&repository, &file)).collect()
    }

    /// The pull request with everything said in it.
    ///
    /// # Errors
    /// [`LocalForgeError::Unknown`] when there is none.
    pub fn show(&self, pull: &PullRef) -> Result<PullThread> {
        let record = self.record()?;
        let repository = &record.by_id(&pull.repository)?.repository;
        let file = self.pull_file(repository, pull.number)?;
        let snapshot = self.snapshot(repository, &file)?;
        let statuses = self.statuses(repository, &snapshot.head)?;
        Ok(PullThread { snapshot, opened_at: file.opened_at, comments: file.comments, statuses })
    }

    /// Reads the pull request, lets `act` change it, and writes it, all under the lock.
    fn change<T>(&self, pull: &PullRef, actor: &str, act: impl FnOnce(&mut Desk<'_>) -> Result<T>) -> Result<T> {
        let lock = Lock::take(&self.root)?;
        let mut record = self.record()?;
        let repository = record.by_id(&pull.repository)?.repository.clone();
        let mut file = self.pull_file(&repository, pull.number)?;
        file.updated_at = self.now();
        let actor = self.account(&lock, &mut record, actor)?;
        let source = self.source(&repository.name)?;
        let mut desk = Desk { forge: self, record, repository, source, file, actor };
        let done = act(&mut desk);
        // Numbers that were given out stay given out.
        self.write_record(&lock, &desk.record)?;
        let done = done?;
        self.write_pull(&lock, &desk.repository, &desk.file)?;
        Ok(done)
    }

    pub(super) fn snapshot(&self, repository: &Repository, file: &PullFile) -> Result<PullSnapshot> {
        let head = match file.status {
            PullStatus::Open => self.head_of(&self.source(&repository.name)?, file)?,
            PullStatus::Closed | PullStatus::Merged => file.head.clone(),
        };
        Ok(PullSnapshot {
            pull: PullRef { repository: repository.clone(), number: file.number },
            title: file.title.clone(),
            author: file.author.clone(),
            status: file.status,
            head_branch: file.head_branch.clone(),
            head,
            origin: HeadOrigin::SameRepository,
            base_branch: file.base_branch.clone(),
            merge_commit: file.merge_commit.clone(),
        })
    }

    /// What the head branch points to now; what it pointed to last when it is gone.
    fn head_of(&self, source: &Source, file: &PullFile) -> Result<CommitSha> {
        Ok(source.branch(&file.head_branch)?.unwrap_or_else(|| file.head.clone()))
    }

    /// Every pull request of the repository, by number.
    pub(super) fn pull_files(&self, repository: &RepositoryName) -> Result<Vec<PullFile>> {
        let folder = self.path_of(repository, "pulls");
        if !folder.exists() {
            return Ok(Vec::new());
        }
        let mut files: Vec<PullFile> = Vec::new();
        let doing = || format!("failed to list `{}`", folder.display());
        for entry in fs_err::read_dir(&folder).context(doing)? {
            let path = entry.context(doing)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                files.push(files::read(&path)?);
            }
        }
        files.sort_by_key(|file| file.number);
        Ok(files)
    }

    pub(super) fn pull_file(&self, repository: &Repository, number: PullNumber) -> Result<PullFile> {
        let path = self.path_of(&repository.name, "pulls").join(format!("{number}.json"));
        files::read_if_there(&path)?.ok_or_else(|| {
            LocalForgeError::Unknown(format!("there is no pull request #{number} in `{}`", repository.name))
        })
    }

    pub(super) fn write_pull(&self, lock: &Lock, repository: &Repository, file: &PullFile) -> Result<()> {
        let path = self.path_of(&repository.name, "pulls").join(format!("{}.json", file.number));
        files::write(lock, &path, file)
    }
}

/// A pull request while it is being changed.
struct Desk<'a> {
    forge: &'a LocalForge,
    record: Record,
    repository: Repository,
    source: Source,
    file: PullFile,
    actor: User,
}

impl Desk<'_> {
    fn scene(&self) -> Scene<'_> {
        Scene { record: &self.record, repository: &self.repository, source: &self.source, sender: &self.actor }
    }

    fn needs_open(&self) -> Result<()> {
        match self.file.status {
            PullStatus::Open => Ok(()),
            PullStatus::Closed => Err(refused(format!("#{} is closed", self.file.number))),
            PullStatus::Merged => Err(refused(format!("#{} is merged", self.file.number))),
        }
    }

    fn needs_write_or_authorship(&self, verb: &str) -> Result<()> {
        let own = self.file.author.id == self.actor.id;
        if own || self.forge.permission_of(self.actor.id)? >= Permission::Write {
            return Ok(());
        }
        Err(LocalForgeError::Forbidden(format!("`{}` may not {verb} #{}", self.actor.login, self.file.number)))
    }
}

fn take_number(record: &mut Record, repository: &Repository) -> PullNumber {
    let found = record.repositories.iter_mut().find(|it| it.repository.id == repository.id);
    let entry = found.expect("the repository was found in this record");
    let number = PullNumber(entry.next_pull);
    entry.next_pull += 1;
    number
}

fn check_title(title: &str) -> Result<String> {
    let title: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let title = title.trim();
    match title.chars().count() {
        0 => Err(refused("a pull request needs a title")),
        count if count > MAX_TITLE => Err(refused(format!("the title has {count} characters; at most {MAX_TITLE}"))),
        _ => Ok(title.to_owned()),
    }
}

/// A comment's text as it may be kept: no NUL, which databases refuse.
pub(super) fn check_body(body: &str) -> Result<String> {
    let count = body.chars().count();
    if body.trim().is_empty() {
        return Err(refused("a comment needs a text"));
    }
    if count > MAX_BODY {
        return Err(refused(format!("body is too long: {count} characters (maximum is {MAX_BODY} characters)")));
    }
    Ok(body.replace('\0', "\u{fffd}"))
}

fn shown(branch: &str) -> String {
    branch.chars().take(120).collect::<String>().escape_debug().to_string()
}

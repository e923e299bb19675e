//! Who is who: accounts of the forge and what they may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::refused;
use super::files::{self, Lock};
use super::{LocalForge, Record, Result};
use crate::domain::forge::{Permission, User};

/// Our own account: it writes plans and results, and its comments are never taken as commands.
#[must_use]
pub fn app_account() -> User {
    User { id: 1, login: "modelship[bot]".to_owned() }
}

/// An account, as `members.json` keeps it by login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) id: i64,
    pub(super) permission: Permission,
}

pub(super) type Members = BTreeMap<String, Member>;

impl LocalForge {
    /// Gives `login` this permission in every repository of the forge; makes the account when it is new.
    ///
    /// # Errors
    /// [`super::LocalForgeError::Refused`] when `login` is not made of letters, digits and inner `-`, `_`, `.`.
    pub fn set_member(&self, login: &str, permission: Permission) -> Result<User> {
        let lock = Lock::take(&self.root)?;
        let mut record = self.record()?;
        let user = self.set_permission(&lock, &mut record, login, permission)?;
        self.write_record(&lock, &record)?;
        Ok(user)
    }

    /// Every account with its permission, by login.
    ///
    /// # Errors
    /// When `members.json` cannot be read.
    pub fn members(&self) -> Result<Vec<(User, Permission)>> {
        let members = self.read_members()?;
        Ok(members.into_iter().map(|(login, it)| (User { id: it.id, login }, it.permission)).collect())
    }

    /// The account of whoever runs this process, by their name on this machine; a new one may read.
    ///
    /// # Errors
    /// When the forge cannot be read or written.
    pub fn me(&self) -> Result<User> {
        let lock = Lock::take(&self.root)?;
        let mut record = self.record()?;
        let user = self.account(&lock, &mut record, &os_login())?;
        self.write_record(&lock, &record)?;
        Ok(user)
    }

    /// The account called `login`. As on any public forge, whoever is new may read and comment; more takes a member's
    /// permission. The caller writes the record.
    pub(super) fn account(&self, lock: &Lock, record: &mut Record, login: &str) -> Result<User> {
        match self.read_members()?.get(login) {
            Some(member) => Ok(User { id: member.id, login: login.to_owned() }),
            None => self.set_permission(lock, record, login, Permission::Read),
        }
    }

    pub(super) fn set_permission(
        &self,
        lock: &Lock,
        record: &mut Record,
        login: &str,
        permission: Permission,
    ) -> Result<User> {
        check_login(login)?;
        let mut members = self.read_members()?;
        // A number that was given out is never given again, even if a process died before it could note that.
        let highest = members.values().map(|member| member.id).max().unwrap_or(app_account().id);
        record.next_id = record.next_id.max(highest + 1);
        let member = members.entry(login.to_owned()).or_insert_with(|| Member { id: record.take_id(), permission });
        member.permission = permission;
        let user = User { id: member.id, login: login.to_owned() };
        self.write_members(lock, &members)?;
        Ok(user)
    }

    pub(super) fn permission_of(&self, id: i64) -> Result<Permission> {
        let members = self.read_members()?;
        Ok(members.values().find(|member| member.id == id).map_or(Permission::None, |member| member.permission))
    }

    pub(super) fn read_members(&self) -> Result<Members> {
        files::read(&self.root.join("members.json"))
    }

    pub(super) fn write_members(&self, lock: &Lock, members: &Members) -> Result<()> {
        files::write(lock, &self.root.join("members.json"), members)
    }
}

fn check_login(login: &str) -> Result<()> {
    let word = |byte: u8| byte.is_ascii_alphanumeric();
    let inner = |byte: u8| word(byte) || matches!(byte, b'-' | b'_' | b'.');
    let good = !login.is_empty()
        && login.len() <= 100
        && login.bytes().all(inner)
        && login.bytes().next().is_some_and(word)
        && login.bytes().next_back().is_some_and(word);
    if good {
        return Ok(());
    }
    let shown: String = login.chars().take(100).collect();
    Err(refused(format!(
        "`{}` is not an account name; it takes letters, digits and inner `-`, `_`, `.`",
        shown.escape_debug()
    )))
}

/// The name of the user that this process runs as, in a form that an account may have.
pub(super) fn os_login() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = fs_err::read("/etc/passwd").map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let name = passwd.ok().and_then(|text| login_of(&text, uid));
    name.filter(|name| check_login(name).is_ok()).unwrap_or_else(|| format!("user-{uid}"))
}

fn login_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!(login_of(passwd, 1000).as_deref(), Some("ada"));
        assert_eq!(login_of(passwd, 1001), None);
    }

    #[test]
    fn our_own_account_cannot_be_taken() {
        for login in ["modelship[bot]", "", "-ada", "a b", "a\nb", "a/b", "..", "ada'"] {
            assert!(check_login(login).is_err(), "{login:?}");
        }
        assert!(check_login("ada.l-2").is_ok());
    }
}

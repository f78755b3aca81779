//! `--user` and `--group`: what the process becomes once it listens.

use super::accounts::{KnownUser, find_group, find_user};
use crate::options::{Options, PrivilegeOptions};
use nix::errno::Errno;
use nix::unistd::{
    Gid, ResGid, ResUid, getresgid, getresuid, initgroups, setgroups, setresgid, setresuid,
};

/// The user and the group that the process becomes once it listens.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    user: Option<KnownUser>,
    group: Option<Gid>,
    /// As they were given.
    text: String,
}

impl Identity {
    /// `--user` and `--group`; `None` without them.
    ///
    /// # Errors
    /// A sentence that names the one that is unknown.
    pub(crate) fn of(options: &Options) -> Result<Option<Self>, String> {
        let PrivilegeOptions { user, group } = &options.process.privileges;
        let found = Identity::find(user.as_deref(), group.as_deref());
        found.map_err(|(id, problem)| options.origins.blame(id, problem))
    }

    /// The error names the option that is wrong, too.
    fn find(
        user: Option<&str>,
        group: Option<&str>,
    ) -> Result<Option<Self>, (&'static str, String)> {
        let text = match (user, group) {
            (None, None) => return Ok(None),
            (Some(user), None) => format!("user '{user}'"),
            (None, Some(group)) => format!("group '{group}'"),
            (Some(user), Some(group)) => format!("user '{user}' and group '{group}'"),
        };
        let user = user.map(find_user).transpose();
        let user = user.map_err(|problem| ("user", problem))?;
        let group = group.map(find_group).transpose();
        let group = group.map_err(|problem| ("group", problem))?;
        let of_user = user
            .as_ref()
            .and_then(|user| Some(user.entry.as_ref()?.gid));
        let group = group.or(of_user);
        if group.is_none() {
            let problem = format!(
                "{text} is not in the user database, and so has no group: give --group as well"
            );
            return Err(("user", problem));
        }
        Ok(Some(Identity { user, group, text }))
    }

    pub(crate) fn uid(&self) -> Option<u32> {
        self.user.as_ref().map(|user| user.uid.as_raw())
    }

    pub(crate) fn gid(&self) -> Option<u32> {
        self.group.map(Gid::as_raw)
    }

    /// Makes all threads of the process that user and group, for good: the C library passes the
    /// change on to each thread, while the system call alone is for the one that calls.
    ///
    /// # Errors
    /// A sentence that says why the process stays what it is. It may then have lost some of its
    /// groups.
    pub(crate) fn assume(&self) -> Result<(), String> {
        if self.is_current().unwrap_or(false) {
            return Ok(()); // as by systemd's User=: that needs no rights
        }
        let cannot = |error: Errno| {
            let why = match error {
                Errno::EPERM => {
                    "only root may, or a process with CAP_SETUID and CAP_SETGID".to_owned()
                }
                error => error.desc().to_lowercase(),
            };
            format!("cannot become {}: {why}", self.text)
        };
        self.try_assume().map_err(cannot)?;
        match self.is_current() {
            Ok(true) => Ok(()),
            _ => Err(format!(
                "cannot become {}: the kernel ignores it",
                self.text
            )),
        }
    }

    /// The groups come first: without root's rights, they could not be changed any more.
    fn try_assume(&self) -> nix::Result<()> {
        if let Some(gid) = self.group {
            let entry = self.user.as_ref().and_then(|user| user.entry.as_ref());
            match entry {
                Some(entry) => initgroups(&entry.name, gid)?,
                None => setgroups(&[gid])?,
            }
            setresgid(gid, gid, gid)?;
        }
        if let Some(KnownUser { uid, .. }) = self.user {
            // The saved ID as well, or the process could become root again.
            setresuid(uid, uid, uid)?;
        }
        Ok(())
    }

    fn is_current(&self) -> nix::Result<bool> {
        let ResUid {
            real,
            effective,
            saved,
        } = getresuid()?;
        let is_user = |user: &KnownUser| [real, effective, saved] == [user.uid; 3];
        let has_user = self.user.as_ref().is_none_or(is_user);
        let ResGid {
            real,
            effective,
            saved,
        } = getresgid()?;
        let has_group = self
            .group
            .is_none_or(|gid| [real, effective, saved] == [gid; 3]);
        Ok(has_user && has_group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::Uid;

    #[test]
    fn what_is_unknown_is_named() {
        let unknown = |user, group| Identity::find(user, group).unwrap_err().1;
        assert_eq!(
            unknown(Some("no-one-here"), None),
            "there is no user 'no-one-here'"
        );
        assert_eq!(
            unknown(None, Some("no-one-here")),
            "there is no group 'no-one-here'"
        );
        let number = unknown(Some("4000000001"), None);
        assert!(number.contains("give --group as well"), "{number}");
    }

    #[test]
    fn a_number_needs_no_name() {
        let identity = Identity::find(Some("4000000001"), Some("4000000002"))
            .unwrap()
            .unwrap();
        assert_eq!(
            (identity.uid(), identity.gid()),
            (Some(4_000_000_001), Some(4_000_000_002))
        );
        assert!(Identity::find(None, None).unwrap().is_none());
    }

    #[test]
    fn a_process_can_always_become_what_it_is() {
        let (user, group) = (Uid::effective().to_string(), Gid::effective().to_string());
        let identity = Identity::find(Some(&user), Some(&group)).unwrap().unwrap();
        assert_eq!(identity.assume(), Ok(()));
    }
}

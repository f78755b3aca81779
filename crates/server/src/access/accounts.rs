//! Users and groups by name or number.

use nix::unistd::{Gid, Group, Uid, User};
use std::ffi::CString;

/// A user, by name or by number.
#[derive(Clone, Debug)]
pub(super) struct KnownUser {
    pub(super) uid: Uid,
    /// A number alone need not be in the user database.
    pub(super) entry: Option<Entry>,
}

/// What the user database has of a user.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: CString,
    pub(super) gid: Gid,
}

/// Finds a user by name or by number.
///
/// # Errors
/// A sentence that names the user, which is unknown or cannot be looked up.
pub(super) fn find_user(text: &str) -> Result<KnownUser, String> {
    let number = text.parse().ok().map(Uid::from_raw);
    let found = match number {
        Some(uid) => User::from_uid(uid),
        None => User::from_name(text),
    };
    let found = found.map_err(|error| {
        format!(
            "cannot look up the user '{text}': {}",
            error.desc().to_lowercase()
        )
    })?;
    let entry = found.and_then(|user| {
        let name = CString::new(user.name).ok()?;
        Some((
            user.uid,
            Entry {
                name,
                gid: user.gid,
            },
        ))
    });
    match (entry, number) {
        (Some((uid, entry)), _) => Ok(KnownUser {
            uid,
            entry: Some(entry),
        }),
        (None, Some(uid)) => Ok(KnownUser { uid, entry: None }),
        (None, None) => Err(format!("there is no user '{text}'")),
    }
}

/// Finds a group by name or by number.
///
/// # Errors
/// As [`find_user`].
pub(super) fn find_group(text: &str) -> Result<Gid, String> {
    if let Ok(number) = text.parse() {
        return Ok(Gid::from_raw(number));
    }
    let found = Group::from_name(text).map_err(|error| {
        format!(
            "cannot look up the group '{text}': {}",
            error.desc().to_lowercase()
        )
    })?;
    found
        .map(|group| group.gid)
        .ok_or_else(|| format!("there is no group '{text}'"))
}

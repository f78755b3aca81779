//! `--socket-mode` and `--socket-owner`: the permissions of the files of Unix sockets.

use super::accounts::{find_group, find_user};
use std::fmt;
use std::str::FromStr;

/// The permissions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketMode(pub(crate) u32);

impl FromStr for SocketMode {
    type Err = String;

    /// Octal digits, as for chmod(1).
    fn from_str(text: &str) -> Result<Self, String> {
        let is_octal = text.len() >= 3 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        let mode = u32::from_str_radix(text, 8).ok();
        let mode = mode
            .filter(|mode| is_octal && *mode <= 0o777)
            .map(SocketMode);
        mode.ok_or_else(|| "give octal digits from 000 to 777, such as 0660".to_owned())
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// The owner of a file: `USER`, `USER:GROUP` or `:GROUP`, as for chown(1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    user: Option<String>,
    group: Option<String>,
}

impl FromStr for Owner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let is_wrong = group.is_some_and(|group| group.is_empty() || group.contains(':'));
        if is_wrong || (user.is_empty() && group.is_none()) {
            return Err("give USER, USER:GROUP or :GROUP".to_owned());
        }
        Ok(Owner {
            user: Some(user.to_owned()).filter(|user| !user.is_empty()),
            group: group.map(str::to_owned),
        })
    }
}

impl Owner {
    /// The numbers of the user and of the group.
    ///
    /// # Errors
    /// A sentence that names the one that is unknown.
    pub(crate) fn ids(&self) -> Result<(Option<u32>, Option<u32>), String> {
        let user = self.user.as_deref().map(find_user).transpose()?;
        let group = self.group.as_deref().map(find_group).transpose()?;
        Ok((
            user.map(|user| user.uid.as_raw()),
            group.map(|group| group.as_raw()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_octal_digits() {
        for (text, mode) in [
            ("0660", 0o660),
            ("777", 0o777),
            ("000", 0),
            ("00600", 0o600),
        ] {
            assert_eq!(text.parse(), Ok(SocketMode(mode)));
        }
        assert_eq!(SocketMode(0o660).to_string(), "0660");
        for wrong in [
            "",
            "7",
            "66",
            "888",
            "1777",
            "-660",
            "+660",
            "0o660",
            "rw-rw----",
        ] {
            let problem = wrong.parse::<SocketMode>().unwrap_err();
            assert!(problem.contains("0660"), "{wrong}: {problem}");
        }
    }

    #[test]
    fn an_owner_is_a_user_a_group_or_both() {
        let owner = |text: &str| text.parse::<Owner>();
        let is = |user: Option<&str>, group: Option<&str>| {
            Ok(Owner {
                user: user.map(str::to_owned),
                group: group.map(str::to_owned),
            })
        };
        assert_eq!(owner("www"), is(Some("www"), None));
        assert_eq!(owner("www:web"), is(Some("www"), Some("web")));
        assert_eq!(owner(":web"), is(None, Some("web")));
        for wrong in ["", ":", "www:", "a:b:c"] {
            assert!(owner(wrong).is_err(), "{wrong}");
        }
        assert_eq!(owner("12:34").unwrap().ids(), Ok((Some(12), Some(34))));
        let unknown = owner(":no-one-here").unwrap().ids();
        assert_eq!(unknown, Err("there is no group 'no-one-here'".to_owned()));
    }
}

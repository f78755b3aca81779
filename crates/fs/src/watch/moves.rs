//! The two halves of a rename, which the kernel reports as two events.

use super::tree::Node;
use oneloop_core::Key;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The first half of a rename (`IN_MOVED_FROM`).
///
/// ```text
///                      MOVED_TO with its cookie, same root
///  MOVED_FROM ──▶ waits ──────────────────────────────────▶ Renamed
///                   │
///                   │ 10 ms, 64 newer halves, another event about the name,
///                   │ a directory above moves or goes, or MOVED_TO in another root
///                   └─────────────────────────────────────▶ Removed
/// ```
pub(super) struct Moved {
    pub(super) cookie: u32,
    pub(super) root: Key<Node>,
    pub(super) dir: Key<Node>,
    pub(super) name: OsString,
    pub(super) path: PathBuf,
    /// The node that the name had at the time of the event. By the time of the second half, the
    /// name may have another node.
    pub(super) node: Option<Key<Node>>,
}

/// The maximum number of first halves that wait. Only events of other processors come between two
/// halves, so this is plenty. And when thousands of files move to a directory that is not watched,
/// each event is compared with few others.
const HALVES_MAX: usize = 64;

/// First halves of renames, oldest first.
#[derive(Default)]
pub(super) struct Moves {
    halves: VecDeque<Moved>,
}

impl Moves {
    pub(super) fn is_empty(&self) -> bool {
        self.halves.is_empty()
    }

    /// Adds a first half. If there are too many, takes out the oldest one and returns it.
    pub(super) fn push(&mut self, moved: Moved) -> Option<Moved> {
        self.halves.push_back(moved);
        let is_full = self.halves.len() > HALVES_MAX;
        is_full.then(|| self.halves.pop_front())?
    }

    /// Takes the first half of a rename within one root.
    pub(super) fn take_pair(&mut self, cookie: u32, root: Key<Node>) -> Option<Moved> {
        self.take(|half| half.cookie == cookie && half.root == root)
    }

    /// Takes the first half that is about a name, because another event about the name has come.
    pub(super) fn take_of_name(&mut self, dir: Key<Node>, name: &OsStr) -> Option<Moved> {
        self.take(|half| half.dir == dir && half.name == name)
    }

    /// Takes the oldest first half in some directories.
    pub(super) fn take_in(&mut self, is_in: impl Fn(Key<Node>) -> bool) -> Option<Moved> {
        self.take(|half| is_in(half.dir))
    }

    /// Drops the first halves in some directories.
    pub(super) fn drop_in(&mut self, is_in: impl Fn(Key<Node>) -> bool) {
        self.halves.retain(|half| !is_in(half.dir));
    }

    fn take(&mut self, is_it: impl Fn(&Moved) -> bool) -> Option<Moved> {
        let index = self.halves.iter().position(is_it)?;
        self.halves.remove(index)
    }

    pub(super) fn take_oldest(&mut self) -> Option<Moved> {
        self.halves.pop_front()
    }
}

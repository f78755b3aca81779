//! The two halves of a rename, which the kernel tells one by one.

use super::tree::Node;
use oneloop_core::Key;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A name that went, of which the other half may be to come.
pub(super) struct Moved {
    pub(super) cookie: u32,
    pub(super) root: Key<Node>,
    pub(super) dir: Key<Node>,
    pub(super) name: OsString,
    pub(super) path: PathBuf,
    /// What is known of it: of the name, there may be something else to tell by then.
    pub(super) node: Option<Key<Node>>,
}

/// First halves, in their order.
#[derive(Default)]
pub(super) struct Moves {
    halves: Vec<Moved>,
}

impl Moves {
    pub(super) fn is_empty(&self) -> bool {
        self.halves.is_empty()
    }

    pub(super) fn push(&mut self, moved: Moved) {
        self.halves.push(moved);
    }

    /// The first half of a rename within the same root.
    pub(super) fn take_pair(&mut self, cookie: u32, root: Key<Node>) -> Option<Moved> {
        self.take(|half| half.cookie == cookie && half.root == root)
    }

    /// A half that concerns a name of which something else is told now.
    pub(super) fn take_of_name(&mut self, dir: Key<Node>, name: &OsStr) -> Option<Moved> {
        self.take(|half| half.dir == dir && half.name == name)
    }

    fn take(&mut self, is_it: impl Fn(&Moved) -> bool) -> Option<Moved> {
        let index = self.halves.iter().position(is_it)?;
        Some(self.halves.remove(index))
    }

    pub(super) fn take_all(&mut self) -> Vec<Moved> {
        std::mem::take(&mut self.halves)
    }
}

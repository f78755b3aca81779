//! The two halves of a rename, which the kernel tells one by one.

use super::tree::Node;
use oneloop_core::Key;
use std::collections::VecDeque;
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

/// So many first halves may wait. The kernel tells both halves at once, but for what other processors tell in
/// between; thousands of files that go elsewhere are not to be compared with each other.
const HALVES_MAX: usize = 64;

/// First halves, in their order.
#[derive(Default)]
pub(super) struct Moves {
    halves: VecDeque<Moved>,
}

impl Moves {
    pub(super) fn is_empty(&self) -> bool {
        self.halves.is_empty()
    }

    /// Has one wait for its other half. Gives the one that has waited for too many.
    pub(super) fn push(&mut self, moved: Moved) -> Option<Moved> {
        self.halves.push_back(moved);
        let is_full = self.halves.len() > HALVES_MAX;
        is_full.then(|| self.halves.pop_front())?
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
        self.halves.remove(index)
    }

    pub(super) fn take_all(&mut self) -> VecDeque<Moved> {
        std::mem::take(&mut self.halves)
    }
}

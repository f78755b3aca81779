//! The looks at directories that are due, and those that a thread has been given.

use super::look::Target;
use super::tree::{Node, Tree};
use oneloop_core::Key;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A directory or a root that a thread is to watch and list.
pub(super) struct PendingLook {
    pub(super) parent: Option<Key<Node>>,
    /// The name in the parent; for a root, its path.
    pub(super) name: OsString,
    pub(super) is_recursive: bool,
    /// The names that the look finds are reported as created.
    pub(super) reports_names: bool,
    /// Looks at all directories below as well, because events were lost and the tree may be wrong.
    pub(super) is_deep: bool,
    /// No change has reported the names in it since it came, even if the directory is known.
    pub(super) is_unreported: bool,
}

impl PendingLook {
    pub(super) fn root(path: &Path, is_recursive: bool) -> Self {
        PendingLook {
            parent: None,
            name: path.as_os_str().to_owned(),
            is_recursive,
            reports_names: false,
            is_deep: false,
            is_unreported: false,
        }
    }

    pub(super) fn new_dir(parent: Key<Node>, name: &OsStr) -> Self {
        PendingLook {
            parent: Some(parent),
            name: name.to_owned(),
            is_recursive: true,
            reports_names: true,
            is_deep: false,
            is_unreported: false,
        }
    }

    /// The look at a directory in this one, for the same reason.
    pub(super) fn below(&self, parent: Key<Node>, name: OsString) -> Self {
        PendingLook {
            parent: Some(parent),
            name,
            ..*self
        }
    }

    /// The directory's path, according to the events that were read so far.
    pub(super) fn path(&self, tree: &Tree) -> PathBuf {
        match self.parent {
            Some(parent) => tree.path(parent).join(&self.name),
            None => Path::new(&self.name).to_owned(),
        }
    }
}

/// A look that a thread was given.
pub(super) struct StartedLook {
    pub(super) look: PendingLook,
    /// The path that the thread was given. The directory may have moved since.
    pub(super) path: PathBuf,
    /// The number of moves that the tree knew then.
    moves: u64,
}

impl StartedLook {
    /// True if the path named another directory while the thread looked, or may have: the directory
    /// is elsewhere now, or it was for a while. The tree has every move.
    pub(super) fn is_doubtful(&self, tree: &Tree) -> bool {
        let parent = self.look.parent;
        let has_moved = parent.is_some_and(|parent| tree.has_moved_since(parent, self.moves));
        has_moved || self.look.path(tree) != self.path
    }
}

/// The looks of one job, with a target for each.
pub(super) struct LookBatch {
    pub(super) started: Vec<StartedLook>,
    pub(super) targets: Vec<Target>,
}

impl LookBatch {
    /// Takes at most `most` looks, without those whose parent is gone: they have no path.
    pub(super) fn new(
        looks: impl IntoIterator<Item = PendingLook>,
        tree: &Tree,
        most: usize,
    ) -> Self {
        let has_path = |look: &PendingLook| look.parent.is_none_or(|dir| tree.get(dir).is_some());
        let looks = looks.into_iter().filter(has_path).take(most);
        let started = looks.map(|look| StartedLook {
            path: look.path(tree),
            moves: tree.moves(),
            look,
        });
        let started: Vec<_> = started.collect();
        let target = |started: &StartedLook| Target {
            path: started.path.clone(),
            is_root: started.look.parent.is_none(),
            is_recursive: started.look.is_recursive,
        };
        let targets = started.iter().map(target).collect();
        LookBatch { started, targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_whose_parent_is_gone_is_dropped() {
        let mut tree = Tree::default();
        let root = tree.add(None, OsStr::new("/root"), 1, true);
        let dir = tree.add(Some(root), OsStr::new("dir"), 2, true);
        let looks = || [dir, root].map(|parent| PendingLook::new_dir(parent, OsStr::new("new")));
        let paths = |tree: &Tree, most| {
            let targets = LookBatch::new(looks(), tree, most).targets.into_iter();
            targets.map(|target| target.path).collect::<Vec<_>>()
        };
        let in_dir = PathBuf::from("/root/dir/new");
        let in_root = PathBuf::from("/root/new");
        assert_eq!(paths(&tree, 2), [in_dir.clone(), in_root.clone()]);
        assert_eq!(paths(&tree, 1), [in_dir]);
        tree.remove(dir);
        assert_eq!(paths(&tree, 1), [in_root], "its name alone would be a path");
    }
}

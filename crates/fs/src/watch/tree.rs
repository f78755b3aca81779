//! The watched directories, by name and by the kernel's number.

use oneloop_core::{Key, Slots};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::iter;
use std::path::{Path, PathBuf};

/// A watched root, or a watched directory below one.
pub(super) struct Node {
    /// The kernel's number of the watch (a watch descriptor).
    wd: i32,
    parent: Option<Key<Node>>,
    /// The name in the parent; for a root, its path.
    name: OsString,
    /// Directories that are created in this one are watched, too.
    pub(super) is_recursive: bool,
    children: HashMap<OsString, Key<Node>>,
    /// The number of the last move of this node.
    moved: u64,
    /// The names that a look reported as created, and that the kernel may report again.
    pub(super) found: HashSet<OsString>,
}

/// All nodes of one inotify fd. A root may lie below another root, and then one watch has several
/// nodes: for a directory that is already watched, inotify_add_watch(2) returns the same number
/// again.
#[derive(Default)]
pub(super) struct Tree {
    nodes: Slots<Node>,
    by_wd: HashMap<i32, Vec<Key<Node>>>,
    /// The number of moves so far.
    moves: u64,
}

impl Tree {
    pub(super) fn add(
        &mut self,
        parent: Option<Key<Node>>,
        name: &OsStr,
        wd: i32,
        is_recursive: bool,
    ) -> Key<Node> {
        let key = self.nodes.insert(Node {
            wd,
            parent,
            name: name.to_owned(),
            is_recursive,
            children: HashMap::new(),
            moved: 0,
            found: HashSet::new(),
        });
        self.by_wd.entry(wd).or_default().push(key);
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            parent.children.insert(name.to_owned(), key);
        }
        key
    }

    /// Removes a node and all nodes below it. Returns the watches that no other node needs.
    pub(super) fn remove(&mut self, key: Key<Node>) -> Vec<i32> {
        self.unlink(key);
        let mut unneeded = Vec::new();
        let mut gone = vec![key];
        // A list instead of recursion, because a tree may be deeper than a green thread's stack.
        while let Some(key) = gone.pop() {
            let Some(node) = self.nodes.remove(key) else {
                continue;
            };
            gone.extend(node.children.into_values());
            if let Some(keys) = self.by_wd.get_mut(&node.wd) {
                keys.retain(|other| *other != key);
                if keys.is_empty() {
                    self.by_wd.remove(&node.wd);
                    unneeded.push(node.wd);
                }
            }
        }
        unneeded
    }

    /// The parent of a node and its name there; `None` for a root.
    pub(super) fn entry(&self, key: Key<Node>) -> Option<(Key<Node>, OsString)> {
        let node = self.nodes.get(key)?;
        Some((node.parent?, node.name.clone()))
    }

    fn unlink(&mut self, key: Key<Node>) {
        if let Some((parent, name)) = self.entry(key)
            && let Some(parent) = self.nodes.get_mut(parent)
        {
            parent.children.remove(&name);
        }
    }

    /// Moves a node, with all nodes below it, to a name that has no node. Returns false if the new
    /// parent is below the node: the parent has then moved out, and that event is still to be read.
    pub(super) fn put(&mut self, key: Key<Node>, parent: Key<Node>, name: &OsStr) -> bool {
        if self.is_within(parent, key) {
            return false;
        }
        self.unlink(key);
        self.moves += 1;
        if let Some(node) = self.nodes.get_mut(key) {
            node.moved = self.moves;
            node.parent = Some(parent);
            node.name = name.to_owned();
        }
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.children.insert(name.to_owned(), key);
        }
        true
    }

    pub(super) fn moves(&self) -> u64 {
        self.moves
    }

    /// True if a node or one above it has moved since the tree knew `moves` moves.
    pub(super) fn has_moved_since(&self, key: Key<Node>, moves: u64) -> bool {
        let mut nodes = self.upwards(key).filter_map(|key| self.nodes.get(key));
        nodes.any(|node| node.moved > moves)
    }

    pub(super) fn get(&self, key: Key<Node>) -> Option<&Node> {
        self.nodes.get(key)
    }

    pub(super) fn get_mut(&mut self, key: Key<Node>) -> Option<&mut Node> {
        self.nodes.get_mut(key)
    }

    pub(super) fn child(&self, key: Key<Node>, name: &OsStr) -> Option<Key<Node>> {
        self.nodes.get(key)?.children.get(name).copied()
    }

    /// The names and nodes of the watched directories in a node.
    pub(super) fn children(&self, key: Key<Node>) -> Vec<(OsString, Key<Node>)> {
        let node = self.nodes.get(key);
        let children = node.iter().flat_map(|node| &node.children);
        children.map(|(name, key)| (name.clone(), *key)).collect()
    }

    /// The nodes of a watch descriptor.
    pub(super) fn of_wd(&self, wd: i32) -> Vec<Key<Node>> {
        self.by_wd.get(&wd).cloned().unwrap_or_default()
    }

    /// The node of a watch descriptor below the root of `node`.
    pub(super) fn below_same_root(&self, node: Key<Node>, wd: i32) -> Option<Key<Node>> {
        let root = self.root_of(node);
        let mut nodes = self.of_wd(wd).into_iter();
        nodes.find(|other| *other != root && self.root_of(*other) == root)
    }

    pub(super) fn wd(&self, key: Key<Node>) -> Option<i32> {
        self.nodes.get(key).map(|node| node.wd)
    }

    pub(super) fn is_root(&self, key: Key<Node>) -> bool {
        self.nodes
            .get(key)
            .is_some_and(|node| node.parent.is_none())
    }

    /// A node, and the nodes above it up to its root.
    fn upwards(&self, key: Key<Node>) -> impl Iterator<Item = Key<Node>> {
        iter::successors(Some(key), |key| self.nodes.get(*key)?.parent)
    }

    /// True if a node is `above`, or below it.
    pub(super) fn is_within(&self, key: Key<Node>, above: Key<Node>) -> bool {
        self.upwards(key).any(|key| key == above)
    }

    pub(super) fn root_of(&self, key: Key<Node>) -> Key<Node> {
        self.upwards(key).last().expect("it begins with the node")
    }

    pub(super) fn roots(&self) -> Vec<Key<Node>> {
        let roots = self.nodes.iter().filter(|(_, node)| node.parent.is_none());
        roots.map(|(key, _)| key).collect()
    }

    pub(super) fn root_at(&self, path: &Path) -> Option<Key<Node>> {
        let mut nodes = self.nodes.iter();
        let found = nodes.find(|(_, node)| node.parent.is_none() && Path::new(&node.name) == path);
        found.map(|(key, _)| key)
    }

    /// The path of a node. It begins with the path of its root, as the user gave it.
    pub(super) fn path(&self, key: Key<Node>) -> PathBuf {
        let nodes = self.upwards(key).filter_map(|key| self.nodes.get(key));
        let names: Vec<_> = nodes.map(|node| &node.name).collect();
        names.into_iter().rev().collect()
    }
}

//! A watcher of files, while directories are created, filled, renamed, swapped and removed.

use crate::input::Input;
use oneloop::fs::{Change, WatchOptions, Watcher};
use oneloop::{EventLoop, Handle, Options};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Steps walk over the whole tree, so more would take too long.
const STEPS_MAX: usize = 60;

/// An input that begins with these bytes may make the kernel drop events, which takes long.
const WITH_FLOOD: [u8; 2] = [0xff, 0xf1];

/// Too short for the second half of a rename. On virtual time it passes once no thread looks at a
/// directory any more, so that the same input has the same run.
const A_MOMENT: Duration = Duration::from_millis(1);

/// Longer than the first half of a rename waits for the second one.
const A_WHILE: Duration = Duration::from_secs(1);

/// The changes report every path that is there at the end, and every directory is watched.
///
/// If each change is read before the next one, they describe the whole tree, and nothing twice. In
/// a storm they cannot: until a new directory is watched, another one may have taken its name.
pub fn run(input: &[u8]) {
    let dir = Dir::new();
    let mut event_loop = EventLoop::with(Options {
        loopback_grace: Duration::ZERO,
        ..Options::virtual_time()
    })
    .unwrap();
    event_loop.block_on(stir(&dir.0, Input::new(input)));
}

/// A directory with a watched tree, `in`, and `out` beside it.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let parent = match memory.is_dir() {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let dir = parent.join(format!("oneloop-fuzz-{}-{number}", process::id()));
        fs::create_dir_all(dir.join("in")).unwrap();
        fs::create_dir_all(dir.join("out")).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn stir(dir: &Path, mut input: Input<'_>) {
    let root = dir.join("in");
    let kind = input.array();
    let (may_flood, is_calm) = (kind == WITH_FLOOD, kind[0].is_multiple_of(4));
    for _ in 0..input.below(8) {
        step(dir, &mut input);
    }
    let mut watched = Watched::new(&root, is_calm).await;
    let mut floods = usize::from(may_flood);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        match input.below(16) {
            0 => watched.read(input.below(4)).await,
            1 => watched.compare().await,
            2 if floods > 0 => {
                floods -= 1;
                flood(&root);
            }
            _ => watched.may_replace = step(dir, &mut input),
        }
        if is_calm {
            watched.compare().await;
        }
    }
    watched.compare().await;
    watched.compare_watches().await;
}

/// Changes something in one of the two trees. Many of these calls fail. Returns true if a new name
/// was there already.
fn step(dir: &Path, input: &mut Input<'_>) -> bool {
    let mut paths = below(dir);
    paths.retain(|path| path.components().count() < dir.components().count() + 5);
    let is_own = |path: &Path| path != dir.join("in") && path != dir.join("out");
    let kind = input.below(12);
    let from = paths[input.below(256) % paths.len()].clone();
    let to = paths[input.below(256) % paths.len()].join(NAMES[input.below(NAMES.len())]);
    let is_there = to.exists();
    let _ = match kind {
        0..=2 => fs::create_dir(to),
        3 => fs::write(to, ""),
        4 => fs::write(from, "bytes"),
        5 => fs::set_permissions(from, Permissions::from_mode(0o700)),
        6 if is_own(&from) && from.is_dir() => fs::remove_dir_all(from),
        6 if is_own(&from) => fs::remove_file(from),
        _ if is_own(&from) => fs::rename(from, to),
        _ => Ok(()),
    };
    is_there
}

/// Makes the kernel drop events.
fn flood(root: &Path) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let names = NAMES.map(|name| root.join(format!("flood-{name}")));
    for at in 0..limit.min(1 << 16) + 100 {
        let _ = fs::create_dir(&names[at % names.len()]);
        let _ = fs::remove_dir(&names[at % names.len()]);
    }
}

/// All paths below a directory.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut next = vec![dir.to_owned()];
    while let Some(dir) = next.pop() {
        let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(Result::unwrap).collect();
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            if entry.file_type().unwrap().is_dir() {
                next.push(entry.path());
            }
            paths.push(entry.path());
        }
    }
    paths
}

/// A watcher, and the tree that its changes describe.
struct Watched {
    watcher: Watcher,
    root: PathBuf,
    /// Each change is read before the next one.
    is_calm: bool,
    /// The last change may have replaced what had its name, as only the file system knows.
    may_replace: bool,
    known: BTreeSet<PathBuf>,
}

impl Watched {
    async fn new(root: &Path, is_calm: bool) -> Self {
        let watcher = Watcher::new().unwrap();
        let recursive = WatchOptions { recursive: true };
        watcher.watch(root, recursive).await.unwrap();
        Watched {
            watcher,
            root: root.to_owned(),
            is_calm,
            may_replace: false,
            known: below(root).into_iter().collect(),
        }
    }

    async fn read(&mut self, count: usize) {
        for _ in 0..count {
            let next = Handle::current().timeout(A_MOMENT, self.watcher.next());
            let Ok(change) = next.await else { return };
            self.apply(change.unwrap());
        }
    }

    async fn read_all(&mut self) {
        loop {
            let next = Handle::current().timeout(A_WHILE, self.watcher.next());
            let Ok(change) = next.await else { return };
            self.apply(change.unwrap());
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Created(path) => {
                let is_new = self.known.insert(path.clone());
                assert!(
                    is_new || self.may_replace || !self.is_calm,
                    "{path:?} is created twice"
                );
            }
            Change::Removed(path) => {
                let was_there = self.known.contains(&path);
                assert!(was_there || !self.is_calm, "{path:?} was not there");
                self.known.retain(|other| !other.starts_with(&path));
            }
            Change::Renamed { from, to } => {
                let was_there = self.known.contains(&from);
                assert!(was_there || !self.is_calm, "{from:?} was not there");
                let moved: Vec<_> = self
                    .known
                    .iter()
                    .filter(|path| path.starts_with(&from))
                    .cloned()
                    .collect();
                // After an overflow, the tree that was read may be ahead of the changes: then the
                // names below `to` are those that have just moved there.
                let is_replaced = |path: &Path| self.is_calm && path.starts_with(&to);
                self.known
                    .retain(|path| !path.starts_with(&from) && !is_replaced(path));
                self.known.insert(to.clone());
                let moved = moved
                    .iter()
                    .map(|path| to.join(path.strip_prefix(&from).unwrap()));
                self.known
                    .extend(moved.map(|path| path.components().collect::<PathBuf>()));
            }
            Change::Overflow => self.known = below(&self.root).into_iter().collect(),
            Change::Gone(path) => panic!("{path:?} is there"),
            _ => {}
        }
    }

    async fn compare(&mut self) {
        self.read_all().await;
        let there: BTreeSet<_> = below(&self.root).into_iter().collect();
        if self.is_calm {
            assert_eq!(self.known, there);
        } else {
            let missing: Vec<_> = there.difference(&self.known).collect();
            assert!(missing.is_empty(), "{missing:?} were not reported");
        }
    }

    /// A name that comes in any directory is reported, as a name in that directory.
    async fn compare_watches(&mut self) {
        let dirs = below(&self.root).into_iter().filter(|path| path.is_dir());
        let mut probes = BTreeSet::new();
        for dir in dirs.chain([self.root.clone()]) {
            probes.insert(dir.join("probe"));
            fs::write(dir.join("probe"), "").unwrap();
        }
        self.known.clear();
        self.read_all().await;
        assert_eq!(self.known, probes);
    }
}

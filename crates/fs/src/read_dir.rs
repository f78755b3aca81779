//! The entries of a directory, read in batches.

use crate::job::{blocking_then, opening};
use crate::names::symlink_metadata;
use oneloop_core::Handle;
use oneloop_sync::Semaphore;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of entries that one job reads. Reading them takes longer than the way to a thread and
/// back (some ten microseconds), and a directory of millions of entries still takes little memory.
const BATCH_ENTRIES: usize = 256;

/// The entries of a directory, in no particular order, without `.` and `..`: see [`read_dir`].
pub struct ReadDir {
    listing: Rc<Listing>,
}

/// The state of a [`ReadDir`]. A batch whose future was dropped shares it, to store its entries.
struct Listing {
    handle: Handle,
    dir: Arc<Path>,
    /// One permit: its holder may start a batch.
    turn: Semaphore,
    /// The directory stream, for one thread at a time.
    unread: Arc<Mutex<fs::ReadDir>>,
    /// Entries that were read and not returned yet.
    read: RefCell<VecDeque<io::Result<DirEntry>>>,
    /// True once a batch was short: the directory has no more entries.
    is_complete: Cell<bool>,
}

/// An entry of a directory.
#[derive(Clone)]
pub struct DirEntry {
    dir: Arc<Path>,
    file_name: OsString,
    /// `None` if the file system does not report the type with the name (readdir(3), `d_type`), and
    /// the `lstat(2)` that std makes instead has failed.
    file_type: Option<FileType>,
}

/// Opens a directory to read its entries: see [`ReadDir::next_entry`].
///
/// ```
/// # let mut event_loop = oneloop::EventLoop::new()?;
/// # event_loop.block_on(async {
/// let mut names = oneloop::fs::read_dir("/proc/self").await?;
/// while let Some(entry) = names.next_entry().await? {
///     println!("{}", entry.path().display());
/// }
/// # std::io::Result::Ok(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`std::fs::read_dir`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias("listdir", "scandir"))]
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let dir = Arc::<Path>::from(path.as_ref());
    let opened = Arc::clone(&dir);
    let unread = opening(move || fs::read_dir(opened)).await?;
    Ok(ReadDir {
        listing: Rc::new(Listing {
            handle: Handle::current(),
            dir,
            turn: Semaphore::new(1),
            unread: Arc::new(Mutex::new(unread)),
            read: RefCell::default(),
            is_complete: Cell::new(false),
        }),
    })
}

impl ReadDir {
    /// Returns the next entry; `None` at the end. For every 256 entries, a thread of the pool reads
    /// the next batch.
    ///
    /// Cancel safe: no entry is lost.
    ///
    /// # Errors
    /// As [`std::fs::ReadDir`]'s `next`.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        let listing = &self.listing;
        let turn = listing.turn.acquire().await;
        // After the turn: a batch whose future was dropped has stored its entries by now.
        let is_wanted = listing.read.borrow().is_empty() && !listing.is_complete.get();
        if is_wanted {
            let (unread, dir) = (Arc::clone(&listing.unread), Arc::clone(&listing.dir));
            let into = Rc::clone(listing);
            let store = move |batch: Vec<_>| {
                into.is_complete.set(batch.len() < BATCH_ENTRIES);
                into.read.borrow_mut().extend(batch);
                drop(turn);
            };
            let job = move || read_batch(&unread, &dir);
            blocking_then(&listing.handle, job, store).await?;
        }
        let entry = listing.read.borrow_mut().pop_front();
        entry.transpose()
    }
}

fn read_batch(unread: &Mutex<fs::ReadDir>, dir: &Arc<Path>) -> Vec<io::Result<DirEntry>> {
    let mut unread = unread.lock().unwrap_or_else(PoisonError::into_inner);
    let batch = unread.by_ref().take(BATCH_ENTRIES);
    let entry = |entry: fs::DirEntry| DirEntry {
        dir: Arc::clone(dir),
        file_name: entry.file_name(),
        file_type: entry.file_type().ok(),
    };
    batch.map(|read| read.map(entry)).collect()
}

impl DirEntry {
    /// Returns the path that [`read_dir`] was given, joined with the name.
    pub fn path(&self) -> PathBuf {
        self.dir.join(&self.file_name)
    }

    /// Returns the name.
    pub fn file_name(&self) -> &OsStr {
        &self.file_name
    }

    /// Returns the type of the entry; does not follow a symbolic link. The type came with the
    /// batch, so this makes a system call only if the batch could not get it.
    ///
    /// # Errors
    /// As [`symlink_metadata`].
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None => Ok(self.metadata().await?.file_type()),
        }
    }

    /// Returns the metadata of the entry; does not follow a symbolic link.
    ///
    /// # Errors
    /// As [`symlink_metadata`].
    pub async fn metadata(&self) -> io::Result<Metadata> {
        symlink_metadata(self.path()).await
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirEntry({:?})", self.path())
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadDir({:?})", self.listing.dir)
    }
}

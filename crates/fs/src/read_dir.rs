//! What is in a directory, some hundred names at a time.

use crate::job::{blocking, noted};
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

/// One job reads so many names: enough that a thread's way to and fro, some ten microseconds, is small beside
/// it, and few enough that a directory of millions takes no memory.
const BATCH_ENTRIES: usize = 256;

/// The names in a directory, in no order, without `.` and `..`: see [`read_dir`].
pub struct ReadDir {
    listing: Rc<Listing>,
}

struct Listing {
    handle: Handle,
    dir: Arc<Path>,
    /// Who has this may ask for more.
    turn: Semaphore,
    /// What threads read from, one at a time.
    unread: Arc<Mutex<fs::ReadDir>>,
    read: RefCell<VecDeque<io::Result<DirEntry>>>,
    is_through: Cell<bool>,
}

/// One name in a directory.
#[derive(Clone)]
pub struct DirEntry {
    dir: Arc<Path>,
    file_name: OsString,
    /// Most file systems tell it with the name.
    file_type: Option<FileType>,
}

/// Opens a directory, to hear what is in it: see [`ReadDir::next_entry`].
///
/// ```
/// # let mut event_loop = oneloop_core::EventLoop::new()?;
/// # event_loop.block_on(async {
/// let mut names = oneloop_fs::read_dir("/proc/self").await?;
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
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let dir = Arc::<Path>::from(path.as_ref());
    let opened = Arc::clone(&dir);
    let unread = blocking(move || fs::read_dir(opened)).await?;
    Ok(ReadDir {
        listing: Rc::new(Listing {
            handle: Handle::current(),
            dir,
            turn: Semaphore::new(1),
            unread: Arc::new(Mutex::new(unread)),
            read: RefCell::default(),
            is_through: Cell::new(false),
        }),
    })
}

impl ReadDir {
    /// The next name; none at the end. Every 256 names a thread of the pool reads as many more.
    ///
    /// Cancel safe: no name is lost.
    ///
    /// # Errors
    /// As [`std::fs::ReadDir`]'s `next`.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        let listing = &self.listing;
        let turn = listing.turn.acquire().await;
        let is_wanted = listing.read.borrow().is_empty() && !listing.is_through.get();
        if is_wanted {
            let (unread, dir) = (Arc::clone(&listing.unread), Arc::clone(&listing.dir));
            let into = Rc::clone(listing);
            let note = move |batch: Vec<_>| {
                into.is_through.set(batch.len() < BATCH_ENTRIES);
                into.read.borrow_mut().extend(batch);
                drop(turn);
            };
            noted(&listing.handle, move || read_batch(&unread, &dir), note).await?;
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
    /// The directory's path, as it was given, and the name.
    pub fn path(&self) -> PathBuf {
        self.dir.join(&self.file_name)
    }

    /// The name.
    pub fn file_name(&self) -> &OsStr {
        &self.file_name
    }

    /// What it is; a symbolic link is one. Mostly it was told with the name, and nobody is asked.
    ///
    /// # Errors
    /// As [`symlink_metadata`].
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None => Ok(self.metadata().await?.file_type()),
        }
    }

    /// What is known of it; a symbolic link is not followed.
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

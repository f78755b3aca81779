//! Opens files by name, without waiting for the other end of a FIFO.

use crate::file::File;
use crate::job::opening;
use crate::opened::Opened;
use rustix::fs::{OFlags, fcntl_setfl};
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The options of an open, with the methods of [`std::fs::OpenOptions`].
///
/// ```
/// # let mut event_loop = oneloop::EventLoop::new()?;
/// # event_loop.block_on(async {
/// use oneloop::fs::{OpenOptions, TempDir};
/// let dir = TempDir::new().await?;
/// let log = OpenOptions::new().append(true).create(true).open(dir.path().join("log")).await?;
/// log.write_all(b"a line\n").await?;
/// # std::io::Result::Ok(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    options: fs::OpenOptions,
    /// The flags of [`OpenOptions::custom_flags`]: std stores them, but has no getter for them.
    flags: i32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Creates options that allow neither reading nor writing.
    pub fn new() -> Self {
        OpenOptions {
            options: fs::OpenOptions::new(),
            flags: 0,
        }
    }

    /// Opens the file for reading.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.options.read(read);
        self
    }

    /// Opens the file for writing.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.options.write(write);
        self
    }

    /// Makes each write append at the current end of the file (`O_APPEND`).
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.options.append(append);
        self
    }

    /// Empties the file (`O_TRUNC`).
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.options.truncate(truncate);
        self
    }

    /// Creates the file if it does not exist (`O_CREAT`).
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.options.create(create);
        self
    }

    /// Creates the file, and fails if it exists (`O_EXCL`).
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.options.create_new(create_new);
        self
    }

    /// Sets the permission bits of a file that is created, before the umask. The default is 0o666.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.options.mode(mode);
        self
    }

    /// Adds flags of `open(2)`, such as `O_DIRECTORY` or `O_NOFOLLOW`.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.flags = flags;
        self
    }

    /// Opens the file.
    ///
    /// Cancel: if the future is dropped before a thread has begun, the file is neither opened nor
    /// created. After that it may have been created or truncated, and is closed again.
    ///
    /// # Errors
    /// As [`std::fs::OpenOptions::open`]. `ENXIO` if a FIFO without a reader is opened for writing:
    /// opening never waits for the other end.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (options, path) = (self.clone(), path.as_ref().to_owned());
        let opened = opening(move || options.open_now(&path)).await?;
        File::from_opened(opened)
    }

    /// Opens the file on this thread.
    // With O_NONBLOCK, because open(2) would otherwise block a thread of the pool until a FIFO has
    // both ends. Four such opens would occupy all threads for files, and every file would wait.
    pub(crate) fn open_now(&self, path: &Path) -> io::Result<Opened> {
        let mut options = self.options.clone();
        options.custom_flags(self.flags | OFlags::NONBLOCK.bits().cast_signed());
        let file = match options.open(path) {
            // fcntl(2): another process has a lease on the file. With O_NONBLOCK the open fails
            // instead of waiting for the release, so this one waits: the kernel breaks the lease
            // after /proc/sys/fs/lease-break-time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                options.custom_flags(self.flags);
                options.open(path)?
            }
            opened => opened?,
        };
        let opened = Opened::new(file)?;
        if opened.cursor.is_some() {
            // A file with a cursor is read and written on the pool, where calls may block.
            fcntl_setfl(&opened.file, opened.flags - OFlags::NONBLOCK)?;
        }
        Ok(opened)
    }
}

/// Opening by name. No open waits for the other end of a FIFO: see [`OpenOptions::open`].
impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Opens a file for writing: creates it, or empties it.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true);
        options.open(path).await
    }

    /// Creates a file for reading and writing.
    ///
    /// # Errors
    /// As [`OpenOptions::open`]; `EEXIST` if the file exists.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        options.open(path).await
    }
}

//! Opening without waiting: for the other end of a FIFO, say.

use crate::file::File;
use crate::job::blocking;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use std::fs;
use std::io::{self, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How a file is opened: [`std::fs::OpenOptions`], with the same words.
///
/// ```
/// # let mut event_loop = oneloop_core::EventLoop::new()?;
/// # event_loop.block_on(async {
/// use oneloop_fs::{OpenOptions, TempDir};
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
    flags: i32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Nothing is allowed yet.
    pub fn new() -> Self {
        OpenOptions {
            options: fs::OpenOptions::new(),
            flags: 0,
        }
    }

    /// It can be read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.options.read(read);
        self
    }

    /// It can be written.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.options.write(write);
        self
    }

    /// It is written at its end only, wherever that is by then (`O_APPEND`).
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.options.append(append);
        self
    }

    /// What is in it goes (`O_TRUNC`).
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.options.truncate(truncate);
        self
    }

    /// It is made if there is none (`O_CREAT`).
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.options.create(create);
        self
    }

    /// It is made, and must not be there (`O_EXCL`).
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.options.create_new(create_new);
        self
    }

    /// Who may do what with a file that is made, less the umask; at first 0o666.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.options.mode(mode);
        self
    }

    /// More flags for `open(2)`, such as `O_DIRECTORY` or `O_NOFOLLOW`.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.flags = flags;
        self
    }

    /// Opens it.
    ///
    /// Cancel: dropped before a thread has begun, it is not opened, nor made. After that it may have been
    /// made or truncated, and is closed again.
    ///
    /// # Errors
    /// As [`std::fs::OpenOptions::open`]. `ENXIO` for a FIFO that is opened to be written and that nobody
    /// reads: opening never waits for the other end.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (options, path) = (self.clone(), path.as_ref().to_owned());
        let opened = blocking(move || options.open_now(&path)).await?;
        File::from_opened(opened)
    }

    /// Opens it on this thread.
    pub(crate) fn open_now(&self, path: &Path) -> io::Result<Opened> {
        let mut options = self.options.clone();
        options.custom_flags(self.flags | OFlags::NONBLOCK.bits().cast_signed());
        let file = match options.open(path) {
            // Somebody has a lease on it (fcntl(2)), and has a while to give it back.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                options.custom_flags(self.flags);
                options.open(path)?
            }
            opened => opened?,
        };
        let opened = Opened::new(file)?;
        if opened.cursor.is_some() {
            // It was for the opening only.
            fcntl_setfl(&opened.file, opened.flags - OFlags::NONBLOCK)?;
        }
        Ok(opened)
    }
}

/// A file that was opened, and what has to be known of it.
pub(crate) struct Opened {
    pub(crate) file: fs::File,
    /// Where it stands; none if it is a stream, such as a FIFO or a terminal.
    pub(crate) cursor: Option<u64>,
    pub(crate) flags: OFlags,
}

impl Opened {
    pub(crate) fn new(file: fs::File) -> io::Result<Self> {
        let flags = fcntl_getfl(&file)?;
        let cursor = match (&file).stream_position() {
            Err(error) if error.raw_os_error() == Some(Errno::SPIPE.raw_os_error()) => None,
            cursor => Some(cursor?),
        };
        Ok(Opened {
            file,
            cursor,
            flags,
        })
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.flags.intersects(OFlags::WRONLY | OFlags::RDWR)
    }
}

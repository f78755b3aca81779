//! A file that was just opened, and the kernel's answers about it.

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use std::fs;
use std::io::{self, Seek};

/// A file that was opened on a thread of the pool, on its way to the loop.
pub(crate) struct Opened {
    pub(crate) file: fs::File,
    /// The offset of the kernel's cursor; `None` for a stream, such as a FIFO or a terminal.
    pub(crate) cursor: Option<u64>,
    /// The file's status flags (`F_GETFL`).
    pub(crate) flags: OFlags,
}

impl Opened {
    pub(crate) fn new(file: fs::File) -> io::Result<Self> {
        let flags = fcntl_getfl(&file)?;
        // lseek(2): ESPIPE for a pipe, a socket, a FIFO, and for most terminals.
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

//! Reads that do not wait: of what the kernel has in its page cache, on the loop's own thread.

use oneloop_posix::PREADV2;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::LazyLock;

/// More is not copied at once: that is a task's share of I/O for one turn (rule 15).
const BYTES_MAX: usize = 128 * 1024;

/// readv(2), BUGS: on Linux 5.9 and 5.10 a read that does not wait may give 0 where there is more. Read
/// from a file, as `rustix` takes `uname(2)` for a call that cannot fail, and sandboxes refuse it.
static IS_RELIABLE: LazyLock<bool> = LazyLock::new(|| {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    release.is_ok_and(|release| !(release.starts_with("5.9.") || release.starts_with("5.10.")))
});

/// Why nothing was read.
pub(crate) enum Missed {
    /// It would have to wait for the disk.
    WouldBlock,
    /// This file cannot be read like that: not on this kernel, or not on its file system.
    Unsupported,
    Failed(io::Error),
}

/// Reads at an offset what is there without waiting. May be less than there is room for.
pub(crate) fn read_at(fd: impl AsFd, buf: &mut [u8], offset: u64) -> Result<usize, Missed> {
    if !PREADV2.is_available() || !*IS_RELIABLE {
        return Err(Missed::Unsupported);
    }
    // preadv2(2): -1 stands for the kernel's own cursor.
    if i64::try_from(offset).is_err() {
        return Err(Missed::Failed(Errno::INVAL.into()));
    }
    let bytes = buf.len().min(BYTES_MAX);
    let mut into = [IoSliceMut::new(&mut buf[..bytes])];
    preadv2(fd, &mut into, offset, ReadWriteFlags::NOWAIT).map_err(|errno| match errno {
        Errno::AGAIN | Errno::INTR => Missed::WouldBlock,
        errno if PREADV2.is_refused_by(&errno.into()) => Missed::Unsupported,
        errno => Missed::Failed(errno.into()),
    })
}

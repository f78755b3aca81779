//! Reads from the page cache, on the loop's thread, which do not wait for a disk.

use oneloop_posix::PREADV2;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::LazyLock;

/// The maximum number of bytes of one read: a task's I/O budget for one turn (rule 15).
const BYTES_MAX: usize = 128 * 1024;

/// False on Linux 5.9 and 5.10, where a read with `RWF_NOWAIT` may return 0 before the end of the
/// file (readv(2), BUGS).
// The release comes from a file because `rustix` assumes that uname(2) cannot fail, and sandboxes
// refuse it.
static IS_RELIABLE: LazyLock<bool> = LazyLock::new(|| {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    release.is_ok_and(|release| !(release.starts_with("5.9.") || release.starts_with("5.10.")))
});

/// Why nothing was read from the page cache.
pub(crate) enum CacheMiss {
    /// The read would wait for the disk.
    WouldBlock,
    /// This kernel, or the file system of this file, does not support `RWF_NOWAIT`.
    Unsupported,
    Failed(io::Error),
}

/// Reads cached bytes at an offset. May return fewer bytes than `buf` has room for: the first ones,
/// if the kernel has cached only these.
pub(crate) fn read_at(fd: impl AsFd, buf: &mut [u8], offset: u64) -> Result<usize, CacheMiss> {
    if !PREADV2.is_available() || !*IS_RELIABLE {
        return Err(CacheMiss::Unsupported);
    }
    // preadv2(2): the offset -1 means the kernel's cursor, which no read of ours may use or move.
    if i64::try_from(offset).is_err() {
        return Err(CacheMiss::Failed(Errno::INVAL.into()));
    }
    let bytes = buf.len().min(BYTES_MAX);
    let mut into = [IoSliceMut::new(&mut buf[..bytes])];
    preadv2(fd, &mut into, offset, ReadWriteFlags::NOWAIT).map_err(|errno| match errno {
        Errno::AGAIN | Errno::INTR => CacheMiss::WouldBlock,
        errno if PREADV2.is_refused_by(&errno.into()) => CacheMiss::Unsupported,
        errno => CacheMiss::Failed(errno.into()),
    })
}

//! Metadata of files.

use crate::error;
use crate::layout::{Stat, Time};
use libc::{c_char, c_int};
use std::ffi::CStr;
use std::mem::MaybeUninit;

/// The metadata of the file at a path.
pub(crate) fn of_path(path: &CStr) -> Result<Stat, c_int> {
    // SAFETY: the path ends with NUL.
    unsafe { statx(libc::AT_FDCWD, path.as_ptr(), 0) }
}

/// The metadata of a file.
///
/// # Safety
/// The path ends with NUL.
pub(super) unsafe fn statx(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
) -> Result<Stat, c_int> {
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    let mut found = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: the caller vouches for the path, and there is room for the result.
    if unsafe { libc::statx(directory, path, flags, mask, found.as_mut_ptr()) } != 0 {
        return Err(error::last());
    }
    // SAFETY: statx(2) has filled it in.
    Ok(convert(unsafe { found.assume_init_ref() }))
}

fn convert(found: &libc::statx) -> Stat {
    let time = |time: libc::statx_timestamp| Time {
        seconds: time.tv_sec,
        nanoseconds: time.tv_nsec.into(),
    };
    Stat {
        device: libc::makedev(found.stx_dev_major, found.stx_dev_minor),
        mode: found.stx_mode.into(),
        links: found.stx_nlink.into(),
        uid: found.stx_uid.into(),
        gid: found.stx_gid.into(),
        special_device: libc::makedev(found.stx_rdev_major, found.stx_rdev_minor),
        inode: found.stx_ino,
        size: found.stx_size,
        block_size: found.stx_blksize.into(),
        blocks: found.stx_blocks,
        flags: 0,
        generation: 0,
        accessed: time(found.stx_atime),
        modified: time(found.stx_mtime),
        changed: time(found.stx_ctime),
        born: time(found.stx_btime),
    }
}

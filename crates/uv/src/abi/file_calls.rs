//! File requests: what each of them does, in a thread of the pool or in the caller's.

use super::buffers::{self, Buffer};
use super::{directories, memory, stat};
use crate::error;
use crate::layout::{FileSystem, Fs, file_request as operation};
use libc::{c_char, c_int, iovec, off_t, ssize_t, timespec};
use std::ffi::{CStr, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Does a request. Its result is what libuv's documentation says: 0, a count, an fd, or an error.
pub(super) fn perform(of: &Fs) {
    // A read may have taken bytes when a signal comes, and a close has closed: neither is repeated.
    let is_repeated = !matches!(of.operation.get(), operation::CLOSE | operation::READ);
    let result = loop {
        let result = call(of);
        if result != -(libc::EINTR as isize) || !is_repeated {
            break result;
        }
    };
    of.result.set(result);
    if matches!(of.operation.get(), operation::READ | operation::WRITE) {
        forget_buffers(of);
    }
}

/// Frees a request's copy of the buffers.
pub(super) fn forget_buffers(of: &Fs) {
    buffers::free_copy(of.buffers.replace(std::ptr::null_mut()), &of.small);
}

/// What a call of libc returned that fails with -1 and sets errno.
fn result(code: impl Into<i64>) -> isize {
    match code.into() {
        -1 => error::last() as isize,
        code => code as isize,
    }
}

/// 0, or the number of an error.
fn done(result: io::Result<()>) -> isize {
    result.map_or_else(|error| error::number_of(&error) as isize, |()| 0)
}

fn call(of: &Fs) -> isize {
    let (file, path, new_path) = (of.file.get(), of.path.get(), of.new_path.get());
    let mode = of.mode.get();
    // SAFETY: the request has the paths that its operation needs, which end with NUL. A number that
    // is no fd is an error.
    unsafe {
        match of.operation.get() {
            operation::OPEN => result(libc::open(path, of.flags.get() | libc::O_CLOEXEC, mode)),
            operation::CLOSE => close(file),
            operation::READ => read(of),
            operation::WRITE => write(of),
            operation::SENDFILE => send(of),
            operation::STAT => look(of, libc::AT_FDCWD, path, 0),
            operation::LSTAT => look(of, libc::AT_FDCWD, path, libc::AT_SYMLINK_NOFOLLOW),
            operation::FSTAT => look(of, file, c"".as_ptr(), libc::AT_EMPTY_PATH),
            operation::FTRUNCATE => result(libc::ftruncate(file, of.offset.get())),
            operation::UTIME => result(libc::utimensat(libc::AT_FDCWD, path, &times(of)[0], 0)),
            operation::FUTIME => result(libc::futimens(file, &times(of)[0])),
            operation::LUTIME => {
                let flags = libc::AT_SYMLINK_NOFOLLOW;
                result(libc::utimensat(libc::AT_FDCWD, path, &times(of)[0], flags))
            }
            operation::ACCESS => result(libc::access(path, of.flags.get())),
            operation::CHMOD => result(libc::chmod(path, mode)),
            operation::FCHMOD => result(libc::fchmod(file, mode)),
            operation::FSYNC => result(libc::fsync(file)),
            operation::FDATASYNC => result(libc::fdatasync(file)),
            operation::UNLINK => result(libc::unlink(path)),
            operation::RMDIR => result(libc::rmdir(path)),
            operation::MKDIR => result(libc::mkdir(path, mode)),
            operation::MKDTEMP => match libc::mkdtemp(path) {
                made if made.is_null() => error::last() as isize,
                _ => 0,
            },
            operation::MKSTEMP => make_file(path),
            operation::RENAME => result(libc::rename(path, new_path)),
            operation::LINK => result(libc::link(path, new_path)),
            operation::SYMLINK => result(libc::symlink(path, new_path)),
            operation::CHOWN => result(libc::chown(path, of.uid.get(), of.gid.get())),
            operation::FCHOWN => result(libc::fchown(file, of.uid.get(), of.gid.get())),
            operation::LCHOWN => result(libc::lchown(path, of.uid.get(), of.gid.get())),
            operation::READLINK => give_path(of, fs::read_link(path_at(path))),
            operation::REALPATH => give_path(of, fs::canonicalize(path_at(path))),
            operation::COPYFILE => copy(path_at(path), path_at(new_path), of.flags.get()),
            operation::STATFS => file_system(of, path),
            operation::SCANDIR => directories::scan(of, path_at(path)),
            operation::OPENDIR => directories::open(of, path),
            operation::READDIR => directories::read(of),
            operation::CLOSEDIR => directories::close(of),
            _ => -(libc::ENOSYS as isize),
        }
    }
}

/// A path of the caller.
///
/// # Safety
/// It ends with NUL.
unsafe fn path_at<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: the caller vouches for it.
    let path = unsafe { CStr::from_ptr(path) };
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

fn close(file: c_int) -> isize {
    // SAFETY: the caller closes an fd of its own.
    match result(unsafe { libc::close(file) }) as c_int {
        // close(2): the fd is closed all the same.
        error if error == -libc::EINTR || error == -libc::EINPROGRESS => 0,
        other => other as isize,
    }
}

/// Makes the metadata of a file the result.
///
/// # Safety
/// The path ends with NUL.
unsafe fn look(of: &Fs, directory: c_int, path: *const c_char, flags: c_int) -> isize {
    // SAFETY: the caller vouches for the path.
    match unsafe { stat::statx(directory, path, flags) } {
        Ok(found) => {
            of.stat.set(found);
            of.pointer.set(of.stat.as_ptr().cast());
            0
        }
        Err(error) => error as isize,
    }
}

/// The most buffers of one call (`IOV_MAX` of Linux).
const BUFFERS_MAX: usize = 1024;

fn read(of: &Fs) -> isize {
    let parts = buffers::kept(of.buffers.get(), of.count.get());
    let count = parts.len().min(BUFFERS_MAX) as c_int;
    let first: *const iovec = parts.as_ptr().cast();
    let (file, offset) = (of.file.get(), of.offset.get());
    // SAFETY: a buffer is an iovec, and each has as many bytes as it says.
    let count: ssize_t = unsafe {
        if offset < 0 {
            libc::readv(file, first, count)
        } else {
            libc::preadv(file, first, count, offset)
        }
    };
    result(count as i64)
}

fn write(of: &Fs) -> isize {
    let parts = buffers::kept(of.buffers.get(), of.count.get());
    let mut total = 0;
    for parts in parts.chunks(BUFFERS_MAX) {
        let wanted: usize = parts.iter().map(Buffer::len).sum();
        let first: *const iovec = parts.as_ptr().cast();
        let (file, count, offset) = (of.file.get(), parts.len() as c_int, of.offset.get());
        // SAFETY: as for `read`.
        let written: ssize_t = unsafe {
            if offset < 0 {
                libc::writev(file, first, count)
            } else {
                libc::pwritev(file, first, count, offset + total as off_t)
            }
        };
        match result(written as i64) {
            error if error < 0 && total == 0 => return error,
            error if error < 0 => break,
            written => {
                total += written;
                if (written as usize) < wanted {
                    break;
                }
            }
        }
    }
    total
}

/// Copies bytes from one open file to another.
fn send(of: &Fs) -> isize {
    let (from, to, length) = (of.flags.get(), of.file.get(), of.length.get());
    let mut offset: off_t = of.offset.get();
    // SAFETY: the kernel writes the offset.
    match result(unsafe { libc::sendfile(to, from, &mut offset, length) } as i64) {
        // Files that sendfile(2) does not take.
        error if error == -(libc::EINVAL as isize) || error == -(libc::ENOSYS as isize) => {
            send_by_hand(from, to, of.offset.get(), length)
        }
        result => result,
    }
}

fn send_by_hand(from: c_int, to: c_int, offset: off_t, length: usize) -> isize {
    let mut buffer = [0_u8; 8192];
    let mut total = 0;
    while total < length {
        let room = buffer.len().min(length - total);
        let at = offset + total as off_t;
        // SAFETY: the buffer has that room.
        let count =
            result(unsafe { libc::pread(from, buffer.as_mut_ptr().cast(), room, at) } as i64);
        if count <= 0 {
            return if total > 0 { total as isize } else { count };
        }
        let mut rest = &buffer[..count as usize];
        while !rest.is_empty() {
            // SAFETY: these bytes are there.
            let written =
                result(unsafe { libc::write(to, rest.as_ptr().cast(), rest.len()) } as i64);
            if written < 0 {
                return if total > 0 { total as isize } else { written };
            }
            total += written as usize;
            rest = &rest[written as usize..];
        }
    }
    total as isize
}

const NS_PER_S: f64 = 1e9;

/// The times of a request. Infinity means now, and NaN means no change.
fn times(of: &Fs) -> [timespec; 2] {
    [of.accessed_s.get(), of.modified_s.get()].map(|time_s| {
        let special = |tv_nsec| timespec { tv_sec: 0, tv_nsec };
        if time_s.is_nan() {
            return special(libc::UTIME_OMIT);
        }
        if time_s.is_infinite() {
            return special(libc::UTIME_NOW);
        }
        let seconds = time_s.floor();
        timespec {
            tv_sec: seconds as libc::time_t,
            // Doubles of this century are exact to 0.2 µs, so more digits would be noise.
            tv_nsec: ((time_s - seconds) * NS_PER_S / 1e3).floor() as libc::c_long * 1000,
        }
    })
}

/// Makes a file of a template.
///
/// # Safety
/// The path ends with NUL, and is the request's own.
unsafe fn make_file(path: *mut c_char) -> isize {
    // SAFETY: the caller vouches for it.
    let file = result(unsafe { libc::mkostemp(path, libc::O_CLOEXEC) });
    if file < 0 {
        // SAFETY: as above; the template may be half replaced.
        unsafe { path.write(0) };
    }
    file
}

/// Gives the caller a path.
fn give_path(of: &Fs, path: io::Result<PathBuf>) -> isize {
    let path = match path {
        Ok(path) => path,
        Err(error) => return error::number_of(&error) as isize,
    };
    let copy = memory::text(path.as_os_str().as_bytes());
    if copy.is_null() {
        return -(libc::ENOMEM as isize);
    }
    of.pointer.set(copy.cast());
    0
}

// Flags of a copy.
const EXCLUSIVE: c_int = 1;
const CLONE: c_int = 2;
const CLONE_ONLY: c_int = 4;
pub(super) const COPY_FLAGS: c_int = EXCLUSIVE | CLONE | CLONE_ONLY;

fn copy(from: &Path, to: &Path, flags: c_int) -> isize {
    let source = match File::open(from) {
        Ok(source) => source,
        Err(error) => return error::number_of(&error) as isize,
    };
    let mut is_same = false;
    let copied = copy_to(&source, to, flags, &mut is_same);
    if copied.is_err() && !is_same && !is_kept(&copied) {
        let _ = fs::remove_file(to); // a part of a file is worth nothing
    }
    done(copied.map_err(|failure| failure.error))
}

/// Why a copy has failed.
struct CopyFailure {
    error: io::Error,
    /// The target was there before, or could not be opened.
    is_untouched: bool,
}

fn is_kept(copied: &Result<(), CopyFailure>) -> bool {
    copied.as_ref().is_err_and(|failure| failure.is_untouched)
}

fn copy_to(source: &File, to: &Path, flags: c_int, is_same: &mut bool) -> Result<(), CopyFailure> {
    let before = |error| CopyFailure {
        error,
        is_untouched: true,
    };
    let after = |error| CopyFailure {
        error,
        is_untouched: false,
    };
    let metadata = source.metadata().map_err(before)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(metadata.mode());
    let options = options.create_new(flags & EXCLUSIVE != 0);
    let target = options.open(to).map_err(before)?;
    let found = target.metadata().map_err(before)?;
    if (found.dev(), found.ino()) == (metadata.dev(), metadata.ino()) {
        *is_same = true; // the copy is there, and emptying it would lose it
        return Ok(());
    }
    target.set_len(0).map_err(after)?;
    let permissions = fs::Permissions::from_mode(metadata.mode());
    match target.set_permissions(permissions) {
        // File systems without permissions, such as CIFS.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
        set => set.map_err(after)?,
    }
    if flags & (CLONE | CLONE_ONLY) != 0 {
        // SAFETY: both are open.
        let cloned = unsafe { libc::ioctl(target.as_raw_fd(), libc::FICLONE, source.as_raw_fd()) };
        if cloned == 0 {
            return Ok(());
        }
        if flags & CLONE_ONLY != 0 {
            return Err(after(io::Error::last_os_error()));
        }
    }
    io::copy(&mut &*source, &mut &target).map_err(after)?;
    Ok(())
}

/// Tells about the file system of a path.
///
/// # Safety
/// The path ends with NUL.
unsafe fn file_system(of: &Fs, path: *const c_char) -> isize {
    let mut found = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the caller vouches for the path, and there is room for the result.
    if unsafe { libc::statfs(path, found.as_mut_ptr()) } != 0 {
        return error::last() as isize;
    }
    // SAFETY: statfs(2) has filled it in.
    let found = unsafe { found.assume_init() };
    let Some(place) = memory::allocate_zeroed::<FileSystem>(1) else {
        return -(libc::ENOMEM as isize);
    };
    let result = FileSystem {
        kind: found.f_type as u64,
        block_bytes: found.f_bsize as u64,
        blocks: found.f_blocks,
        free_blocks: found.f_bfree,
        available_blocks: found.f_bavail,
        files: found.f_files,
        free_files: found.f_ffree,
        fragment_bytes: found.f_frsize as u64,
        reserved: [0; 3],
    };
    // SAFETY: there is room for it.
    unsafe { place.write(result) };
    of.pointer.set(place.as_ptr().cast());
    0
}

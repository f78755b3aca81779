//! File requests: how each begins, and what the caller asks of one that is done.

use super::buffers::{self, Buffer};
use super::directories;
use super::file_calls::{COPY_FLAGS, forget_buffers, perform};
use super::live::Live;
use super::memory;
use super::text::bytes_of;
use crate::jobs;
use crate::layout::{Directory, Fs, FsCallback, Loop, Stat, file_request as operation, request};
use crate::mail::Done;
use libc::{c_char, c_int, c_uint, c_void, size_t, ssize_t};
use std::ptr::{self, NonNull};

type Text = Option<NonNull<c_char>>;

/// Sets what all file requests have.
fn begin(
    owner: Option<Live<Loop>>,
    of: Option<Live<Fs>>,
    operation: c_int,
    callback: Option<FsCallback>,
    paths: &[Text],
) -> Result<Live<Fs>, c_int> {
    let of = of.ok_or(-libc::EINVAL)?;
    if owner.is_none() && callback.is_some() {
        return Err(-libc::EINVAL);
    }
    of.request.kind.set(request::FS);
    of.operation.set(operation);
    of.owner.set(owner);
    of.callback.set(callback);
    of.result.set(0);
    for pointer in [&of.path, &of.new_path] {
        pointer.set(ptr::null_mut());
    }
    of.pointer.set(ptr::null_mut());
    of.buffers.set(ptr::null_mut());
    of.count.set(0);
    let paths: Option<Vec<NonNull<c_char>>> = paths.iter().copied().collect();
    keep_paths(&of, &paths.ok_or(-libc::EINVAL)?)?;
    Ok(of)
}

/// True for a request that has its own copy of its paths: the caller's may be gone before a thread
/// of the pool reads them, or the request changes them.
fn has_copy(of: &Fs) -> bool {
    let is_template = matches!(of.operation.get(), operation::MKDTEMP | operation::MKSTEMP);
    of.callback.get().is_some() || is_template
}

fn keep_paths(of: &Fs, paths: &[NonNull<c_char>]) -> Result<(), c_int> {
    let Some(first) = paths.first() else {
        return Ok(());
    };
    if !has_copy(of) {
        of.path.set(first.as_ptr());
        let second = paths.get(1).map_or(ptr::null_mut(), |path| path.as_ptr());
        of.new_path.set(second);
        return Ok(());
    }
    // One block for both.
    // SAFETY: the caller's texts end with NUL.
    let texts: Vec<&[u8]> = paths
        .iter()
        .map(|path| unsafe { bytes_of(*path) })
        .collect();
    let block = memory::text(&texts.join(&0));
    if block.is_null() {
        return Err(-libc::ENOMEM);
    }
    of.path.set(block);
    if paths.len() > 1 {
        // SAFETY: the second text begins behind the first one's NUL.
        of.new_path.set(unsafe { block.add(texts[0].len() + 1) });
    }
    Ok(())
}

/// Does a request now, or gives it to the pool if it has a callback.
fn post(of: Live<Fs>) -> c_int {
    let (Some(_), Some(owner)) = (of.callback.get(), of.owner.get()) else {
        perform(&of);
        return of.result.get() as c_int;
    };
    let job = jobs::submit(owner, false, move || {
        perform(&of);
        Done::Fs(of)
    });
    of.job.set(job);
    0
}

/// Exports functions that begin requests: the operation, the paths, the other arguments, and where
/// these go.
macro_rules! exports {
    ($($name:ident $operation:ident ($($path:ident),*) ($($argument:ident: $type:ty),*) $fill:expr;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(
            owner: Option<Live<Loop>>,
            of: Option<Live<Fs>>,
            $($path: Text,)*
            $($argument: $type,)*
            callback: Option<FsCallback>,
        ) -> c_int {
            let paths = [$($path),*];
            match begin(owner, of, operation::$operation, callback, &paths) {
                Ok(of) => {
                    let fill: fn(&Fs, $($type),*) = $fill;
                    fill(&of, $($argument),*);
                    post(of)
                }
                Err(error) => error,
            }
        }
    )*};
}

exports! {
    uv_fs_open OPEN (path) (flags: c_int, mode: c_int) |of, flags, mode| {
        of.flags.set(flags);
        of.mode.set(mode as c_uint);
    };
    uv_fs_close CLOSE () (file: c_int) |of, file| of.file.set(file);
    uv_fs_sendfile SENDFILE () (to: c_int, from: c_int, offset: i64, length: size_t)
        |of, to, from, offset, length| {
            of.file.set(to);
            of.flags.set(from);
            of.offset.set(offset);
            of.length.set(length);
        };
    uv_fs_stat STAT (path) () |_| {};
    uv_fs_lstat LSTAT (path) () |_| {};
    uv_fs_fstat FSTAT () (file: c_int) |of, file| of.file.set(file);
    uv_fs_ftruncate FTRUNCATE () (file: c_int, length: i64) |of, file, length| {
        of.file.set(file);
        of.offset.set(length);
    };
    uv_fs_utime UTIME (path) (accessed: f64, modified: f64) set_times;
    uv_fs_lutime LUTIME (path) (accessed: f64, modified: f64) set_times;
    uv_fs_futime FUTIME () (file: c_int, accessed: f64, modified: f64) |of, file, accessed, modified| {
        of.file.set(file);
        set_times(of, accessed, modified);
    };
    uv_fs_access ACCESS (path) (mode: c_int) |of, mode| of.flags.set(mode);
    uv_fs_chmod CHMOD (path) (mode: c_int) |of, mode| of.mode.set(mode as c_uint);
    uv_fs_fchmod FCHMOD () (file: c_int, mode: c_int) |of, file, mode| {
        of.file.set(file);
        of.mode.set(mode as c_uint);
    };
    uv_fs_fsync FSYNC () (file: c_int) |of, file| of.file.set(file);
    uv_fs_fdatasync FDATASYNC () (file: c_int) |of, file| of.file.set(file);
    uv_fs_unlink UNLINK (path) () |_| {};
    uv_fs_rmdir RMDIR (path) () |_| {};
    uv_fs_mkdir MKDIR (path) (mode: c_int) |of, mode| of.mode.set(mode as c_uint);
    uv_fs_mkdtemp MKDTEMP (template) () |_| {};
    uv_fs_mkstemp MKSTEMP (template) () |_| {};
    uv_fs_rename RENAME (path, new_path) () |_| {};
    uv_fs_link LINK (path, new_path) () |_| {};
    uv_fs_symlink SYMLINK (path, new_path) (flags: c_int) |of, flags| of.flags.set(flags);
    uv_fs_readlink READLINK (path) () |_| {};
    uv_fs_realpath REALPATH (path) () |_| {};
    uv_fs_chown CHOWN (path) (uid: c_uint, gid: c_uint) set_owner;
    uv_fs_lchown LCHOWN (path) (uid: c_uint, gid: c_uint) set_owner;
    uv_fs_fchown FCHOWN () (file: c_int, uid: c_uint, gid: c_uint) |of, file, uid, gid| {
        of.file.set(file);
        set_owner(of, uid, gid);
    };
    uv_fs_statfs STATFS (path) () |_| {};
    uv_fs_scandir SCANDIR (path) (flags: c_int) |of, flags| of.flags.set(flags);
    uv_fs_opendir OPENDIR (path) () |_| {};
}

fn set_times(of: &Fs, accessed_s: f64, modified_s: f64) {
    of.accessed_s.set(accessed_s);
    of.modified_s.set(modified_s);
}

fn set_owner(of: &Fs, uid: c_uint, gid: c_uint) {
    of.uid.set(uid);
    of.gid.set(gid);
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_copyfile(
    owner: Option<Live<Loop>>,
    of: Option<Live<Fs>>,
    path: Text,
    new_path: Text,
    flags: c_int,
    callback: Option<FsCallback>,
) -> c_int {
    if flags & !COPY_FLAGS != 0 {
        return -libc::EINVAL;
    }
    let paths = [path, new_path];
    match begin(owner, of, operation::COPYFILE, callback, &paths) {
        Ok(of) => {
            of.flags.set(flags);
            post(of)
        }
        Err(error) => error,
    }
}

/// Exports functions that begin requests on an open directory.
macro_rules! of_directories {
    ($($name:ident $operation:ident $check:expr;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(
            owner: Option<Live<Loop>>,
            of: Option<Live<Fs>>,
            directory: Option<Live<Directory>>,
            callback: Option<FsCallback>,
        ) -> c_int {
            let check: fn(Option<Live<Directory>>) -> bool = $check;
            if !check(directory) {
                return -libc::EINVAL;
            }
            match begin(owner, of, operation::$operation, callback, &[]) {
                Ok(of) => {
                    let pointer = directory.map_or(ptr::null_mut(), Live::as_ptr);
                    of.pointer.set(pointer.cast());
                    post(of)
                }
                Err(error) => error,
            }
        }
    )*};
}

of_directories! {
    uv_fs_readdir READDIR directories::is_readable;
    uv_fs_closedir CLOSEDIR |directory| directory.is_some();
}

/// Exports functions that begin requests on buffers of the caller.
macro_rules! of_buffers {
    ($($name:ident $operation:ident;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(
            owner: Option<Live<Loop>>,
            of: Option<Live<Fs>>,
            file: c_int,
            parts: *const Buffer,
            count: c_uint,
            offset: i64,
            callback: Option<FsCallback>,
        ) -> c_int {
            let of = match begin(owner, of, operation::$operation, callback, &[]) {
                Ok(of) => of,
                Err(error) => return error,
            };
            if parts.is_null() || count == 0 {
                return -libc::EINVAL;
            }
            // SAFETY: the caller has that many buffers there.
            let parts = unsafe { buffers::of_call(parts, count) };
            let Some(copy) = buffers::copy_of(parts, &of.small) else {
                return -libc::ENOMEM;
            };
            of.file.set(file);
            of.buffers.set(copy);
            of.count.set(count);
            of.offset.set(offset);
            post(of)
        }
    )*};
}

of_buffers! {
    uv_fs_read READ;
    uv_fs_write WRITE;
}

/// Frees what a request has.
#[unsafe(no_mangle)]
extern "C" fn uv_fs_req_cleanup(of: Option<Live<Fs>>) {
    let Some(of) = of else { return };
    if has_copy(&of) {
        // SAFETY: null, or the request's own copy.
        unsafe { memory::free(of.path.get()) };
    }
    of.path.set(ptr::null_mut());
    of.new_path.set(ptr::null_mut());
    forget_buffers(&of);
    let pointer = of.pointer.replace(ptr::null_mut());
    match of.operation.get() {
        operation::READDIR => {
            of.pointer.set(pointer);
            directories::forget_read(&of);
            of.pointer.set(ptr::null_mut());
        }
        // An open directory is the caller's, until it is closed.
        operation::OPENDIR | operation::CLOSEDIR => {}
        _ if pointer == of.stat.as_ptr().cast() => {}
        // SAFETY: null, or what the request has allocated for the caller.
        _ => unsafe { memory::free(pointer) },
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_get_type(of: Live<Fs>) -> c_int {
    of.operation.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_get_result(of: Live<Fs>) -> ssize_t {
    of.result.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_get_ptr(of: Live<Fs>) -> *mut c_void {
    of.pointer.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_get_path(of: Live<Fs>) -> *const c_char {
    of.path.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_fs_get_statbuf(of: Live<Fs>) -> *mut Stat {
    of.stat.as_ptr()
}

/// The errno of a request that has failed.
#[unsafe(no_mangle)]
extern "C" fn uv_fs_get_system_error(of: Live<Fs>) -> c_int {
    -(of.result.get() as c_int)
}

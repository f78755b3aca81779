//! The structs of file requests and of open directories.
#![forbid(unsafe_code)]

use super::{Loop, Request, SMALL_BUFFERS, Stat};
use crate::abi::buffers::Buffer;
use crate::abi::live::Live;
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_uint, c_void};

pub(crate) type FsCallback = unsafe extern "C-unwind" fn(*mut Fs);

/// `uv_fs_t`.
#[repr(C)]
pub(crate) struct Fs {
    pub(crate) request: Request,
    /// A number of `file_request`.
    pub(crate) operation: Cell<c_int>,
    pub(crate) owner: Cell<Option<Live<Loop>>>,
    pub(crate) callback: Cell<Option<FsCallback>>,
    pub(crate) result: Cell<isize>,
    pub(crate) pointer: Cell<*mut c_void>,
    pub(crate) path: Cell<*mut c_char>,
    pub(crate) stat: Cell<Stat>,
    pub(crate) new_path: Cell<*mut c_char>,
    pub(crate) file: Cell<c_int>,
    pub(crate) flags: Cell<c_int>,
    pub(crate) mode: Cell<c_uint>,
    /// The number of buffers; after a scan, the index of the next entry.
    pub(crate) count: Cell<c_uint>,
    pub(crate) buffers: Cell<*mut Buffer>,
    pub(crate) offset: Cell<i64>,
    pub(crate) uid: Cell<c_uint>,
    pub(crate) gid: Cell<c_uint>,
    pub(crate) accessed_s: Cell<f64>,
    pub(crate) modified_s: Cell<f64>,
    pub(crate) job: Cell<u64>,
    /// The bytes of a `sendfile`.
    pub(crate) length: Cell<usize>,
    _work: [Cell<usize>; 3],
    pub(crate) small: [Cell<Buffer>; SMALL_BUFFERS],
}

/// libuv's numbers of file requests.
pub(crate) mod file_request {
    use std::ffi::c_int;

    pub(crate) const OPEN: c_int = 1;
    pub(crate) const CLOSE: c_int = 2;
    pub(crate) const READ: c_int = 3;
    pub(crate) const WRITE: c_int = 4;
    pub(crate) const SENDFILE: c_int = 5;
    pub(crate) const STAT: c_int = 6;
    pub(crate) const LSTAT: c_int = 7;
    pub(crate) const FSTAT: c_int = 8;
    pub(crate) const FTRUNCATE: c_int = 9;
    pub(crate) const UTIME: c_int = 10;
    pub(crate) const FUTIME: c_int = 11;
    pub(crate) const ACCESS: c_int = 12;
    pub(crate) const CHMOD: c_int = 13;
    pub(crate) const FCHMOD: c_int = 14;
    pub(crate) const FSYNC: c_int = 15;
    pub(crate) const FDATASYNC: c_int = 16;
    pub(crate) const UNLINK: c_int = 17;
    pub(crate) const RMDIR: c_int = 18;
    pub(crate) const MKDIR: c_int = 19;
    pub(crate) const MKDTEMP: c_int = 20;
    pub(crate) const RENAME: c_int = 21;
    pub(crate) const SCANDIR: c_int = 22;
    pub(crate) const LINK: c_int = 23;
    pub(crate) const SYMLINK: c_int = 24;
    pub(crate) const READLINK: c_int = 25;
    pub(crate) const CHOWN: c_int = 26;
    pub(crate) const FCHOWN: c_int = 27;
    pub(crate) const REALPATH: c_int = 28;
    pub(crate) const COPYFILE: c_int = 29;
    pub(crate) const LCHOWN: c_int = 30;
    pub(crate) const OPENDIR: c_int = 31;
    pub(crate) const READDIR: c_int = 32;
    pub(crate) const CLOSEDIR: c_int = 33;
    pub(crate) const STATFS: c_int = 34;
    pub(crate) const MKSTEMP: c_int = 35;
    pub(crate) const LUTIME: c_int = 36;
}

/// `uv_dirent_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectoryEntry {
    pub(crate) name: *const c_char,
    pub(crate) kind: c_int,
}

/// `uv_dir_t`.
#[repr(C)]
pub(crate) struct Directory {
    /// The caller's room for entries.
    pub(crate) entries: Cell<*mut DirectoryEntry>,
    pub(crate) room: Cell<usize>,
    _reserved: [Cell<usize>; 4],
    /// libc's `DIR`.
    pub(crate) stream: Cell<*mut c_void>,
}

/// `uv_statfs_t`.
#[repr(C)]
pub(crate) struct FileSystem {
    pub(crate) kind: u64,
    pub(crate) block_bytes: u64,
    pub(crate) blocks: u64,
    pub(crate) free_blocks: u64,
    pub(crate) available_blocks: u64,
    pub(crate) files: u64,
    pub(crate) free_files: u64,
    pub(crate) fragment_bytes: u64,
    pub(crate) reserved: [u64; 3],
}

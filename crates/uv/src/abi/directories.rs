//! Directories: read at once, or by parts.

use super::live::Live;
use super::memory;
use crate::error;
use crate::layout::{Directory, DirectoryEntry, Fs};
use libc::{DIR, c_char, c_int};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::ptr::{self, NonNull};

// `uv_dirent_type_t`.
const UNKNOWN: c_int = 0;
const FILE: c_int = 1;
const DIRECTORY: c_int = 2;
const LINK: c_int = 3;
const FIFO: c_int = 4;
const SOCKET: c_int = 5;
const CHARACTERS: c_int = 6;
const BLOCKS: c_int = 7;

const NO_MEMORY: isize = -(libc::ENOMEM as isize);

/// Reads the names in a directory, in the order of their bytes. The result is their number.
pub(super) fn scan(of: &Fs, path: &Path) -> isize {
    let entries = fs::read_dir(path).and_then(|entries| {
        let entries = entries.map(|entry| {
            let entry = entry?;
            let kind = entry.file_type().map_or(UNKNOWN, kind_of);
            Ok((entry.file_name(), kind))
        });
        entries.collect::<std::io::Result<Vec<_>>>()
    });
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return error::number_of(&error) as isize,
    };
    entries.sort();
    of.count.set(0);
    if entries.is_empty() {
        return 0;
    }
    // One block: the entries, and behind them their names.
    let names: usize = entries.iter().map(|(name, _)| name.len() + 1).sum();
    let table = entries.len() * size_of::<DirectoryEntry>();
    let Some(block) = memory::allocate(table + names) else {
        return NO_MEMORY;
    };
    of.pointer.set(block.as_ptr());
    let table: *mut DirectoryEntry = block.as_ptr().cast();
    // SAFETY: the names begin behind the entries.
    let mut name_at: *mut u8 = unsafe { table.add(entries.len()) }.cast();
    for (index, (name, kind)) in entries.iter().enumerate() {
        let entry = DirectoryEntry {
            name: name_at.cast(),
            kind: *kind,
        };
        // SAFETY: there is room for each entry, and for each name with NUL.
        unsafe {
            table.add(index).write(entry);
            ptr::copy_nonoverlapping(name.as_bytes().as_ptr(), name_at, name.len());
            name_at.add(name.len()).write(0);
            name_at = name_at.add(name.len() + 1);
        }
    }
    entries.len() as isize
}

fn kind_of(kind: fs::FileType) -> c_int {
    let kinds = [
        (kind.is_file(), FILE),
        (kind.is_dir(), DIRECTORY),
        (kind.is_symlink(), LINK),
        (kind.is_fifo(), FIFO),
        (kind.is_socket(), SOCKET),
        (kind.is_char_device(), CHARACTERS),
        (kind.is_block_device(), BLOCKS),
    ];
    let found = kinds.into_iter().find(|(is_it, _)| *is_it);
    found.map_or(UNKNOWN, |(_, number)| number)
}

/// Gives the caller the next entry of a scan.
#[unsafe(no_mangle)]
extern "C" fn uv_fs_scandir_next(of: Live<Fs>, entry: &mut DirectoryEntry) -> c_int {
    if of.result.get() < 0 {
        return of.result.get() as c_int;
    }
    let index = of.count.get();
    if of.pointer.get().is_null() || index as isize >= of.result.get() {
        return error::EOF;
    }
    let table: *const DirectoryEntry = of.pointer.get().cast();
    // SAFETY: `scan` has put that many entries there.
    *entry = unsafe { table.add(index as usize).read() };
    of.count.set(index + 1);
    0
}

/// Opens a directory.
///
/// # Safety
/// The path ends with NUL.
pub(super) unsafe fn open(of: &Fs, path: *const c_char) -> isize {
    // SAFETY: the caller vouches for the path.
    let stream = unsafe { libc::opendir(path) };
    if stream.is_null() {
        return error::last() as isize;
    }
    let Some(directory) = memory::allocate_zeroed::<Directory>(1) else {
        // SAFETY: it was just opened.
        unsafe { libc::closedir(stream) };
        return NO_MEMORY;
    };
    // SAFETY: zeros are a directory, all of whose fields are cells.
    unsafe { directory.as_ref() }.stream.set(stream.cast());
    of.pointer.set(directory.as_ptr().cast());
    0
}

/// The directory of a request.
fn directory(of: &Fs) -> Option<&Directory> {
    let directory: *const Directory = of.pointer.get().cast();
    // SAFETY: the caller gave a directory that it has opened.
    unsafe { directory.as_ref() }
}

/// True if a directory can be read.
pub(super) fn is_readable(directory: Option<Live<Directory>>) -> bool {
    directory.is_some_and(|directory| {
        !directory.stream.get().is_null() && !directory.entries.get().is_null()
    })
}

/// Reads as many entries of a directory as the caller has room for. The result is their number.
pub(super) fn read(of: &Fs) -> isize {
    let Some(directory) = directory(of) else {
        return -(libc::EINVAL as isize);
    };
    let stream: *mut DIR = directory.stream.get().cast();
    let mut count = 0;
    while count < directory.room.get() {
        // Only errno tells the end from an error.
        // SAFETY: errno is this thread's.
        unsafe { *libc::__errno_location() = 0 };
        // SAFETY: the stream is open.
        let Some(found) = NonNull::new(unsafe { libc::readdir(stream) }) else {
            match error::last() {
                0 => break,
                error => {
                    forget_names(directory, count);
                    return error as isize;
                }
            }
        };
        // SAFETY: readdir(3) has filled it in.
        let found = unsafe { found.as_ref() };
        // SAFETY: the name ends with NUL.
        let name = unsafe { std::ffi::CStr::from_ptr(found.d_name.as_ptr()) };
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let copy = memory::text(name.to_bytes());
        if copy.is_null() {
            forget_names(directory, count);
            return NO_MEMORY;
        }
        let entry = DirectoryEntry {
            name: copy,
            kind: kind_of_number(found.d_type),
        };
        // SAFETY: the caller has room for that many.
        unsafe { directory.entries.get().add(count).write(entry) };
        count += 1;
    }
    count as isize
}

fn kind_of_number(kind: u8) -> c_int {
    match kind {
        libc::DT_REG => FILE,
        libc::DT_DIR => DIRECTORY,
        libc::DT_LNK => LINK,
        libc::DT_FIFO => FIFO,
        libc::DT_SOCK => SOCKET,
        libc::DT_CHR => CHARACTERS,
        libc::DT_BLK => BLOCKS,
        _ => UNKNOWN,
    }
}

/// Frees the names of the entries that were read.
fn forget_names(directory: &Directory, count: usize) {
    for index in 0..count {
        // SAFETY: `read` has written that many.
        let entry = unsafe { &mut *directory.entries.get().add(index) };
        // SAFETY: `read` has allocated the name.
        unsafe { memory::free(entry.name.cast_mut()) };
        entry.name = ptr::null();
    }
}

/// Frees what a read has given to the caller.
pub(super) fn forget_read(of: &Fs) {
    if let (Some(directory), Ok(count)) = (directory(of), usize::try_from(of.result.get())) {
        forget_names(directory, count);
    }
}

/// Closes a directory, and frees it.
pub(super) fn close(of: &Fs) -> isize {
    let Some(directory) = directory(of) else {
        return -(libc::EINVAL as isize);
    };
    let stream = directory.stream.replace(ptr::null_mut());
    if !stream.is_null() {
        // SAFETY: `open` has opened it.
        unsafe { libc::closedir(stream.cast()) };
    }
    // SAFETY: `open` has allocated it.
    unsafe { memory::free(of.pointer.replace(ptr::null_mut())) };
    0
}

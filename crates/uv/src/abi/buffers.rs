//! The caller's buffers: what streams read into, and what they write from.

use super::memory;
use crate::abi::live::Live;
use crate::error;
use crate::layout::{SMALL_BUFFERS, Write};
use libc::{c_char, c_int, c_void, iovec, msghdr, size_t, ssize_t};
use rustix::io::Errno;
use std::cell::Cell;
use std::mem::{self, MaybeUninit};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::{ptr, slice};

/// libuv's `uv_buf_t`, which is laid out as an `iovec`.
///
/// Only the caller's code makes one that is not empty, and vouches for its memory: one to read into
/// until its read callback, and one to write from until its write callback.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    pub(super) base: *mut c_char,
    pub(super) length: size_t,
}

const _: () = assert!(size_of::<Buffer>() == size_of::<iovec>());
const _: () = assert!(mem::offset_of!(Buffer, length) == mem::offset_of!(iovec, iov_len));

impl Buffer {
    pub(crate) const NONE: Buffer = Buffer {
        base: ptr::null_mut(),
        length: 0,
    };

    /// True if nothing can be read into it.
    pub(crate) fn is_empty(&self) -> bool {
        self.base.is_null() || self.length == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }
}

/// The most fds that one message carries (`SCM_MAX_FD` of Linux).
const FDS_MAX: usize = 253;
/// Room for them, aligned as a control message.
const CONTROL_WORDS: usize = (FDS_MAX * size_of::<c_int>()).div_ceil(8) + 2;
/// The most buffers that one call writes (`IOV_MAX` of Linux).
const BUFFERS_MAX: usize = 1024;

/// What a system call returned that fails with -1 and sets errno.
fn count_of(result: ssize_t) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::from_raw_os_error(-error::last()))
}

/// Repeats a system call that a signal interrupts.
pub(super) fn uninterrupted(mut call: impl FnMut() -> ssize_t) -> Result<usize, Errno> {
    loop {
        match count_of(call()) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Reads into a buffer. 0 is the end.
pub(crate) fn read(fd: RawFd, into: Buffer) -> Result<usize, Errno> {
    // SAFETY: the caller's buffer has that many bytes.
    uninterrupted(|| unsafe { libc::read(fd, into.base.cast(), into.length) })
}

/// Reads into a buffer, and takes the fds that come with the bytes.
pub(crate) fn receive(fd: RawFd, into: Buffer) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut part = iovec {
        iov_base: into.base.cast(),
        iov_len: into.length,
    };
    // SAFETY: zeros are an empty message.
    let mut message: msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    let count = uninterrupted(|| {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: the message refers to the caller's buffer and to the room for control messages.
        unsafe { libc::recvmsg(fd, &mut message, libc::MSG_CMSG_CLOEXEC) }
    })?;
    let mut fds = Vec::new();
    // SAFETY: recvmsg(2) has filled the message in.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    // SAFETY: null, or a header in `control`.
    while let Some(found) = unsafe { header.as_ref() } {
        if (found.cmsg_level, found.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: the header is followed by its data.
            let data = unsafe { libc::CMSG_DATA(found) }.cast::<c_int>();
            // SAFETY: an empty message has that length.
            let empty = unsafe { libc::CMSG_LEN(0) } as usize;
            let length = (found.cmsg_len - empty) / size_of::<c_int>();
            // SAFETY: that many fds are there, and the kernel has made them for this call.
            fds.extend(
                (0..length)
                    .map(|index| unsafe { OwnedFd::from_raw_fd(data.add(index).read_unaligned()) }),
            );
        }
        // SAFETY: as for the first.
        header = unsafe { libc::CMSG_NXTHDR(&message, found) };
    }
    Ok((count, fds))
}

/// Writes buffers, with an fd that travels with them.
pub(super) fn send(fd: RawFd, buffers: &[Buffer], passed: Option<RawFd>) -> Result<usize, Errno> {
    let count = buffers.len().min(BUFFERS_MAX);
    let first = buffers.as_ptr().cast::<iovec>();
    let result = match (passed, buffers) {
        (Some(passed), _) => send_with(fd, first.cast_mut(), count, passed),
        // SAFETY: the caller's buffer has that many bytes.
        (None, [one]) => uninterrupted(|| unsafe { libc::write(fd, one.base.cast(), one.length) }),
        // SAFETY: a buffer is an iovec, and each has as many bytes as it says.
        (None, _) => uninterrupted(|| unsafe { libc::writev(fd, first, count as c_int) }),
    };
    // The kernel has no memory for more at the moment: the next POLLOUT tells when it has.
    result.map_err(|error| match error {
        Errno::NOBUFS => Errno::AGAIN,
        error => error,
    })
}

fn send_with(fd: RawFd, first: *mut iovec, count: usize, passed: RawFd) -> Result<usize, Errno> {
    let mut control = [0_u64; 4];
    // SAFETY: zeros are an empty message.
    let mut message: msghdr = unsafe { mem::zeroed() };
    message.msg_iov = first;
    message.msg_iovlen = count;
    message.msg_control = control.as_mut_ptr().cast::<c_void>();
    // SAFETY: the macro computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<c_int>() as u32) } as usize;
    assert!(message.msg_controllen <= size_of_val(&control));
    // SAFETY: there is room for one header.
    let header = unsafe { &mut *libc::CMSG_FIRSTHDR(&message) };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: the macro computes.
    header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<c_int>() as u32) } as usize;
    // SAFETY: there is room for one fd behind the header.
    unsafe {
        libc::CMSG_DATA(header)
            .cast::<c_int>()
            .write_unaligned(passed)
    };
    // SAFETY: the message refers to the caller's buffers and to the control message.
    uninterrupted(|| unsafe { libc::sendmsg(fd, &message, 0) })
}

/// The caller's buffers of a call.
///
/// # Safety
/// `count` buffers are at `buffers`.
pub(super) unsafe fn of_call<'a>(buffers: *const Buffer, count: u32) -> &'a [Buffer] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for it.
    unsafe { slice::from_raw_parts(buffers, count as usize) }
}

/// The room for buffers in a request.
type Small = [Cell<Buffer>; SMALL_BUFFERS];

/// Copies buffers to the room in a request, or to memory of the caller's allocator. `None` if there
/// is no memory.
pub(super) fn copy_of(buffers: &[Buffer], small: &Small) -> Option<*mut Buffer> {
    let place: *mut Buffer = if buffers.len() <= SMALL_BUFFERS {
        small.as_ptr().cast_mut().cast()
    } else {
        memory::allocate(size_of_val(buffers))?.as_ptr().cast()
    };
    // SAFETY: the place has room for them, and is no part of them.
    unsafe { ptr::copy_nonoverlapping(buffers.as_ptr(), place, buffers.len()) };
    Some(place)
}

/// Frees a copy of [`copy_of`]; null is nothing.
pub(super) fn free_copy(place: *mut Buffer, small: &Small) {
    if !ptr::eq(place, small.as_ptr().cast()) {
        // SAFETY: null, or a block of `copy_of`.
        unsafe { memory::free(place) };
    }
}

/// The buffers of a copy; null has none.
pub(super) fn kept<'a>(place: *const Buffer, count: u32) -> &'a [Buffer] {
    if place.is_null() {
        return &[];
    }
    // SAFETY: `copy_of` has put them there, and nothing changes them meanwhile.
    unsafe { slice::from_raw_parts(place, count as usize) }
}

/// Keeps a copy of the buffers in a write request.
pub(crate) fn keep(write: Live<Write>, buffers: &[Buffer]) -> Result<(), Errno> {
    let place = copy_of(buffers, &write.small).ok_or(Errno::NOMEM)?;
    write.buffers.set(place);
    write.count.set(buffers.len() as u32);
    write.index.set(0);
    Ok(())
}

/// What is left to write.
fn left(write: &Write) -> &[Cell<Buffer>] {
    let first: *const Cell<Buffer> = write.buffers.get().cast();
    if first.is_null() {
        return &[];
    }
    // SAFETY: `keep` has put them there.
    let all = unsafe { slice::from_raw_parts(first, write.count.get() as usize) };
    &all[write.index.get() as usize..]
}

/// The number of bytes that are left to write.
pub(crate) fn bytes_left(write: &Write) -> usize {
    left(write).iter().map(|buffer| buffer.get().length).sum()
}

/// Writes what is left, with an fd that travels with it.
pub(crate) fn write(fd: RawFd, from: &Write, passed: Option<RawFd>) -> Result<usize, Errno> {
    let left = left(from);
    // SAFETY: nothing changes the cells during the call.
    let left = unsafe { slice::from_raw_parts(left.as_ptr().cast::<Buffer>(), left.len()) };
    send(fd, left, passed)
}

/// Notes that `bytes` were written. True if nothing is left.
pub(crate) fn advance(write: &Write, mut bytes: usize) -> bool {
    for cell in left(write) {
        let mut buffer = cell.get();
        let part = buffer.length.min(bytes);
        // SAFETY: it stays in the buffer.
        buffer.base = unsafe { buffer.base.add(part) };
        buffer.length -= part;
        bytes -= part;
        cell.set(buffer);
        if buffer.length > 0 {
            return false;
        }
        write.index.set(write.index.get() + 1);
    }
    true
}

/// Frees the copy that [`keep`] has made.
pub(crate) fn forget(write: &Write) {
    free_copy(write.buffers.replace(ptr::null_mut()), &write.small);
}

/// Creates a pair of connected sockets that are inherited by no program.
pub(crate) fn socket_pair(
    kind: c_int,
    protocol: c_int,
    flags: [c_int; 2],
) -> Result<[OwnedFd; 2], Errno> {
    let mut fds = [MaybeUninit::<c_int>::uninit(); 2];
    let kind = kind | libc::SOCK_CLOEXEC;
    // SAFETY: there is room for two.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, protocol, fds.as_mut_ptr().cast()) } != 0 {
        return Err(Errno::from_raw_os_error(-error::last()));
    }
    // SAFETY: the kernel has made both for this call.
    let fds = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd.assume_init()) });
    for (fd, flags) in fds.iter().zip(flags) {
        if flags & crate::stream::NONBLOCK_PIPE != 0 {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
    }
    Ok(fds)
}

//! Packets: the system calls of UDP.

use super::buffers::{self, Buffer, uninterrupted};
use crate::error;
use crate::layout::UdpSend;
use libc::{c_int, iovec, msghdr, sockaddr, sockaddr_storage};
use rustix::io::Errno;
use std::mem::{self, MaybeUninit};
use std::os::fd::RawFd;
use std::ptr;

/// A packet that was received.
pub(crate) struct Packet {
    pub(crate) bytes: usize,
    /// Its sender, until the next packet; null if the kernel does not tell.
    pub(crate) from: *const sockaddr,
    pub(crate) is_partial: bool,
}

/// Receives a packet.
pub(crate) fn receive(
    fd: RawFd,
    into: Buffer,
    sender: &mut Box<MaybeUninit<sockaddr_storage>>,
) -> Result<Packet, Errno> {
    let mut part = iovec {
        iov_base: into.base.cast(),
        iov_len: into.length,
    };
    // SAFETY: zeros are an empty message.
    let mut message: msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    let bytes = uninterrupted(|| {
        message.msg_name = sender.as_mut_ptr().cast();
        message.msg_namelen = size_of::<sockaddr_storage>() as libc::socklen_t;
        // SAFETY: the message refers to the caller's buffer and to the room for the sender.
        unsafe { libc::recvmsg(fd, &mut message, 0) }
    })?;
    let has_sender = message.msg_namelen > 0;
    Ok(Packet {
        bytes,
        from: if has_sender {
            sender.as_ptr().cast()
        } else {
            ptr::null()
        },
        is_partial: message.msg_flags & libc::MSG_TRUNC != 0,
    })
}

/// Sends a packet; without an address, to the peer to which the socket is connected.
pub(super) fn send(
    fd: RawFd,
    parts: &[Buffer],
    to: *const sockaddr_storage,
    to_bytes: usize,
) -> Result<usize, Errno> {
    // SAFETY: zeros are an empty message.
    let mut message: msghdr = unsafe { mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len();
    if to_bytes > 0 {
        message.msg_name = to.cast_mut().cast();
        message.msg_namelen = to_bytes as libc::socklen_t;
    }
    // SAFETY: the message refers to the caller's buffers and to the address.
    uninterrupted(|| unsafe { libc::sendmsg(fd, &message, 0) }).map_err(|error| match error {
        Errno::NOBUFS => Errno::AGAIN, // the kernel has no memory for more at the moment
        error => error,
    })
}

/// Sends the packet of a request.
pub(crate) fn send_request(fd: RawFd, of: &UdpSend) -> Result<usize, Errno> {
    let parts = buffers::kept(of.buffers.get(), of.count.get());
    send(fd, parts, of.address.as_ptr(), of.address_bytes.get())
}

/// The number of bytes in the packet of a request.
pub(crate) fn bytes_of(of: &UdpSend) -> usize {
    let parts = buffers::kept(of.buffers.get(), of.count.get());
    parts.iter().map(Buffer::len).sum()
}

/// Frees a request's copy of the buffers.
pub(crate) fn forget(of: &UdpSend) {
    buffers::free_copy(of.buffers.replace(ptr::null_mut()), &of.small);
}

/// Turns on the errors of what a socket has sent.
pub(crate) fn receive_errors(fd: RawFd, is_ipv6: bool) -> Result<(), Errno> {
    let (level, option) = if is_ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVERR)
    };
    set_option(fd, level, option, &1_i32)
}

/// Sets an option of a socket.
pub(super) fn set_option<T>(
    fd: RawFd,
    level: c_int,
    option: c_int,
    value: &T,
) -> Result<(), Errno> {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value has that size.
    match unsafe { libc::setsockopt(fd, level, option, ptr::from_ref(value).cast(), size) } {
        0 => Ok(()),
        _ => Err(Errno::from_raw_os_error(-error::last())),
    }
}

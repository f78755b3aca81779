//! UDP sockets.
#![forbid(unsafe_code)]

use crate::abi::fd::{borrow, close as close_fd};
use crate::abi::live::Live;
use crate::abi::packets;
use crate::call::Call;
use crate::error;
use crate::handle;
use crate::layout::{
    AllocCallback, Loop, ReceiveCallback, SendCallback, Udp, UdpSend, flag, kind, request,
};
use crate::state::{Member, rings};
use crate::watch::{Owner, READ, WRITE};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use std::ffi::c_int;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{IntoRawFd as _, RawFd};

// `uv_udp_flags`.
const IPV6_ONLY: u32 = 1;
pub(crate) const REUSE_ADDRESS: u32 = 4;
const RECEIVE_ERRORS: u32 = 32;
const REUSE_PORT: u32 = 64;
const MANY: u32 = 256;

/// Begins a UDP handle, with a socket if a family is given.
pub(crate) fn begin(owner: Live<Loop>, udp: Live<Udp>, flags: u32) -> Result<(), Errno> {
    let family = match (flags & 0xff) as c_int {
        libc::AF_UNSPEC => None,
        libc::AF_INET => Some(AddressFamily::INET),
        libc::AF_INET6 => Some(AddressFamily::INET6),
        _ => return Err(Errno::INVAL),
    };
    if flags & !0xff & !MANY != 0 {
        return Err(Errno::INVAL);
    }
    handle::begin(owner, udp.as_handle(), kind::UDP);
    udp.queue_bytes.set(0);
    udp.queue_count.set(0);
    udp.alloc_callback.set(None);
    udp.receive_callback.set(None);
    udp.pending_place.set(0);
    udp.wanted.set(0);
    udp.fd.set(-1);
    udp.sends.clear();
    udp.sent.clear();
    let Some(family) = family else { return Ok(()) };
    ensure_socket(udp, family).inspect_err(|_| handle::abandon(udp.as_handle()))
}

fn ensure_socket(udp: Live<Udp>, family: AddressFamily) -> Result<(), Errno> {
    if udp.fd.get() == -1 {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(family, SocketType::DGRAM, flags, None)?;
        udp.fd.set(socket.into_raw_fd());
    }
    Ok(())
}

/// Takes over a socket of the caller, which becomes non-blocking.
pub(crate) fn open(udp: Live<Udp>, fd: RawFd, flags: u32) -> Result<(), Errno> {
    if udp.fd.get() != -1 {
        return Err(Errno::BUSY);
    }
    if udp.handle.state().watches.borrow().get(fd).is_some() {
        return Err(Errno::EXIST);
    }
    if fd < 0 {
        return Err(Errno::BADF);
    }
    ioctl_fionbio(borrow(fd), true)?;
    if flags & REUSE_ADDRESS != 0 {
        sockopt::set_socket_reuseaddr(borrow(fd), true)?;
    }
    if flags & REUSE_PORT != 0 {
        sockopt::set_socket_reuseport(borrow(fd), true)?;
    }
    udp.fd.set(fd);
    let is_connected = net::getpeername(borrow(fd)).is_ok();
    udp.handle.set(flag::UDP_CONNECTED, is_connected);
    Ok(())
}

pub(crate) fn bind(udp: Live<Udp>, address: SocketAddr, flags: u32) -> Result<(), Errno> {
    let known = IPV6_ONLY | REUSE_ADDRESS | REUSE_PORT | RECEIVE_ERRORS;
    let is_wrong = flags & IPV6_ONLY != 0 && address.is_ipv4();
    if udp.handle.is_closing() || flags & !known != 0 || is_wrong {
        return Err(Errno::INVAL);
    }
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    ensure_socket(udp, family)?;
    let fd = borrow(udp.fd.get());
    if flags & RECEIVE_ERRORS != 0 {
        packets::receive_errors(udp.fd.get(), address.is_ipv6())?;
    }
    if flags & REUSE_ADDRESS != 0 {
        sockopt::set_socket_reuseaddr(fd, true)?;
    }
    if flags & REUSE_PORT != 0 {
        sockopt::set_socket_reuseport(fd, true)?;
    }
    if flags & IPV6_ONLY != 0 {
        sockopt::set_ipv6_v6only(fd, true)?;
    }
    net::bind(fd, &address).map_err(|error| match error {
        Errno::AFNOSUPPORT => Errno::INVAL, // a socket of the other family
        error => error,
    })?;
    udp.handle.set(flag::BOUND, true);
    udp.handle.set(flag::IPV6, address.is_ipv6());
    Ok(())
}

/// Binds a handle without a socket to any port.
pub(crate) fn bind_if_new(udp: Live<Udp>, is_ipv6: bool, flags: u32) -> Result<(), Errno> {
    if udp.fd.get() != -1 {
        return Ok(());
    }
    let any: IpAddr = if is_ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    bind(udp, (any, 0).into(), flags)
}

/// Connects to a peer; without one, disconnects.
pub(crate) fn connect(udp: Live<Udp>, to: Option<SocketAddr>) -> Result<(), Errno> {
    let is_connected = udp.handle.has(flag::UDP_CONNECTED);
    match to {
        Some(_) if is_connected => return Err(Errno::ISCONN),
        Some(to) => {
            bind_if_new(udp, to.is_ipv6(), 0)?;
            net::connect(borrow(udp.fd.get()), &to)?;
        }
        None if !is_connected => return Err(Errno::NOTCONN),
        None => net::connect_unspec(borrow(udp.fd.get()))?,
    }
    udp.handle.set(flag::UDP_CONNECTED, to.is_some());
    Ok(())
}

/// Adds or removes something that epoll is to report.
pub(crate) fn want(udp: Live<Udp>, bit: u32, is_wanted: bool) {
    let watched = (udp.fd.get(), Owner::Udp(udp));
    let state = udp.handle.state();
    let mut watches = state.watches.borrow_mut();
    watches.want(watched, &udp.wanted, bit, is_wanted);
}

pub(crate) fn receive_start(
    udp: Live<Udp>,
    alloc: AllocCallback,
    receive: ReceiveCallback,
) -> Result<(), Errno> {
    if udp.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    if udp.wanted.get() & READ != 0 {
        return Err(Errno::ALREADY);
    }
    bind_if_new(udp, false, 0)?;
    udp.alloc_callback.set(Some(alloc));
    udp.receive_callback.set(Some(receive));
    want(udp, READ, true);
    udp.handle.activate();
    Ok(())
}

pub(crate) fn receive_stop(udp: Live<Udp>) {
    want(udp, READ, false);
    udp.alloc_callback.set(None);
    udp.receive_callback.set(None);
    deactivate_if_idle(udp);
}

/// A handle is active while it waits for packets, or for room to send.
pub(crate) fn deactivate_if_idle(udp: Live<Udp>) {
    if udp.wanted.get() == 0 && udp.sends.is_empty() {
        udp.handle.deactivate();
    }
}

/// Checks whether a packet can be sent: to a peer, if the socket is not connected.
pub(crate) fn check_before_send(udp: Live<Udp>, to: Option<SocketAddr>) -> Result<(), Errno> {
    match (to, udp.handle.has(flag::UDP_CONNECTED)) {
        (Some(_), true) => return Err(Errno::ISCONN),
        (None, false) => return Err(Errno::DESTADDRREQ),
        _ => {}
    }
    if udp.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    match to {
        Some(to) => bind_if_new(udp, to.is_ipv6(), 0),
        None => Ok(()),
    }
}

/// Sends a packet that `abi` has put into the request.
pub(crate) fn send(udp: Live<Udp>, send: Live<UdpSend>, callback: Option<SendCallback>) {
    send.request.kind.set(request::UDP_SEND);
    udp.handle.owner().begin_request();
    send.udp.set(Some(udp));
    send.callback.set(callback);
    let was_empty = udp.queue_count.get() == 0;
    let bytes = packets::bytes_of(&send);
    udp.queue_bytes.set(udp.queue_bytes.get() + bytes);
    udp.queue_count.set(udp.queue_count.get() + 1);
    udp.sends.push(send);
    udp.handle.activate();
    if was_empty {
        flush(udp);
    }
    if !udp.sends.is_empty() {
        want(udp, WRITE, true);
    }
}

/// Sends what the kernel takes.
pub(crate) fn flush(udp: Live<Udp>) {
    while let Some(send) = udp.sends.first() {
        let status = match packets::send_request(udp.fd.get(), &send) {
            Err(Errno::AGAIN) => return,
            Err(error) => error::number(error) as isize,
            Ok(bytes) => bytes as isize,
        };
        send.status.set(status);
        udp.sends.pop();
        udp.sent.push(send);
        feed(udp);
    }
}

/// Puts a handle among those whose requests are done.
pub(crate) fn feed(udp: Live<Udp>) {
    if udp.pending_place.get() == 0 {
        let state = udp.handle.state();
        let member = Member::Udp(udp);
        let place = state.rings.borrow_mut().push_back(rings::PENDING, member);
        udp.pending_place.set(place);
    }
}

/// The call of the first request that is done.
pub(crate) fn next_sent(udp: Live<Udp>) -> Option<Call> {
    while let Some(send) = udp.sent.pop() {
        udp.handle.owner().end_request();
        let bytes = packets::bytes_of(&send);
        udp.queue_bytes.set(udp.queue_bytes.get() - bytes);
        udp.queue_count.set(udp.queue_count.get() - 1);
        packets::forget(&send);
        if let Some(callback) = send.callback.get() {
            let status = send.status.get().min(0) as c_int;
            return Some(Call::Send(callback, send, status));
        }
    }
    None
}

/// Takes a handle out of everything, and closes its fd. Its requests end in the closing phase.
pub(crate) fn close(udp: Live<Udp>) {
    let state = udp.handle.state();
    let fd = udp.fd.replace(-1);
    state
        .watches
        .borrow_mut()
        .stop(fd, Owner::Udp(udp), &mut state.reactor.borrow_mut());
    udp.wanted.set(0);
    state.forget_udp(udp);
    udp.handle.deactivate();
    close_fd(fd);
}

/// The next call of a handle that was closed: its requests are canceled before its own callback.
pub(crate) fn next_canceled(udp: Live<Udp>) -> Option<Call> {
    while let Some(send) = udp.sends.pop() {
        send.status.set(-(libc::ECANCELED as isize));
        udp.sent.push(send);
    }
    next_sent(udp)
}

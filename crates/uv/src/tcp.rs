//! TCP sockets.
#![forbid(unsafe_code)]

use crate::abi::fd::borrow;
use crate::abi::live::Live;
use crate::error;
use crate::handle;
use crate::layout::{Connect, ConnectCallback, ConnectionCallback, Loop, Stream, flag, kind};
use crate::{stream, watch};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use std::ffi::c_int;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{IntoRawFd as _, RawFd};
use std::time::Duration;

/// `UV_TCP_IPV6ONLY` and `UV_TCP_REUSEPORT`.
const IPV6_ONLY: u32 = 1;
const REUSE_PORT: u32 = 2;

/// What keeps a quiet connection alive: after `idle_s`, `count` probes, one each `interval_s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeepAlive {
    pub(crate) idle_s: u32,
    pub(crate) interval_s: u32,
    pub(crate) count: u32,
}

/// Begins a TCP handle, with a socket if a family is given.
pub(crate) fn begin(owner: Live<Loop>, tcp: Live<Stream>, flags: u32) -> Result<(), Errno> {
    let family = match (flags & 0xff) as c_int {
        libc::AF_UNSPEC => None,
        libc::AF_INET => Some(AddressFamily::INET),
        libc::AF_INET6 => Some(AddressFamily::INET6),
        _ => return Err(Errno::INVAL),
    };
    if flags & !0xff != 0 {
        return Err(Errno::INVAL);
    }
    stream::begin(owner, tcp, kind::TCP);
    let Some(family) = family else { return Ok(()) };
    ensure_socket(tcp, family, 0).inspect_err(|_| handle::abandon(tcp.as_handle()))
}

/// Makes a socket unless there is one.
fn ensure_socket(tcp: Live<Stream>, family: AddressFamily, marks: u32) -> Result<(), Errno> {
    if tcp.fd.get() != -1 {
        tcp.handle.set(marks, true);
        return Ok(());
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    stream::open(tcp, socket.into_raw_fd(), marks)
}

fn family(address: &SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

/// Takes over a socket of the caller, which becomes non-blocking.
pub(crate) fn open(tcp: Live<Stream>, fd: RawFd) -> Result<(), Errno> {
    if tcp.handle.state().watches.borrow().get(fd).is_some() {
        return Err(Errno::EXIST);
    }
    if fd < 0 {
        return Err(Errno::BADF);
    }
    ioctl_fionbio(borrow(fd), true)?;
    stream::open(tcp, fd, flag::READABLE | flag::WRITABLE)
}

pub(crate) fn bind(tcp: Live<Stream>, address: SocketAddr, flags: u32) -> Result<(), Errno> {
    if tcp.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    if flags & IPV6_ONLY != 0 && address.is_ipv4() {
        return Err(Errno::INVAL);
    }
    ensure_socket(tcp, family(&address), 0)?;
    let fd = borrow(tcp.fd.get());
    sockopt::set_socket_reuseaddr(fd, true)?;
    if flags & REUSE_PORT != 0 {
        sockopt::set_socket_reuseport(fd, true)?;
    }
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(fd, flags & IPV6_ONLY != 0)?;
    }
    match net::bind(fd, &address) {
        Ok(()) => tcp.delayed_error.set(0),
        // The call that listens or connects reports it, as on other systems.
        Err(Errno::ADDRINUSE) => tcp.delayed_error.set(error::number(Errno::ADDRINUSE)),
        Err(Errno::AFNOSUPPORT) => return Err(Errno::INVAL), // a socket of the other family
        Err(error) => return Err(error),
    }
    tcp.handle.set(flag::BOUND, true);
    tcp.handle.set(flag::IPV6, address.is_ipv6());
    Ok(())
}

pub(crate) fn listen(
    tcp: Live<Stream>,
    backlog: c_int,
    callback: Option<ConnectionCallback>,
) -> Result<(), Errno> {
    match tcp.delayed_error.get() {
        0 => {}
        error => return Err(Errno::from_raw_os_error(-error)),
    }
    if tcp.fd.get() == -1 {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        bind(tcp, any, 0)?;
    }
    net::listen(borrow(tcp.fd.get()), backlog)?;
    tcp.connection_callback.set(callback);
    tcp.handle.set(flag::BOUND, true);
    Ok(())
}

pub(crate) fn connect(
    tcp: Live<Stream>,
    connect: Live<Connect>,
    address: SocketAddr,
    callback: Option<ConnectCallback>,
) -> Result<(), Errno> {
    if tcp.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    if tcp.connect.get().is_some() {
        return Err(Errno::ALREADY);
    }
    if tcp.delayed_error.get() == 0 {
        ensure_socket(tcp, family(&address), flag::READABLE | flag::WRITABLE)?;
        match net::connect(borrow(tcp.fd.get()), &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(Errno::CONNREFUSED) => {
                tcp.delayed_error.set(error::number(Errno::CONNREFUSED));
            }
            Err(error) => return Err(error),
        }
    }
    stream::connect(tcp, connect, callback);
    stream::want(tcp, watch::WRITE, true);
    Ok(())
}

pub(crate) fn set_nodelay(tcp: Live<Stream>, is_set: bool) -> Result<(), Errno> {
    if tcp.fd.get() != -1 {
        sockopt::set_tcp_nodelay(borrow(tcp.fd.get()), is_set)?;
    }
    tcp.handle.set(flag::TCP_NODELAY, is_set);
    Ok(())
}

pub(crate) fn set_keepalive(tcp: Live<Stream>, to: Option<KeepAlive>) -> Result<(), Errno> {
    if to.is_some_and(|to| to.idle_s == 0 || to.interval_s == 0 || to.count == 0) {
        return Err(Errno::INVAL);
    }
    if tcp.fd.get() != -1 {
        keep_alive(tcp.fd.get(), to)?;
    }
    tcp.handle.set(flag::TCP_KEEPALIVE, to.is_some());
    Ok(())
}

fn keep_alive(fd: RawFd, to: Option<KeepAlive>) -> Result<(), Errno> {
    let fd = borrow(fd);
    sockopt::set_socket_keepalive(fd, to.is_some())?;
    if let Some(to) = to {
        sockopt::set_tcp_keepidle(fd, Duration::from_secs(to.idle_s.into()))?;
        sockopt::set_tcp_keepintvl(fd, Duration::from_secs(to.interval_s.into()))?;
        sockopt::set_tcp_keepcnt(fd, to.count)?;
    }
    Ok(())
}

/// Sets the options that the caller asked for before there was a socket.
pub(crate) fn apply_options(tcp: Live<Stream>) -> Result<(), Errno> {
    let fd = tcp.fd.get();
    if tcp.handle.has(flag::TCP_NODELAY) {
        sockopt::set_tcp_nodelay(borrow(fd), true)?;
    }
    if tcp.handle.has(flag::TCP_KEEPALIVE) {
        let to = KeepAlive {
            idle_s: 60,
            interval_s: 1,
            count: 10,
        };
        keep_alive(fd, Some(to))?;
    }
    Ok(())
}

/// Makes the close of a socket reset its connection.
pub(crate) fn prepare_reset(tcp: Live<Stream>) -> Result<(), Errno> {
    if tcp.shutdown.get().is_some() {
        return Err(Errno::INVAL);
    }
    if tcp.fd.get() == -1 {
        return Err(Errno::BADF);
    }
    match sockopt::set_socket_linger(borrow(tcp.fd.get()), Some(Duration::ZERO)) {
        Err(Errno::INVAL) => Ok(()), // its peer has reset it
        result => result,
    }
}

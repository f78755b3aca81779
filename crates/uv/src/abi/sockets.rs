//! TCP sockets: their functions, which lead to the mechanisms.

use super::live::Live;
use crate::error::{self, code};
use crate::handle;
use crate::layout::{CloseCallback, Connect, ConnectCallback, Handle, Loop, Stream};
use crate::tcp::{self, KeepAlive};
use libc::{c_int, c_uint, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr::NonNull;

/// An address of the caller. `None` if it is null, or of a family that has no TCP.
pub(super) fn address(at: Option<NonNull<sockaddr>>) -> Option<SocketAddr> {
    let at = at?;
    // SAFETY: the family is part of each kind of address.
    let family = c_int::from(unsafe { at.as_ref() }.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: the family says that this is there, perhaps not aligned for it.
            let address = unsafe { at.cast::<sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { at.cast::<sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            let port = u16::from_be(address.sin6_port);
            let (flow, scope) = (address.sin6_flowinfo, address.sin6_scope_id);
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        _ => None,
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_init(of: Live<Loop>, tcp: Live<Stream>) -> c_int {
    uv_tcp_init_ex(of, tcp, libc::AF_UNSPEC as c_uint)
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_init_ex(of: Live<Loop>, tcp: Live<Stream>, flags: c_uint) -> c_int {
    code(tcp::begin(of, tcp, flags))
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_open(tcp: Live<Stream>, fd: c_int) -> c_int {
    code(tcp::open(tcp, fd))
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_bind(
    tcp: Live<Stream>,
    at: Option<NonNull<sockaddr>>,
    flags: c_uint,
) -> c_int {
    let Some(address) = address(at) else {
        return -libc::EINVAL;
    };
    code(tcp::bind(tcp, address, flags))
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_connect(
    request: Live<Connect>,
    tcp: Live<Stream>,
    at: Option<NonNull<sockaddr>>,
    callback: Option<ConnectCallback>,
) -> c_int {
    let Some(address) = address(at) else {
        return -libc::EINVAL;
    };
    code(tcp::connect(tcp, request, address, callback))
}

type NameCall = unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int;

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_getsockname(
    tcp: Live<Stream>,
    name: *mut sockaddr,
    length: &mut c_int,
) -> c_int {
    name_to(tcp, libc::getsockname, name, length)
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_getpeername(
    tcp: Live<Stream>,
    name: *mut sockaddr,
    length: &mut c_int,
) -> c_int {
    name_to(tcp, libc::getpeername, name, length)
}

fn name_to(tcp: Live<Stream>, call: NameCall, name: *mut sockaddr, length: &mut c_int) -> c_int {
    if tcp.delayed_error.get() != 0 {
        return tcp.delayed_error.get();
    }
    name_of(tcp.as_handle(), call, name, length)
}

/// Asks for an address of a socket.
pub(super) fn name_of(
    of: Live<Handle>,
    call: NameCall,
    name: *mut sockaddr,
    length: &mut c_int,
) -> c_int {
    let fd = match handle::fd(of) {
        Ok(fd) => fd,
        Err(error) => return error::number(error),
    };
    let mut size = *length as socklen_t;
    // SAFETY: the caller has room for that many bytes.
    let result = error::number_or(unsafe { call(fd, name, &mut size) });
    if result == 0 {
        *length = size as c_int;
    }
    result
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_nodelay(tcp: Live<Stream>, is_set: c_int) -> c_int {
    code(tcp::set_nodelay(tcp, is_set != 0))
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_keepalive(tcp: Live<Stream>, is_set: c_int, idle_s: c_uint) -> c_int {
    uv_tcp_keepalive_ex(tcp, is_set, idle_s, 1, 10)
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_keepalive_ex(
    tcp: Live<Stream>,
    is_set: c_int,
    idle_s: c_uint,
    interval_s: c_uint,
    count: c_uint,
) -> c_int {
    let to = KeepAlive {
        idle_s,
        interval_s,
        count,
    };
    code(tcp::set_keepalive(tcp, (is_set != 0).then_some(to)))
}

/// Changes nothing: it is for Windows.
#[unsafe(no_mangle)]
extern "C" fn uv_tcp_simultaneous_accepts(_tcp: Live<Stream>, _is_set: c_int) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_tcp_close_reset(tcp: Live<Stream>, callback: Option<CloseCallback>) -> c_int {
    if let Err(error) = tcp::prepare_reset(tcp) {
        return error::number(error);
    }
    super::watchers::uv_close(tcp.as_handle(), callback);
    0
}

//! UDP: its functions, which lead to the mechanisms.

use super::buffers::{self, Buffer};
use super::live::Live;
use super::packets::{send, set_option};
use super::sockets::{address, name_of};
use super::text::bytes_of;
use crate::error::{self, code};
use crate::layout::{AllocCallback, Loop, ReceiveCallback, SendCallback, Udp, UdpSend, flag};
use crate::udp;
use libc::{c_char, c_int, c_uint, size_t, sockaddr, sockaddr_storage};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};

/// An address as system calls take it, and its size.
fn raw(of: SocketAddr) -> (sockaddr_storage, usize) {
    // SAFETY: zeros are an address.
    let mut place: sockaddr_storage = unsafe { mem::zeroed() };
    let size = match of {
        SocketAddr::V4(of) => {
            // SAFETY: zeros are an address.
            let mut new: libc::sockaddr_in = unsafe { mem::zeroed() };
            new.sin_family = libc::AF_INET as libc::sa_family_t;
            new.sin_port = of.port().to_be();
            new.sin_addr.s_addr = u32::from_ne_bytes(of.ip().octets());
            // SAFETY: any address fits there.
            unsafe { (&raw mut place).cast::<libc::sockaddr_in>().write(new) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(of) => {
            // SAFETY: zeros are an address.
            let mut new: libc::sockaddr_in6 = unsafe { mem::zeroed() };
            new.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            new.sin6_port = of.port().to_be();
            new.sin6_addr.s6_addr = of.ip().octets();
            new.sin6_flowinfo = of.flowinfo();
            new.sin6_scope_id = of.scope_id();
            // SAFETY: any address fits there.
            unsafe { (&raw mut place).cast::<libc::sockaddr_in6>().write(new) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    (place, size)
}

/// Where a packet goes: `None` is the peer to which the socket is connected.
fn target(at: Option<NonNull<sockaddr>>) -> Result<Option<SocketAddr>, Errno> {
    match at {
        None => Ok(None),
        some => address(some).map(Some).ok_or(Errno::INVAL),
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_init(of: Live<Loop>, udp: Live<Udp>) -> c_int {
    uv_udp_init_ex(of, udp, libc::AF_UNSPEC as c_uint)
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_init_ex(of: Live<Loop>, udp: Live<Udp>, flags: c_uint) -> c_int {
    code(udp::begin(of, udp, flags))
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_open(udp: Live<Udp>, fd: c_int) -> c_int {
    uv_udp_open_ex(udp, fd, udp::REUSE_ADDRESS)
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_open_ex(udp: Live<Udp>, fd: c_int, flags: c_uint) -> c_int {
    code(udp::open(udp, fd, flags))
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_bind(udp: Live<Udp>, at: Option<NonNull<sockaddr>>, flags: c_uint) -> c_int {
    let Some(address) = address(at) else {
        return -libc::EINVAL;
    };
    code(udp::bind(udp, address, flags))
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_connect(udp: Live<Udp>, at: Option<NonNull<sockaddr>>) -> c_int {
    code(target(at).and_then(|to| udp::connect(udp, to)))
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_getsockname(udp: Live<Udp>, name: *mut sockaddr, length: &mut c_int) -> c_int {
    name_of(udp.as_handle(), libc::getsockname, name, length)
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_getpeername(udp: Live<Udp>, name: *mut sockaddr, length: &mut c_int) -> c_int {
    name_of(udp.as_handle(), libc::getpeername, name, length)
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_recv_start(
    udp: Live<Udp>,
    alloc: Option<AllocCallback>,
    receive: Option<ReceiveCallback>,
) -> c_int {
    let (Some(alloc), Some(receive)) = (alloc, receive) else {
        return -libc::EINVAL;
    };
    code(udp::receive_start(udp, alloc, receive))
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_recv_stop(udp: Live<Udp>) -> c_int {
    udp::receive_stop(udp);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_send(
    request: Live<UdpSend>,
    udp: Live<Udp>,
    parts: *const Buffer,
    count: c_uint,
    at: Option<NonNull<sockaddr>>,
    callback: Option<SendCallback>,
) -> c_int {
    let to = match target(at) {
        Ok(to) => to,
        Err(error) => return error::number(error),
    };
    if let Err(error) = udp::check_before_send(udp, to) {
        return error::number(error);
    }
    // SAFETY: the caller has that many buffers there.
    let parts = unsafe { buffers::of_call(parts, count) };
    let Some(copy) = buffers::copy_of(parts, &request.small) else {
        return -libc::ENOMEM;
    };
    request.buffers.set(copy);
    request.count.set(count);
    let (address, bytes) = to.map_or_else(
        // SAFETY: zeros are an address.
        || (unsafe { mem::zeroed() }, 0),
        raw,
    );
    request.address.set(address);
    request.address_bytes.set(bytes);
    udp::send(udp, request, callback);
    0
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_try_send(
    udp: Live<Udp>,
    parts: *const Buffer,
    count: c_uint,
    at: Option<NonNull<sockaddr>>,
) -> c_int {
    if count == 0 {
        return -libc::EINVAL;
    }
    // SAFETY: the caller has that many buffers there.
    let parts = unsafe { buffers::of_call(parts, count) };
    try_send(udp, parts, at).map_or_else(error::number, |bytes| bytes as c_int)
}

fn try_send(
    udp: Live<Udp>,
    parts: &[Buffer],
    at: Option<NonNull<sockaddr>>,
) -> Result<usize, Errno> {
    let to = target(at)?;
    if udp.queue_count.get() > 0 {
        return Err(Errno::AGAIN);
    }
    udp::check_before_send(udp, to)?;
    match to.map(raw) {
        Some((address, bytes)) => send(udp.fd.get(), parts, &address, bytes),
        None => send(udp.fd.get(), parts, ptr::null(), 0),
    }
}

/// Sends packets until one of them fails. Returns their number.
#[unsafe(no_mangle)]
extern "C" fn uv_udp_try_send2(
    udp: Live<Udp>,
    count: c_uint,
    parts: *const *const Buffer,
    counts: *const c_uint,
    at: *const Option<NonNull<sockaddr>>,
    flags: c_uint,
) -> c_int {
    if count == 0 || flags != 0 {
        return -libc::EINVAL;
    }
    for index in 0..count as usize {
        // SAFETY: the caller has that many of each.
        let (parts, at) = unsafe {
            let parts = buffers::of_call(*parts.add(index), *counts.add(index));
            (parts, *at.add(index))
        };
        match try_send(udp, parts, at) {
            Err(error) if index == 0 => return error::number(error),
            Err(_) => return index as c_int,
            Ok(_) => {}
        }
    }
    count as c_int
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_get_send_queue_size(udp: Live<Udp>) -> size_t {
    udp.queue_bytes.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_get_send_queue_count(udp: Live<Udp>) -> size_t {
    udp.queue_count.get()
}

/// Each packet is received by a call of its own.
#[unsafe(no_mangle)]
extern "C" fn uv_udp_using_recvmmsg(_udp: Live<Udp>) -> c_int {
    0
}

/// An address of the caller as text. `None` if it is null or empty.
fn ip_of(text: *const c_char) -> Result<Option<(IpAddr, u32)>, Errno> {
    let Some(text) = NonNull::new(text.cast_mut()) else {
        return Ok(None);
    };
    // SAFETY: the caller's text ends with NUL.
    let text = std::str::from_utf8(unsafe { bytes_of(text) }).map_err(|_| Errno::INVAL)?;
    let (text, zone) = text.split_once('%').unwrap_or((text, ""));
    let ip: IpAddr = text.parse().map_err(|_| Errno::INVAL)?;
    Ok(Some((
        ip,
        super::internet::interface_index(zone.as_bytes()),
    )))
}

fn interface_v4(text: *const c_char) -> Result<Ipv4Addr, Errno> {
    match ip_of(text)? {
        None => Ok(Ipv4Addr::UNSPECIFIED),
        Some((IpAddr::V4(ip), _)) => Ok(ip),
        Some(_) => Err(Errno::INVAL),
    }
}

fn interface_v6(text: *const c_char) -> Result<u32, Errno> {
    match ip_of(text)? {
        None => Ok(0),
        Some((IpAddr::V6(_), index)) => Ok(index),
        Some(_) => Err(Errno::INVAL),
    }
}

const LEAVE: c_int = 0;
const JOIN: c_int = 1;

#[unsafe(no_mangle)]
extern "C" fn uv_udp_set_membership(
    udp: Live<Udp>,
    group: *const c_char,
    interface: *const c_char,
    membership: c_int,
) -> c_int {
    code(set_membership(udp, group, interface, membership))
}

fn set_membership(
    udp: Live<Udp>,
    group: *const c_char,
    interface: *const c_char,
    membership: c_int,
) -> Result<(), Errno> {
    let (group, _) = ip_of(group)?.ok_or(Errno::INVAL)?;
    udp::bind_if_new(udp, group.is_ipv6(), udp::REUSE_ADDRESS)?;
    let fd = super::fd::borrow(udp.fd.get());
    match (group, membership) {
        (IpAddr::V4(group), JOIN) => {
            sockopt::set_ip_add_membership(fd, &group, &interface_v4(interface)?)
        }
        (IpAddr::V4(group), LEAVE) => {
            sockopt::set_ip_drop_membership(fd, &group, &interface_v4(interface)?)
        }
        (IpAddr::V6(group), JOIN) => {
            sockopt::set_ipv6_add_membership(fd, &group, interface_v6(interface)?)
        }
        (IpAddr::V6(group), LEAVE) => {
            sockopt::set_ipv6_drop_membership(fd, &group, interface_v6(interface)?)
        }
        _ => Err(Errno::INVAL),
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_set_source_membership(
    udp: Live<Udp>,
    group: *const c_char,
    interface: *const c_char,
    source: *const c_char,
    membership: c_int,
) -> c_int {
    code(set_source(udp, group, interface, source, membership))
}

/// libc's `struct group_source_req`.
#[repr(C)]
struct GroupSource {
    interface: u32,
    group: sockaddr_storage,
    source: sockaddr_storage,
}

const MCAST_JOIN_SOURCE_GROUP: c_int = 46;
const MCAST_LEAVE_SOURCE_GROUP: c_int = 47;

fn set_source(
    udp: Live<Udp>,
    group: *const c_char,
    interface: *const c_char,
    source: *const c_char,
    membership: c_int,
) -> Result<(), Errno> {
    let (group, _) = ip_of(group)?.ok_or(Errno::INVAL)?;
    let (source, _) = ip_of(source)?.ok_or(Errno::INVAL)?;
    if group.is_ipv6() != source.is_ipv6() || !(LEAVE..=JOIN).contains(&membership) {
        return Err(Errno::INVAL);
    }
    udp::bind_if_new(udp, group.is_ipv6(), udp::REUSE_ADDRESS)?;
    let fd = udp.fd.get();
    match (group, source) {
        (IpAddr::V4(group), IpAddr::V4(source)) => {
            let (fd, interface) = (super::fd::borrow(fd), interface_v4(interface)?);
            if membership == JOIN {
                sockopt::set_ip_add_source_membership(fd, &group, &interface, &source)
            } else {
                sockopt::set_ip_drop_source_membership(fd, &group, &interface, &source)
            }
        }
        _ => {
            let request = GroupSource {
                interface: interface_v6(interface)?,
                group: raw((group, 0).into()).0,
                source: raw((source, 0).into()).0,
            };
            let option = if membership == JOIN {
                MCAST_JOIN_SOURCE_GROUP
            } else {
                MCAST_LEAVE_SOURCE_GROUP
            };
            set_option(fd, libc::IPPROTO_IPV6, option, &request)
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_set_multicast_interface(udp: Live<Udp>, interface: *const c_char) -> c_int {
    code(set_interface(udp, interface))
}

fn set_interface(udp: Live<Udp>, interface: *const c_char) -> Result<(), Errno> {
    let is_ipv6 = udp.handle.has(flag::IPV6);
    let fd = handle_fd(udp)?;
    match ip_of(interface)? {
        None if is_ipv6 => set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &0_u32),
        None => set_option(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &0_u32),
        Some((IpAddr::V4(ip), _)) => set_option(
            fd,
            libc::IPPROTO_IP,
            libc::IP_MULTICAST_IF,
            &u32::from_ne_bytes(ip.octets()),
        ),
        Some((IpAddr::V6(_), index)) => {
            set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &index)
        }
    }
}

fn handle_fd(udp: Live<Udp>) -> Result<RawFd, Errno> {
    crate::handle::fd(udp.as_handle())
}

/// Sets an option that has a number for each family.
fn set_number(udp: Live<Udp>, v4: c_int, v6: c_int, value: c_int) -> c_int {
    let (level, option) = if udp.handle.has(flag::IPV6) {
        (libc::IPPROTO_IPV6, v6)
    } else {
        (libc::IPPROTO_IP, v4)
    };
    code(handle_fd(udp).and_then(|fd| set_option(fd, level, option, &value)))
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_set_multicast_loop(udp: Live<Udp>, is_set: c_int) -> c_int {
    if !(0..=255).contains(&is_set) {
        return -libc::EINVAL;
    }
    set_number(
        udp,
        libc::IP_MULTICAST_LOOP,
        libc::IPV6_MULTICAST_LOOP,
        is_set,
    )
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_set_multicast_ttl(udp: Live<Udp>, ttl: c_int) -> c_int {
    if !(0..=255).contains(&ttl) {
        return -libc::EINVAL;
    }
    set_number(udp, libc::IP_MULTICAST_TTL, libc::IPV6_MULTICAST_HOPS, ttl)
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_set_ttl(udp: Live<Udp>, ttl: c_int) -> c_int {
    if !(1..=255).contains(&ttl) {
        return -libc::EINVAL;
    }
    set_number(udp, libc::IP_TTL, libc::IPV6_UNICAST_HOPS, ttl)
}

#[unsafe(no_mangle)]
extern "C" fn uv_udp_set_broadcast(udp: Live<Udp>, is_set: c_int) -> c_int {
    let value = c_int::from(is_set != 0);
    code(handle_fd(udp).and_then(|fd| set_option(fd, libc::SOL_SOCKET, libc::SO_BROADCAST, &value)))
}

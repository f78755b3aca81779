//! Addresses as texts.

use super::text::{bytes_of, copy_truncated};
use libc::{c_char, c_int, c_uint, c_void, in_port_t, size_t, sockaddr, sockaddr_in, sockaddr_in6};
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ptr::NonNull;

#[unsafe(no_mangle)]
extern "C" fn uv_ip4_addr(
    text: NonNull<c_char>,
    port: c_int,
    address: &mut MaybeUninit<sockaddr_in>,
) -> c_int {
    // SAFETY: zeros are an address.
    let mut new: sockaddr_in = unsafe { MaybeUninit::zeroed().assume_init() };
    new.sin_family = libc::AF_INET as libc::sa_family_t;
    new.sin_port = (port as in_port_t).to_be();
    // SAFETY: the caller's text ends with NUL.
    let parsed = parse::<Ipv4Addr>(unsafe { bytes_of(text) });
    if let Some(parsed) = parsed {
        new.sin_addr.s_addr = u32::from_ne_bytes(parsed.octets());
    }
    address.write(new);
    if parsed.is_some() { 0 } else { -libc::EINVAL }
}

#[unsafe(no_mangle)]
extern "C" fn uv_ip6_addr(
    text: NonNull<c_char>,
    port: c_int,
    address: &mut MaybeUninit<sockaddr_in6>,
) -> c_int {
    // SAFETY: zeros are an address.
    let mut new: sockaddr_in6 = unsafe { MaybeUninit::zeroed().assume_init() };
    new.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    new.sin6_port = (port as in_port_t).to_be();
    // SAFETY: the caller's text ends with NUL.
    let text = unsafe { bytes_of(text) };
    let (text, zone) = match text.iter().position(|byte| *byte == b'%') {
        Some(percent) => (&text[..percent], Some(&text[percent + 1..])),
        None => (text, None),
    };
    // A zone that is no interface's name is 0, which means none.
    new.sin6_scope_id = zone.map_or(0, interface_index);
    let parsed = parse::<Ipv6Addr>(text);
    if let Some(parsed) = parsed {
        new.sin6_addr.s6_addr = parsed.octets();
    }
    address.write(new);
    if parsed.is_some() { 0 } else { -libc::EINVAL }
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn interface_index(name: &[u8]) -> c_uint {
    let Ok(name) = CString::new(name) else {
        return 0;
    };
    // SAFETY: the name ends with NUL.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

#[unsafe(no_mangle)]
extern "C" fn uv_ip4_name(address: &sockaddr_in, buffer: *mut c_char, size: size_t) -> c_int {
    let bytes = address.sin_addr.s_addr.to_ne_bytes();
    write(&Ipv4Addr::from(bytes).to_string(), buffer, size)
}

#[unsafe(no_mangle)]
extern "C" fn uv_ip6_name(address: &sockaddr_in6, buffer: *mut c_char, size: size_t) -> c_int {
    write(&text_of_ipv6(address.sin6_addr.s6_addr), buffer, size)
}

#[unsafe(no_mangle)]
extern "C" fn uv_ip_name(address: NonNull<sockaddr>, buffer: *mut c_char, size: size_t) -> c_int {
    // SAFETY: the caller's address is there; the family is part of each kind.
    match c_int::from(unsafe { address.as_ref() }.sa_family) {
        // SAFETY: the family tells the type.
        libc::AF_INET => uv_ip4_name(unsafe { address.cast().as_ref() }, buffer, size),
        // SAFETY: the same.
        libc::AF_INET6 => uv_ip6_name(unsafe { address.cast().as_ref() }, buffer, size),
        _ => -libc::EAFNOSUPPORT,
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_inet_ntop(
    family: c_int,
    address: NonNull<c_void>,
    buffer: *mut c_char,
    size: size_t,
) -> c_int {
    match family {
        libc::AF_INET => {
            // SAFETY: an address of this family has these bytes.
            let bytes: [u8; 4] = unsafe { address.cast().read_unaligned() };
            write(&Ipv4Addr::from(bytes).to_string(), buffer, size)
        }
        libc::AF_INET6 => {
            // SAFETY: the same.
            let bytes: [u8; 16] = unsafe { address.cast().read_unaligned() };
            write(&text_of_ipv6(bytes), buffer, size)
        }
        _ => -libc::EAFNOSUPPORT,
    }
}

#[unsafe(no_mangle)]
extern "C" fn uv_inet_pton(
    family: c_int,
    text: Option<NonNull<c_char>>,
    target: *mut c_void,
) -> c_int {
    let Some(text) = text.filter(|_| !target.is_null()) else {
        return -libc::EINVAL;
    };
    // SAFETY: the caller's text ends with NUL.
    let text = unsafe { bytes_of(text) };
    match family {
        libc::AF_INET => {
            let Some(address) = parse::<Ipv4Addr>(text) else {
                return -libc::EINVAL;
            };
            // SAFETY: the caller's buffer has room for an address of this family.
            unsafe { target.cast::<[u8; 4]>().write_unaligned(address.octets()) };
        }
        libc::AF_INET6 => {
            let without_zone = text
                .split(|byte| *byte == b'%')
                .next()
                .expect("one part at least");
            let Some(address) = parse::<Ipv6Addr>(without_zone) else {
                return -libc::EINVAL;
            };
            // SAFETY: the same.
            unsafe { target.cast::<[u8; 16]>().write_unaligned(address.octets()) };
        }
        _ => return -libc::EAFNOSUPPORT,
    }
    0
}

/// As inet_ntop(3) writes it: unlike the standard library, also `::1.2.3.4`.
fn text_of_ipv6(bytes: [u8; 16]) -> String {
    let is_compatible = bytes[..12] == [0; 12] && bytes[12..14] != [0; 2];
    if is_compatible {
        return format!("::{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]);
    }
    Ipv6Addr::from(bytes).to_string()
}

/// Writes a text to a buffer that has room for it.
fn write(text: &str, buffer: *mut c_char, size: size_t) -> c_int {
    if text.len() >= size {
        return -libc::ENOSPC;
    }
    copy_truncated(text.as_bytes(), buffer, size);
    0
}

//! The bytes of a socket address.

use rustix::net::SocketAddrAny;

/// An address as the kernel writes it, starting with its family.
///
/// unix(7): a path may fill all 108 bytes of `sun_path`; the kernel then writes the terminating
/// null byte behind the end of `sockaddr_un`. rustix panics when it converts such an address to a
/// `SocketAddrUnix`, so callers take the bytes.
pub fn address_bytes(addr: &SocketAddrAny) -> &[u8] {
    let len = addr.addr_len() as usize;
    // SAFETY: SocketAddrAny::new requires that the first `addr_len()` bytes behind `as_ptr()` are
    // initialized, and they live as long as `addr`.
    unsafe { std::slice::from_raw_parts(addr.as_ptr().cast(), len) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::SocketAddrUnix;

    #[test]
    fn the_family_comes_first_and_the_path_follows() {
        let addr = SocketAddrUnix::new("/run/x").unwrap().into();
        let (family, path) = address_bytes(&addr).split_at(2);
        assert_eq!(family, 1_u16.to_ne_bytes()); // AF_UNIX
        assert_eq!(path, b"/run/x\0");
    }
}

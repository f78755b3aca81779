//! The addresses of sockets, in the types of their families.

use super::green_io::GreenIo;
use oneloop_net::{self as net, Addr};
use std::io;
use std::net::SocketAddr;

/// A macro, not a trait: the documentation of each kind shows its own type of address.
macro_rules! local_addrs {
    ($($socket:ident: $addr:ident;)*) => {$(
        impl GreenIo<net::$socket> {
            /// The address that this socket is bound to, with the real port where port 0 was asked
            /// for.
            ///
            /// # Errors
            /// Those of `getsockname(2)`; `EBADF` once the socket is closed.
            pub fn local_addr(&self) -> io::Result<$addr> {
                self.get()?.local_addr()
            }
        }
    )*};
}

local_addrs! {
    TcpListener: SocketAddr;
    TcpStream: SocketAddr;
    UdpSocket: SocketAddr;
    UnixDatagram: Addr;
    UnixListener: Addr;
    UnixSeqpacket: Addr;
    UnixSeqpacketListener: Addr;
}

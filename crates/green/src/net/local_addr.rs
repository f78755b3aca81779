//! The addresses of sockets, in the types of their families.

use super::listener::{TcpListener, UnixListener, UnixSeqpacketListener};
use super::stream::TcpStream;
use super::udp::UdpSocket;
use super::unix::{UnixDatagram, UnixSeqpacket};
use oneloop_net::Addr;
use std::io;
use std::net::SocketAddr;

// A macro, not a trait, and for the alias, not for `GreenIo<…>`: so the page of each kind shows
// this method, with its own type of address.
macro_rules! local_addrs {
    ($($socket:ident: $addr:ident;)*) => {$(
        impl $socket {
            /// The address that this socket is bound to, with the port that the kernel chose if
            /// port 0 was requested.
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

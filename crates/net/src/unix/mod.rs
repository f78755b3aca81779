//! Unix sockets: streams, datagrams and sequenced packets, with names in the file system or
//! abstract ones.

mod credentials;
mod datagram;
mod message;
mod name;
mod seqpacket;
mod stream;

pub use credentials::{Credentials, peer_credentials};
pub use datagram::UnixDatagram;
pub use message::{FDS_MAX, UnixMessage};
pub use name::ToUnixAddr;
pub use seqpacket::{UnixSeqpacket, UnixSeqpacketListener};
pub use stream::{UnixListener, UnixStream};

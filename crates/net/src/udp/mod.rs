//! UDP sockets: each datagram moves whole or not at all.

mod batch;
mod offload;
mod options;
mod settings;
mod socket;

pub use batch::{Outgoing, Received, RecvBatch};
pub use options::UdpOptions;
pub use settings::Interface;
pub use socket::UdpSocket;

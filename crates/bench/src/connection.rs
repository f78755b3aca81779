//! One connection of the load generator: a stamped message out, its whole echo back.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, bind, connect, recv,
    send, shutdown, socket_with, sockopt,
};

/// The size of the stamp in bytes, at the head of a message and again at its tail.
const STAMP_BYTES: usize = 8;

/// The size of the smallest message with room for both stamps.
pub(crate) const MESSAGE_BYTES_MIN: usize = 2 * STAMP_BYTES;

/// The number of loopback addresses from which connections come, in turn. Each has its own
/// ephemeral ports, so that neither 19,000 open connections nor the TIME_WAIT of short ones use
/// them up.
const SOURCE_ADDRESSES: u32 = 16;

/// A client socket and the message in progress on it.
pub(crate) struct Connection {
    fd: OwnedFd,
    index: u32,
    /// Counts messages. It is part of the stamp, which exposes a late or repeated echo.
    sequence: u32,
    sent: usize,
    received: usize,
    /// When the message in progress was started.
    pub(crate) started: Instant,
    /// Whole echoes since the run began.
    pub(crate) messages: u32,
}

impl Connection {
    /// Starts to connect. A message may be begun at once: it leaves when the socket is writable.
    pub(crate) fn open(address: SocketAddr, index: u32) -> Result<Connection> {
        let fd = open_socket(address, index)
            .with_context(|| format!("cannot connect to {address} (connection {index})"))?;
        let started = Instant::now();
        Ok(Connection {
            fd,
            index,
            sequence: 0,
            sent: 0,
            received: 0,
            started,
            messages: 0,
        })
    }

    /// Begins the next message; `push` sends it.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.sequence = self.sequence.wrapping_add(1);
        self.sent = 0;
        self.received = 0;
        self.started = now;
    }

    /// Sends as much of the message as the socket takes. All connections share `message`, so the
    /// stamp is written before each send.
    pub(crate) fn push(&mut self, message: &mut [u8]) -> Result<()> {
        if self.sent == message.len() {
            return Ok(());
        }
        let (head, tail) = self.stamps();
        let tail_at = message.len() - STAMP_BYTES;
        message[..STAMP_BYTES].copy_from_slice(&head);
        message[tail_at..].copy_from_slice(&tail);
        while self.sent < message.len() {
            match send(&self.fd, &message[self.sent..], SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.broken("sending", error)),
            }
        }
        Ok(())
    }

    /// Reads and checks the bytes that have come back. True when the echo is complete.
    pub(crate) fn pull(&mut self, buffer: &mut [u8], message_bytes: usize) -> Result<bool> {
        while self.received < message_bytes {
            let count = match recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => bail!("the server closed connection {} too early", self.index),
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(self.broken("receiving", error)),
            };
            self.check(&buffer[..count], message_bytes)?;
            self.received += count;
            if count < buffer.len() {
                break; // a short read emptied the socket, so the next call would only return EAGAIN
            }
        }
        Ok(self.received == message_bytes)
    }

    /// Sends the FIN; the server is expected to answer with its own.
    pub(crate) fn finish(&self) -> Result<()> {
        shutdown(&self.fd, Shutdown::Write).map_err(|error| self.broken("finishing", error))
    }

    /// Closes with RST instead of FIN.
    pub(crate) fn reset(self) -> Result<()> {
        sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO))
            .map_err(|error| self.broken("being reset", error))
    }

    /// True when the server has ended the connection too.
    pub(crate) fn has_ended(&self) -> bool {
        let mut byte = [0; 1];
        !matches!(
            recv(&self.fd, &mut byte, RecvFlags::empty()),
            Ok((1.., _)) | Err(Errno::AGAIN)
        )
    }

    fn stamps(&self) -> ([u8; STAMP_BYTES], [u8; STAMP_BYTES]) {
        let stamp = u64::from(self.index) << 32 | u64::from(self.sequence);
        (stamp.to_le_bytes(), (!stamp).to_le_bytes())
    }

    fn check(&self, chunk: &[u8], message_bytes: usize) -> Result<()> {
        let end = self.received + chunk.len();
        let (head, tail) = self.stamps();
        // Only the stamps: comparing all bytes would cost the generator more than the echo.
        let right = end <= message_bytes
            && overlap_matches(chunk, self.received, &head, 0)
            && overlap_matches(chunk, self.received, &tail, message_bytes - STAMP_BYTES);
        ensure!(
            right,
            "connection {} got other bytes back than it sent (bytes {}..{end} of {message_bytes})",
            self.index,
            self.received
        );
        Ok(())
    }

    fn broken(&self, doing: &str, error: Errno) -> anyhow::Error {
        anyhow::Error::new(error).context(format!("connection {} broke while {doing}", self.index))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens a non-blocking socket from one of the source addresses and issues `connect(2)`.
pub(crate) fn open_socket(address: SocketAddr, index: u32) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let source = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + index % SOURCE_ADDRESSES);
    bind(&fd, &SocketAddrV4::new(source, 0))?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    match connect(&fd, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(error),
    }
}

/// True if the part of `stamp` (at `stamp_at` in the message) that lies in `chunk` is intact.
fn overlap_matches(chunk: &[u8], chunk_at: usize, stamp: &[u8], stamp_at: usize) -> bool {
    let from = chunk_at.max(stamp_at);
    let to = (chunk_at + chunk.len()).min(stamp_at + stamp.len());
    from >= to || chunk[from - chunk_at..to - chunk_at] == stamp[from - stamp_at..to - stamp_at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_checked_across_any_split() {
        let message = *b"ABCDEFGH........abcdefgh";
        for split in 0..=message.len() {
            let (first, second) = message.split_at(split);
            for (chunk, chunk_at) in [(first, 0), (second, split)] {
                assert!(overlap_matches(chunk, chunk_at, b"ABCDEFGH", 0));
                assert!(overlap_matches(chunk, chunk_at, b"abcdefgh", 16));
            }
        }
    }

    #[test]
    fn a_wrong_byte_in_a_stamp_is_noticed() {
        assert!(!overlap_matches(b"ABxD", 0, b"ABCDEFGH", 0));
        assert!(!overlap_matches(b"x", 23, b"abcdefgh", 16));
        assert!(overlap_matches(b"x", 15, b"abcdefgh", 16));
    }
}

//! Reads the PROXY header of a fresh connection, and no byte behind it.

use super::proxy_header::{Parsed, parse};
use crate::introduction::Introduction;
use crate::refusals::RefusalReason;
use oneloop::net::Socket;

/// As many bytes as nearly all headers have; longer ones are read in parts.
const PEEK_BYTES: usize = 256;

/// Reads the header with which a connection begins. What follows stays in the kernel: whatever
/// serves the connection next reads it from the socket as its first bytes, without a buffer between
/// the two.
///
/// # Errors
/// It does not begin with a header.
pub(crate) async fn read_header(socket: &Socket) -> Result<Option<Introduction>, RefusalReason> {
    let mut header = Vec::new();
    loop {
        let mut peeked = [0; PEEK_BYTES];
        let count = socket.peek(&mut peeked).await.unwrap_or(0); // a reset ends it as well
        if count == 0 {
            return Err(match header.is_empty() {
                true => RefusalReason::ProxyMissing,
                false => RefusalReason::ProxyTruncated,
            });
        }
        let taken = header.len();
        header.extend_from_slice(&peeked[..count]);
        match parse(&header) {
            // Taken, or the socket would stay readable, and the next peek return the same bytes.
            Parsed::Partial => take(socket, &mut peeked[..count]).await?,
            Parsed::Header(length, introduction) => {
                // It is longer than what was taken, as that was the beginning of a header.
                let rest = length.saturating_sub(taken).min(count);
                take(socket, &mut peeked[..rest]).await?;
                return Ok(introduction);
            }
            Parsed::Invalid => return Err(RefusalReason::ProxyInvalid),
            Parsed::NoHeader => return Err(RefusalReason::ProxyMissing),
        }
    }
}

/// Takes bytes that were peeked.
async fn take(socket: &Socket, peeked: &mut [u8]) -> Result<(), RefusalReason> {
    let taken = socket.read_exact(peeked).await;
    taken.map_err(|_| RefusalReason::ProxyTruncated) // a reset drops what was not read
}

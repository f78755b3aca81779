//! What both ends do in a handshake: a limit, and a failure that the peer learns of.

use crate::transport::{Transport, rustls_error};
use oneloop_core::Elapsed;
use oneloop_net::{ReadHalf, WriteHalf};
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::task::Poll;
use std::time::Duration;
use tokio_rustls::rustls::{self, InvalidMessage};

/// How long a handshake may take unless the program says otherwise.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The most chunks that are read from a peer whose handshake has failed.
const DRAINED_CHUNKS_MAX: usize = 16;

/// A record with the fatal alert `decode_error` (RFC 8446, 6).
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// Waits for a handshake, which fails at the limit.
///
/// # Errors
/// `TimedOut`; those of the handshake.
pub(crate) async fn within<S: ReadHalf + WriteHalf, T, F>(
    limit: Duration,
    transport: &Transport<S>,
    handshake: F,
) -> io::Result<T>
where
    F: Future<Output = Result<T, (io::Error, Transport<S>)>>,
{
    match transport.source().handle().timeout(limit, handshake).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err((error, _transport))) => {
            if !transport.has_written() && is_invalid(&error) {
                // rustls sends no alert for some of the first messages, such as one of 16 MB. An
                // empty send buffer takes these bytes.
                let _ = transport.stream().write_once(&DECODE_ERROR);
            }
            end_behind_alert(transport.stream());
            Err(explained(error))
        }
        Err(Elapsed) => {
            let problem = format!("the TLS handshake took longer than {limit:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, problem))
        }
    }
}

/// Ends a connection whose last bytes are an alert. The close of a socket with unread input is a
/// reset, and a reset may overtake the alert: so what has arrived is read first.
fn end_behind_alert(stream: &(impl ReadHalf + WriteHalf)) {
    let _ = stream.end(); // fails for a peer that is gone
    for _ in 0..DRAINED_CHUNKS_MAX {
        let Poll::Ready(Ok(Some(_chunk))) = stream.try_read_chunk(usize::MAX) else {
            break;
        };
    }
}

/// True if the peer is at fault, and has not said so itself.
fn is_invalid(error: &io::Error) -> bool {
    rustls_error(error).is_some_and(|error| !matches!(error, rustls::Error::AlertReceived(_)))
}

/// Adds what a peer that speaks no TLS usually speaks.
fn explained(error: io::Error) -> io::Error {
    match rustls_error(&error) {
        Some(inner @ rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            io::Error::new(error.kind(), NotTls(inner.clone()))
        }
        _ => error,
    }
}

#[derive(Debug)]
struct NotTls(rustls::Error);

impl fmt::Display for NotTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer does not speak TLS; plain HTTP on a port for TLS looks like this")
    }
}

impl Error for NotTls {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

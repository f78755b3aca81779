//! Bytes from one stream to another, and from a file to a stream, with `await`.

use crate::stream::Stream;
use oneloop_net::{self as net, ByteStream, ReadHalf, Relayed, WriteHalf};
use std::fs::File;
use std::io;
use std::ops::Range;

/// Copies all that one stream gives to another one, until it ends; gives how many bytes it were. The other
/// one is not ended. How it is done, and for how much, is said at [`net::Copying`].
///
/// Not cancel safe: dropped, it has moved an unknown part, and has lost what it had read and not written,
/// 64 KiB at most. A [`net::Copying`] that is polled goes on where it was.
///
/// ```
/// use oneloop_aio::{UnixStream, block_on, copy, spawn, Shutdown};
/// # fn main() -> std::io::Result<()> {
/// block_on(async {
///     let (client, inside) = UnixStream::pair()?;
///     spawn(async move { copy(&inside, &inside).await }); // an echo server
///     client.write_all(b"hello").await?;
///     assert_eq!(&*client.read_chunk().await?.unwrap(), b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
/// Those of `recv(2)` and `send(2)`.
pub async fn copy<R: ReadHalf, W: WriteHalf>(from: &Stream<R>, to: &Stream<W>) -> io::Result<u64> {
    net::copy(&**from, &**to).await
}

/// Relays between two connections until both have ended: what each sends is written to the other, and so is
/// its end. What happens when one of them fails is said at [`net::Relay`].
///
/// Not cancel safe, as [`copy`]; a [`net::Relay`] that is polled goes on where it was.
///
/// # Errors
/// Those of `recv(2)` and `send(2)`.
pub async fn relay<A: ByteStream, B: ByteStream>(
    first: &Stream<A>,
    second: &Stream<B>,
) -> io::Result<Relayed> {
    net::relay(&**first, &**second).await
}

/// Sends a file from one offset up to another, by `sendfile(2)`; `0..u64::MAX` is all of it. Gives how many
/// bytes it were: fewer than were asked for if the file is shorter. The disk is waited for on the worker pool.
///
/// Not cancel safe: dropped, it has sent an unknown part. A [`net::SendingFile`] that is polled goes on where it
/// was.
///
/// # Errors
/// Those of `sendfile(2)`: `EIO`, `EPIPE`, `ECONNRESET`.
pub async fn send_file<W: WriteHalf>(
    file: &File,
    range: Range<u64>,
    to: &Stream<W>,
) -> io::Result<u64> {
    net::send_file(file, range, &**to).await
}

//! Bytes from one stream to another, and from a file to a stream; only the caller waits.

use super::open::Open;
use super::stream::Stream;
use crate::wait::wait_io;
use oneloop_core::Direction::{Read, Write};
use oneloop_net::{self as net, ByteStream, ReadHalf, Relayed, WriteHalf};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::Range;
use std::panic::Location;
use std::pin::pin;

/// Copies all that one stream gives to another one, until it ends; gives how many bytes it were. The other
/// one is not ended. The streams' time-outs are not for this: put a [`timeout`](crate::timeout()) around it.
///
/// A thread that is killed meanwhile has moved an unknown part, and has lost what it had read and not written,
/// 64 KiB at most. How it is done, and for how much, is said at [`net::Copying`].
///
/// ```
/// use oneloop_green::{net::{UnixStream, copy}, run, spawn};
/// use std::io::{Read, Write};
/// run(|| {
///     let (mut client, inside) = UnixStream::pair()?;
///     spawn(move || copy(&inside, &inside)); // an echo server
///     client.write_all(b"hello")?;
///     let mut heard = [0; 5];
///     client.read_exact(&mut heard)?;
///     assert_eq!(&heard, b"hello");
///     Ok::<_, std::io::Error>(())
/// })??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of `recv(2)` and `send(2)`; `EBUSY` if somebody else reads the one or writes to the other; `EBADF` once
/// one of them is closed.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn copy<R: ReadHalf, W: WriteHalf>(from: &Stream<R>, to: &Stream<W>) -> io::Result<u64> {
    let (from, to) = (&*from.open, &*to.open);
    let (reads, writes) = (from.get()?, to.get()?);
    let _busy = (from.busy(Read)?, to.busy(Write)?);
    let copying = net::copy(&*reads, &*writes);
    wait_while_open(from, to, copying, Location::caller())
}

/// Relays between two connections until both have ended: what each sends is written to the other, and so is
/// its end. What happens when one of them fails is said at [`net::Relay`]; for the rest see [`copy`].
///
/// # Errors
/// As [`copy`].
///
/// # Panics
/// As [`copy`].
#[track_caller]
pub fn relay<A, B>(first: &Stream<A>, second: &Stream<B>) -> io::Result<Relayed>
where
    A: ByteStream,
    B: ByteStream,
{
    let (first, second) = (&*first.open, &*second.open);
    let (a, b) = (first.get()?, second.get()?);
    let _busy = [first.busy(Read)?, first.busy(Write)?];
    let _busy_too = [second.busy(Read)?, second.busy(Write)?];
    let relaying = net::relay(&*a, &*b);
    wait_while_open(first, second, relaying, Location::caller())
}

/// Sends a file from one offset up to another, by `sendfile(2)`; `0..u64::MAX` is all of it. Gives how many
/// bytes it were: fewer than were asked for if the file is shorter. The disk is waited for on the worker pool.
///
/// A thread that is killed meanwhile has sent an unknown part.
///
/// # Errors
/// Those of `sendfile(2)`: `EIO`, `EPIPE`, `ECONNRESET`; `EBUSY` if somebody else writes; `EBADF` once the stream
/// is closed.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn send_file<W: WriteHalf>(file: &File, range: Range<u64>, to: &Stream<W>) -> io::Result<u64> {
    let to = &*to.open;
    let writes = to.get()?;
    let _busy = to.busy(Write)?;
    let mut sending = pin!(net::send_file(file, range, &*writes));
    let while_open = poll_fn(|cx| {
        let closed = to.poll_closed();
        closed.unwrap_or_else(|| sending.as_mut().poll(cx))
    });
    wait_io(while_open, Location::caller())
}

/// Waits for an operation that reads the first stream and writes to the second, until one of them is closed.
fn wait_while_open<A, B, T>(
    first: &Open<A>,
    second: &Open<B>,
    operation: impl Future<Output = io::Result<T>>,
    at: &'static Location<'static>,
) -> io::Result<T> {
    let mut operation = pin!(operation);
    let while_open = poll_fn(|cx| {
        let closed = first.poll_closed_from_elsewhere(Read, cx.waker());
        let closed = closed.or_else(|| second.poll_closed_from_elsewhere(Write, cx.waker()));
        closed.unwrap_or_else(|| operation.as_mut().poll(cx))
    });
    wait_io(while_open, at)
}

//! Moving bytes from one stream to another, and from a file to a stream.

use super::green_io::GreenIo;
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

/// Copies everything that one stream sends to another one, until the first one ends, and returns
/// the number of bytes. It does not shut down the second one. The streams' own timeouts do not
/// apply: put a [`timeout`](crate::timeout()) around it.
///
/// A thread that is killed meanwhile has copied an unknown part, and loses what it has read but not
/// written: 64 KiB at most. [`oneloop::net::Copying`](oneloop_net::Copying) says which system calls
/// it uses.
///
/// ```
/// use oneloop::green::{net::{UnixStream, copy}, run, spawn};
/// use std::io::{Read, Write};
/// run(|| {
///     let (mut client, inside) = UnixStream::pair()?;
///     spawn(move || copy(&inside, &inside)); // an echo server
///     client.write_all(b"hello")?;
///     let mut echoed = [0; 5];
///     client.read_exact(&mut echoed)?;
///     assert_eq!(&echoed, b"hello");
///     Ok::<_, std::io::Error>(())
/// })??;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Those of `recv(2)` and `send(2)`; `EBUSY` while another thread reads the first stream or writes
/// to the second; `EBADF` once one of them is closed.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn copy<R: ReadHalf, W: WriteHalf>(from: &Stream<R>, to: &Stream<W>) -> io::Result<u64> {
    let (reads, writes) = (from.get()?, to.get()?);
    // For the whole copy, which no other reader or writer may interleave.
    let _reserved = (from.reserve(Read)?, to.reserve(Write)?);
    let copying = net::copy(&*reads, &*writes);
    wait_while_open(from, to, copying, Location::caller())
}

/// Relays between two connections until both have ended: it writes to each what the other sends,
/// and passes on the end as well. [`oneloop::net::Relay`](oneloop_net::Relay) says what happens
/// when one of them fails; for the rest see [`copy`].
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
    let (a, b) = (first.get()?, second.get()?);
    let _first = [first.reserve(Read)?, first.reserve(Write)?];
    let _second = [second.reserve(Read)?, second.reserve(Write)?];
    let relaying = net::relay(&*a, &*b);
    wait_while_open(first, second, relaying, Location::caller())
}

/// Sends part of a file by `sendfile(2)`, from one offset up to another; `0..u64::MAX` is the whole
/// file. Returns the number of bytes sent, which is less than the range if the file is shorter. The
/// worker pool waits for the disk.
///
/// A thread that is killed meanwhile has sent an unknown part.
///
/// # Errors
/// Those of `sendfile(2)`: `EIO`, `EPIPE`, `ECONNRESET`; `EBUSY` while another thread writes;
/// `EBADF` once the stream is closed.
///
/// # Panics
/// Outside of a green thread.
#[track_caller]
pub fn send_file<W: WriteHalf>(file: &File, range: Range<u64>, to: &Stream<W>) -> io::Result<u64> {
    let writes = to.get()?;
    let _reserved = to.reserve(Write)?;
    let mut sending = pin!(net::send_file(file, range, &*writes));
    let while_open = poll_fn(|cx| {
        // A close wakes a wait for room. A wait for the disk ends anyway, and sees the close then.
        let closed = to.poll_closed();
        closed.unwrap_or_else(|| sending.as_mut().poll(cx))
    });
    wait_io(while_open, Location::caller())
}

/// Waits for an operation that reads the first stream and writes to the second, until one of them
/// is closed.
#[track_caller]
fn wait_while_open<A, B, T>(
    first: &GreenIo<A>,
    second: &GreenIo<B>,
    operation: impl Future<Output = io::Result<T>>,
    at: &'static Location<'static>,
) -> io::Result<T> {
    let mut operation = pin!(operation);
    let while_open = poll_fn(|cx| {
        // The operation is parked on one of the two at a time; a close of the other must wake it,
        // too.
        let closed = first.poll_closed_from_elsewhere(Read, cx.waker());
        let closed = closed.or_else(|| second.poll_closed_from_elsewhere(Write, cx.waker()));
        closed.unwrap_or_else(|| operation.as_mut().poll(cx))
    });
    wait_io(while_open, at)
}

//! Streams on any fd: a pipe, a FIFO, a terminal, a socket, a file, a device; and the stream
//! machine.
//!
//! [`ReadStream`] is Node's `fs.ReadStream` and `tty.ReadStream`, and the `net.Socket` that Node
//! makes of a pipe's end; [`WriteStream`] is their counterpart.
//! [`process::stdin`](crate::process::stdin) and its like return the standard streams,
//! [`fs::create_read_stream`](crate::fs::create_read_stream) and
//! [`fs::create_write_stream`](crate::fs::create_write_stream) those of files, and
//! [`ReadStream::from_fd`] that of an fd.
//!
//! ```
//! use oneloop::callback::run;
//! use oneloop::callback::stream::{ReadStream, WriteStream};
//!
//! run(|| {
//!     let (reader, writer) = std::io::pipe()?;
//!     WriteStream::from_fd(writer)?.end_with("through the pipe");
//!     let reader = ReadStream::from_fd(reader)?;
//!     reader.on_data(|_, bytes| assert_eq!(bytes, b"through the pipe"));
//!     reader.on_close(|_| println!("that was all"));
//!     Ok::<(), std::io::Error>(())
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```

pub(crate) mod destroy;
pub mod event;
pub(crate) mod flags;
mod follow;
pub(crate) mod functions;
pub(crate) mod pending_write;
pub(crate) mod pieces;
pub(crate) mod piping;
mod read;
pub(crate) mod readable;
mod stream_fd;
pub(crate) mod writable;
mod write;
pub(crate) mod write_queue;

pub use piping::{Readable, Writable};
pub use read::{ReadStream, WeakReadStream};
pub(crate) use stream_fd::Fd;
pub(crate) use write::Opened;
pub use write::{WeakWriteStream, WriteStream};

use crate::runtime::{OfProgram, Runtime, current};
use oneloop_core::{Key, Slots};
use std::cell::RefCell;
use std::rc::Rc;

/// The streams of a program.
#[derive(Default)]
pub(crate) struct Streams {
    /// The standard streams, once the program has used them.
    stdin: RefCell<Option<ReadStream>>,
    outputs: RefCell<[Option<WriteStream>; 2]>,
    /// The other streams that are open. Only this keeps them alive, as its handle keeps a stream
    /// alive in Node.
    open: RefCell<Slots<Rc<dyn AbandonedAtExit>>>,
}

/// What the clones of a stream share, as the end of the program sees it.
pub(crate) trait AbandonedAtExit {
    /// Closes the stream, and emits nothing more.
    fn abandon(self: Rc<Self>);
}

/// Names a stream that is kept: see [`Streams::keep`].
type Kept = Key<Rc<dyn AbandonedAtExit>>;

impl Streams {
    /// Keeps a stream while it is open.
    fn keep(&self, stream: Rc<dyn AbandonedAtExit>) -> Kept {
        self.open.borrow_mut().insert(stream)
    }

    fn forget(&self, kept: Kept) {
        let closed = self.open.borrow_mut().remove(kept);
        drop(closed);
    }
}

impl OfProgram for Streams {
    /// Abandons all streams at the end of the program: restores the terminal, and writes what waits
    /// for the standard streams. Returns whether there were any.
    fn forget_all(&self) -> bool {
        let stdin = self.stdin.take().map(ReadStream::into_abandoned);
        let outputs = self.outputs.take().into_iter().flatten();
        let open = self.open.take();
        let others = open.iter().map(|(_, stream)| Rc::clone(stream));
        let standard = stdin
            .into_iter()
            .chain(outputs.map(WriteStream::into_abandoned));
        // Collected first: an `abandon` drops listeners, whose own drops may open streams.
        let all: Vec<_> = standard.chain(others).collect();
        let had_some = !all.is_empty();
        all.into_iter().for_each(AbandonedAtExit::abandon);
        had_some
    }
}

/// The standard input: `process.stdin`. It keeps the program alive while it flows, which a listener
/// of 'data' starts; a paused one does not.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn stdin() -> ReadStream {
    let runtime = current();
    let streams = runtime.part::<Streams>();
    let mut stdin = streams.stdin.borrow_mut();
    let new = || ReadStream::new(&runtime, Fd::Standard(0), None, None);
    stdin.get_or_insert_with(new).clone()
}

/// The standard output: `process.stdout`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn stdout() -> WriteStream {
    output(&current(), 1)
}

/// The standard error: `process.stderr`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn stderr() -> WriteStream {
    output(&current(), 2)
}

fn output(runtime: &Rc<Runtime>, number: usize) -> WriteStream {
    let streams = runtime.part::<Streams>();
    let output = &mut streams.outputs.borrow_mut()[number - 1];
    let new = || WriteStream::new(runtime, Fd::Standard(number), None);
    output.get_or_insert_with(new).clone()
}

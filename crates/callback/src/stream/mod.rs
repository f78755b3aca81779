//! Streams on any fd: a pipe, a FIFO, a terminal, a socket, a file, a device.
//!
//! What Node has as `fs.ReadStream` and `tty.ReadStream`, and gives for the ends of pipes as a `net.Socket`, is
//! one type here, [`ReadStream`]; and [`WriteStream`] for writing. [`process::stdin`](crate::process::stdin) and
//! its like give the standard ones, [`fs::create_read_stream`](crate::fs::create_read_stream) and
//! [`fs::create_write_stream`](crate::fs::create_write_stream) those of files, and [`ReadStream::from_fd`] that
//! of an fd.
//!
//! ```
//! use oneloop_callback::run;
//! use oneloop_callback::stream::{ReadStream, WriteStream};
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

pub mod event;
mod place;
pub(crate) mod read;
pub(crate) mod write;

pub use crate::net::ends::{Readable, Writable};
pub(crate) use place::Fd;
pub use read::ReadStream;
pub(crate) use write::Opened;
pub use write::WriteStream;

use crate::runtime::{OfProgram, Runtime, current};
use oneloop_core::{Key, Slots};
use std::cell::RefCell;
use std::rc::Rc;

/// The streams of the program that runs.
#[derive(Default)]
pub(crate) struct Streams {
    /// The standard ones, once it has asked for them.
    stdin: RefCell<Option<ReadStream>>,
    outputs: RefCell<[Option<WriteStream>; 2]>,
    /// The others that are open: they live by themselves.
    open: RefCell<Slots<Stream>>,
}

/// Either kind.
#[derive(Clone)]
enum Stream {
    Read(ReadStream),
    Write(WriteStream),
}

/// Names a stream that is kept: see [`Streams::keep`].
type Kept = Key<Stream>;

impl Streams {
    /// Keeps a stream while it is open.
    fn keep(&self, stream: Stream) -> Kept {
        self.open.borrow_mut().insert(stream)
    }

    fn forget(&self, kept: Kept) {
        let closed = self.open.borrow_mut().remove(kept);
        drop(closed);
    }
}

impl OfProgram for Streams {
    /// Lets go of them, as when Node's process ends: the terminal is as it was, and all that was written to
    /// the standard ones is with the kernel. True if there were any.
    fn forget_all(&self) -> bool {
        let stdin = self.stdin.take().map(Stream::Read);
        let outputs = self.outputs.take().into_iter().flatten();
        let open = self.open.take();
        let others = open.iter().map(|(_, stream)| stream.clone());
        let standard = stdin.into_iter().chain(outputs.map(Stream::Write));
        let all: Vec<_> = standard.chain(others).collect();
        for stream in &all {
            match stream {
                Stream::Read(stream) => stream.let_go(),
                Stream::Write(stream) => stream.let_go(),
            }
        }
        !all.is_empty()
    }
}

/// The standard input: `process.stdin`. It keeps the program alive while it flows, which a 'data' listener
/// has it do; paused, it does not.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn stdin() -> ReadStream {
    let runtime = current();
    let streams = runtime.part::<Streams>();
    let mut stdin = streams.stdin.borrow_mut();
    let new = || ReadStream::new(&runtime, Fd::Standard(0), None);
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

/// How far it is with the end of a stream's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// 'close' is still to be told.
    Destroyed,
    Closed,
}

//! The fd that a stream reads or writes, from before it is open until it is closed.

use super::{AbandonedAtExit, Kept, Streams};
use crate::runtime::{Runtime, in_later_turn};
use crate::thrown::Thrown;
use nix::errno::Errno;
use oneloop_core::Phase;
use oneloop_net::StdioKind;
use std::cell::{Cell, RefCell};
use std::future::ready;
use std::io;
use std::rc::Rc;

/// The input or output of a stream.
///
/// ```text
/// Standard(number) ──first use──▶ Open, to the end of the program
/// Opening ──────the file opens──▶ Open ──end, destroy──▶ Closed
///    └──────────── it does not ────────────────────────▶ Closed
/// ```
pub(crate) enum Fd<T> {
    /// A standard stream, by number. It opens at the first use: a program that never reads its
    /// standard input must not change its mode, nor register it.
    Standard(usize),
    /// A file that a thread opens.
    Opening,
    Open(Rc<T>),
    Closed,
}

/// The one file descriptor of a stream.
pub(super) struct StreamFd<T> {
    fd: RefCell<Fd<T>>,
    is_standard: bool,
    /// True for what Node has as a stream of `fs`.
    is_file: bool,
    /// The registration that keeps the stream in memory while it is open.
    kept: Cell<Option<Kept>>,
}

impl<T> StreamFd<T> {
    pub(super) fn new(fd: Fd<T>, kind_of: impl FnOnce(&T) -> StdioKind) -> Self {
        let is_file = match &fd {
            Fd::Opening => true,
            Fd::Open(open) => kind_of(open) == StdioKind::File,
            Fd::Standard(_) | Fd::Closed => false,
        };
        StreamFd {
            is_standard: matches!(fd, Fd::Standard(_)),
            is_file,
            fd: RefCell::new(fd),
            kept: Cell::new(None),
        }
    }

    /// Keeps the stream in memory while it is open. The program holds the standard ones anyway.
    pub(super) fn keep(&self, runtime: &Runtime, stream: Rc<dyn AbandonedAtExit>) {
        if !self.is_standard {
            self.kept.set(Some(runtime.part::<Streams>().keep(stream)));
        }
    }

    pub(super) fn is_standard(&self) -> bool {
        self.is_standard
    }

    pub(super) fn is_file(&self) -> bool {
        self.is_file
    }

    /// What is open, if it is.
    pub(super) fn open(&self) -> Option<Rc<T>> {
        match &*self.fd.borrow() {
            Fd::Open(open) => Some(Rc::clone(open)),
            _ => None,
        }
    }

    /// What is open, or opens now because it is a standard stream; `None` while a thread opens it.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    pub(super) fn get(
        &self,
        open_standard: impl FnOnce(usize) -> io::Result<T>,
    ) -> io::Result<Option<Rc<T>>> {
        let number = match &*self.fd.borrow() {
            Fd::Open(open) => return Ok(Some(Rc::clone(open))),
            Fd::Opening => return Ok(None),
            Fd::Closed => return Err(Errno::EBADF.into()),
            Fd::Standard(number) => *number,
        };
        Ok(Some(self.set(open_standard(number)?)))
    }

    pub(super) fn set(&self, open: T) -> Rc<T> {
        let open = Rc::new(open);
        // The old value is dropped after the borrow has ended (rule 1).
        let before = self.fd.replace(Fd::Open(Rc::clone(&open)));
        drop(before);
        open
    }

    /// Closes the fd. Returns how the stream has to report it.
    pub(super) fn close(&self, runtime: &Runtime) -> ClosedFd {
        let before = self.fd.replace(Fd::Closed);
        let closed = match before {
            _ if !self.is_file => ClosedFd::Handle,
            Fd::Open(_) => ClosedFd::File,
            _ => ClosedFd::Unopened,
        };
        // Closes the fd, unless a read or a write still holds it.
        drop(before);
        // Last: this may drop the only reference to the stream.
        if let Some(kept) = self.kept.take() {
            runtime.part::<Streams>().forget(kept);
        }
        closed
    }
}

/// What was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClosedFd {
    /// A file that never was open.
    Unopened,
    /// A file, which Node closes on a thread.
    File,
    /// A pipe, terminal or socket, which Node closes on the loop's thread.
    Handle,
}

impl ClosedFd {
    /// Reports the end in Node's order. A file's `close(2)` runs on a thread, so 'error' and
    /// 'close' come together, in a later turn. Anything else is a libuv handle: 'error' comes now,
    /// and 'close' in the closing phase.
    pub(super) async fn report(
        self,
        runtime: &Rc<Runtime>,
        emit_error: impl FnOnce() -> Result<(), Thrown>,
        emit_close: impl FnOnce() -> Result<(), Thrown>,
    ) {
        match self {
            ClosedFd::Unopened => {}
            ClosedFd::File => in_later_turn(ready(())).await,
            ClosedFd::Handle => {
                runtime.make_callback(emit_error);
                runtime.handle.phase(Phase::Closing).await;
                if !runtime.is_over() {
                    runtime.make_callback(emit_close);
                }
                return;
            }
        }
        if !runtime.is_over() {
            runtime.make_callback(|| {
                emit_error()?;
                emit_close()
            });
        }
    }
}

/// The error of a question to a file that is not open yet.
pub(super) fn not_open_yet() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "it is not open yet")
}

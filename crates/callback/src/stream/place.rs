//! What a stream reads or writes: from before it is open until it is closed.

use super::{Kept, Stream, Streams};
use crate::runtime::{Runtime, in_later_turn};
use crate::thrown::Thrown;
use nix::errno::Errno;
use oneloop_core::Phase;
use oneloop_net::StdioKind;
use std::cell::{Cell, RefCell};
use std::future::ready;
use std::io;
use std::rc::Rc;

/// What is there.
pub(crate) enum Fd<T> {
    /// A standard one, which is opened when it is first needed.
    Standard(usize),
    /// A file that is about to be open.
    Opening,
    Open(Rc<T>),
    Closed,
}

/// The one fd of a stream.
pub(super) struct Place<T> {
    fd: RefCell<Fd<T>>,
    is_standard: bool,
    /// True for what Node has as a stream of `fs`.
    is_file: bool,
    /// True until 'open' was told, or opening has failed.
    is_opening: Cell<bool>,
    /// How the program keeps the stream while it is open.
    kept: Cell<Option<Kept>>,
}

impl<T> Place<T> {
    pub(super) fn new(fd: Fd<T>, kind_of: impl FnOnce(&T) -> StdioKind) -> Self {
        let is_file = match &fd {
            Fd::Opening => true,
            Fd::Open(open) => kind_of(open) == StdioKind::File,
            Fd::Standard(_) | Fd::Closed => false,
        };
        Place {
            is_standard: matches!(fd, Fd::Standard(_)),
            is_file,
            is_opening: Cell::new(matches!(fd, Fd::Opening)),
            fd: RefCell::new(fd),
            kept: Cell::new(None),
        }
    }

    /// Has the stream live by itself while it is open; a standard one does anyway.
    pub(super) fn keep(&self, runtime: &Runtime, stream: Stream) {
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

    pub(super) fn is_opening(&self) -> bool {
        self.is_opening.get()
    }

    /// 'open' was told, or it could not be opened.
    pub(super) fn finish_opening(&self) {
        self.is_opening.set(false);
    }

    /// What is open, if it is.
    pub(super) fn open(&self) -> Option<Rc<T>> {
        match &*self.fd.borrow() {
            Fd::Open(open) => Some(Rc::clone(open)),
            _ => None,
        }
    }

    /// What is open, which a standard one is from now on; none while it is being opened.
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
        let before = self.fd.replace(Fd::Open(Rc::clone(&open)));
        drop(before);
        open
    }

    /// Closes what is open. Gives how the stream is to tell of it.
    pub(super) fn close(&self, runtime: &Runtime) -> Closed {
        let before = self.fd.replace(Fd::Closed);
        let closed = match before {
            _ if !self.is_file => Closed::Handle,
            Fd::Open(_) => Closed::File,
            _ => Closed::Unopened,
        };
        drop(before);
        if let Some(kept) = self.kept.take() {
            runtime.part::<Streams>().forget(kept);
        }
        closed
    }
}

/// What was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// A file that never was open.
    Unopened,
    File,
    /// A pipe or its like, which Node closes on the loop's thread.
    Handle,
}

impl Closed {
    /// Tells of the end in Node's order: of a file why and 'close' together, in a later turn if a thread has
    /// closed it; of anything else why now, and 'close' in the closing phase.
    pub(super) async fn tell(
        self,
        runtime: &Rc<Runtime>,
        tell_error: impl FnOnce() -> Result<(), Thrown>,
        tell_close: impl FnOnce() -> Result<(), Thrown>,
    ) {
        match self {
            Closed::Unopened => {}
            Closed::File => in_later_turn(ready(())).await,
            Closed::Handle => {
                runtime.make_callback(tell_error);
                runtime.handle.phase(Phase::Closing).await;
                if !runtime.is_over() {
                    runtime.make_callback(tell_close);
                }
                return;
            }
        }
        if !runtime.is_over() {
            runtime.make_callback(|| {
                tell_error()?;
                tell_close()
            });
        }
    }
}

/// What a file that is not open yet says to those who need it.
pub(super) fn not_open_yet() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "it is not open yet")
}

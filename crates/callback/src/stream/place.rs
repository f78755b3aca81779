//! What a stream reads or writes: from before it is open until it is closed.

use super::{Kept, Stream};
use crate::runtime::Runtime;
use nix::errno::Errno;
use std::cell::{Cell, RefCell};
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
    /// How the program keeps the stream while it is open.
    kept: Cell<Option<Kept>>,
}

impl<T> Place<T> {
    pub(super) fn new(fd: Fd<T>) -> Self {
        Place {
            is_standard: matches!(fd, Fd::Standard(_)),
            fd: RefCell::new(fd),
            kept: Cell::new(None),
        }
    }

    /// Has the stream live by itself while it is open; a standard one does anyway.
    pub(super) fn keep(&self, runtime: &Runtime, stream: Stream) {
        if !self.is_standard {
            self.kept.set(Some(runtime.streams.keep(stream)));
        }
    }

    pub(super) fn is_standard(&self) -> bool {
        self.is_standard
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(*self.fd.borrow(), Fd::Opening)
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

    pub(super) fn close(&self, runtime: &Runtime) {
        let before = self.fd.replace(Fd::Closed);
        drop(before);
        if let Some(kept) = self.kept.take() {
            runtime.streams.forget(kept);
        }
    }
}

/// What a file that is not open yet says to those who need it.
pub(super) fn not_open_yet() -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, "it is not open yet")
}

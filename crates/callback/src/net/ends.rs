//! The two ends of a pipe: whatever can be read, and whatever can be written.

use super::event as of_socket;
use super::flags::*;
use super::piping::{Pipe, Pipes};
use super::socket::{Socket, WeakSocket};
use crate::error::Error;
use crate::events::ListenerId;
use crate::stream::read::WeakReadStream;
use crate::stream::write::WeakWriteStream;
use crate::stream::{ReadStream, WriteStream, event as of_stream};
use crate::thrown::Thrown;
use std::rc::Rc;

/// What a pipe reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readable {
    /// A socket.
    Socket(Socket),
    /// Anything else.
    Stream(ReadStream),
}

/// What a pipe writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writable {
    /// A socket.
    Socket(Socket),
    /// Anything else.
    Stream(WriteStream),
}

impl From<Socket> for Readable {
    fn from(socket: Socket) -> Self {
        Readable::Socket(socket)
    }
}

impl From<ReadStream> for Readable {
    fn from(stream: ReadStream) -> Self {
        Readable::Stream(stream)
    }
}

impl From<Socket> for Writable {
    fn from(socket: Socket) -> Self {
        Writable::Socket(socket)
    }
}

impl From<WriteStream> for Writable {
    fn from(stream: WriteStream) -> Self {
        Writable::Stream(stream)
    }
}

/// One that may be gone.
pub(super) enum WeakReadable {
    Socket(WeakSocket),
    Stream(WeakReadStream),
}

/// One that may be gone.
pub(super) enum WeakWritable {
    Socket(WeakSocket),
    Stream(WeakWriteStream),
}

impl WeakReadable {
    pub(super) fn upgrade(&self) -> Option<Readable> {
        match self {
            WeakReadable::Socket(socket) => socket.upgrade().map(Readable::Socket),
            WeakReadable::Stream(stream) => stream.upgrade().map(Readable::Stream),
        }
    }
}

impl WeakWritable {
    pub(super) fn upgrade(&self) -> Option<Writable> {
        match self {
            WeakWritable::Socket(socket) => socket.upgrade().map(Writable::Socket),
            WeakWritable::Stream(stream) => stream.upgrade().map(Writable::Stream),
        }
    }
}

/// Does the same with either.
macro_rules! either {
    ($of:ident, $value:expr, $end:ident => $what:expr) => {
        match $value {
            $of::Socket($end) => $what,
            $of::Stream($end) => $what,
        }
    };
}

impl Readable {
    pub(super) fn downgrade(&self) -> WeakReadable {
        match self {
            Readable::Socket(socket) => WeakReadable::Socket(socket.downgrade()),
            Readable::Stream(stream) => WeakReadable::Stream(stream.downgrade()),
        }
    }

    pub(super) fn with_pipes<T>(&self, f: impl FnOnce(&mut Pipes) -> T) -> T {
        match self {
            Readable::Socket(socket) => socket.with_rare(|rare| f(&mut rare.pipes)),
            Readable::Stream(stream) => stream.with_pipes(f),
        }
    }

    pub(super) fn on_data(&self, f: impl Fn(&[u8]) + 'static) -> ListenerId {
        match self {
            Readable::Socket(socket) => socket.on(of_socket::Data, move |(_, bytes)| f(bytes)),
            Readable::Stream(stream) => stream.on(of_stream::Data, move |(_, bytes)| f(bytes)),
        }
    }

    pub(super) fn once_end(&self, f: impl FnOnce() + 'static) -> ListenerId {
        match self {
            Readable::Socket(socket) => socket.inner.events.once(of_socket::End, |_: Socket| f()),
            Readable::Stream(stream) => stream.once(of_stream::End, |_: ReadStream| f()),
        }
    }

    pub(super) fn off(&self, id: ListenerId) {
        either!(Readable, self, end => end.off(id));
    }

    /// Has something run before the loop goes on.
    pub(super) fn next_call(&self, f: impl FnOnce() + 'static) {
        let call = move || {
            f();
            Ok(())
        };
        either!(Readable, self, end => end.next_call(move |_| call()));
    }

    pub(super) fn pause(&self) {
        either!(Readable, self, end => drop(end.pause()));
    }

    pub(super) fn resume(&self) {
        either!(Readable, self, end => drop(end.resume()));
    }

    pub(super) fn is_readable_ended(&self) -> bool {
        either!(Readable, self, end => end.is_readable_ended())
    }

    pub(super) fn is_flowing(&self) -> bool {
        match self {
            Readable::Socket(socket) => socket.inner.flags.has(FLOWING),
            Readable::Stream(stream) => stream.is_flowing(),
        }
    }

    pub(super) fn has_data_listeners(&self) -> bool {
        match self {
            Readable::Socket(socket) => socket.inner.flags.has(DATA_LISTENING),
            Readable::Stream(stream) => stream.has_data_listeners(),
        }
    }
}

impl Writable {
    pub(super) fn downgrade(&self) -> WeakWritable {
        match self {
            Writable::Socket(socket) => WeakWritable::Socket(socket.downgrade()),
            Writable::Stream(stream) => WeakWritable::Stream(stream.downgrade()),
        }
    }

    /// True for the standard output and error, which nobody ends for others.
    pub(super) fn is_standard(&self) -> bool {
        matches!(self, Writable::Stream(stream) if stream.is_standard())
    }

    pub(super) fn write(&self, bytes: &[u8]) -> bool {
        either!(Writable, self, end => end.write(bytes))
    }

    pub(super) fn end(&self) {
        either!(Writable, self, end => drop(end.end()));
    }

    pub(super) fn needs_drain(&self) -> bool {
        either!(Writable, self, end => end.needs_drain())
    }

    /// True if 'drain' is to come, unless the end comes first.
    pub(super) fn waits_for_drain(&self) -> bool {
        match self {
            Writable::Socket(socket) => socket.inner.flags.has(NEED_DRAIN),
            Writable::Stream(stream) => stream.needs_drain(),
        }
    }

    pub(super) fn off(&self, id: ListenerId) {
        match self {
            Writable::Socket(socket) => drop(socket.inner.events.off(id)),
            Writable::Stream(stream) => drop(stream.off(id)),
        }
    }

    pub(super) fn on_drain(&self, f: impl Fn() + 'static) -> ListenerId {
        match self {
            Writable::Socket(socket) => {
                let events = &socket.inner.events;
                events.on(of_socket::Drain, move |_: Socket| f())
            }
            Writable::Stream(stream) => stream.on(of_stream::Drain, move |_: WriteStream| f()),
        }
    }

    /// A pipe ends when its other end closes, has finished or has failed.
    pub(super) fn listen(&self, pipe: &Rc<Pipe>) -> Vec<ListenerId> {
        let (at_error, at_close, at_finish) = (Rc::clone(pipe), Rc::clone(pipe), Rc::clone(pipe));
        match self {
            Writable::Socket(socket) => {
                let events = &socket.inner.events;
                vec![
                    events.prepend(
                        of_socket::Error,
                        move |(socket, error): (Socket, &Error)| {
                            at_error.unpipe();
                            throw_if_unheard(socket.listener_count(of_socket::Error), error)
                        },
                    ),
                    events.once(of_socket::Close, move |_: (Socket, bool)| at_close.unpipe()),
                    events.once(of_socket::Finish, move |_: Socket| at_finish.unpipe()),
                ]
            }
            Writable::Stream(stream) => {
                let events = stream.events();
                vec![
                    events.prepend(
                        of_stream::WriteError,
                        move |(stream, error): (WriteStream, &Error)| {
                            at_error.unpipe();
                            let others = stream.events().listener_count(of_stream::WriteError);
                            throw_if_unheard(others, error)
                        },
                    ),
                    events.once(of_stream::WriteClose, move |_: WriteStream| {
                        at_close.unpipe()
                    }),
                    events.once(of_stream::Finish, move |_: WriteStream| at_finish.unpipe()),
                ]
            }
        }
    }

    pub(super) fn tell_pipe(&self, source: &Readable) -> Result<(), Thrown> {
        match self {
            Writable::Socket(socket) => {
                let args = (socket.clone(), source.clone());
                socket.emit(of_socket::Pipe, args).map(drop)
            }
            Writable::Stream(stream) => {
                let args = (stream.clone(), source.clone());
                stream.events().emit(of_stream::Pipe, args).map(drop)
            }
        }
    }

    pub(super) fn tell_unpipe(&self, source: &Readable) -> Result<(), Thrown> {
        match self {
            Writable::Socket(socket) => {
                let args = (socket.clone(), source.clone());
                socket.emit(of_socket::Unpipe, args).map(drop)
            }
            Writable::Stream(stream) => {
                let args = (stream.clone(), source.clone());
                stream.events().emit(of_stream::Unpipe, args).map(drop)
            }
        }
    }
}

/// An error that the pipe alone has heard is thrown, as if nobody had.
fn throw_if_unheard(others: usize, error: &Error) -> Result<(), Thrown> {
    match others {
        0 => Err(error.clone().into()),
        _ => Ok(()),
    }
}

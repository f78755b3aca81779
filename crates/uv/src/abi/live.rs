//! A pointer to a struct of the caller that is live for as long as the library holds it.

use crate::layout::{
    Async, Connect, Fs, FsEvent, FsPoll, GetAddrInfo, GetNameInfo, Handle, PhaseHandle, Pipe, Poll,
    Process, Random, Request, Shutdown, Signal, Stream, Timer, Tty, Udp, UdpSend, Work, Write,
    kind,
};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::ptr::NonNull;

/// A struct that the caller owns, such as a `uv_timer_t`.
///
/// Only C makes one, as an argument of an exported function. libuv's contract is what makes it
/// safe to use: an argument points to a struct of its type; a handle stays in memory until its
/// close callback, a request until its own callback, and a loop until `uv_loop_close`. So whatever
/// stores one forgets it when the handle is closed.
#[repr(transparent)]
pub(crate) struct Live<T>(NonNull<T>);

impl<T> Live<T> {
    /// The address, for the caller's callbacks.
    pub(crate) fn as_ptr(self) -> *mut T {
        self.0.as_ptr()
    }

    /// The same address as another type.
    ///
    /// # Safety
    /// A `U` is there.
    pub(super) unsafe fn cast<U>(self) -> Live<U> {
        Live(self.0.cast())
    }

    /// # Safety
    /// `pointer` fulfills the contract of the type.
    pub(super) unsafe fn new(pointer: NonNull<T>) -> Self {
        Live(pointer)
    }
}

impl<T> Deref for Live<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the struct is in memory: see the contract of the type. All of its fields are
        // cells, so nothing has an exclusive reference to it.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Live<T> {}
impl<T> PartialEq for Live<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Live<T> {}
impl<T> Hash for Live<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// SAFETY: a request that travels to a thread of the pool is that thread's alone until the job is
// done, and then the loop's again. Nothing else travels.
unsafe impl<T> Send for Live<T> {}

/// A type that begins with all fields of a handle.
///
/// # Safety
/// It is `repr(C)`, and its first field is a [`Handle`].
pub(crate) unsafe trait IsHandle {}

/// A type that begins with all fields of a request.
///
/// # Safety
/// It is `repr(C)`, and its first field is a [`Request`].
pub(crate) unsafe trait IsRequest {}

/// A type that begins with all fields of a stream.
///
/// # Safety
/// It is `repr(C)`, and its first field is a [`Stream`].
pub(crate) unsafe trait IsStream {}

macro_rules! kinds_of {
    ($trait:ident: $($type:ident)*) => {$(
        // SAFETY: see `layout`, which asserts the offset.
        unsafe impl $trait for $type {}
        const _: () = assert!(kinds_of!(@offset $trait $type) == 0);
    )*};
    (@offset IsHandle $type:ident) => { std::mem::offset_of!($type, handle) };
    (@offset IsStream $type:ident) => { std::mem::offset_of!($type, stream) };
    (@offset IsRequest $type:ident) => { std::mem::offset_of!($type, request) };
}

kinds_of! { IsHandle: Timer PhaseHandle Async Poll Signal FsEvent FsPoll Stream Process Udp }
kinds_of! { IsRequest: Work GetAddrInfo GetNameInfo Random Connect Shutdown Write Fs UdpSend }
kinds_of! { IsStream: Pipe Tty }

impl<T: IsHandle> Live<T> {
    /// The part that all handles have.
    pub(crate) fn as_handle(self) -> Live<Handle> {
        // SAFETY: the type begins with it.
        unsafe { self.cast() }
    }
}

impl<T: IsRequest> Live<T> {
    /// The part that all requests have.
    pub(crate) fn as_request(self) -> Live<Request> {
        // SAFETY: the type begins with it.
        unsafe { self.cast() }
    }
}

impl<T: IsStream> Live<T> {
    /// The part that all streams have.
    pub(crate) fn as_stream(self) -> Live<Stream> {
        // SAFETY: the type begins with it.
        unsafe { self.cast() }
    }
}

impl Live<Stream> {
    /// The whole struct of a pipe; `None` for another kind of stream.
    pub(crate) fn as_pipe(self) -> Option<Live<Pipe>> {
        let is_pipe = self.handle.kind.get() == kind::NAMED_PIPE;
        // SAFETY: the function that began the pipe set its kind, and had a struct of that type.
        is_pipe.then(|| unsafe { self.cast() })
    }
}

/// A handle as its kind.
pub(crate) enum Typed {
    Timer(Live<Timer>),
    Phase(Live<PhaseHandle>),
    Async(Live<Async>),
    Poll(Live<Poll>),
    Signal(Live<Signal>),
    FsEvent(Live<FsEvent>),
    FsPoll(Live<FsPoll>),
    /// A TCP socket, a pipe, or a terminal.
    Stream(Live<Stream>),
    Process(Live<Process>),
    Udp(Live<Udp>),
    Unknown,
}

impl Live<Handle> {
    /// The whole struct.
    pub(crate) fn typed(self) -> Typed {
        // SAFETY: the function that began the handle set its kind, and had a struct of that type.
        unsafe {
            match self.kind.get() {
                kind::TIMER => Typed::Timer(self.cast()),
                kind::IDLE | kind::PREPARE | kind::CHECK => Typed::Phase(self.cast()),
                kind::ASYNC => Typed::Async(self.cast()),
                kind::POLL => Typed::Poll(self.cast()),
                kind::SIGNAL => Typed::Signal(self.cast()),
                kind::FS_EVENT => Typed::FsEvent(self.cast()),
                kind::FS_POLL => Typed::FsPoll(self.cast()),
                kind::TCP | kind::NAMED_PIPE | kind::TTY => Typed::Stream(self.cast()),
                kind::UDP => Typed::Udp(self.cast()),
                kind::PROCESS => Typed::Process(self.cast()),
                _ => Typed::Unknown,
            }
        }
    }
}

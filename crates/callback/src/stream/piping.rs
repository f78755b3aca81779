//! `source.pipe(dest)`: writes all that one stream reads to another, at the pace of the slower one.

use super::destroy::Stream;
use super::flags::*;
use super::readable::{BytesListener, ReadableStream};
use super::writable::{WritableStream, WriteEvent};
use crate::events::ListenerId;
use crate::thrown::{Thrown, or_rethrow};
use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};

/// Any stream that can be read: the source of a pipe. It compares equal to the same stream only.
#[derive(Clone)]
pub struct Readable(Rc<dyn Source>);

/// Any stream that can be written: the destination of a pipe. It compares equal to the same stream
/// only.
#[derive(Clone)]
pub struct Writable(Rc<dyn Dest>);

macro_rules! same_stream {
    ($end:ident) => {
        impl PartialEq for $end {
            fn eq(&self, other: &$end) -> bool {
                Rc::ptr_eq(&self.0, &other.0)
            }
        }
        impl Eq for $end {}

        impl fmt::Debug for $end {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.get().fmt(f)
            }
        }
    };
}

same_stream!(Readable);
same_stream!(Writable);

/// What the clones of a stream share. A pipe holds this weakly, whatever the kind of the stream.
pub(crate) trait StreamInner: Sized + 'static {
    type Stream: fmt::Debug;

    fn into_stream(self: Rc<Self>) -> Self::Stream;
}

impl Readable {
    pub(crate) fn new<I: StreamInner<Stream: ReadableStream>>(inner: Rc<I>) -> Self {
        Readable(inner)
    }

    fn get(&self) -> Rc<dyn Source> {
        Rc::clone(&self.0)
    }

    fn with_pipes<T>(&self, f: impl FnOnce(&mut Pipes) -> T) -> T {
        // A trait object has no generic functions: the closure and its result pass through a `dyn`.
        let (mut f, mut result) = (Some(f), None);
        self.get().with_pipes(&mut |pipes| {
            result = f.take().map(|f| f(pipes));
        });
        result.expect("a stream calls the function with its pipes")
    }
}

impl Writable {
    pub(crate) fn new<I: StreamInner<Stream: WritableStream>>(inner: Rc<I>) -> Self {
        Writable(inner)
    }

    /// A destination that is no stream of the machine.
    #[cfg(feature = "http")]
    pub(crate) fn of(dest: Rc<dyn Dest>) -> Self {
        Writable(dest)
    }

    fn get(&self) -> Rc<dyn Dest> {
        Rc::clone(&self.0)
    }
}

/// What a pipe needs of its source.
trait Source {
    fn fmt(self: Rc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn is_duplex(&self) -> bool;
    fn has(self: Rc<Self>, flags: FlagSet) -> bool;
    fn with_pipes(self: Rc<Self>, f: &mut dyn FnMut(&mut Pipes));
    fn on_data(self: Rc<Self>, f: BytesListener) -> ListenerId;
    fn once_end(self: Rc<Self>, f: Box<dyn FnOnce()>) -> ListenerId;
    fn remove_listener(self: Rc<Self>, id: ListenerId);
    fn next_call(self: Rc<Self>, f: Box<dyn FnOnce()>);
    fn pause(self: Rc<Self>);
    fn resume(self: Rc<Self>);
}

/// What a pipe needs of its destination.
pub(crate) trait Dest {
    fn fmt(self: Rc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// True for the standard output and error, which no pipe ends.
    fn is_kept_open(self: Rc<Self>) -> bool;
    fn write(self: Rc<Self>, bytes: &[u8]) -> bool;
    fn end(self: Rc<Self>);
    fn has(self: Rc<Self>, flags: FlagSet) -> bool;
    fn needs_drain(self: Rc<Self>) -> bool;
    fn on_drain(self: Rc<Self>, f: Box<dyn Fn()>) -> ListenerId;
    fn listen(self: Rc<Self>, listeners: DestListeners) -> Vec<ListenerId>;
    fn remove_listener(self: Rc<Self>, id: ListenerId);
    fn emit(self: Rc<Self>, event: WriteEvent<'_>) -> Result<(), Thrown>;
}

/// What a pipe does when its destination fails, closes or finishes.
pub(crate) struct DestListeners {
    pub(crate) at_error: Box<dyn Fn()>,
    pub(crate) at_close: Box<dyn Fn()>,
    pub(crate) at_finish: Box<dyn Fn()>,
}

impl<I: StreamInner<Stream: ReadableStream>> Source for I {
    fn fmt(self: Rc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.into_stream(), f)
    }

    fn is_duplex(&self) -> bool {
        I::Stream::IS_DUPLEX
    }

    fn has(self: Rc<Self>, flags: FlagSet) -> bool {
        self.into_stream().flags().has(flags)
    }

    fn with_pipes(self: Rc<Self>, f: &mut dyn FnMut(&mut Pipes)) {
        self.into_stream().with_pipes(f);
    }

    fn on_data(self: Rc<Self>, f: BytesListener) -> ListenerId {
        self.into_stream().on_data_bytes(f)
    }

    fn once_end(self: Rc<Self>, f: Box<dyn FnOnce()>) -> ListenerId {
        self.into_stream().once_end(f)
    }

    fn remove_listener(self: Rc<Self>, id: ListenerId) {
        self.into_stream().remove_read_listener(id);
    }

    fn next_call(self: Rc<Self>, f: Box<dyn FnOnce()>) {
        self.into_stream().next_call(move |_| {
            f();
            Ok(())
        });
    }

    fn pause(self: Rc<Self>) {
        self.into_stream().pause();
    }

    fn resume(self: Rc<Self>) {
        self.into_stream().resume();
    }
}

impl<I: StreamInner<Stream: WritableStream>> Dest for I {
    fn fmt(self: Rc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.into_stream(), f)
    }

    fn is_kept_open(self: Rc<Self>) -> bool {
        self.into_stream().is_kept_open()
    }

    fn write(self: Rc<Self>, bytes: &[u8]) -> bool {
        self.into_stream().write_or_fail(bytes, None)
    }

    fn end(self: Rc<Self>) {
        self.into_stream().end_stream(None);
    }

    fn has(self: Rc<Self>, flags: FlagSet) -> bool {
        self.into_stream().flags().has(flags)
    }

    fn needs_drain(self: Rc<Self>) -> bool {
        self.into_stream().needs_drain()
    }

    fn on_drain(self: Rc<Self>, f: Box<dyn Fn()>) -> ListenerId {
        self.into_stream().on_drained(f)
    }

    fn listen(self: Rc<Self>, listeners: DestListeners) -> Vec<ListenerId> {
        self.into_stream().listen_as_dest(listeners)
    }

    fn remove_listener(self: Rc<Self>, id: ListenerId) {
        self.into_stream().remove_write_listener(id);
    }

    fn emit(self: Rc<Self>, event: WriteEvent<'_>) -> Result<(), Thrown> {
        self.into_stream().emit_write(event)
    }
}

/// The pipes that start at a stream, and those of them whose destination is full.
#[derive(Default)]
pub(crate) struct Pipes {
    to: Vec<Rc<Pipe>>,
    /// Node's `awaitDrainWriters`.
    awaited: Vec<Rc<Pipe>>,
}

impl Pipes {
    /// 'data' was emitted after all, so no pipe has to drain first.
    pub(crate) fn forget_awaited(&mut self) {
        self.awaited.clear();
    }

    pub(crate) fn is_piped(&self) -> bool {
        !self.to.is_empty()
    }

    fn remove_awaited(&mut self, pipe: &Rc<Pipe>) {
        self.awaited.retain(|other| !Rc::ptr_eq(other, pipe));
    }
}

/// One pipe.
///
/// ```text
/// flowing ──a write returns false: the source pauses──▶ awaited
///    ▲──────'drain' of the last awaited pipe: the source resumes──┘
/// any ──the source's 'end' ends the destination──▶ any
/// any ──the destination's 'error', 'close' or 'finish'; unpipe──▶ broken
/// ```
// Its ends hold it through their listeners, so it holds its ends weakly: a cycle would keep them
// forever.
pub(crate) struct Pipe {
    source: Weak<dyn Source>,
    dest: Weak<dyn Dest>,
    listeners: RefCell<Listeners>,
}

/// The pipe's listeners on both ends, which are removed when it breaks.
#[derive(Default)]
struct Listeners {
    of_source: Vec<ListenerId>,
    of_dest: Vec<ListenerId>,
    drain: Option<ListenerId>,
    is_broken: bool,
}

impl Pipe {
    fn source(&self) -> Option<Readable> {
        self.source.upgrade().map(Readable)
    }

    fn dest(&self) -> Option<Writable> {
        self.dest.upgrade().map(Writable)
    }

    fn ends(&self) -> Option<(Readable, Writable)> {
        Some((self.source()?, self.dest()?))
    }

    fn is_broken(&self) -> bool {
        self.listeners.borrow().is_broken
    }

    /// Writes what was read. If the destination is full, the source pauses.
    fn write(self: &Rc<Self>, bytes: &[u8]) {
        if let Some((source, dest)) = self.ends()
            && !dest.get().write(bytes)
        {
            self.pause(&source, &dest);
        }
    }

    fn pause(self: &Rc<Self>, source: &Readable, dest: &Writable) {
        if !self.is_broken() {
            source.with_pipes(|pipes| {
                // Once, however many writes return false: Node keeps a set.
                pipes.remove_awaited(self);
                pipes.awaited.push(Rc::clone(self));
            });
            source.get().pause();
        }
        // One listener for the life of the pipe: Node found adding and removing it each time too
        // slow.
        if self.listeners.borrow().drain.is_none() {
            let pipe = Rc::clone(self);
            let id = dest.get().on_drain(Box::new(move || pipe.on_drain()));
            self.listeners.borrow_mut().drain = Some(id);
        }
    }

    /// Once the last full destination has drained, the source resumes.
    fn on_drain(self: &Rc<Self>) {
        let Some(source) = self.source() else {
            return;
        };
        let is_clear = source.with_pipes(|pipes| {
            pipes.remove_awaited(self);
            pipes.awaited.is_empty()
        });
        // Node's `pipeOnDrain`: without a listener of 'data', a flow would lose the bytes.
        if is_clear && source.get().has(DATA_LISTENING) {
            source.get().resume();
        }
    }

    fn unpipe(&self) {
        if let Some((source, dest)) = self.ends() {
            unpipe(&source, &dest);
        }
    }

    /// Removes all listeners, and resumes the source if it waits for this pipe.
    fn break_up(self: &Rc<Self>, source: &Readable, dest: &Writable) {
        let broken = Listeners {
            is_broken: true,
            ..Listeners::default()
        };
        let listeners = self.listeners.replace(broken);
        for id in listeners.of_dest.into_iter().chain(listeners.drain) {
            dest.get().remove_listener(id);
        }
        for id in listeners.of_source {
            source.get().remove_listener(id);
        }
        let was_awaited = source.with_pipes(|pipes| !pipes.awaited.is_empty());
        // Or the source would wait forever for the 'drain' of a pipe that is gone.
        if listeners.drain.is_some() && was_awaited && dest.get().has(NEED_DRAIN) {
            self.on_drain();
        }
    }
}

/// Node's `Readable.prototype.pipe`.
pub(crate) fn pipe(source: &Readable, dest: &Writable, ends_dest: bool) {
    let ends_dest = ends_dest && !dest.get().is_kept_open();
    let pipe = Rc::new(Pipe {
        source: Rc::downgrade(&source.0),
        dest: Rc::downgrade(&dest.0),
        listeners: Default::default(),
    });
    source.with_pipes(|pipes| pipes.to.push(Rc::clone(&pipe)));
    let at_end = Rc::clone(&pipe);
    let on_end = Box::new(move || match at_end.dest() {
        Some(dest) if ends_dest => dest.get().end(),
        Some(_) => at_end.unpipe(),
        None => {}
    });
    let mut listeners = Listeners::default();
    // 'end' is emitted once: Node runs its `endFn` in a tick then.
    if source.get().has(END_EMITTED) {
        source.get().next_call(on_end);
    } else {
        listeners.of_source.push(source.get().once_end(on_end));
    }
    let at_data = Rc::clone(&pipe);
    let on_data = Box::new(move |bytes: &[u8]| at_data.write(bytes));
    listeners.of_source.push(source.get().on_data(on_data));
    // The destination keeps the source, as Node's closures do: 'unpipe' names it, however long it
    // is closed. A duplex could be piped back, and the two would keep each other.
    let kept = (!source.0.is_duplex()).then(|| source.clone());
    let [at_error, at_close, at_finish] = [(); 3].map(|()| {
        let (pipe, kept) = (Rc::clone(&pipe), kept.clone());
        Box::new(move || {
            let _source = &kept;
            pipe.unpipe();
        }) as Box<dyn Fn()>
    });
    listeners.of_dest = dest.get().listen(DestListeners {
        at_error,
        at_close,
        at_finish,
    });
    *pipe.listeners.borrow_mut() = listeners;
    // With all listeners in place: one of 'pipe' may write or unpipe already.
    or_rethrow(dest.get().emit(WriteEvent::Pipe(source)));
    if dest.get().needs_drain() {
        pipe.pause(source, dest);
    } else if !source.get().has(FLOWING) {
        source.get().resume();
    }
}

pub(crate) fn unpipe(source: &Readable, dest: &Writable) {
    let is_to = |pipe: &Rc<Pipe>| pipe.dest().as_ref() == Some(dest);
    let found = source.with_pipes(|pipes| {
        let index = pipes.to.iter().position(is_to)?;
        let pipe = pipes.to.remove(index);
        Some((pipe, pipes.to.is_empty()))
    });
    if let Some((pipe, was_last)) = found {
        // Node pauses the source before it emits 'unpipe'.
        if was_last {
            source.get().pause();
        }
        pipe.break_up(source, dest);
        or_rethrow(dest.get().emit(WriteEvent::Unpipe(source)));
    }
}

pub(crate) fn unpipe_all(source: &Readable) {
    let to_dest = |pipe: &Rc<Pipe>| pipe.dest();
    // Collected first, as each `unpipe` changes the list.
    let dests: Vec<_> = source.with_pipes(|pipes| pipes.to.iter().filter_map(to_dest).collect());
    for dest in dests {
        unpipe(source, &dest);
    }
}

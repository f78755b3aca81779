//! `src.pipe(dest)`: all that one end reads is written to another, no faster than that one takes it.

use super::Socket;
use super::ends::{Readable, WeakReadable, WeakWritable, Writable};
use crate::events::ListenerId;
use crate::stream::ReadStream;
use crate::thrown::or_rethrow;
use std::rc::Rc;

/// To where something is piped, and who of those wants no more for now.
#[derive(Default)]
pub(crate) struct Pipes {
    to: Vec<Rc<Pipe>>,
    awaited: Vec<Rc<Pipe>>,
}

impl Pipes {
    /// Something was told as 'data' after all, so nobody is waited for.
    pub(crate) fn forget_awaited(&mut self) {
        self.awaited.clear();
    }

    pub(super) fn is_piped(&self) -> bool {
        !self.to.is_empty()
    }

    fn remove_awaited(&mut self, pipe: &Rc<Pipe>) {
        self.awaited.retain(|other| !Rc::ptr_eq(other, pipe));
    }
}

/// One pipe. Its ends hold it; it holds neither of them.
pub(super) struct Pipe {
    source: WeakReadable,
    dest: WeakWritable,
    listeners: std::cell::RefCell<Listeners>,
}

/// What it hears of both ends, to be taken off when it breaks.
#[derive(Default)]
struct Listeners {
    of_source: Vec<ListenerId>,
    of_dest: Vec<ListenerId>,
    drain: Option<ListenerId>,
    is_broken: bool,
}

impl Pipe {
    fn ends(&self) -> Option<(Readable, Writable)> {
        Some((self.source.upgrade()?, self.dest.upgrade()?))
    }

    fn is_broken(&self) -> bool {
        self.listeners.borrow().is_broken
    }

    /// What was read goes out; if the other end has enough, the source pauses.
    fn write(self: &Rc<Self>, bytes: &[u8]) {
        if let Some((source, dest)) = self.ends()
            && !dest.write(bytes)
        {
            self.pause(&source, &dest);
        }
    }

    fn pause(self: &Rc<Self>, source: &Readable, dest: &Writable) {
        if !self.is_broken() {
            source.with_pipes(|pipes| {
                pipes.remove_awaited(self);
                pipes.awaited.push(Rc::clone(self));
            });
            source.pause();
        }
        if self.listeners.borrow().drain.is_none() {
            let pipe = Rc::clone(self);
            let id = dest.on_drain(move || pipe.on_drain());
            self.listeners.borrow_mut().drain = Some(id);
        }
    }

    /// Once all who were waited for want more, the source goes on.
    fn on_drain(self: &Rc<Self>) {
        let Some(source) = self.source.upgrade() else {
            return;
        };
        let is_clear = source.with_pipes(|pipes| {
            pipes.remove_awaited(self);
            pipes.awaited.is_empty()
        });
        if is_clear && source.has_data_listeners() {
            source.resume();
        }
    }

    pub(super) fn unpipe(&self) {
        if let Some((source, dest)) = self.ends() {
            unpipe(&source, &dest);
        }
    }

    /// Takes all listeners off, and has the source go on if it waited for this pipe.
    fn break_up(self: &Rc<Self>, source: &Readable, dest: &Writable) {
        let listeners = std::mem::replace(
            &mut *self.listeners.borrow_mut(),
            Listeners {
                is_broken: true,
                ..Listeners::default()
            },
        );
        for id in listeners.of_dest.into_iter().chain(listeners.drain) {
            dest.off(id);
        }
        for id in listeners.of_source {
            source.off(id);
        }
        let was_awaited = source.with_pipes(|pipes| !pipes.awaited.is_empty());
        if listeners.drain.is_some() && was_awaited && dest.waits_for_drain() {
            self.on_drain();
        }
    }
}

fn pipe(source: &Readable, dest: &Writable, ends_dest: bool) {
    let ends_dest = ends_dest && !dest.is_standard();
    let pipe = Rc::new(Pipe {
        source: source.downgrade(),
        dest: dest.downgrade(),
        listeners: Default::default(),
    });
    source.with_pipes(|pipes| pipes.to.push(Rc::clone(&pipe)));
    let at_end = Rc::clone(&pipe);
    let on_end = move || match at_end.dest.upgrade() {
        Some(dest) if ends_dest => dest.end(),
        Some(_) => at_end.unpipe(),
        None => {}
    };
    let mut listeners = Listeners::default();
    if source.is_readable_ended() {
        source.next_call(on_end);
    } else {
        listeners.of_source.push(source.once_end(on_end));
    }
    let at_data = Rc::clone(&pipe);
    let id = source.on_data(move |bytes| at_data.write(bytes));
    listeners.of_source.push(id);
    listeners.of_dest = dest.listen(&pipe);
    *pipe.listeners.borrow_mut() = listeners;
    or_rethrow(dest.tell_pipe(source));
    if dest.needs_drain() {
        pipe.pause(source, dest);
    } else if !source.is_flowing() {
        source.resume();
    }
}

fn unpipe(source: &Readable, dest: &Writable) {
    let is_to = |pipe: &Rc<Pipe>| pipe.dest.upgrade().as_ref() == Some(dest);
    let found = source.with_pipes(|pipes| {
        let index = pipes.to.iter().position(is_to)?;
        let pipe = pipes.to.remove(index);
        Some((pipe, pipes.to.is_empty()))
    });
    if let Some((pipe, was_last)) = found {
        if was_last {
            source.pause();
        }
        pipe.break_up(source, dest);
        or_rethrow(dest.tell_unpipe(source));
    }
}

fn unpipe_all(source: &Readable) {
    let to_dest = |pipe: &Rc<Pipe>| pipe.dest.upgrade();
    let dests: Vec<_> = source.with_pipes(|pipes| pipes.to.iter().filter_map(to_dest).collect());
    for dest in dests {
        unpipe(source, &dest);
    }
}

/// Node's `readable.pipe` and its like, for what can be read.
macro_rules! pipes {
    ($readable:ident) => {
        impl $readable {
            /// Writes all that this reads to a socket or a stream, and ends that one when this one has ended;
            /// not the standard output. While the other one has enough to write, this one is paused. Gives the
            /// other one.
            ///
            /// # Panics
            /// When a listener of 'pipe' throws, with what it throws.
            pub fn pipe<'a, D: Clone + Into<Writable>>(&self, dest: &'a D) -> &'a D {
                pipe(&self.clone().into(), &dest.clone().into(), true);
                dest
            }

            #[doc = concat!("Like [`", stringify!($readable), "::pipe`], but leaves the other one open when")]
            /// this one has ended.
            ///
            /// # Panics
            #[doc = concat!("As [`", stringify!($readable), "::pipe`].")]
            pub fn pipe_and_keep_open<'a, D: Clone + Into<Writable>>(&self, dest: &'a D) -> &'a D {
                pipe(&self.clone().into(), &dest.clone().into(), false);
                dest
            }

            /// Ends a pipe, and pauses this if it was the last one. The other one stays open.
            ///
            /// # Panics
            /// When a listener of 'unpipe' or 'pause' throws, with what it throws.
            pub fn unpipe<D: Clone + Into<Writable>>(&self, dest: &D) -> &Self {
                unpipe(&self.clone().into(), &dest.clone().into());
                self
            }

            /// Ends all pipes of this, and pauses it.
            ///
            /// # Panics
            #[doc = concat!("As [`", stringify!($readable), "::unpipe`].")]
            pub fn unpipe_all(&self) -> &Self {
                unpipe_all(&self.clone().into());
                self
            }
        }
    };
}

pipes!(ReadStream);
pipes!(Socket);

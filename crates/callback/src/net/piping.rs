//! `src.pipe(dest)`: all that one socket reads is written to another, no faster than that one takes it.

use super::event;
use super::flags::*;
use super::socket::{Socket, WeakSocket};
use crate::events::ListenerId;
use crate::thrown::{Thrown, or_rethrow};
use std::rc::Rc;

/// To where a socket is piped, and who of those wants no more for now.
#[derive(Default)]
pub(super) struct Pipes {
    to: Vec<Rc<Pipe>>,
    awaited: Vec<Rc<Pipe>>,
}

impl Pipes {
    /// Something was told as 'data' after all, so nobody is waited for.
    pub(super) fn forget_awaited(&mut self) {
        self.awaited.clear();
    }

    fn remove_awaited(&mut self, pipe: &Rc<Pipe>) {
        self.awaited.retain(|other| !Rc::ptr_eq(other, pipe));
    }
}

/// One pipe. Its ends hold it; it holds neither of them.
struct Pipe {
    source: WeakSocket,
    dest: WeakSocket,
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
    fn ends(&self) -> Option<(Socket, Socket)> {
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

    fn pause(self: &Rc<Self>, source: &Socket, dest: &Socket) {
        if !self.is_broken() {
            source.with_rare(|rare| {
                rare.pipes.remove_awaited(self);
                rare.pipes.awaited.push(Rc::clone(self));
            });
            source.pause();
        }
        if self.listeners.borrow().drain.is_none() {
            let pipe = Rc::clone(self);
            let id = dest
                .inner
                .events
                .on(event::Drain, move |_: Socket| pipe.on_drain());
            self.listeners.borrow_mut().drain = Some(id);
        }
    }

    /// Once all who were waited for want more, the source goes on.
    fn on_drain(self: &Rc<Self>) {
        let Some(source) = self.source.upgrade() else {
            return;
        };
        let is_clear = source.with_rare(|rare| {
            rare.pipes.remove_awaited(self);
            rare.pipes.awaited.is_empty()
        });
        if is_clear && source.inner.flags.has(DATA_LISTENING) {
            source.resume();
        }
    }

    fn unpipe(&self) {
        if let Some((source, dest)) = self.ends() {
            source.unpipe(&dest);
        }
    }

    /// Takes all listeners off, and has the source go on if it waited for this pipe.
    fn break_up(self: &Rc<Self>, source: &Socket, dest: &Socket) {
        let listeners = std::mem::replace(
            &mut *self.listeners.borrow_mut(),
            Listeners {
                is_broken: true,
                ..Listeners::default()
            },
        );
        for id in listeners.of_dest.into_iter().chain(listeners.drain) {
            dest.inner.events.off(id);
        }
        for id in listeners.of_source {
            source.off(id);
        }
        let was_awaited = source
            .rare(|rare| Some(!rare.pipes.awaited.is_empty()))
            .unwrap_or(false);
        if listeners.drain.is_some() && was_awaited && dest.inner.flags.has(NEED_DRAIN) {
            self.on_drain();
        }
    }
}

impl Socket {
    /// Writes all that this socket reads to another one, or back to itself, and ends that one when this
    /// one has ended. While the other one has enough to send, this one is paused. Gives the other one.
    ///
    /// # Panics
    /// When a listener of 'pipe' throws, with what it throws.
    pub fn pipe<'a>(&self, dest: &'a Socket) -> &'a Socket {
        self.pipe_with(dest, true)
    }

    /// Like [`Socket::pipe`], but leaves the other one open when this one has ended.
    ///
    /// # Panics
    /// As [`Socket::pipe`].
    pub fn pipe_and_keep_open<'a>(&self, dest: &'a Socket) -> &'a Socket {
        self.pipe_with(dest, false)
    }

    fn pipe_with<'a>(&self, dest: &'a Socket, ends_dest: bool) -> &'a Socket {
        let pipe = Rc::new(Pipe {
            source: self.downgrade(),
            dest: dest.downgrade(),
            listeners: Default::default(),
        });
        self.with_rare(|rare| rare.pipes.to.push(Rc::clone(&pipe)));
        let at_end = Rc::clone(&pipe);
        let on_end = move |socket: &Socket| match at_end.dest.upgrade() {
            Some(dest) if ends_dest => drop(dest.end()),
            Some(dest) => drop(socket.unpipe(&dest)),
            None => {}
        };
        let mut listeners = Listeners::default();
        if self.is_readable_ended() {
            self.next_call(move |socket| {
                on_end(socket);
                Ok(())
            });
        } else {
            let id = self
                .inner
                .events
                .once(event::End, move |socket: Socket| on_end(&socket));
            listeners.of_source.push(id);
        }
        let at_data = Rc::clone(&pipe);
        let id = self.on(event::Data, move |(_, bytes)| at_data.write(bytes));
        listeners.of_source.push(id);
        listeners.of_dest = listen_to(dest, &pipe);
        *pipe.listeners.borrow_mut() = listeners;
        or_rethrow(dest.emit(event::Pipe, (dest.clone(), self.clone())));
        if dest.needs_drain() {
            pipe.pause(self, dest);
        } else if !self.inner.flags.has(FLOWING) {
            self.resume();
        }
        dest
    }

    /// Ends a pipe, and pauses this socket if it was the last one. The other one stays open.
    ///
    /// # Panics
    /// When a listener of 'unpipe' or 'pause' throws, with what it throws.
    pub fn unpipe(&self, dest: &Socket) -> &Self {
        let is_to = |pipe: &Rc<Pipe>| pipe.dest.upgrade().as_ref() == Some(dest);
        let found = self.with_rare(|rare| {
            let index = rare.pipes.to.iter().position(is_to)?;
            let pipe = rare.pipes.to.remove(index);
            Some((pipe, rare.pipes.to.is_empty()))
        });
        if let Some((pipe, was_last)) = found {
            if was_last {
                self.pause();
            }
            pipe.break_up(self, dest);
            or_rethrow(dest.emit(event::Unpipe, (dest.clone(), self.clone())));
        }
        self
    }

    /// Ends all pipes of this socket, and pauses it.
    ///
    /// # Panics
    /// As [`Socket::unpipe`].
    pub fn unpipe_all(&self) -> &Self {
        let dests: Vec<_> = self
            .rare(|rare| {
                Some(
                    rare.pipes
                        .to
                        .iter()
                        .filter_map(|pipe| pipe.dest.upgrade())
                        .collect(),
                )
            })
            .unwrap_or_default();
        for dest in dests {
            self.unpipe(&dest);
        }
        self
    }
}

/// A pipe ends when its other end closes, has finished or has failed.
fn listen_to(dest: &Socket, pipe: &Rc<Pipe>) -> Vec<ListenerId> {
    let (at_error, at_close, at_finish) = (Rc::clone(pipe), Rc::clone(pipe), Rc::clone(pipe));
    let events = &dest.inner.events;
    vec![
        events.prepend(event::Error, move |(dest, error)| {
            at_error.unpipe();
            // Heard by the pipe alone, it is as if nobody had: it is thrown.
            if dest.listener_count(event::Error) == 0 {
                return Err(Thrown::from(error.clone()));
            }
            Ok(())
        }),
        events.once(event::Close, move |_: (Socket, bool)| at_close.unpipe()),
        events.once(event::Finish, move |_: Socket| at_finish.unpipe()),
    ]
}

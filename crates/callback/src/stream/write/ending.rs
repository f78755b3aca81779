//! How writing ends: by itself, by an error, or because the stream is given up.

use super::{Ending, WriteStream};
use crate::continuation::{self, Then};
use crate::error::Error;
use crate::events::Event;
use crate::stream::Life;
use crate::stream::event::{Finish, WriteClose, WriteError};
use crate::thrown::{Outcome, Thrown};
use oneloop_net::{StdioKind, WriteHalf};
use std::io;

impl WriteStream {
    /// Writes what waits, and then the end: 'finish' tells of it, and then comes 'close'. A standard output
    /// tells both as well, but stays open and can be written on, as in Node.
    pub fn end(&self) -> &Self {
        self.end_stream(None);
        self
    }

    /// Writes bytes, and then the end.
    pub fn end_with(&self, bytes: impl AsRef<[u8]>) -> &Self {
        self.write(bytes);
        self.end()
    }

    /// Like [`WriteStream::end`], and calls a function at 'finish', or with why there is none. As in Node, it
    /// is not called if the stream was given up before without an error, and nothing was to be written.
    pub fn end_then<O: Outcome>(
        &self,
        finished: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) -> &Self {
        self.end_stream(Some(continuation::then(finished)));
        self
    }

    /// Node's `Writable.end`.
    fn end_stream(&self, then: Option<Then>) {
        let inner = &self.inner;
        let error = match (inner.ending.get(), inner.life.get()) {
            (Ending::Finished, _) => Error::new(
                "ERR_STREAM_ALREADY_FINISHED",
                "Cannot call end after a stream was finished",
            ),
            (_, Life::Open) => {
                inner.at_finish.borrow_mut().extend(then);
                inner.ending.set(Ending::Ended);
                return self.write_soon();
            }
            (Ending::Not, life) if !inner.has_failed.get() => {
                inner.ending.set(Ending::Ended);
                if life == Life::Destroyed {
                    inner.at_finish.borrow_mut().extend(then); // heard if what waits fails after this
                }
                return;
            }
            _ => Error::stream_destroyed("end"),
        };
        if let Some(then) = then {
            self.next_tick(move || then(Err(error)));
        }
    }

    /// All is written: tells so, and closes it.
    pub(super) async fn finish(&self) {
        let inner = &self.inner;
        if let Ok(output) = self.opened() {
            let _ = output.end(); // a peer that has reset the connection needs no end
        }
        inner.needs_drain.set(false);
        inner.ending.set(Ending::Finished);
        let thens = inner.at_finish.take();
        inner.runtime.make_callback(|| {
            for then in thens {
                then(Ok(()))?;
            }
            inner.events.emit(Finish, self.clone()).map(drop)
        });
        if self.is_standard() {
            inner.ending.set(Ending::Not);
            let tell = || inner.events.emit(WriteClose, self.clone()).map(drop);
            inner.runtime.make_callback(tell);
        } else if inner.life.get() == Life::Open {
            self.close(None).await;
        }
    }

    /// A write failed, or has ended after the stream was given up: whoever waits hears of it, and so does
    /// 'error'. It is the end, but of a standard output.
    pub(super) async fn fail(&self, error: Error) {
        let reason = self.inner.reason.take().unwrap_or_else(|| error.clone());
        let first = self.take_first();
        let writes = self.forget_waiting();
        let ends = self.inner.at_finish.take();
        self.inner.runtime.make_callback(|| {
            let tell = |then: Then| then(Err(reason.clone()));
            first.map_or(Ok(()), |first| first(Err(error)))?;
            writes.into_iter().chain(ends).try_for_each(tell)
        });
        if self.is_standard() {
            let tell = || self.emit(WriteError, (self.clone(), &reason));
            self.inner.runtime.make_callback(tell);
        } else {
            self.close(Some(reason)).await;
        }
    }

    /// The same, told behind what runs now. Once it is destroyed, only the caller is told.
    pub(super) fn fail_soon(&self, error: Error, then: Option<Then>) {
        if self.is_standard() {
            let stream = self.clone();
            return self.next_tick(move || {
                then.map_or(Ok(()), |then| then(Err(error.clone())))?;
                stream.emit(WriteError, (stream.clone(), &error))
            });
        }
        if let Some(then) = then {
            let error = error.clone();
            self.next_tick(move || then(Err(error)));
        }
        self.destroy_for(Some(error));
    }

    /// In Node's words, which are others for a file.
    pub(super) fn error(&self, error: io::Error) -> Error {
        match self.kind() {
            Ok(StdioKind::File) => Error::file("write", error, None, None),
            _ => Error::system("write", error),
        }
    }

    /// Drops what waits, and gives who is to hear of that.
    fn forget_waiting(&self) -> Vec<Then> {
        let lost = self.inner.waiting.take();
        self.inner.waiting_bytes.set(0);
        self.inner.needs_drain.set(false);
        lost.into_iter().filter_map(|lost| lost.then).collect()
    }

    /// Drops what waits. Who is to hear of that does so behind what runs now, with who calls `end` until
    /// then: Node's `errorBuffer`.
    fn forget_soon(&self, reason: Option<&Error>) {
        let is_idle = self.inner.waiting.borrow().is_empty();
        let writes = self.forget_waiting();
        if is_idle && self.inner.at_finish.borrow().is_empty() {
            return;
        }
        let because = |what| {
            let destroyed = || Error::stream_destroyed(what);
            reason.cloned().unwrap_or_else(destroyed)
        };
        let (of_write, of_end) = (because("write"), because("end"));
        let stream = self.clone();
        self.next_tick(move || {
            let tell_end = |then: Then| then(Err(of_end.clone()));
            let tell_write = |then: Then| then(Err(of_write.clone()));
            writes.into_iter().try_for_each(tell_write)?;
            let ends = stream.inner.at_finish.take();
            ends.into_iter().try_for_each(tell_end)
        });
    }

    pub(super) fn emit<E: Event>(&self, event: E, args: E::Args<'_>) -> Result<(), Thrown> {
        self.inner.events.emit(event, args).map(drop)
    }

    /// Gives it up: what waits is dropped, and 'close' comes; of a file, what a thread is at is written, and
    /// 'error' tells that more was to be. A standard output stays open, and what waits for it is written.
    pub fn destroy(&self) -> &Self {
        self.destroy_for(None)
    }

    /// Gives it up for an error, of which 'error' tells before 'close' comes.
    pub fn destroy_with(&self, error: impl Into<Error>) -> &Self {
        self.destroy_for(Some(error.into()))
    }

    fn destroy_for(&self, error: Option<Error>) -> &Self {
        if self.inner.life.get() != Life::Open || self.is_standard() {
            return self;
        }
        self.inner.life.set(Life::Destroyed);
        self.inner.has_failed.set(error.is_some());
        if self.has_thread() {
            self.inner.reason.replace(error); // `write_waiting` goes on with it
            return self;
        }
        self.forget_soon(error.as_ref());
        if self.inner.output.is_opening() {
            self.inner.reason.replace(error); // `open` goes on with it
        } else {
            self.inner.runtime.handle.spawn_detached(self.close(error));
        }
        self.wake_writer();
        self
    }

    /// True while a thread writes to the file: what it is at is waited for, as in Node.
    fn has_thread(&self) -> bool {
        let output = &self.inner.output;
        output.is_file() && !output.is_opening() && !self.inner.waiting.borrow().is_empty()
    }

    /// Closes it now. The future tells so, and why, if it is for an error.
    pub(super) fn close(&self, error: Option<Error>) -> impl Future<Output = ()> + 'static {
        let stream = self.clone();
        self.inner.life.set(Life::Destroyed);
        if error.is_some() {
            self.inner.has_failed.set(true);
        }
        let closed = self.inner.output.close(&self.inner.runtime);
        async move {
            let tell_error = || match &error {
                Some(error) => stream.emit(WriteError, (stream.clone(), error)),
                None => Ok(()),
            };
            let tell_close = || {
                stream.inner.life.set(Life::Closed);
                let unheard = stream.inner.at_finish.take();
                drop(unheard);
                stream.emit(WriteClose, stream.clone())
            };
            closed
                .tell(&stream.inner.runtime, tell_error, tell_close)
                .await;
        }
    }
}

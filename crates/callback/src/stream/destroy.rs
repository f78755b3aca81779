//! What every stream has, and how it is destroyed: Node's `lib/internal/streams/destroy.js`.

use super::flags::*;
use crate::error::Error;
use crate::runtime::{Runtime, Step};
use crate::thrown::Thrown;
use std::any::Any;
use std::rc::Rc;

/// A stream of any kind. Clones are the same stream.
///
/// ```text
/// open ──destroy, an error──▶ DESTROYED ──close──▶ CLOSED ──'error', 'close'──▶ CLOSE_EMITTED
/// ```
///
/// The first error wins: it is the one that `errored` returns, that 'error' emits, and that fails
/// the writes that wait. `destroy` closes the file descriptor at once, but listeners never run on
/// the caller's stack.
pub(crate) trait Stream: Clone + 'static {
    fn runtime(&self) -> &Rc<Runtime>;

    fn flags(&self) -> &Flags;

    /// True after 'close', if it was the last event: no callback is called any more.
    fn has_ended(&self) -> bool;

    /// The error that destroyed the stream.
    fn first_error(&self) -> Option<Error>;

    fn store_first_error(&self, error: Error);

    /// Node's `_destroy`: closes what the stream reads or writes, and reports it by 'error' and
    /// 'close'.
    fn close(&self, error: Option<Error>);

    fn emit_error_event(&self, error: &Error) -> Result<(), Thrown>;

    /// Fails, in a tick, the writes and the ends that wait. Only a writable half has any.
    fn fail_buffered_soon(&self) {}

    /// Ends the writable half of a stream that must not stay half-open.
    fn end_writable(&self) {}

    /// What the clones of the stream share.
    fn shared(&self) -> Rc<dyn Any>;

    /// The stream with these shared parts.
    fn of(shared: Rc<dyn Any>) -> Self;

    /// Runs a [`step!`] in the next tick. The stream's own steps are most of a server's ticks: one
    /// is a pointer to the stream and one to the function, and no allocation.
    fn next_step(&self, step: Step) {
        self.runtime().next_step(self.shared(), step);
    }

    /// Runs a step that captures something in the next tick.
    fn next_call(&self, step: impl FnOnce(&Self) -> Result<(), Thrown> + 'static) {
        self.runtime().next_call(self, step);
    }

    /// Remembers the first error.
    fn note_error(&self, error: &Error) {
        // Later errors are mostly results of the first one.
        if !self.flags().test_and_set(ERRORED) {
            self.store_first_error(error.clone());
        }
    }

    /// Node's `destroy`. Only the first call counts.
    fn destroy_for(&self, error: Option<Error>) {
        if self.flags().has(DESTROYED) {
            return;
        }
        // Node queues `errorBuffer` before `_destroy`: callbacks of writes run ahead of 'error'.
        self.fail_buffered_soon();
        if let Some(error) = &error {
            self.note_error(error);
        }
        self.flags().set(DESTROYED);
        self.close(error);
    }

    /// Node's `errorOrDestroy`. A stream that is destroyed already has nothing more to report.
    fn error_or_destroy(&self, error: Error) {
        self.destroy_for(Some(error));
    }

    /// Emits 'error', once in the stream's life.
    fn emit_error(&self, error: &Error) -> Result<(), Thrown> {
        if self.flags().test_and_set(ERROR_EMITTED) {
            return Ok(());
        }
        self.emit_error_event(error)
    }
}

/// A function of `&Self` as a step that runs in a later tick, for [`Stream::next_step`].
macro_rules! step {
    ($step:expr) => {
        |shared| {
            let step: fn(&Self) -> Result<(), crate::thrown::Thrown> = $step;
            step(&Self::of(shared))
        }
    };
}
pub(crate) use step;

/// The part of [`Stream`] that is the same for each kind: its clones share an `inner`, which holds
/// the runtime and the flags.
macro_rules! shares_inner {
    ($stream:ident) => {
        fn runtime(&self) -> &Rc<Runtime> {
            &self.inner.runtime
        }

        fn flags(&self) -> &Flags {
            &self.inner.flags
        }

        fn has_ended(&self) -> bool {
            self.inner.events.is_ended()
        }

        fn shared(&self) -> Rc<dyn std::any::Any> {
            Rc::clone(&self.inner) as _
        }

        fn of(shared: Rc<dyn std::any::Any>) -> Self {
            let inner = shared.downcast().expect("a stream gets its own steps");
            $stream { inner }
        }
    };
}
pub(crate) use shares_inner;

/// The identity of a stream: clones are equal, and nothing else is.
macro_rules! stream_identity {
    ($stream:ident of $inner:ident) => {
        $crate::tables::identity!($stream);

        impl $crate::stream::piping::StreamInner for $inner {
            type Stream = $stream;

            fn into_stream(self: Rc<Self>) -> $stream {
                $stream { inner: self }
            }
        }
    };
}
pub(crate) use stream_identity;

//! The ways in which a socket ends: `destroy`, `destroy_soon`, a reset, an abort.

use super::event;
use super::socket::Socket;
use crate::abort::AbortSignal;
use crate::error::Error;
use crate::stream::destroy::{Stream, step};
use crate::stream::flags::*;

impl Socket {
    /// Closes the connection at once: drops what waits in both directions, and emits 'close' in the
    /// closing phase.
    #[doc(alias = "uv_close")]
    pub fn destroy(&self) -> &Self {
        self.destroy_for(None);
        self
    }

    /// Closes the connection for an error, which 'error' reports in the next tick.
    pub fn destroy_with(&self, error: impl Into<Error>) -> &Self {
        self.destroy_for(Some(error.into()));
        self
    }

    /// Node's `Socket.prototype._destroy`, and the callback of its `destroy`.
    pub(super) fn close_for(&self, error: Option<Error>) {
        let flags = &self.inner.flags;
        flags.clear(CONNECTING);
        self.clear_timeout();
        let had_handle = self.close_handle(error.is_some());
        flags.set(CLOSED);
        let closes_due = &self.inner.closes_due;
        closes_due.set(closes_due.get() + 1);
        // A tick sets Node's `closeEmitted` (`emitCloseNT`), though net.js has 'close' emitted by
        // its handle, in the closing phase.
        match error {
            Some(error) => self.next_call(move |socket| {
                socket.emit_error(&error)?;
                socket.inner.flags.set(CLOSE_EMITTED);
                Ok(())
            }),
            None => self.next_step(step!(|socket| {
                socket.inner.flags.set(CLOSE_EMITTED);
                Ok(())
            })),
        }
        // net.js `_destroy`: without a handle there is no closing phase to wait for.
        if !had_handle {
            self.next_step(step!(|socket| socket.emit_closed(false)));
        }
        // Last, as in net.js: this may let the server emit 'close'.
        self.leave_server();
    }

    /// Closes the handle, which emits 'close'. Returns false if there is none.
    fn close_handle(&self, with_error: bool) -> bool {
        let Some(handle) = self.take_handle() else {
            return false;
        };
        if !self.inner.flags.has(RESET_AND_CLOSING) {
            handle.close(self, Some(with_error));
            return true;
        }
        self.inner.flags.clear(RESET_AND_CLOSING);
        if let Err(error) = handle.close_with_reset(self, with_error) {
            // net.js emits this 'error' and forgets the handle, which would stay open.
            let error = Error::system("reset", error);
            self.next_call(move |socket| {
                socket
                    .emit(event::Error, (socket.clone(), &error))
                    .map(drop)
            });
            handle.close(self, Some(with_error));
        }
        true
    }

    /// Ends the stream, and destroys the socket once everything is written: Node's `destroySoon`.
    /// After [`end`](Socket::end), the socket stays open until the peer ends, too; so this is how a
    /// server gets rid of a client that may not.
    pub fn destroy_soon(&self) {
        if self.is_writable() {
            self.end();
        }
        if self.is_writable_finished() {
            self.destroy();
        } else {
            self.inner.events.once(event::Finish, |socket: Socket| {
                socket.destroy();
            });
        }
    }

    /// Closes a TCP connection with a reset, so the peer's read fails; a socket that is connecting
    /// does so once it is connected. While an `end()` is under way, no reset is possible: 'error'
    /// reports `reset EINVAL`, as in Node, and 'close' follows, which Node omits.
    ///
    /// # Errors
    /// `ERR_INVALID_HANDLE_TYPE` for a Unix socket.
    pub fn reset_and_destroy(&self) -> Result<&Self, Error> {
        let addr = self.current_attempt().or_else(|| self.local_addr());
        if !self.has_handle() {
            self.destroy_with(Error::new("ERR_SOCKET_CLOSED", "Socket is closed"));
        } else if addr.is_some_and(|addr| addr.inet().is_none()) {
            let message = "This handle type cannot be sent";
            return Err(Error::new("ERR_INVALID_HANDLE_TYPE", message));
        } else if self.is_connecting() {
            self.inner.events.once(event::Connect, |socket: Socket| {
                socket.reset();
            });
        } else {
            self.reset();
        }
        Ok(self)
    }

    fn reset(&self) {
        self.inner.flags.set(RESET_AND_CLOSING);
        self.destroy();
    }

    /// Destroys the socket when a signal is aborted.
    pub(super) fn destroy_on_abort(&self, signal: &AbortSignal) {
        // Weak: a signal must not keep a closed socket in memory.
        let socket = self.downgrade();
        let listening = signal.call_when_aborted(move || {
            if let Some(socket) = socket.upgrade() {
                socket.inner.flags.set(ABORTED);
                socket.destroy_with(Error::abort());
            }
        });
        let Some(listening) = listening else { return };
        // Or a signal that outlives its sockets would collect a listener for each.
        let signal = signal.clone();
        self.inner
            .events
            .once(event::Close, move |_: (Socket, bool)| signal.off(listening));
    }
}

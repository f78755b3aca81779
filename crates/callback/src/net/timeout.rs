//! The timeout of a socket: 'timeout' after some time without I/O.

use super::event;
use super::socket::Socket;
use crate::continuation::once;
use crate::milliseconds::Milliseconds;
use crate::stream::destroy::Stream;
use crate::stream::flags::*;
use crate::thrown::{IntoResult, Thrown};

impl Socket {
    /// Emits 'timeout' after `ms` milliseconds without I/O; 0 turns it off. The socket stays open:
    /// a listener may end it.
    pub fn set_timeout(&self, ms: impl Milliseconds) -> &Self {
        let ms = ms.to_ms();
        if self.is_destroyed() {
            return self;
        }
        self.clear_timeout();
        if ms != 0.0 {
            self.inner.flags.set(HAS_TIMEOUT);
            self.with_rare(|rare| rare.timeout_ms = ms);
            self.begin_timeout();
        }
        self
    }

    /// Like [`Socket::set_timeout`], and calls a function at the next 'timeout': Node's
    /// `socket.setTimeout(ms, callback)`. With 0, or once the socket is destroyed, the function is
    /// never called.
    ///
    /// ```
    /// use oneloop::callback::{net, run};
    ///
    /// run(|| {
    ///     let server = net::create_server(|socket| {
    ///         socket.set_timeout_then(20, |socket| {
    ///             socket.write("too late\n");
    ///             socket.destroy_soon();
    ///         });
    ///         socket.resume();
    ///     });
    ///     server.listen_then(("127.0.0.1", 0), |server| {
    ///         let idle = net::connect(("127.0.0.1", server.port().expect("it listens")))?;
    ///         idle.on_data(|_, bytes| assert_eq!(bytes, b"too late\n"));
    ///         server.close();
    ///         Ok::<_, net::Error>(())
    ///     })
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_timeout_then<O: IntoResult>(
        &self,
        ms: impl Milliseconds,
        timed_out: impl FnOnce(Socket) -> O + 'static,
    ) -> &Self {
        self.set_timeout(ms);
        if self.inner.flags.has(HAS_TIMEOUT) {
            self.once(event::Timeout, timed_out);
        }
        self
    }

    fn begin_timeout(&self) {
        // The timer keeps the socket alive until `destroy`, which clears it.
        let socket = self.clone();
        let ms = self.with_rare(|rare| rare.timeout_ms);
        let timed_out = once(move || socket.on_timed_out());
        let timeout = self.runtime().timers.start_once(timed_out, ms);
        // As in Node, a timeout does not keep the program alive.
        self.runtime().timers.set_referenced(timeout, false);
        self.with_rare(|rare| rare.timeout = Some(timeout));
    }

    /// The timeout in milliseconds, if one is set.
    pub fn timeout_ms(&self) -> Option<f64> {
        let is_on = self.inner.flags.has(HAS_TIMEOUT);
        self.rare(|rare| is_on.then_some(rare.timeout_ms))
    }

    pub(super) fn clear_timeout(&self) {
        if self.inner.flags.has(HAS_TIMEOUT) {
            self.inner.flags.clear(HAS_TIMEOUT);
            if let Some(timeout) = self.with_rare(|rare| rare.timeout.take()) {
                self.runtime().timers.clear(timeout);
            }
        }
    }

    /// Restarts the timeout after activity.
    pub(super) fn postpone_timeout(&self) {
        if self.inner.flags.has(HAS_TIMEOUT) {
            // `refresh` reuses the timer: net.js does it for each chunk, too.
            match self.rare(|rare| rare.timeout) {
                Some(timeout) => self.runtime().timers.refresh(timeout),
                None => self.begin_timeout(),
            }
        }
    }

    /// Remembers the size of the handle's write queue in bytes.
    pub(super) fn note_queue(&self, bytes: usize) {
        if self.inner.flags.has(HAS_TIMEOUT) {
            self.with_rare(|rare| rare.last_queue_bytes = bytes);
        }
    }

    fn on_timed_out(&self) -> Result<(), Thrown> {
        let before = self.with_rare(|rare| {
            rare.timeout = None;
            rare.last_queue_bytes
        });
        if let Some(handle) = self.handle().filter(|_| before > 0) {
            let now = handle.write_queue_bytes();
            if now != before {
                // The peer reads, if slowly: that is activity, as in net.js (`_onTimeout`).
                self.note_queue(now);
                self.postpone_timeout();
                return Ok(());
            }
        }
        self.emit(event::Timeout, self.clone()).map(drop)
    }
}

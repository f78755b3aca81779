//! The signals that stop the server: the first one drains it, a second one stops it at once.

use oneloop::Handle;
use oneloop::core::{Phase, Signals};
use oneloop::signal::number::{SIGINT, SIGTERM};
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tracing::info;

/// How long after a stop request a signal counts as a repetition of it. A terminal sends SIGINT to
/// its whole process group, and a wrapper in that group, such as make or npm, passes its own copy
/// on, or a SIGTERM, a few milliseconds later.
const REPEAT: Duration = Duration::from_millis(500);

/// The signals that ask the server to stop.
#[derive(Debug)]
pub(crate) struct StopRequests {
    handle: Handle,
    signals: Signals,
}

impl StopRequests {
    /// Listens for the signals from now on.
    pub(crate) fn listen(handle: &Handle) -> io::Result<Self> {
        Ok(StopRequests {
            handle: handle.clone(),
            signals: Signals::new(handle, &[SIGTERM, SIGINT])?,
        })
    }

    /// Waits for the first request; returns the signal's number.
    pub(crate) async fn first(&self) -> i32 {
        self.next().await
    }

    /// Waits for a second request, from the moment of the first; returns the signal's number.
    /// Signals within [`REPEAT`] belong to the first request.
    pub(crate) async fn second(&self) -> i32 {
        // One future for the whole wait: a repetition must not extend the window.
        let mut over = pin!(async {
            self.handle.sleep(REPEAT).await;
            // A signal that came in time, but while the loop was busy, is found by the next poll.
            self.handle.phase(Phase::Check).await;
        });
        loop {
            let mut next = pin!(self.next());
            let repeated = poll_fn(|cx| match next.as_mut().poll(cx) {
                Poll::Ready(signal) => Poll::Ready(Some(signal)),
                Poll::Pending => over.as_mut().poll(cx).map(|()| None),
            });
            match repeated.await {
                Some(signal) => info!(
                    signal,
                    "two signals within {REPEAT:?}, which counts once: signal again to stop at once"
                ),
                None => return self.next().await,
            }
        }
    }

    /// Keeps the handlers of the signals until the process is gone. A repetition while the server
    /// ends would otherwise kill it, and the exit code would be the signal's.
    pub(crate) fn outlive_the_server(self) {
        mem::forget(self);
    }

    async fn next(&self) -> i32 {
        self.signals.recv().await.unwrap_or(SIGTERM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, raise};
    use oneloop::{EventLoop, Options};
    use std::task::{Context, Waker};

    #[test]
    fn a_repetition_that_comes_in_time_to_a_busy_loop_counts_as_one_request() {
        let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
        let handle = event_loop.handle();
        let stop = StopRequests::listen(&handle).unwrap();
        event_loop.block_on(async {
            let mut second = pin!(stop.second());
            let polled = second
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            handle.phase(Phase::Check).await; // the timers come next, and the poll after them
            raise(Signal::SIGINT).unwrap();
            handle.clock().advance(2 * REPEAT);
            let repeated = handle.timeout(REPEAT, second.as_mut()).await;
            assert!(repeated.is_err(), "{repeated:?}");
            raise(Signal::SIGINT).unwrap();
            assert_eq!(second.await, SIGINT);
        });
    }
}

//! Waiting for a future, up to a timeout.

use crate::operations::sleep::Sleep;
use crate::state::Handle;
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The timeout passed before the future was ready: see [`Handle::timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias("TimedOut", "TimeoutError"))]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}
impl std::error::Error for Elapsed {}
impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

pin_project! {
    /// The future of [`Handle::timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // The future first: a late turn must not lose a result that came in time.
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

impl Handle {
    /// Waits for a future for at most this duration from now on, then returns [`Elapsed`]. If both
    /// are ready, the future wins. Cancel safe if the future is.
    #[doc(alias("wait_for", "with_timeout"))]
    pub fn timeout<F: Future>(&self, duration: Duration, future: F) -> Timeout<F> {
        let sleep = self.sleep(duration);
        Timeout { future, sleep }
    }

    /// Waits for a future until this point in time: see [`Handle::timeout`]. Cancel safe if the future
    /// is.
    pub fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Timeout<F> {
        let sleep = self.sleep_until(deadline);
        Timeout { future, sleep }
    }
}

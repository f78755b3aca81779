//! Waiting for a future, unless a second one completes first.

use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// A future that `stop` may end: it returns `None` then. If both complete in the same poll, the
    /// future wins. Cancel safe if both are.
    // A type with a pinned field, and no async block: a block would hold the future twice, once as
    // its argument.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Unless<F, S> {
        // `None` if the stop came before the future.
        #[pin]
        future: Option<F>,
        stop: S,
    }
}

impl<F, S> Unless<F, S> {
    /// Polls `future`, and then `stop`. Without a future, the output is `None` at once.
    pub fn new(future: Option<F>, stop: S) -> Self {
        Unless { future, stop }
    }
}

impl<F: Future, S: Future<Output = ()> + Unpin> Future for Unless<F, S> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else {
            return Poll::Ready(None);
        };
        // The future first: its result must not get lost.
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        Pin::new(this.stop).poll(cx).map(|()| None)
    }
}

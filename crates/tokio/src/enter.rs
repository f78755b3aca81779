//! A context whose runtime is on a second thread.

use async_compat::Compat;
use oneloop_core::{Handle, KeepAlive};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Polls and drops a future in a tokio context: what it calls finds tokio's runtime, which waits on
/// a thread of its own.
///
/// The future itself stays on the loop's thread, and may use the loop and tokio side by side. While
/// it is pending, it keeps the loop alive. Cancel safe if the future is.
///
/// ```
/// use oneloop::aio::{block_on, sleep};
/// use std::time::Duration;
/// let answer = block_on(oneloop_tokio::enter(async {
///     tokio::time::sleep(Duration::from_millis(1)).await; // as the inside of a client calls it
///     sleep(Duration::from_millis(1)).await; // the loop's own
///     tokio::spawn(async { 42 }).await
/// }));
/// assert_eq!(answer.unwrap(), 42);
/// ```
///
/// The runtime is that of the crate async-compat: one for the process, single-threaded, on the
/// thread `async-compat/tokio-1`. It starts with the first poll and never ends. In a tokio context
/// that is there already, such as that of [`block_on`](crate::block_on), it uses that one.
///
/// - What the future passes to `tokio::spawn` runs on that thread, in parallel to the loop, and does
///   not keep the loop alive.
/// - `tokio::task::block_in_place` panics there, unless the program turns async-compat's feature
///   `multi-thread` on. `tokio::task::spawn_local` panics: [`block_on`](crate::block_on) has it.
/// - A value of such a crate may need the context in its drop as well. So keep it inside of the
///   future; a value that leaves it is dropped in an `enter` of its own.
/// - A virtual clock does not see what tokio waits for: time jumps meanwhile.
///
/// # Panics
/// If tokio's runtime cannot be made for lack of fds or threads, and if the future panics.
#[doc(alias("Compat", "compat", "async-compat"))]
pub fn enter<F: Future>(future: F) -> Enter<F> {
    let future = Compat::new(future);
    let keep_alive = None;
    Enter { future, keep_alive }
}

pin_project! {
    /// The future of [`enter`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Enter<F> {
        #[pin]
        future: Compat<F>,
        // While it is pending on a loop: the loop does not see what tokio waits for.
        keep_alive: Option<KeepAlive>,
    }
}

impl<F> fmt::Debug for Enter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Enter({})", std::any::type_name::<F>())
    }
}

impl<F: Future> Future for Enter<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.keep_alive.is_none() {
            *this.keep_alive = Handle::try_current().map(|handle| handle.keep_alive());
        }
        let output = ready!(this.future.poll(cx));
        *this.keep_alive = None;
        Poll::Ready(output)
    }
}

//! Waiting for the first of several futures.

use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The output of one of two futures: see [`race`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Either<A, B> {
    /// The first future completed.
    First(A),
    /// The second future completed.
    Second(B),
}

impl<T> Either<T, T> {
    /// Returns the output, whichever future it came from.
    pub fn into_inner(self) -> T {
        match self {
            Either::First(output) | Either::Second(output) => output,
        }
    }
}

pin_project! {
    /// The future of [`race`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Race<A, B> {
        #[pin]
        first: A,
        #[pin]
        second: B,
    }
}

/// Waits for the first of two futures, and drops the other: `futures_lite::future::or`, tokio's
/// `select!` with `biased`.
///
/// ```
/// use oneloop::aio::{Either, block_on, race, sleep};
/// use std::time::Duration;
///
/// block_on(async {
///     let answer = async { 42 };
///     match race(answer, sleep(Duration::from_secs(1))).await {
///         Either::First(answer) => assert_eq!(answer, 42),
///         Either::Second(()) => panic!("no answer in time"),
///     }
/// });
/// ```
///
/// **Order.** Both futures are polled in their order, by the task that waits, so a race is
/// deterministic: if both are ready in the same poll, the first one wins. In a loop whose first
/// future is always ready, the second one never wins. List the rarer event first: the token of a
/// shutdown before the next message. Sockets pause a task that has used up its share of I/O, so a
/// busy socket does not keep the others from winning; a queue that is never empty does.
///
/// **Losers.** The future that loses is dropped before the code behind `.await` runs. If the first
/// one is ready at once, the second one is never polled. Whether something is lost with the loser
/// depends on its own cancel safety: every function of this library states it. Cancel safe if both
/// futures are.
///
/// **Panics** of either future reach the task that waits, as it unwinds; the other future is
/// dropped.
///
/// It allocates nothing. [`select!`](crate::select) is for more than two futures, and
/// [`race_all`](crate::race_all) for a collection. To limit a wait, use
/// [`timeout`](crate::timeout).
#[doc(alias = "select")]
#[doc(alias = "or")]
#[doc(alias = "Promise.race")]
pub fn race<A: Future, B: Future>(first: A, second: B) -> Race<A, B> {
    Race { first, second }
}

impl<A: Future, B: Future> Future for Race<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.first.poll(cx) {
            return Poll::Ready(Either::First(output));
        }
        this.second.poll(cx).map(Either::Second)
    }
}

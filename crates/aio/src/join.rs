//! Waiting for all of several futures, on one task.

use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A future, and then its output until that is taken.
    ///
    /// ```text
    ///  Runs ──ready──▶ Done ──take──▶ Taken
    /// ```
    #[project = ProgressProjection]
    #[project_replace = ProgressReplaced]
    enum Progress<F: Future> {
        Runs { #[pin] future: F },
        Done { output: F::Output },
        Taken,
    }
}

impl<F: Future> Progress<F> {
    fn new(future: F) -> Self {
        Progress::Runs { future }
    }

    /// Polls the future, unless it is done. Drops it once it is, while the others still run.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let ProgressProjection::Runs { future } = self.as_mut().project() {
            let output = ready!(future.poll(cx));
            self.project_replace(Progress::Done { output });
        }
        Poll::Ready(())
    }

    fn take(self: Pin<&mut Self>) -> F::Output {
        match self.project_replace(Progress::Taken) {
            ProgressReplaced::Done { output } => output,
            _ => panic!("a join was polled after it returned its outputs"),
        }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Progress<F> {
    /// As [`Progress::poll`], but returns an error at once.
    fn try_poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        ready!(self.as_mut().poll(cx));
        match self.as_mut().project() {
            ProgressProjection::Done { output: Err(_) } => Poll::Ready(self.take().map(drop)),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn take_ok(self: Pin<&mut Self>) -> T {
        let output = self.take().ok();
        output.expect("`try_poll` has returned each error")
    }
}

pin_project! {
    /// The future of [`join`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Join<A: Future, B: Future> {
        #[pin]
        first: Progress<A>,
        #[pin]
        second: Progress<B>,
    }
}

/// Waits for two futures at once, and returns both outputs: tokio's `join!`.
///
/// ```
/// use oneloop::aio::{join, now, sleep};
/// use oneloop::{EventLoop, Options};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::with(Options::virtual_time())?;
/// event_loop.block_on(async {
///     let (start, pause) = (now(), Duration::from_secs(180));
///     let (toast, tea) = join(
///         async { sleep(pause).await; "toast" },
///         async { sleep(pause).await; "tea" },
///     ).await;
///     assert_eq!((toast, tea), ("toast", "tea"));
///     assert_eq!(now() - start, pause); // and not twice as long
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Both run on the task that waits, so they may borrow from it and from each other's surroundings.
/// Each wake of the task polls both, in their order, until one is done; the one that is done is
/// dropped at once. A task each ([`spawn`](crate::spawn), [`JoinSet`](crate::JoinSet)) is better
/// for work that is woken often.
///
/// Cancel safe if both futures are, except that the output of the one that is done is dropped. A
/// panic of either future reaches the task that waits; the other future is dropped. It allocates
/// nothing.
///
/// The macro [`join!`](crate::join!) takes any number of futures, and [`join_all`](crate::join_all)
/// a collection.
///
/// # Panics
/// When it is polled after it returned the outputs.
#[doc(alias = "zip")]
#[doc(alias = "Promise.all")]
pub fn join<A: Future, B: Future>(first: A, second: B) -> Join<A, B> {
    Join {
        first: Progress::new(first),
        second: Progress::new(second),
    }
}

impl<A: Future, B: Future> Future for Join<A, B> {
    type Output = (A::Output, B::Output);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let first = this.first.as_mut().poll(cx);
        let second = this.second.as_mut().poll(cx);
        ready!(first);
        ready!(second);
        Poll::Ready((this.first.take(), this.second.take()))
    }
}

pin_project! {
    /// The future of [`try_join`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct TryJoin<A: Future, B: Future> {
        #[pin]
        first: Progress<A>,
        #[pin]
        second: Progress<B>,
    }
}

/// Waits for two futures at once, and returns both values, or the first error: tokio's `try_join!`.
///
/// At an error the other future is dropped, done or not. If both fail in the same poll, the error
/// is that of the first one. Cancel safety, panics and cost are those of [`join`].
///
/// ```
/// use oneloop::aio::{block_on, try_join};
/// use std::future::{pending, ready};
///
/// let endless = pending::<Result<(), &str>>();
/// let result = block_on(try_join(endless, ready(Err::<(), _>("no route"))));
/// assert_eq!(result, Err("no route"));
/// ```
///
/// The macro [`try_join!`](crate::try_join!) takes any number of futures, and
/// [`try_join_all`](crate::try_join_all) a collection.
///
/// # Panics
/// When it is polled after it returned its result.
#[doc(alias = "try_zip")]
pub fn try_join<A, B, T, U, E>(first: A, second: B) -> TryJoin<A, B>
where
    A: Future<Output = Result<T, E>>,
    B: Future<Output = Result<U, E>>,
{
    TryJoin {
        first: Progress::new(first),
        second: Progress::new(second),
    }
}

impl<A, B, T, U, E> Future for TryJoin<A, B>
where
    A: Future<Output = Result<T, E>>,
    B: Future<Output = Result<U, E>>,
{
    type Output = Result<(T, U), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let first = this.first.as_mut().try_poll(cx)?;
        let second = this.second.as_mut().try_poll(cx)?;
        ready!(first);
        ready!(second);
        Poll::Ready(Ok((this.first.take_ok(), this.second.take_ok())))
    }
}

/// Waits for any number of futures at once, and evaluates to the tuple of their outputs: tokio's
/// `join!`. It contains its `.await`.
///
/// It nests [`join`], so it borrows, allocates, panics and is cancel safe as that one is.
///
/// ```
/// use oneloop::aio::{block_on, join};
///
/// let outputs = block_on(async { join!(async { 1 }, async { "two" }, async { '3' }) });
/// assert_eq!(outputs, (1, "two", '3'));
/// ```
#[macro_export]
macro_rules! join {
    // Each step names one more output. The names differ, although they look the same: each comes
    // from an expansion of its own.
    (@nest $joined:expr, $pattern:pat, [$($output:ident)*], $next:expr $(, $rest:expr)*) => {
        $crate::join!(
            @nest $crate::join($joined, $next), ($pattern, output), [$($output)* output] $(, $rest)*
        )
    };
    (@nest $joined:expr, $pattern:pat, [$($output:ident)*]) => {{
        let $pattern = $joined.await;
        ($($output,)*)
    }};
    ($first:expr $(, $rest:expr)* $(,)?) => {
        $crate::join!(@nest $first, output, [output] $(, $rest)*)
    };
}

/// Waits for any number of futures at once, and evaluates to `Ok` with the tuple of their values,
/// or to the first error: tokio's `try_join!`. It contains its `.await`.
///
/// It nests [`try_join`], so it borrows, allocates, panics and is cancel safe as that one is.
///
/// ```
/// use oneloop::aio::{block_on, try_join};
///
/// let parsed = block_on(async {
///     try_join!(async { "1".parse::<u8>() }, async { "x".parse::<u8>() }, async { "3".parse() })
/// });
/// let _: std::num::ParseIntError = parsed.map(|(_, _, three): (u8, u8, u8)| three).unwrap_err();
/// ```
#[macro_export]
macro_rules! try_join {
    (@nest $joined:expr, $pattern:pat, [$($output:ident)*], $next:expr $(, $rest:expr)*) => {
        $crate::try_join!(
            @nest $crate::try_join($joined, $next), ($pattern, output), [$($output)* output]
            $(, $rest)*
        )
    };
    (@nest $joined:expr, $pattern:pat, [$($output:ident)*]) => {
        $joined.await.map(|$pattern| ($($output,)*))
    };
    ($first:expr $(, $rest:expr)* $(,)?) => {
        $crate::try_join!(@nest $first, output, [output] $(, $rest)*)
    };
}

//! The macro `select!`, and the futures that it is made of.

use crate::race::Either;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// One branch of a `select!`. Its output is `None` while it is disabled. Cancel safe if its future
    /// is.
    pub struct Branch<F, M> {
        // `None` while it is disabled.
        #[pin]
        future: Option<F>,
        filter: M,
    }
}

/// `filter` returns the output if it matches the pattern of the branch. Cancel safe if the future
/// is.
pub fn branch<F: Future, M: Fn(F::Output) -> Option<F::Output>>(
    future: Option<F>,
    filter: M,
) -> Branch<F, M> {
    Branch { future, filter }
}

impl<F: Future, M: Fn(F::Output) -> Option<F::Output>> Future for Branch<F, M> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        future.poll(cx).map(|output| {
            let output = (this.filter)(output);
            if output.is_none() {
                this.future.set(None);
            }
            output
        })
    }
}

pin_project! {
    /// Two branches, of which the second may be two again. Cancel safe if both are.
    pub struct Branches<A, B> {
        #[pin]
        first: A,
        #[pin]
        rest: B,
    }
}

/// The first output of both; `None` once all branches are disabled. Cancel safe if both are.
pub fn branches<A, B>(first: A, rest: B) -> Branches<A, B> {
    Branches { first, rest }
}

impl<A, B, T, U> Future for Branches<A, B>
where
    A: Future<Output = Option<T>>,
    B: Future<Output = Option<U>>,
{
    type Output = Option<Either<T, U>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let first = this.first.poll(cx);
        if let Poll::Ready(Some(output)) = first {
            return Poll::Ready(Some(Either::First(output)));
        }
        match this.rest.poll(cx) {
            Poll::Ready(Some(output)) => Poll::Ready(Some(Either::Second(output))),
            Poll::Ready(None) if first.is_ready() => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }
}

/// Waits for several futures, and runs the handler of the first that completes: tokio's `select!`,
/// with `biased`.
///
/// ```text
/// select! {
///     PATTERN = FUTURE => HANDLER,
///     PATTERN = FUTURE, if CONDITION => HANDLER,
///     else => HANDLER,
/// }
/// ```
///
/// ```
/// use oneloop::aio::{JoinSet, block_on, select, sleep, spawn};
/// use oneloop::sync::{Queue, ShutdownToken};
/// use std::time::Duration;
///
/// block_on(async {
///     let (jobs, shutdown) = (Queue::unbounded(), ShutdownToken::new());
///     let (more, stop) = (jobs.clone(), shutdown.clone());
///     spawn(async move {
///         more.put(7).await;
///         sleep(Duration::from_millis(1)).await;
///         stop.trigger();
///     });
///     let (mut running, mut sum) = (JoinSet::new(), 0);
///     loop {
///         select! {
///             () = shutdown.requested() => break,
///             job = jobs.get() => {
///                 running.spawn(async move { job * 2 });
///             }
///             Some(done) = running.join_next() => sum += done.unwrap(),
///         }
///     }
///     assert_eq!(sum, 14);
/// });
/// ```
///
/// **Order.** The futures are polled in their order, by the task that waits: if several are ready
/// in the same poll, the first wins. tokio picks one at random unless `biased;` is written; here
/// `biased;` is accepted and changes nothing. In a loop, list the rarer event first: see
/// [`race`](crate::race).
///
/// **Losers.** All futures are dropped before the handler runs, so a handler may use what they
/// borrowed. Whether something is lost with a loser depends on its own cancel safety, which every
/// function of this library states: `queue.get()`, `accept()` and `read_chunk()` are cancel safe,
/// `write_all()` is not. In a loop, each round makes new futures: create a `sleep` outside of the
/// loop and pass `&mut sleep` if it shall continue in the next round.
///
/// **Handlers** run after the wait, in the surrounding function: they may `.await`, use `?`,
/// `break` and `return`. All have the same type. A comma may be left out behind a block.
///
/// **Patterns.** A branch whose output does not match its pattern is disabled, its output is
/// dropped, and the others are waited for. So is a branch whose condition is false; its future is
/// not created then, where tokio creates it. When all branches are disabled, `else` runs.
///
/// **Panics** of a future reach the task that waits; the other futures are dropped. It also panics
/// when all branches are disabled and there is no `else`. It allocates nothing.
#[macro_export]
macro_rules! select {
    // Reading: each step moves one branch into the brackets.
    (@read [$($read:tt)*] else => $else:expr $(,)?) => {
        $crate::select!(@run [$($read)*] $else)
    };
    (@read [$($read:tt)*]) => {
        $crate::select!(
            @run [$($read)*]
            ::core::panic!("all branches of a select! are disabled, and it has no `else`")
        )
    };
    (@read [$($read:tt)*]
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:block, $($rest:tt)*
    ) => {
        $crate::select!(
            @read [$($read)* { $pattern, $future, [$($condition)?], $handler }] $($rest)*
        )
    };
    (@read [$($read:tt)*]
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:block $($rest:tt)*
    ) => {
        $crate::select!(
            @read [$($read)* { $pattern, $future, [$($condition)?], $handler }] $($rest)*
        )
    };
    (@read [$($read:tt)*]
        $pattern:pat = $future:expr $(, if $condition:expr)? => $handler:expr
        $(, $($rest:tt)*)?
    ) => {
        $crate::select!(
            @read [$($read)* { $pattern, $future, [$($condition)?], $handler }] $($($rest)*)?
        )
    };

    // Waiting. A statement of its own drops the futures and their temporaries before a handler.
    (@run [$($branch:tt)+] $else:expr) => {{
        let output = $crate::select!(@wait $($branch)+).await;
        match output {
            ::core::option::Option::Some(output) => $crate::select!(@handle output $($branch)+),
            ::core::option::Option::None => $else,
        }
    }};
    (@wait $branch:tt) => { $crate::select!(@branch $branch) };
    (@wait $branch:tt $($rest:tt)+) => {
        $crate::select::branches($crate::select!(@branch $branch), $crate::select!(@wait $($rest)+))
    };
    (@branch { $pattern:pat, $future:expr, [$($condition:expr)?], $handler:expr }) => {
        $crate::select::branch($crate::select!(@when [$($condition)?] $future), |output| {
            let mut is_match = false;
            // The guard never lets the arm run, so the pattern binds nothing and moves nothing: it
            // only shows whether it matches.
            #[allow(unused_variables, unused_mut)]
            match output {
                $pattern if { is_match = true; false } => ::core::unreachable!(),
                _ => {}
            }
            if is_match { ::core::option::Option::Some(output) } else { ::core::option::Option::None }
        })
    };
    (@when [] $future:expr) => { ::core::option::Option::Some($future) };
    (@when [$condition:expr] $future:expr) => {
        if $condition { ::core::option::Option::Some($future) } else { ::core::option::Option::None }
    };
    (@handle $output:ident { $pattern:pat, $future:expr, [$($condition:expr)?], $handler:expr }) => {
        match $output {
            $pattern => $handler,
            #[allow(unreachable_patterns)]
            _ => ::core::unreachable!("the output matched its pattern before"),
        }
    };
    (@handle $output:ident $branch:tt $($rest:tt)+) => {
        match $output {
            $crate::Either::First(output) => $crate::select!(@handle output $branch),
            $crate::Either::Second(output) => $crate::select!(@handle output $($rest)+),
        }
    };

    (biased; $($branches:tt)+) => { $crate::select!(@read [] $($branches)+) };
    ($($branches:tt)+) => { $crate::select!(@read [] $($branches)+) };
}

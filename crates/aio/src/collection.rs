//! Waiting for all futures of a collection, or for the first.

use crate::woken::WokenFutures;
use std::future::{Future, poll_fn};
use std::ops::ControlFlow;

/// Waits for all futures of a collection at once, and returns their outputs in the order of the
/// collection: `futures::future::join_all`.
///
/// ```
/// use oneloop::aio::{block_on, join_all, sleep};
/// use std::time::Duration;
///
/// let names = ["a", "b", "c"];
/// let lengths = block_on(join_all(names.iter().enumerate().map(|(place, name)| async move {
///     sleep(Duration::from_millis(3 - place as u64)).await;
///     format!("{name}{place}") // borrowed from outside: no task, no 'static
/// })));
/// assert_eq!(lengths, ["a0", "b1", "c2"]);
/// ```
///
/// The futures run on the task that waits, so they may borrow. A wake polls only the future that
/// was woken, so the cost of a wake does not grow with their number. Where futures come and go, and
/// results are wanted as they come, use a [`JoinSet`](crate::JoinSet).
///
/// Cancel safe if the futures are, except that the outputs of those that are done are dropped. A
/// panic of one reaches the task that waits; the others are dropped. It makes two allocations for
/// each future.
#[doc(alias = "Promise.all")]
#[doc(alias = "gather")]
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let infallible = try_collect(
        WokenFutures::new(futures),
        Ok::<_, std::convert::Infallible>,
    );
    let Ok(outputs) = infallible.await;
    outputs
}

/// Waits for all futures of a collection at once, and returns their values in the order of the
/// collection, or the first error that comes: `futures::future::try_join_all`. Cancel safe as
/// [`join_all`] is.
///
/// At an error the other futures are dropped. Otherwise it works as [`join_all`].
///
/// ```
/// use oneloop::aio::{block_on, try_join_all};
///
/// let parse = |text: &'static str| async move { text.parse::<u8>() };
/// assert_eq!(block_on(try_join_all(["1", "2"].map(parse))), Ok(vec![1, 2]));
/// assert!(block_on(try_join_all(["1", "x"].map(parse))).is_err());
/// ```
pub async fn try_join_all<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>>,
{
    try_collect(WokenFutures::new(futures), |result| result).await
}

async fn try_collect<F: Future, T, E>(
    mut futures: WokenFutures<F>,
    into_result: impl Fn(F::Output) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    let mut left = futures.len();
    let mut values: Vec<Option<T>> = (0..left).map(|_| None).collect();
    if left > 0 {
        poll_fn(|cx| {
            futures.poll(cx, |index, output| {
                match into_result(output) {
                    Ok(value) => values[index] = Some(value),
                    Err(error) => return ControlFlow::Break(Err(error)),
                }
                left -= 1;
                match left {
                    0 => ControlFlow::Break(Ok(())),
                    _ => ControlFlow::Continue(()),
                }
            })
        })
        .await?;
    }
    Ok(values.into_iter().flatten().collect())
}

/// Waits for the first future of a collection that completes, returns its output, and drops the
/// others: JavaScript's `Promise.race`, `futures::future::select_all`.
///
/// ```
/// use oneloop::aio::{block_on, race_all, sleep};
/// use std::time::Duration;
///
/// let mirror = |name: &'static str, delay_ms| async move {
///     sleep(Duration::from_millis(delay_ms)).await;
///     name
/// };
/// let fastest = block_on(race_all([mirror("far", 500), mirror("near", 1)]));
/// assert_eq!(fastest, "near");
/// ```
///
/// At first the futures are polled in the order of the collection, and then in the order in which
/// they are woken; the first one that is ready wins. Cancel safe if the futures are. A panic of one
/// reaches the task that waits. It makes two allocations for each future; [`race`](crate::race) and
/// [`select!`](crate::select) make none.
///
/// # Panics
/// Without any future: no output could ever come.
#[doc(alias = "select_all")]
#[doc(alias = "Promise.race")]
pub async fn race_all<F: Future>(futures: impl IntoIterator<Item = F>) -> F::Output {
    let mut futures = WokenFutures::new(futures);
    assert!(futures.len() > 0, "a race needs at least one future");
    poll_fn(|cx| futures.poll(cx, |_, output| ControlFlow::Break(output))).await
}

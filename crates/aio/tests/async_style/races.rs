use crate::*;
use oneloop_aio::{Either, race};
use std::future::{poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_first_to_complete_wins_and_the_loser_is_dropped_before_the_code_behind_the_wait() {
    run(async {
        let log = Log::default();
        let won = race(waits(&log, "loser"), sleep(MS)).await;
        log.note("next");
        assert_eq!(won, Either::Second(()));
        assert_eq!(log.text(), "-loser next");
    });
}

#[test]
fn the_first_wins_a_tie_and_the_second_is_not_even_polled() {
    let never = poll_fn(|_| -> Poll<()> { panic!("polled") });
    let mut race = pin!(race(ready(1), never));
    assert_eq!(poll_once(race.as_mut()), Poll::Ready(Either::First(1)));
    assert_eq!(Either::<_, i32>::First(1).into_inner(), 1);
}

#[test]
fn a_wake_of_either_future_completes_the_race() {
    let order = [(1, 2), (2, 1)].map(|(first, second)| {
        run(async {
            match race(sleep(MS * first), sleep(MS * second)).await {
                Either::First(()) => "first",
                Either::Second(()) => "second",
            }
        })
    });
    assert_eq!(order, ["first", "second"]);
}

#[test]
fn a_dropped_race_drops_both_futures_before_and_after_their_first_poll() {
    let log = Log::default();
    drop(race(waits(&log, "never begun"), waits(&log, "never begun")));
    assert_eq!(
        log.text(),
        "",
        "a future that was not polled has nothing yet"
    );
    let mut polled = Box::pin(race(waits(&log, "a"), waits(&log, "b")));
    assert!(poll_once(polled.as_mut()).is_pending());
    drop(polled);
    assert_eq!(log.text(), "-a -b");
}

#[test]
fn a_panic_of_one_future_reaches_the_waiting_task_and_drops_the_other() {
    assert_panic_drops_the_other(async |other, panics| race(other, panics).await);
    let panics = poll_fn(|_| -> Poll<()> { panic!("on purpose") });
    let mut race = pin!(race(panics, ready(())));
    let caught = catch_unwind(AssertUnwindSafe(|| poll_once(race.as_mut())));
    assert!(caught.is_err());
}

#[test]
fn a_nested_race_decides_among_three() {
    run(async {
        let won = race(sleep(MS * 3), race(sleep(MS * 2), sleep(MS))).await;
        assert_eq!(won, Either::Second(Either::Second(())));
    });
}

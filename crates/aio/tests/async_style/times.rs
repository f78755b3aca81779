use crate::*;
use futures_lite::StreamExt as _;
use oneloop_aio::{Elapsed, MissedTicks, interval, interval_at, now, sleep, timeout_at};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn an_interval_ticks_after_one_period_or_from_its_start() {
    run(async {
        let start = now();
        assert_eq!(interval(MS).tick().await, start + MS);
        let mut ticks = interval_at(start + MS * 5, MS * 10);
        assert_eq!(ticks.tick().await, start + MS * 5);
        sleep(MS * 25).await; // two ticks pass, of which one is skipped
        assert_eq!(ticks.tick().await, start + MS * 15);
        assert_eq!(ticks.tick().await, start + MS * 35);
    });
}

#[test]
fn a_reset_interval_ticks_one_period_later_and_from_there() {
    run(async {
        let (start, mut ticks) = (now(), interval(MS * 10));
        sleep(MS * 7).await;
        ticks.reset();
        assert_eq!(ticks.tick().await, start + MS * 17);
        assert_eq!(ticks.tick().await, start + MS * 27);
        sleep(MS * 15).await; // a tick is missed, and the reset drops it
        ticks.reset();
        assert_eq!(ticks.tick().await, start + MS * 52);
    });
}

#[test]
fn an_interval_starts_again_now_later_or_at_a_time() {
    run(async {
        let (start, mut ticks) = (now(), interval(MS * 10));
        ticks.reset_immediately();
        assert_eq!(ticks.tick().await, start);
        ticks.reset_after(MS * 3);
        assert_eq!(ticks.tick().await, start + MS * 3);
        ticks.reset_at(start + MS * 5);
        assert_eq!(ticks.tick().await, start + MS * 5);
        assert_eq!(ticks.tick().await, start + MS * 5 + ticks.period());
        ticks.reset_after(Duration::MAX); // saturates
        assert!(timeout_at(start + MS * 1000, ticks.tick()).await.is_err());
    });
}

#[test]
fn one_deadline_limits_several_waits() {
    run(async {
        let deadline = now() + MS * 3;
        assert_eq!(timeout_at(deadline, sleep(MS * 2)).await, Ok(()));
        assert_eq!(timeout_at(deadline, sleep(MS * 2)).await, Err(Elapsed));
        assert_eq!(now(), deadline);
    });
}

/// The times in ms at which ticks were due and came, of an interval of 10 ms whose task is busy for
/// 35 ms after the first tick.
async fn ticks_of_a_busy_task(missed_ticks: MissedTicks) -> Vec<(u128, u128)> {
    let (start, mut ticks) = (now(), interval(MS * 10));
    ticks.missed_ticks = missed_ticks;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let due = ticks.tick().await;
        seen.push([due, now()].map(|time| (time - start).as_millis()).into());
        if seen.len() == 1 {
            sleep(MS * 35).await;
        }
    }
    seen
}

#[test]
fn missed_ticks_come_at_once_delay_the_rest_or_are_skipped() {
    run(async {
        let burst = ticks_of_a_busy_task(MissedTicks::Burst).await;
        assert_eq!(
            burst,
            [(10, 10), (20, 45), (30, 45), (40, 45), (50, 50), (60, 60)]
        );
        let delay = ticks_of_a_busy_task(MissedTicks::Delay).await;
        assert_eq!(
            delay,
            [(10, 10), (20, 45), (55, 55), (65, 65), (75, 75), (85, 85)]
        );
        let skip = ticks_of_a_busy_task(MissedTicks::Skip).await;
        assert_eq!(
            skip,
            [(10, 10), (20, 45), (50, 50), (60, 60), (70, 70), (80, 80)]
        );
    });
}

#[test]
fn a_tick_that_is_late_by_5_ms_delays_nothing() {
    run(async {
        let (start, mut ticks) = (now(), interval(MS * 10));
        ticks.missed_ticks = MissedTicks::Delay;
        sleep(MS * 15).await;
        assert_eq!(ticks.tick().await, start + MS * 10);
        assert_eq!(ticks.tick().await, start + MS * 20);
        sleep(MS * 16).await;
        assert_eq!(ticks.tick().await, start + MS * 30);
        assert_eq!(ticks.tick().await, start + MS * 46);
    });
}

#[test]
fn an_interval_is_a_stream_that_never_ends() {
    run(async {
        let start = now();
        let ticks: Vec<_> = interval(MS).take(3).collect().await;
        assert_eq!(ticks, [start + MS, start + MS * 2, start + MS * 3]);
    });
}

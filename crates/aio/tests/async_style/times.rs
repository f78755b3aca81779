use crate::*;
use oneloop_aio::{Elapsed, interval, interval_at, now, sleep, timeout_at};
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

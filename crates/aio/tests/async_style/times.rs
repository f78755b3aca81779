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
fn one_deadline_limits_several_waits() {
    run(async {
        let deadline = now() + MS * 3;
        assert_eq!(timeout_at(deadline, sleep(MS * 2)).await, Ok(()));
        assert_eq!(timeout_at(deadline, sleep(MS * 2)).await, Err(Elapsed));
        assert_eq!(now(), deadline);
    });
}

use crate::*;
use oneloop_aio::{join_all, race_all, sleep, spawn, try_join_all};
use oneloop_core::Handle;
use std::future::ready;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn outputs_come_in_the_order_of_the_collection_whatever_the_order_of_the_ends() {
    run(async {
        let (delays, handle) = ([3, 1, 2], Handle::current());
        let started = handle.now();
        let futures = delays.iter().map(|delay| async move {
            sleep(MS * *delay).await;
            delay
        });
        assert_eq!(join_all(futures).await, [&3, &1, &2]);
        assert_eq!(handle.now() - started, MS * 3);
        assert_eq!(join_all(Vec::<std::future::Ready<()>>::new()).await, []);
        assert_eq!(
            try_join_all([ready(Ok::<_, ()>(1)), ready(Ok(2))]).await,
            Ok(vec![1, 2])
        );
    });
}

#[test]
fn a_wake_of_one_future_does_not_poll_the_others() {
    let polls: Vec<_> = (0..100).map(|_| Cell::new(0)).collect();
    run(join_all(polls.iter().enumerate().map(|(index, polls)| {
        counted(polls, if index == 50 { 1_000 } else { 1 })
    })));
    let polls: Vec<u32> = polls.into_iter().map(Cell::into_inner).collect();
    assert_eq!(polls[50], 1_001);
    assert_eq!(polls.iter().sum::<u32>(), 1_001 + 99 * 2);
}

#[test]
fn the_first_error_ends_the_wait_and_drops_the_rest() {
    run(async {
        let log = Log::default();
        let work = |number: u64| {
            let log = &log;
            async move {
                let _dropped = log.on_drop(["a", "b", "c"][number as usize]);
                sleep(MS * (3 - number as u32)).await;
                if number == 1 { Err(number) } else { Ok(number) }
            }
        };
        assert_eq!(try_join_all((0..3).map(work)).await, Err(1));
        assert_eq!(log.text(), "-c -b -a");
    });
}

#[test]
fn the_first_future_wins_the_race_and_the_others_are_dropped() {
    run(async {
        let log = Log::default();
        let work = |name: &'static str, delay: u32| {
            let log = &log;
            async move {
                let _dropped = log.on_drop(name);
                sleep(MS * delay).await;
                name
            }
        };
        let winner = race_all([work("a", 3), work("b", 1), work("c", 2)]).await;
        assert_eq!((winner, log.text().as_str()), ("b", "-b -a -c"));
        assert_eq!(
            race_all([ready(1), ready(2)]).await,
            1,
            "the first of those that are ready"
        );
    });
}

#[test]
fn dropped_and_panicking_collections_drop_all_futures() {
    let log = Log::default();
    let mut joined = Box::pin(join_all([waits(&log, "a"), waits(&log, "b")]));
    assert!(poll_once(joined.as_mut()).is_pending());
    drop(joined);
    assert_eq!(log.text(), "-a -b");
    run(async {
        let task = spawn(join_all([ready(1)].map(|_| async { panic!("on purpose") })));
        let error = task.await.map(|_: Vec<()>| ()).unwrap_err();
        assert_eq!(error.panic_message(), Some("on purpose"));
        let task = spawn(race_all(Vec::<std::future::Ready<()>>::new()));
        let error = task.await.unwrap_err();
        assert_eq!(
            error.panic_message(),
            Some("a race needs at least one future")
        );
    });
}

#[test]
fn a_future_that_another_thread_wakes_is_polled() {
    run(async {
        let jobs = (0..4).map(|number| oneloop_aio::offload(move || number * number));
        let squares: Vec<i32> = join_all(jobs)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(squares, [0, 1, 4, 9]);
    });
}

use crate::*;
use oneloop_aio::{join, try_join};
use oneloop_core::Handle;
use std::future::ready;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_join_waits_for_the_slower_future_and_drops_the_faster_one_as_it_ends() {
    run(async {
        let (log, handle) = (Log::default(), Handle::current());
        let started = handle.now();
        let work = |name, pause| {
            let log = &log;
            async move {
                let _dropped = log.on_drop(name);
                sleep(pause).await;
                name
            }
        };
        assert_eq!(
            join(work("slow", MS * 5), work("fast", MS)).await,
            ("slow", "fast")
        );
        assert_eq!(log.text(), "-fast -slow");
        assert_eq!(handle.now() - started, MS * 5);
    });
}

#[test]
fn a_future_that_is_done_is_not_polled_again() {
    let polls = [Cell::new(0), Cell::new(0)];
    run(async {
        join(counted(&polls[0], 0), counted(&polls[1], 3)).await;
    });
    assert_eq!(polls.map(Cell::into_inner), [1, 4]);
}

#[test]
fn the_macro_joins_any_number_of_futures_in_their_order() {
    run(async {
        assert_eq!(join!(ready(1)), (1,));
        assert_eq!(join!(ready(1), ready("b"),), (1, "b"));
        let value = 5; // the futures may borrow
        let outputs = join!(async { value }, sleep(MS), ready('c'), async { &value });
        assert_eq!(outputs, (5, (), 'c', &5));
        assert_eq!(try_join!(ready(Ok::<_, ()>(1))), Ok((1,)));
        let parsed = try_join!(
            ready("1".parse::<u8>()),
            ready(Ok(2)),
            ready("3".parse::<i8>())
        );
        assert_eq!(parsed, Ok((1, 2, 3)));
    });
}

#[test]
fn a_try_join_ends_at_the_first_error_and_drops_the_others() {
    run(async {
        let log = Log::default();
        let fails = |error| async move {
            sleep(MS).await;
            Err::<(), _>(error)
        };
        let endless = async {
            waits(&log, "endless").await;
            Ok::<_, i32>(())
        };
        assert_eq!(try_join(endless, fails(1)).await, Err(1));
        assert_eq!(log.text(), "-endless");
        assert_eq!(
            try_join(fails(2), fails(3)).await,
            Err(2),
            "both in one poll"
        );
        assert_eq!(
            try_join!(ready(Ok::<(), _>(())), fails(4), ready(Ok(()))),
            Err(4)
        );
        let first = try_join(ready(Ok::<_, ()>(1)), ready(Ok(2)));
        assert_eq!(first.await, Ok((1, 2)));
    });
}

#[test]
fn a_dropped_join_drops_both_futures_and_an_output_that_is_done() {
    let log = Log::default();
    drop(join(waits(&log, "unpolled"), waits(&log, "unpolled")));
    let mut joined = Box::pin(join(ready(log.on_drop("output")), waits(&log, "waits")));
    assert!(poll_once(joined.as_mut()).is_pending());
    assert_eq!(log.text(), "");
    drop(joined);
    assert_eq!(log.text(), "-output -waits");
}

#[test]
fn a_panic_of_one_future_reaches_the_waiting_task_and_drops_the_other() {
    assert_panic_drops_the_other(async |other, panics| join!(other, panics));
}

#[test]
#[should_panic(expected = "a join was polled after it returned its outputs")]
fn a_join_that_has_returned_panics_when_it_is_polled_again() {
    let mut joined = pin!(join(ready(1), ready(2)));
    assert_eq!(poll_once(joined.as_mut()), Poll::Ready((1, 2)));
    let _ = poll_once(joined.as_mut());
}

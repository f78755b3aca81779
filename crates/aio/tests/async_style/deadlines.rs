use crate::*;
use oneloop_aio::{
    Elapsed, current_deadline, deadline, inherit_locals, now, timeout, timeout_at, yield_now,
};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_deadline_drops_its_future_and_returns_the_result_that_comes_in_time() {
    run(async {
        let (log, start) = (Log::default(), now());
        assert_eq!(deadline(start + MS, async { 7 }).await, Ok(7));
        assert_eq!(deadline(start + MS, sleep(MS)).await, Ok(()));
        let late = deadline(start + MS * 3, waits(&log, "late")).await;
        assert_eq!((late, now()), (Err(Elapsed), start + MS * 3));
        assert_eq!(log.text(), "-late");
        assert_eq!(deadline(start, sleep(MS)).await, Err(Elapsed)); // passed already
    });
}

#[test]
fn timeouts_inside_end_at_the_deadline_and_their_code_continues_until_its_next_wait() {
    run(async {
        let (log, start) = (Log::default(), now());
        let inner = async {
            let _dropped = log.on_drop("inner");
            assert_eq!(timeout(MS, sleep(MS * 5)).await, Err(Elapsed));
            log.note((now() - start).as_millis());
            assert_eq!(timeout(MS * 100, sleep(MS * 200)).await, Err(Elapsed));
            log.note((now() - start).as_millis());
            let _ = timeout_at(start + MS * 300, pending::<()>()).await;
            log.note("unreachable");
        };
        assert_eq!(deadline(start + MS * 10, inner).await, Err(Elapsed));
        assert_eq!((now(), &*log.text()), (start + MS * 10, "1 10 -inner"));
    });
}

#[test]
fn a_deadline_inside_shortens_and_never_extends() {
    run(async {
        let start = now();
        assert_eq!(current_deadline(), None);
        let outer = deadline(start + MS * 10, async {
            let longer = deadline(start + MS * 20, async { current_deadline() }).await;
            let shorter = deadline(start + MS * 5, async { current_deadline() }).await;
            (longer, shorter, current_deadline())
        });
        let at = |ms| Some(start + MS * ms);
        assert_eq!(outer.await, Ok((Ok(at(10)), Ok(at(5)), at(10))));
        let longer = deadline(start + MS * 20, async { current_deadline() }); // made outside
        assert_eq!(deadline(start + MS * 10, longer).await, Ok(Ok(at(10))));
        let nested = deadline(start + MS * 10, deadline(start + MS * 20, pending::<()>()));
        assert!(nested.await.is_err());
        assert_eq!(now(), start + MS * 10);
    });
}

#[test]
fn a_task_is_outside_unless_it_inherits() {
    run(async {
        let at = now() + MS * 10;
        let inside = deadline(at, async {
            let alone = spawn(async { current_deadline() });
            let related = spawn(inherit_locals(async { current_deadline() }));
            (alone.await.unwrap(), related.await.unwrap())
        });
        assert_eq!(inside.await, Ok((None, Some(at))));
    });
}

/// The deadline of one green thread is that of no other task.
#[test]
fn a_green_thread_that_waits_inside_of_a_deadline_keeps_it_for_itself() {
    use oneloop::green::{self, Wait as _};
    let end = green::run(|| {
        let start = now();
        let other = green::spawn(move || {
            let inside = async { green::sleep(MS * 5) }; // suspends the stack within a poll
            deadline(start + MS, inside).wait()
        });
        green::yield_now();
        assert_eq!(current_deadline(), None);
        let _ = timeout(MS * 20, pending::<()>()).wait();
        assert_eq!(other.join().unwrap(), Ok(()));
        now() - start
    });
    assert!(end.unwrap() >= MS * 20);
}

#[test]
fn chaos_leaves_a_deadline_in_order() {
    oneloop::chaos::check(0..100, |event_loop| {
        event_loop.block_on(async {
            let start = now();
            let ended = deadline(start + MS * 10, async {
                let mut tries = 0;
                while timeout(MS * 4, sleep(MS * 100)).await.is_err() {
                    assert_eq!(current_deadline(), Some(start + MS * 10));
                    yield_now().await;
                    tries += 1;
                }
                tries
            });
            assert_eq!(ended.await, Err(Elapsed));
            assert!(now() >= start + MS * 10); // never early
            assert_eq!(current_deadline(), None);
        });
    });
}

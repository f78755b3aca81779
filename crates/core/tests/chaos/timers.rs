//! Timers: they may be late, but never early, and those of one length fire in their order.

use crate::harness::{TIMERS, check};
use oneloop::aio::{self, now, sleep, timeout};
use oneloop::callback::{clear_interval, run_on, set_immediate, set_interval, set_timeout};
use oneloop::{EventLoop, Handle, green};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

const DELAYS_MS: [u64; 6] = [5, 1, 40, 1, 5, 3000];

#[test]
fn async_timers_are_never_early() {
    check(TIMERS, |event_loop| {
        event_loop.block_on(async {
            let start = now();
            let sleeps = DELAYS_MS.map(|ms| async move {
                let delay = Duration::from_millis(ms);
                sleep(delay).await;
                assert!(now() - start >= delay, "{:?} of {delay:?}", now() - start);
            });
            aio::join_all(sleeps).await;
            let limit = Duration::from_millis(20);
            let start = now();
            timeout(limit, std::future::pending::<()>())
                .await
                .unwrap_err();
            assert!(now() - start >= limit);
            let mut interval = aio::interval(limit);
            for tick in 1..=3 {
                interval.tick().await;
                assert!(now() - start >= limit * tick);
            }
        });
    });
}

#[test]
fn green_timers_are_never_early() {
    check(TIMERS, |event_loop| {
        let ran = green::run_on(event_loop, || {
            let start = Handle::current().now();
            let threads = DELAYS_MS.map(|ms| {
                green::spawn(move || {
                    let delay = Duration::from_millis(ms);
                    green::sleep(delay);
                    let slept = Handle::current().now() - start;
                    assert!(slept >= delay, "{slept:?} of {delay:?}");
                })
            });
            for thread in threads {
                thread.join().unwrap();
            }
            let limit = Duration::from_millis(20);
            let start = Handle::current().now();
            green::timeout(limit, || green::sleep(limit * 100)).unwrap_err();
            assert!(Handle::current().now() - start >= limit);
        });
        ran.unwrap();
    });
}

#[test]
fn callback_timers_are_never_early_and_keep_their_order() {
    check(TIMERS, |event_loop| {
        let fired = Rc::new(RefCell::new(Vec::new()));
        callback_timers(event_loop, &fired);
        let fired = fired.borrow();
        assert_eq!(fired.len(), DELAYS_MS.len());
        // Node: timers of one length fire in the order in which they were set.
        let place = |index: usize| fired.iter().position(|other| *other == index).unwrap();
        assert!(place(1) < place(3) && place(0) < place(4), "{fired:?}");
    });
}

fn callback_timers(event_loop: &mut EventLoop, fired: &Rc<RefCell<Vec<usize>>>) {
    let handle = event_loop.handle();
    let fired = Rc::clone(fired);
    let code = run_on(event_loop, move || {
        let start = handle.now();
        for (index, ms) in DELAYS_MS.into_iter().enumerate() {
            let (handle, fired) = (handle.clone(), Rc::clone(&fired));
            let due = move || {
                let slept = handle.now() - start;
                assert!(slept >= Duration::from_millis(ms), "{slept:?} of {ms} ms");
                fired.borrow_mut().push(index);
            };
            set_timeout(due, ms as u32);
        }
        let ticks = Rc::new(Cell::new(0));
        let count = Rc::clone(&ticks);
        let interval = set_interval(move || count.set(count.get() + 1), 10);
        set_timeout(
            move || {
                clear_interval(interval);
                assert!((1..=10).contains(&ticks.get()), "{} ticks", ticks.get());
                set_immediate(|| ());
            },
            100,
        );
    });
    assert_eq!(code.unwrap(), 0);
}

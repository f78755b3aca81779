//! Parked values: they stay, and their names go anywhere.

use oneloop::aio::{sleep, spawn, yield_now};
use oneloop::core::Parked;
use oneloop::{EventLoop, Handle, Options};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Notes the thread that drops it.
struct Noted(mpsc::Sender<ThreadId>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.send(thread::current().id()).unwrap();
    }
}

fn noted(handle: &Handle) -> (Parked<Noted>, mpsc::Receiver<ThreadId>) {
    let (sender, drops) = mpsc::channel();
    (handle.park(Noted(sender)), drops)
}

/// The message of the panic that this function ends with.
fn message_of<R>(function: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(function)) else {
        panic!("it does not panic");
    };
    oneloop::core::panic_message(&*payload).unwrap().to_owned()
}

fn on_thread<R: Send + 'static>(name: &str, function: impl FnOnce() -> R + Send + 'static) -> R {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(function).unwrap().join().unwrap()
}

#[test]
fn a_name_is_send_and_sync_whatever_it_names() {
    fn assert_name<T: Send + Sync + Unpin + 'static>() {}
    assert_name::<Parked<Rc<Cell<*const ()>>>>();
}

#[test]
fn a_use_on_another_thread_panics_with_the_names_of_both() {
    let message = on_thread("home", || {
        let event_loop = EventLoop::new().unwrap();
        let number = event_loop.handle().park(Cell::new(7));
        let (number, message) = on_thread("away", move || {
            let message = message_of(|| number.with(|number| number.get()));
            (number, message)
        });
        assert_eq!(event_loop.enter(|| number.with(|number| number.get())), 7);
        message
    });
    assert!(
        message.contains("`core::cell::Cell<i32>` was used on the thread `away` (ThreadId(")
            && message.contains("it lives on the loop of the thread `home` (ThreadId("),
        "{message}"
    );
}

#[test]
fn a_use_in_another_loop_of_the_same_thread_panics() {
    let [event_loop, other] = [(); 2].map(|()| EventLoop::new().unwrap());
    let name = event_loop.handle().park(());
    for outside in [
        message_of(|| name.with(|_| ())),
        message_of(|| other.enter(|| name.with(|_| ()))),
    ] {
        let expected = "was used outside of its loop: another loop, or none, runs this code";
        assert!(outside.contains(expected), "{outside}");
    }
    event_loop.enter(|| name.with(|_| ()));
}

#[test]
fn a_use_after_the_end_of_the_loop_panics_and_a_drop_does_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let (name, drops) = noted(&handle);
    drop(event_loop);
    assert_eq!(
        drops.try_recv(),
        Ok(thread::current().id()),
        "with its loop"
    );
    let (late, late_drops) = noted(&handle);
    assert_eq!(late_drops.try_recv(), Ok(thread::current().id()), "at once");
    let inside = handle.enter(|| message_of(|| late.with(|_| ())));
    let (elsewhere, name) = on_thread("away", || (message_of(|| name.with(|_| ())), name));
    for message in [inside, elsewhere, message_of(|| name.with(|_| ()))] {
        assert!(message.contains(") has ended, and dropped it"), "{message}");
    }
    drop((name, late));
    assert!(drops.try_recv().is_err());
}

#[test]
fn a_drop_on_another_thread_drops_the_value_at_home_and_wakes_the_loop_for_it() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let (name, drops) = noted(&handle);
    let remote = handle.remote(); // keeps the loop waiting for the other thread
    let away = thread::spawn(move || {
        drop(name);
        drop(remote);
    });
    event_loop.run().unwrap();
    away.join().unwrap();
    assert_eq!(drops.try_recv(), Ok(thread::current().id()));
}

#[test]
fn a_drop_outside_of_the_loop_drops_the_value_in_the_next_turn() {
    let mut event_loop = EventLoop::new().unwrap();
    let (name, drops) = noted(&event_loop.handle());
    drop(name);
    assert!(drops.try_recv().is_err());
    event_loop.run().unwrap();
    assert!(drops.try_recv().is_ok());
    let (name, drops) = noted(&event_loop.handle());
    event_loop.enter(|| drop(name));
    assert!(drops.try_recv().is_ok(), "in the loop at once");
}

#[test]
fn a_drop_that_panics_at_home_is_reported_there() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let reports = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&reports);
    handle.on_unhandled(move |unhandled| noted.borrow_mut().push(unhandled.to_string()));
    let name = handle.park(Panics);
    on_thread("away", || drop(name));
    event_loop.run().unwrap();
    let reports = reports.borrow();
    assert!(
        reports.len() == 1 && reports[0].contains("on purpose"),
        "{reports:?}"
    );
}

#[test]
fn a_name_keeps_no_loop_alive_and_what_its_value_waits_for_does() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let idle = handle.park(());
    event_loop.run().unwrap(); // returns
    let start = handle.now();
    let mut waits = handle.park(handle.sleep(Duration::from_secs(3600)));
    let wall = Instant::now();
    event_loop.block_on(async {
        let slept = std::future::poll_fn(|cx| waits.with(|sleep| Future::poll(sleep, cx)));
        slept.await;
        waits = handle.park(handle.sleep(Duration::from_secs(3600)));
        let _ = waits.with(|sleep| {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            Future::poll(sleep, &mut cx)
        });
    });
    event_loop.run().unwrap();
    assert_eq!(
        handle.now() - start,
        Duration::from_secs(7200),
        "no name was needed"
    );
    assert!(wall.elapsed() < Duration::from_secs(3600));
    on_thread("away", || drop((idle, waits)));
}

#[test]
fn a_value_may_drop_its_own_name_and_park_others_in_its_use() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let handle = Handle::current();
        let own: Rc<RefCell<Option<Parked<_>>>> = Rc::default();
        let value = Rc::new(());
        *own.borrow_mut() = Some(handle.park(Rc::clone(&value)));
        let others: Vec<_> = {
            let name = own.borrow();
            name.as_ref().unwrap().with(|value| {
                let values = (0..100).map(|_| Handle::current().park(Rc::clone(&value)));
                values.collect()
            })
        };
        assert_eq!(Rc::strong_count(&value), 102);
        drop(others);
        let name = own.take().unwrap();
        let slot = RefCell::new(Some(name));
        let taken = slot.borrow_mut().take().unwrap();
        taken.with(|_| ());
        drop(taken);
        assert_eq!(Rc::strong_count(&value), 1);
    });
}

#[test]
fn a_use_within_a_use_of_the_same_value_panics_and_of_another_does_not() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.enter(|| {
        let [a, b] = [1, 2].map(|number| Handle::current().park(number));
        assert_eq!(a.with(|a| b.with(|b| *a + *b)), 3);
        let message = message_of(|| a.with(|_| a.with(|_| ())));
        assert_eq!(message, "a `i32` was used within its own use");
        assert_eq!(a.with(|a| *a), 1, "and it can be used again");
    });
}

#[test]
fn a_value_comes_back_out_of_its_name_in_its_loop_only() {
    let event_loop = EventLoop::new().unwrap();
    let [here, there] = [1, 2].map(|number| event_loop.handle().park(number));
    assert_eq!(event_loop.enter(|| here.into_inner()), 1);
    let message = on_thread("away", move || message_of(|| there.into_inner()));
    assert!(message.contains("the thread `away`"), "{message}");
}

#[test]
fn names_that_four_threads_drop_while_the_loop_runs_leave_no_value() {
    const NAMES: usize = 1000;
    let mut event_loop = EventLoop::new().unwrap();
    let value = Rc::new(());
    event_loop.block_on(async {
        let handle = Handle::current();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let names: Vec<_> = (0..NAMES).map(|_| handle.park(Rc::clone(&value))).collect();
                thread::spawn(move || drop(names))
            })
            .collect();
        while Rc::strong_count(&value) > 1 {
            let name = handle.park(Rc::clone(&value));
            yield_now().await;
            drop(name);
        }
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(event_loop.handle().task_count(), 0);
}

#[test]
fn a_canceled_task_drops_what_it_has_parked() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let (name, drops) = noted(&handle);
    event_loop.block_on(async {
        let task = spawn(async move {
            sleep(Duration::from_secs(1)).await;
            drop(name);
        });
        yield_now().await;
        task.cancel();
        assert!(drops.try_recv().is_ok());
    });
}

#[test]
fn a_parked_sleep_ends_on_time_and_moves_with_a_reset() {
    fn assert_name<T: Send + Sync + Unpin + 'static>(_: &T) {}
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let (start, second) = (handle.now(), Duration::from_secs(1));
    event_loop.block_on(async {
        let mut sleep = handle.sleep(second).park();
        assert_name(&sleep);
        assert!(poll_once(&mut sleep).is_pending());
        sleep.reset_at(start + 5 * second);
        (&mut sleep).await;
        assert_eq!(handle.now() - start, 5 * second);
        assert!(poll_once(&mut sleep).is_ready());
        sleep.reset_at(start + 7 * second);
        sleep.await;
        assert_eq!(handle.now() - start, 7 * second);
    });
}

#[test]
fn a_parked_sleep_is_used_on_its_loop_only_and_disarmed_by_a_drop_anywhere() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let start = handle.now();
    let hour = Duration::from_secs(3600);
    let [away, outside, mut kept] = [(); 3].map(|()| handle.sleep(hour).park());
    let [mut away, mut outside] = event_loop.block_on(async move {
        [away, outside].map(|mut sleep| {
            assert!(poll_once(&mut sleep).is_pending());
            sleep
        })
    });
    let message = message_of(|| poll_once(&mut outside));
    let expected = "a `ParkedSleep` was used outside of its loop";
    assert!(message.starts_with(expected), "{message}");
    let message = message_of(|| outside.reset_at(start));
    assert!(message.starts_with(expected), "{message}");
    let message = on_thread("away", move || message_of(|| poll_once(&mut away)));
    let expected = "a `ParkedSleep` was used on the thread `away` (";
    assert!(message.starts_with(expected), "{message}");
    drop(outside);
    event_loop.run().unwrap();
    assert_eq!(handle.now(), start, "no timer keeps the loop alive");
    event_loop.block_on(async {
        assert!(poll_once(&mut kept).is_pending());
        drop(kept);
    });
    event_loop.run().unwrap();
    assert_eq!(handle.now(), start);
}

fn poll_once(future: &mut (impl Future<Output = ()> + Unpin)) -> std::task::Poll<()> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::Pin::new(future).poll(&mut cx)
}

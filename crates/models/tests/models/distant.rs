//! Names for values of one loop, on other threads.

use loom::thread;
use oneloop_core::{EventLoop, JoinError};
use oneloop_models::check;
use oneloop_sync::{Distant, Event};
use std::cell::Cell;
use std::future::{pending, ready};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn an_answer_reaches_the_thread_that_asks() {
    check(|| {
        let mut event_loop = EventLoop::new().unwrap();
        let number = Distant::new(&event_loop.handle(), Cell::new(20));
        let asker = thread::spawn(move || {
            number.run(|number| number.set(number.get() + 1)).unwrap();
            number.ask_blocking(|number| ready(2 * number.get()))
        });
        event_loop.run().unwrap(); // until the name is gone
        assert_eq!(asker.join().unwrap().unwrap(), 42);
    });
}

#[test]
fn an_answer_that_comes_after_a_wait_at_home_reaches_the_asker() {
    check(|| {
        let mut event_loop = EventLoop::new().unwrap();
        let event = Event::new();
        let distant = Distant::new(&event_loop.handle(), event.clone());
        let asker = thread::spawn(move || distant.ask_blocking(Event::until_set));
        event_loop.handle().spawn(async move { event.set() });
        event_loop.run().unwrap();
        asker.join().unwrap().unwrap();
    });
}

#[test]
fn an_asker_gets_an_answer_when_the_home_loop_is_dropped() {
    check(|| {
        let event_loop = EventLoop::new().unwrap();
        let distant = Distant::new(&event_loop.handle(), ());
        let asker = thread::spawn(move || distant.ask_blocking(|()| pending::<()>()));
        drop(event_loop);
        let answer = asker.join().unwrap();
        assert!(matches!(answer, Err(JoinError::Canceled)));
    });
}

#[test]
fn an_ask_that_is_dropped_ends_the_wait_at_home() {
    check(|| {
        let mut event_loop = EventLoop::new().unwrap();
        let distant = Distant::new(&event_loop.handle(), ());
        let asker = thread::spawn(move || drop(distant.ask(|()| pending::<()>())));
        let handle = event_loop.handle();
        event_loop.run().unwrap();
        // The drop of the ask woke the task at home, if that had begun to wait.
        event_loop.run().unwrap();
        assert_eq!(handle.task_count(), 0);
        asker.join().unwrap();
    });
}

#[test]
fn an_ask_that_is_canceled_returns_an_answer_that_has_come_and_no_other() {
    let [has_come, has_not] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (comes, comes_not) = (Arc::clone(&has_come), Arc::clone(&has_not));
    check(move || {
        let token = Arc::new(());
        let mut event_loop = EventLoop::new().unwrap();
        let distant = Distant::new(&event_loop.handle(), Arc::clone(&token));
        let asker = thread::spawn(move || {
            let ask = distant.ask(|token| ready(Arc::clone(token)));
            drop(distant);
            ask.cancel().is_some()
        });
        event_loop.run().unwrap();
        match asker.join().unwrap() {
            true => has_come.store(true, Ordering::Relaxed),
            false => has_not.store(true, Ordering::Relaxed),
        }
        assert_eq!(Arc::strong_count(&token), 1);
    });
    assert!(comes.load(Ordering::Relaxed) && comes_not.load(Ordering::Relaxed));
}

#[test]
fn the_last_name_drops_the_value_at_home() {
    check(|| {
        let mut event_loop = EventLoop::new().unwrap();
        let value = Rc::new(());
        let distant = Distant::new(&event_loop.handle(), Rc::clone(&value));
        let clone = distant.clone();
        thread::spawn(move || drop(clone));
        thread::spawn(move || drop(distant));
        event_loop.run().unwrap();
        assert_eq!(Rc::strong_count(&value), 1);
    });
}

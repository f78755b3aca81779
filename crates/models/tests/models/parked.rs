//! Parked values, whose names are on other threads.

use loom::thread;
use oneloop_core::EventLoop;
use oneloop_models::check;
use std::cell::Cell;
use std::rc::Rc;

/// Counts its drops.
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_value_whose_name_another_thread_drops_is_dropped_once_by_its_loop_or_with_it() {
    check(|| {
        let drops = Rc::new(Cell::new(0));
        let mut event_loop = EventLoop::new().unwrap();
        let name = event_loop.handle().park(Counted(Rc::clone(&drops)));
        let away = thread::spawn(move || drop(name));
        event_loop.run_nowait().unwrap();
        drop(event_loop);
        assert_eq!(drops.get(), 1);
        away.join().unwrap();
        assert_eq!(drops.get(), 1);
    });
}

#[test]
fn a_loop_that_waits_is_woken_to_drop_a_value() {
    check(|| {
        let drops = Rc::new(Cell::new(0));
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let (name, remote) = (handle.park(Counted(Rc::clone(&drops))), handle.remote());
        let away = thread::spawn(move || {
            drop(name);
            drop(remote);
        });
        event_loop.run().unwrap();
        assert_eq!(drops.get(), 1);
        away.join().unwrap();
    });
}

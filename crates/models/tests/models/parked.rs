//! Parked values, whose names are on other threads.

use loom::sync::mpsc::{Sender, channel};
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
        let handle = event_loop.handle(); // outlives the loop, and must not keep the value
        let name = handle.park(Counted(Rc::clone(&drops)));
        let away = thread::spawn(move || drop(name));
        event_loop.run_nowait().unwrap();
        drop(event_loop);
        assert_eq!(drops.get(), 1);
        away.join().unwrap();
        assert_eq!(drops.get(), 1);
    });
}

/// Tells a thread of its drop.
struct Tells(Sender<()>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

#[test]
fn a_loop_that_waits_is_woken_to_drop_a_value() {
    check(|| {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let (sender, dropped) = channel();
        let (name, remote) = (handle.park(Tells(sender)), handle.remote());
        let away = thread::spawn(move || {
            drop(name);
            dropped.recv().unwrap();
            drop(remote); // only now: it wakes the loop as well
        });
        event_loop.run().unwrap();
        away.join().unwrap();
    });
}

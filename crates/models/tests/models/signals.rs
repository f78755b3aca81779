//! The walk of a signal handler over the seats of the listeners. Here a thread walks.

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use oneloop_models::check;
use oneloop_posix::seats::{Seat, Seats};
use std::os::fd::RawFd;
use std::sync::Arc;

/// One signal, and the eventfds of its listeners, which are the numbers from 0.
struct Signal {
    seats: Seats,
    /// The lock under which seats are taken.
    change: Mutex<()>,
    is_open: [AtomicBool; 3],
    writes: [AtomicUsize; 3],
}

impl Signal {
    fn new() -> Arc<Self> {
        Arc::new(Signal {
            seats: Seats::default(),
            change: Mutex::new(()),
            is_open: Default::default(),
            writes: Default::default(),
        })
    }

    fn listen(&self, eventfd: RawFd) -> &'static Seat {
        let _change = self.change.lock().unwrap();
        self.is_open[eventfd as usize].store(true, Ordering::Relaxed);
        self.seats.take(eventfd)
    }

    fn end(&self, seat: &Seat, eventfd: RawFd) {
        seat.leave();
        self.is_open[eventfd as usize].store(false, Ordering::Relaxed);
    }

    /// The handler.
    fn notify(&self) -> bool {
        self.seats.notify(|eventfd| {
            let eventfd = eventfd as usize;
            let is_open = self.is_open[eventfd].load(Ordering::Relaxed);
            assert!(is_open, "a write to an eventfd that was closed");
            self.writes[eventfd].fetch_add(1, Ordering::Relaxed);
        })
    }

    fn writes(&self, eventfd: RawFd) -> usize {
        self.writes[eventfd as usize].load(Ordering::Relaxed)
    }
}

#[test]
fn no_handler_writes_to_an_eventfd_after_its_listener_has_left() {
    check(|| {
        let signal = Signal::new();
        let seat = signal.listen(0);
        let handler = Arc::clone(&signal);
        thread::spawn(move || handler.notify());
        signal.end(seat, 0);
    });
}

#[test]
fn a_listener_that_was_there_all_the_while_is_notified_once() {
    check(|| {
        let signal = Signal::new();
        let leaves = signal.listen(0);
        signal.listen(1);
        let handler = Arc::clone(&signal);
        let handler = thread::spawn(move || handler.notify());
        signal.end(leaves, 0);
        signal.listen(2);
        assert!(handler.join().unwrap());
        assert_eq!(signal.writes(1), 1);
    });
}

#[test]
fn a_signal_finds_a_listener_while_one_relieves_the_other() {
    check(|| {
        let signal = Signal::new();
        let gone = signal.listen(0);
        let first = signal.listen(1);
        signal.end(gone, 0); // its seat is in front, and free
        let handler = Arc::clone(&signal);
        let handler = thread::spawn(move || handler.notify());
        let second = signal.listen(2);
        signal.end(first, 1);
        assert!(handler.join().unwrap(), "the process would have ended");
        assert!(signal.writes(1) + signal.writes(2) > 0);
        signal.end(second, 2);
    });
}

#[test]
fn a_handler_meets_listeners_that_come_and_go_on_two_threads() {
    check(|| {
        let signal = Signal::new();
        let threads = [0, 1].map(|eventfd| {
            let signal = Arc::clone(&signal);
            thread::spawn(move || {
                let seat = signal.listen(eventfd);
                signal.end(seat, eventfd);
            })
        });
        signal.notify();
        threads.into_iter().for_each(|it| it.join().unwrap());
    });
}

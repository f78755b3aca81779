//! Observers of a loop, what wakes tasks, and what tasks wait for.

use oneloop::core::{Direction, Key, PhaseReport, Task, WaitsFor};
use oneloop::sync::Event;
use oneloop::{EventLoop, Handle, Options};
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// The task in this slot.
fn key_of(handle: &Handle, slot: usize) -> Key<Task> {
    handle.dump_tasks()[slot].key
}

#[test]
fn observers_see_the_same_reports_beside_each_other() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let counts: [Rc<Cell<usize>>; 3] = Default::default();
    let count = |index: usize| {
        let count = Rc::clone(&counts[index]);
        move |report: &PhaseReport| count.set(count.get() + report.ran.len())
    };
    handle.observe(Some(count(0)));
    let first = handle.observe_also(count(1));
    let second = handle.observe_also(count(2));
    handle.spawn(async {});
    event_loop.run().unwrap();
    drop(first);
    handle.spawn(async {});
    event_loop.run().unwrap();
    handle.observe(None::<fn(&PhaseReport)>);
    handle.spawn(async {});
    event_loop.run().unwrap();
    drop(second);
    handle.spawn(async {});
    event_loop.run().unwrap();
    assert_eq!(counts.map(|count| count.get()), [2, 1, 3]);
}

#[test]
fn a_report_names_what_woke_each_task() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let (handle, event) = (event_loop.handle(), Event::new());
    handle.spawn({
        let event = event.clone();
        async move { event.until_set().await }
    });
    handle.spawn({
        let handle = handle.clone();
        async move {
            handle.sleep(MS).await;
            event.set();
        }
    });
    let (waiter, setter) = (key_of(&handle, 0), key_of(&handle, 1));
    let wakes = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&wakes);
    let began = handle.now();
    handle.observe(Some(move |report: &PhaseReport| {
        assert!(report.began >= began && report.ran.iter().all(|ran| ran.began >= report.began));
        let by = |by: Option<usize>| by.and_then(|index| report.ran[index].task);
        let woken = report.wakes.iter().map(|wake| (wake.task, by(wake.by)));
        seen.borrow_mut().extend(woken);
    }));
    event_loop.run().unwrap();
    // The timer wakes the one, and that wakes the other.
    assert_eq!(*wakes.borrow(), [(setter, None), (waiter, Some(setter))]);
}

#[test]
fn a_heartbeat_that_no_thread_holds_ends() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let heartbeat = handle.heartbeat();
    event_loop.block_on(async {});
    assert!(heartbeat.beats() > 0);
    let weak = std::sync::Arc::downgrade(&heartbeat);
    drop(heartbeat);
    event_loop.block_on(async {});
    assert!(weak.upgrade().is_none());
    assert_eq!(handle.heartbeat().beats(), 0, "another one begins");
}

#[test]
fn a_task_that_waits_for_an_fd_or_a_timer_is_found() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let (stream, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&stream);
    let socket = event_loop.enter(|| oneloop::net::Socket::from_fd(stream.into()).unwrap());
    handle.spawn(async move { oneloop::net::ReadHalf::read_chunk(&socket).await });
    handle.spawn(handle.sleep(3600 * 1000 * MS));
    handle.spawn(std::future::pending::<()>());
    event_loop.run_nowait().unwrap();
    let waits = [
        (key_of(&handle, 0), WaitsFor::Fd(fd, Direction::Read)),
        (key_of(&handle, 1), WaitsFor::Timer),
    ];
    assert_eq!(handle.dump_waits(), waits);
    peer.write_all(b"x").unwrap();
    event_loop.run_nowait().unwrap();
    assert_eq!(handle.dump_waits(), waits[1..]);
}

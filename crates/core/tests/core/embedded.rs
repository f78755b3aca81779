//! A loop inside of another one, and fds of other code.

use oneloop::callback::{self, watch_fd};
use oneloop::core::Direction;
use oneloop::green::net::{wait_readable, wait_writable};
use oneloop::{EventLoop, Handle, Options, aio, green};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

/// Timers, tasks, an fd and a job of another thread: whatever can bring something.
fn give_work(event_loop: &EventLoop, log: &Rc<RefCell<Vec<&'static str>>>) {
    let handle = event_loop.handle();
    let (mut here, there) = UnixStream::pair().unwrap();
    let (inside, said) = (handle.clone(), Rc::clone(log));
    handle.spawn(async move {
        inside.sleep(Duration::from_millis(2)).await;
        said.borrow_mut().push("timer");
        here.write_all(b"x").unwrap();
    });
    let (inside, said) = (handle.clone(), Rc::clone(log));
    handle.spawn(async move {
        inside.wait_ready(&there, Direction::Read).await.unwrap();
        said.borrow_mut().push("fd");
        inside.offload(|| ()).await.unwrap();
        said.borrow_mut().push("thread");
    });
}

#[test]
fn a_loop_lives_inside_of_a_poll_loop() {
    let mut event_loop = EventLoop::new().unwrap();
    let log = Rc::default();
    give_work(&event_loop, &log);
    let mut waits = 0;
    while event_loop.run_nowait().unwrap() {
        let timeout = event_loop.backend_timeout();
        let timeout = timeout.map(|timeout| Timespec::try_from(timeout).unwrap());
        poll(
            &mut [PollFd::new(&event_loop, PollFlags::IN)],
            timeout.as_ref(),
        )
        .unwrap();
        waits += 1;
    }
    assert_eq!(*log.borrow(), ["timer", "fd", "thread"]);
    assert!(
        waits < 20,
        "it slept until there was something: {waits} waits"
    );
    assert_eq!(event_loop.backend_timeout(), Some(Duration::ZERO));
}

#[test]
fn a_loop_lives_inside_of_another_of_its_kind() {
    let mut outer = EventLoop::new().unwrap();
    let mut inner = EventLoop::new().unwrap();
    let log = Rc::default();
    give_work(&inner, &log);
    let handle = outer.handle();
    outer.block_on(async move {
        while inner.run_nowait().unwrap() {
            let ready = handle.wait_ready(&inner, Direction::Read);
            match inner.backend_timeout() {
                // Its timer is due: that is no error.
                Some(timeout) => drop(handle.timeout(timeout, ready).await),
                None => ready.await.unwrap(),
            }
        }
    });
    assert_eq!(*log.borrow(), ["timer", "fd", "thread"]);
}

#[test]
fn the_time_to_wait_is_that_of_the_next_timer() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    assert_eq!(
        event_loop.backend_timeout(),
        Some(Duration::ZERO),
        "nothing to wait for"
    );
    let remote = handle.remote();
    assert_eq!(
        event_loop.backend_timeout(),
        None,
        "another thread may come"
    );
    let sleep = handle.spawn(handle.sleep(Duration::from_secs(3)));
    assert_eq!(
        event_loop.backend_timeout(),
        Some(Duration::ZERO),
        "a task is ready"
    );
    event_loop.run_nowait().unwrap();
    assert_eq!(event_loop.backend_timeout(), Some(Duration::from_secs(3)));
    drop((sleep, remote));
}

#[test]
fn any_fd_can_be_waited_for_in_each_style() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let entered = callback::enter(&handle);
    let (mut here, there) = UnixStream::pair().unwrap();
    let there = Rc::new(there);
    let count = Rc::new(Cell::new(0));

    let (reads, counted) = (Rc::clone(&there), Rc::clone(&count));
    let watch = event_loop.enter(|| {
        watch_fd(
            there.try_clone().unwrap(),
            Direction::Read,
            move |_, ready| {
                ready.unwrap();
                (&*reads).read_exact(&mut [0]).unwrap();
                counted.set(counted.get() + 1);
            },
        )
    });
    here.write_all(b"ab").unwrap(); // two calls: it is level-triggered
    let all_read = Rc::clone(&count);
    event_loop.block_on(async move {
        while all_read.get() < 2 {
            Handle::current().phase(oneloop::core::Phase::Check).await;
        }
        watch.stop();
    });

    let fd = Rc::clone(&there);
    let green = event_loop.enter(|| {
        green::spawn(move || {
            wait_writable(&*fd, None).unwrap();
            wait_readable(&*fd, None).unwrap();
            (&*fd).read_exact(&mut [0]).unwrap();
        })
    });
    here.write_all(b"c").unwrap();
    event_loop.block_on(green).unwrap();

    here.write_all(b"d").unwrap();
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    event_loop.block_on(async move {
        aio::wait_writable(&*there).await.unwrap();
        aio::wait_readable(&*there).await.unwrap();
        aio::wait_readable(&file).await.unwrap(); // a regular file always is
    });
    drop(entered);
}

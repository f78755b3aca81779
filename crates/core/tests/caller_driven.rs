//! The mechanisms in a loop that has no tasks and is driven by its caller, as libuv's is.

use oneloop_core::{
    Class, Inbox, Interest, Key, PoolOptions, Reactor, Ready, Timers, Trigger, Workers, forked,
};
use rustix::net::{SendFlags, send};
use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

const NOW: Option<Duration> = Some(Duration::ZERO);

type Callback = Rc<dyn Fn(&Caller, Ready)>;

/// The loop of a caller: callbacks by fd and by timer, and no future anywhere.
struct Caller {
    reactor: RefCell<Reactor<Callback>>,
    timers: RefCell<Timers<&'static str>>,
    inbox: Arc<Inbox<Vec<&'static str>>>,
    workers: Workers,
    started: Instant,
    log: RefCell<Vec<&'static str>>,
}

impl Caller {
    fn new() -> Self {
        let caller = Caller {
            reactor: RefCell::new(Reactor::new().unwrap()),
            timers: RefCell::default(),
            inbox: Inbox::new().unwrap(),
            workers: Workers::new(&PoolOptions::with_threads_max(1)).unwrap(),
            started: Instant::now(),
            log: RefCell::default(),
        };
        let take_mail: Callback = Rc::new(|caller, _| {
            let mail = caller.inbox.take();
            caller.log.borrow_mut().extend(mail);
        });
        let mut reactor = caller.reactor.borrow_mut();
        let bell = &*caller.inbox;
        reactor
            .add(bell, Interest::READ, Trigger::Edge, take_mail)
            .unwrap();
        drop(reactor);
        caller
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn turn(&self) {
        let deadline_ns = self.timers.borrow_mut().next_deadline_ns();
        let left_ns = deadline_ns.map(|ns| ns.saturating_sub(self.now_ns()));
        let events = self
            .reactor
            .borrow_mut()
            .wait(left_ns.map(Duration::from_nanos));
        for index in 0..events.unwrap() {
            let event = self.reactor.borrow().event(index);
            let Some((key, ready)) = event else { continue };
            let callback = self.reactor.borrow().get(key).map(Rc::clone).unwrap();
            callback(self, ready); // it may borrow whatever it likes
        }
        let (now_ns, mark) = (self.now_ns(), self.timers.borrow().mark());
        while let Some((_, name)) = self.pop_due_before(now_ns, mark) {
            self.log.borrow_mut().push(name);
            // Due at once, and yet for the next turn: or this loop would never end.
            self.timers.borrow_mut().start(now_ns, "again");
        }
    }

    fn pop_due_before(
        &self,
        now_ns: u64,
        mark: oneloop_core::TimerMark,
    ) -> Option<(u64, &'static str)> {
        self.timers.borrow_mut().pop_due_before(now_ns, mark)
    }
}

#[test]
fn a_loop_without_tasks_serves_fds_timers_jobs_and_mail() {
    let caller = Caller::new();
    let (mut here, there) = UnixStream::pair().unwrap();
    here.write_all(b"x").unwrap();
    let peer: Callback = {
        let there = there.try_clone().unwrap();
        Rc::new(move |caller, _| {
            (&there).read_exact(&mut [0]).unwrap();
            caller.log.borrow_mut().push("peer");
        })
    };
    let mut reactor = caller.reactor.borrow_mut();
    reactor
        .add(&there, Interest::READ, Trigger::Level, peer)
        .unwrap();
    drop(reactor);
    let deadline_ns = caller.now_ns() + 1_500_000; // no whole millisecond
    caller.timers.borrow_mut().start(deadline_ns, "timer");
    let inbox = Arc::clone(&caller.inbox);
    let job = move || assert!(inbox.send(|mail| mail.push("job")));
    assert!(caller.workers.submit(Class::Fs, job).is_ok());
    let has_all = |log: &[_]| {
        ["peer", "timer", "job"]
            .iter()
            .all(|name| log.contains(name))
    };
    while !has_all(&caller.log.borrow()) {
        caller.turn();
    }
    caller.log.borrow_mut().clear();
    caller.turn();
    assert_eq!(
        *caller.log.borrow(),
        ["again"],
        "one timer, in the turn after it was started"
    );
}

#[test]
fn a_callback_may_remove_the_fd_of_a_later_event() {
    let caller = Caller::new();
    let ends = UnixStream::pair().unwrap();
    let ends = [Rc::new(ends.0), Rc::new(ends.1)];
    let keys: Rc<Cell<Option<[Key<Callback>; 2]>>> = Rc::default();
    let added = [0, 1].map(|this: usize| {
        let (keys, other) = (Rc::clone(&keys), Rc::clone(&ends[1 - this]));
        let callback: Callback = Rc::new(move |caller, _| {
            let key = keys.get().unwrap()[1 - this];
            assert!(caller.reactor.borrow_mut().remove(&other, key).is_some());
            caller.log.borrow_mut().push("one of them");
        });
        let mut reactor = caller.reactor.borrow_mut();
        reactor
            .add(&ends[this], Interest::WRITE, Trigger::Level, callback)
            .unwrap()
    });
    keys.set(Some(added));
    caller.turn();
    assert_eq!(*caller.log.borrow(), ["one of them"]);
}

#[test]
fn urgent_data_wakes_only_an_interest_in_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (receiver, _) = listener.accept().unwrap();
    let mut reactor = Reactor::new().unwrap();
    let read = Interest {
        read: true,
        ..Interest::NONE
    };
    let urgent = Interest {
        urgent: true,
        ..Interest::NONE
    };
    let key = reactor.add(&receiver, urgent, Trigger::Level, ()).unwrap();
    send(&sender, b"x", SendFlags::empty()).unwrap();
    assert_eq!(reactor.wait(Some(Duration::from_millis(10))).unwrap(), 0);
    send(&sender, b"!", SendFlags::OOB).unwrap();
    assert_eq!(reactor.wait(None).unwrap(), 1);
    assert_eq!(reactor.event(0), Some((key, Ready::URGENT)));
    reactor
        .modify(&receiver, key, read, Trigger::Level)
        .unwrap();
    assert_eq!(reactor.wait(None).unwrap(), 1);
    assert_eq!(reactor.event(0), Some((key, Ready::READ)));
}

#[test]
fn the_end_of_the_peer_wakes_only_an_interest_in_it() {
    let (here, there) = UnixStream::pair().unwrap();
    here.shutdown(Shutdown::Write).unwrap();
    let mut reactor = Reactor::new().unwrap();
    let key = reactor
        .add(&there, Interest::WRITE, Trigger::Level, ())
        .unwrap();
    reactor.wait(NOW).unwrap();
    assert_eq!(reactor.event(0), Some((key, Ready::WRITE)));
    let read_closed = Interest {
        read_closed: true,
        ..Interest::NONE
    };
    reactor
        .modify(&there, key, read_closed, Trigger::Level)
        .unwrap();
    reactor.wait(NOW).unwrap();
    assert_eq!(reactor.event(0), Some((key, Ready::READ_CLOSED)));
}

#[test]
fn a_full_queue_returns_the_job() {
    let options = PoolOptions {
        queued_max: 1,
        ..PoolOptions::with_threads_max(1)
    };
    let workers = Workers::new(&options).unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    let blocks = move || {
        begun.send(()).unwrap();
        let _ = ends.recv();
    };
    assert!(workers.submit(Class::Cpu, blocks).is_ok());
    has_begun.recv().unwrap(); // so it is out of the queue
    let (done, is_done) = mpsc::channel();
    let also_done = done.clone();
    assert!(
        workers
            .submit(Class::Cpu, move || done.send("queued").unwrap())
            .is_ok()
    );
    let returned = workers.submit(Class::Cpu, move || also_done.send("returned").unwrap());
    let job = returned.expect_err("the queue is full");
    drop(end);
    assert_eq!(is_done.recv().unwrap(), "queued");
    assert!(workers.submit(Class::Cpu, job).is_ok());
    assert_eq!(is_done.recv().unwrap(), "returned");
}

/// Runs a function in a forked child; true if it returns. The child must not allocate much or lock:
/// the test's other threads are not there.
fn in_child(run: impl FnOnce()) -> bool {
    // SAFETY: the child runs `run`, which only makes system calls on its own fds, and exits without
    // unwinding or running destructors of this process.
    match unsafe { libc::fork() } {
        0 => {
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            // SAFETY: _exit(2) has no conditions.
            unsafe { libc::_exit(i32::from(ran.is_err())) }
        }
        child => {
            let mut status = 0;
            // SAFETY: the child is this process's own, and `status` is writable.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}

#[test]
fn a_forked_child_recreates_its_reactor_and_leaves_the_parents_alone() {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    let mut reactor = Reactor::new().unwrap();
    let key = reactor
        .add(&there, Interest::READ, Trigger::Edge, "there")
        .unwrap();
    let child_works = in_child(|| {
        let refused = reactor.wait(NOW).unwrap_err();
        assert_eq!(refused.to_string(), forked().to_string());
        reactor.recreate().unwrap();
        assert_eq!(
            (reactor.wait(NOW).unwrap(), reactor.get(key)),
            (0, Some(&"there"))
        );
        reactor
            .modify(&there, key, Interest::READ, Trigger::Level)
            .unwrap();
        here.write_all(b"x").unwrap();
        assert_eq!(reactor.wait(None).unwrap(), 1);
        assert_eq!(reactor.event(0), Some((key, Ready::READ)));
        there.read_exact(&mut [0]).unwrap();
        reactor.remove(&there, key);
    });
    assert!(child_works);
    here.write_all(b"y").unwrap();
    reactor.wait(None).unwrap();
    assert_eq!(
        reactor.event(0),
        Some((key, Ready::READ)),
        "the parent's registration is unchanged"
    );
}

//! Code that always has more to do starves no other, in any style: a timer ends every program here.

use oneloop::callback::{self, dgram, fs, process, set_immediate, set_interval, set_timeout};
use oneloop::core::{Direction, Signals};
use oneloop::green::Wait;
use oneloop::signal::number::SIGUSR1;
use oneloop::sync::Event;
use oneloop::{EventLoop, Handle, green};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
/// The timer that ends a program.
const END: Duration = Duration::from_millis(50);

/// Runs a program on its own thread, and fails if it does not end.
fn ends(program: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        program();
        let _ = sender.send(());
    });
    let ended = receiver.recv_timeout(Duration::from_secs(20));
    ended.expect("the loop turned until the program's timer");
}

/// As [`ends`], in the callback style.
fn callbacks_end(program: impl FnOnce() + Send + 'static) {
    ends(move || {
        let code = callback::run(move || {
            set_timeout(
                || {
                    if true {
                        process::exit(7)
                    }
                },
                END.as_millis() as f64,
            );
            program();
        });
        assert_eq!(code.unwrap(), 7);
    });
}

/// As [`ends`], in the async style.
fn tasks_end<F: Future<Output = ()> + 'static>(program: impl FnOnce() -> F + Send + 'static) {
    ends(move || {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let _task = event_loop.enter(|| handle.spawn(program()));
        event_loop.block_on(async { Handle::current().sleep(END).await });
    });
}

/// As [`ends`], in the green style.
fn threads_end(program: impl FnOnce() + Send + 'static) {
    ends(move || {
        green::run(move || {
            let thread = green::spawn(program);
            green::sleep(END);
            thread.kill();
        })
        .unwrap();
    });
}

fn work_for(duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

fn raise() {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1)
        .unwrap();
}

#[test]
fn an_interval_whose_callback_exceeds_its_period_starves_nothing() {
    callbacks_end(|| {
        set_interval(|| work_for(7 * MS), 3);
    });
    tasks_end(|| async {
        let mut interval = oneloop::aio::interval(3 * MS);
        loop {
            interval.tick().await;
            work_for(7 * MS);
        }
    });
}

#[test]
fn a_timer_that_is_due_when_it_is_created_starves_nothing() {
    callbacks_end(|| {
        fn again() {
            set_timeout(again, 1);
            work_for(3 * MS);
        }
        again();
    });
    tasks_end(|| async {
        loop {
            Handle::current().sleep_until(Instant::now()).await;
        }
    });
    threads_end(|| {
        loop {
            green::sleep_until(Instant::now() - MS);
        }
    });
}

#[test]
fn an_endless_yield_starves_nothing() {
    callbacks_end(|| {
        fn again() {
            set_immediate(again);
        }
        again();
    });
    tasks_end(|| async {
        loop {
            oneloop::core::yield_now().await;
        }
    });
    threads_end(|| {
        loop {
            green::sleep(Duration::ZERO);
        }
    });
}

#[test]
fn two_tasks_that_wake_each_other_starve_nothing() {
    threads_end(|| {
        let ping = Rc::new(Event::new());
        let pong = Rc::new(Event::new());
        let (pinged, answer) = (Rc::clone(&ping), Rc::clone(&pong));
        let other = green::spawn(move || {
            loop {
                pinged.until_set().wait();
                pinged.clear();
                answer.set();
            }
        });
        loop {
            ping.set();
            pong.until_set().wait();
            pong.clear();
            if other.is_finished() {
                return;
            }
        }
    });
}

#[test]
fn a_signal_that_its_listener_raises_again_starves_nothing() {
    // The kernel may deliver the last signal to another thread after its listener is gone. Without
    // another listener, it would kill the process.
    let event_loop = EventLoop::new().unwrap();
    let stays = Signals::new(&event_loop.handle(), &[SIGUSR1]).unwrap();
    std::mem::forget((stays, event_loop));
    callbacks_end(|| {
        process::on_signal(SIGUSR1, |_| raise()).unwrap();
        raise();
    });
    tasks_end(|| async {
        let signals = Signals::new(&Handle::current(), &[SIGUSR1]).unwrap();
        loop {
            raise();
            signals.recv().await.unwrap();
        }
    });
}

#[test]
fn a_change_that_its_listener_repeats_starves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    callbacks_end(move || {
        let (file, watched) = (dir.path().join("file"), dir.path().to_owned());
        let change = move || std::fs::write(&file, "changed").unwrap();
        change();
        let _watcher = fs::watch(&watched, move |_, _| {
            let _keep = &dir;
            change();
        })
        .unwrap();
    });
}

#[test]
fn an_fd_that_is_never_read_starves_nothing() {
    callbacks_end(|| {
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        callback::watch_fd(here, Direction::Read, |_, ready| ready);
    });
    tasks_end(|| async {
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        loop {
            let ready = Handle::current().wait_ready(&here, Direction::Read).await;
            ready.unwrap();
        }
    });
}

#[test]
fn a_datagram_that_is_answered_by_another_starves_nothing() {
    callbacks_end(|| {
        let socket = dgram::create_socket(dgram::Kind::Udp4);
        socket.on_message(|socket, _, from| socket.send_to("again", from.addr));
        socket.bind(("127.0.0.1", 0)).unwrap();
    });
}

//! Signals: their listeners, and their effect without one.

use oneloop::callback::process::on_signal;
use oneloop::callback::set_immediate;
use oneloop::core::Signals;
use oneloop::green::{self, Wait};
use oneloop::signal::number::{SIGBUS, SIGHUP, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use oneloop::signal::{Disposition, disposition};
use oneloop::{EventLoop, aio, callback};
use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Signals are the process's: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To this thread: it has been handled when this returns.
fn raise(number: i32) {
    // SAFETY: raise(3) has no conditions.
    assert_eq!(unsafe { libc::raise(number) }, 0);
}

/// Runs one of the tests here again, as the process that gets the signal.
fn in_a_process_of_its_own(test: &str, before: &str) -> ExitStatus {
    let exe = std::env::current_exe().unwrap();
    let mut shell = Command::new("sh");
    let script = format!("{before} exec \"$0\" --exact {test} --nocapture");
    shell.arg("-c").arg(script).arg(exe);
    shell.env("ONELOOP_VICTIM", "1").output().unwrap().status
}

fn is_victim() -> bool {
    std::env::var_os("ONELOOP_VICTIM").is_some()
}

#[test]
fn a_storm_is_one_event_for_each_listener_on_each_loop() {
    let _alone = alone();
    let mut loops = [EventLoop::new().unwrap(), EventLoop::new().unwrap()];
    let listeners: Vec<_> = loops
        .iter()
        .flat_map(|event_loop| {
            let handle = event_loop.handle();
            [(); 2].map(|()| Signals::new(&handle, &[SIGUSR1, SIGUSR2]).unwrap())
        })
        .collect();
    for _ in 0..10_000 {
        raise(SIGUSR1);
    }
    for (event_loop, listeners) in loops.iter_mut().zip(listeners.chunks(2)) {
        for listener in listeners {
            assert_eq!(event_loop.block_on(listener.recv()).unwrap(), SIGUSR1);
            let again = event_loop
                .handle()
                .timeout(Default::default(), listener.recv());
            assert!(event_loop.block_on(again).is_err(), "all of them were one");
        }
    }
    raise(SIGUSR2);
    assert_eq!(loops[1].block_on(listeners[3].recv()).unwrap(), SIGUSR2);
}

#[test]
fn a_signal_reaches_each_style() {
    let _alone = alone();
    let mut event_loop = EventLoop::new().unwrap();
    let received = Rc::new(Cell::new(0));
    let entered = callback::enter(&event_loop.handle());
    let (callbacks, greens) = (Rc::clone(&received), Rc::clone(&received));
    let (listener, handler) = event_loop.enter(|| {
        let listener = on_signal(SIGWINCH, move |_| callbacks.set(callbacks.get() + 1)).unwrap();
        let handler =
            green::signal_handler(SIGWINCH, move || greens.set(greens.get() + 10)).unwrap();
        let waits = Signals::new(&oneloop::Handle::current(), &[SIGWINCH]).unwrap();
        let count = Rc::clone(&received);
        drop(green::spawn(move || {
            waits.recv().wait().unwrap();
            count.set(count.get() + 100);
        }));
        (listener, handler)
    });
    let received = event_loop.block_on(async move {
        let signals = aio::signals(&[SIGWINCH]).unwrap();
        raise(SIGWINCH);
        signals.recv().await.unwrap();
        while received.get() < 111 {
            aio::yield_now().await;
        }
        received
    });
    assert_eq!(received.get(), 111);
    listener.off();
    handler.cancel();
    drop(entered);
}

#[test]
fn a_canceled_wait_loses_no_signal() {
    let _alone = alone();
    let mut event_loop = EventLoop::new().unwrap();
    let signals = Signals::new(&event_loop.handle(), &[SIGHUP]).unwrap();
    let given_up = event_loop
        .handle()
        .timeout(Default::default(), signals.recv());
    assert!(event_loop.block_on(given_up).is_err());
    raise(SIGHUP);
    assert_eq!(event_loop.block_on(signals.recv()).unwrap(), SIGHUP);
}

#[test]
fn a_signal_that_has_no_listeners_is_an_error() {
    let event_loop = EventLoop::new().unwrap();
    for number in [SIGKILL, SIGBUS, 0, -1, 65, i32::MAX, i32::MIN] {
        let error = Signals::new(&event_loop.handle(), &[SIGUSR1, number]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(
            error.to_string(),
            format!("nothing can listen to signal {number}")
        );
    }
    assert_eq!(disposition(SIGKILL).unwrap(), Disposition::Default);
    assert_eq!(
        disposition(65).unwrap_err().raw_os_error(),
        Some(libc::EINVAL)
    );
}

/// The callback style, too: `off` is enough.
#[test]
fn with_the_last_listener_gone_a_signal_kills_again() {
    if is_victim() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let (first, second) = (
            Signals::new(&handle, &[SIGTERM]),
            Signals::new(&handle, &[SIGTERM]),
        );
        drop(first);
        raise(SIGTERM);
        event_loop
            .block_on(second.as_ref().unwrap().recv())
            .unwrap();
        drop(second);
        callback::run_on(&mut event_loop, || {
            let listener = on_signal(SIGTERM, |_| ()).unwrap();
            set_immediate(move || {
                listener.off();
                set_immediate(|| raise(SIGTERM));
                callback::set_timeout(|| (), 60_000);
            });
        })
        .unwrap();
        return;
    }
    let status = in_a_process_of_its_own("with_the_last_listener_gone_a_signal_kills_again", "");
    assert_eq!(status.signal(), Some(SIGTERM));
}

#[test]
fn a_real_time_signal_kills_again_as_well() {
    if is_victim() {
        let mut event_loop = EventLoop::new().unwrap();
        let signals = Signals::new(&event_loop.handle(), &[libc::SIGRTMIN()]).unwrap();
        raise(libc::SIGRTMIN());
        event_loop.block_on(signals.recv()).unwrap();
        drop(signals);
        raise(libc::SIGRTMIN());
        return;
    }
    let status = in_a_process_of_its_own("a_real_time_signal_kills_again_as_well", "");
    assert_eq!(status.signal(), Some(libc::SIGRTMIN()));
}

#[test]
fn what_was_ignored_before_is_ignored_again() {
    if is_victim() {
        assert_eq!(disposition(SIGHUP).unwrap(), Disposition::Ignored);
        let event_loop = EventLoop::new().unwrap();
        drop(Signals::new(&event_loop.handle(), &[SIGHUP]).unwrap());
        raise(SIGHUP);
        return;
    }
    let status =
        in_a_process_of_its_own("what_was_ignored_before_is_ignored_again", "trap '' HUP;");
    assert!(status.success(), "{status}");
}

//! A signal in the moment that virtual time gives to loopback sockets moves no time. A program of
//! its own, because the signal has to interrupt the thread of the loop.

use oneloop::core::Signals;
use oneloop::signal::number::SIGUSR1;
use oneloop::{EventLoop, Options};
use std::fs;
use std::thread;
use std::time::Duration;

/// Sends SIGUSR1 to a thread once it sleeps.
fn interrupt_sleep_of(thread: libc::pthread_t, id: i32) {
    // proc_pid_stat(5): the state comes behind the name, which ends with the last parenthesis.
    let stat = format!("/proc/self/task/{id}/stat");
    let sleeps = || {
        let stat = fs::read_to_string(&stat).unwrap();
        stat.rsplit(')').next().unwrap().trim().starts_with('S')
    };
    while !sleeps() {
        thread::yield_now();
    }
    // SAFETY: the thread lives, since it joins this one.
    assert_eq!(unsafe { libc::pthread_kill(thread, SIGUSR1) }, 0);
}

#[test]
fn a_signal_during_the_grace_of_virtual_time_comes_before_the_next_timer() {
    let options = Options {
        // So long that the signal always arrives before it ends.
        loopback_grace: Duration::from_secs(3600),
        ..Options::virtual_time()
    };
    let mut event_loop = EventLoop::with(options).unwrap();
    let handle = event_loop.handle();
    let start = handle.now();
    // SAFETY: neither has conditions.
    let (thread, id) = unsafe { (libc::pthread_self(), libc::gettid()) };
    let received = event_loop.block_on(async {
        let signals = Signals::new(&handle, &[SIGUSR1]).unwrap();
        let sender = thread::spawn(move || interrupt_sleep_of(thread, id));
        let received = handle.timeout(Duration::from_secs(3600), signals.recv());
        let received = received.await;
        sender.join().unwrap();
        received
    });
    let signal = received.expect("the hour has not passed").unwrap();
    assert_eq!((signal, handle.now()), (SIGUSR1, start));
}

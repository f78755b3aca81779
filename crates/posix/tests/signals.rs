//! Signals that come while listeners come and go, and handlers of other code.

use oneloop_posix::number::{SIGHUP, SIGTERM, SIGTSTP, SIGURG, SIGUSR1, SIGUSR2, SIGWINCH};
use oneloop_posix::{Disposition, Listener, disposition};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid};
use std::env;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

/// Far more than the tests take, and short enough for a test that fails.
const LONG: Timespec = Timespec {
    tv_sec: 20,
    tv_nsec: 0,
};

/// Runs one of these tests again, as a process that gets signals, and returns it once it has
/// printed `begun`.
fn victim(test: &str, role: &str) -> Child {
    let mut victim = Command::new(env::current_exe().unwrap());
    victim.args(["--exact", test, "--nocapture"]);
    victim.env("ONELOOP_VICTIM", role).process_group(0);
    let mut victim = victim.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(victim.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("begun")));
    victim
}

/// The role of a victim; `None` in the test itself.
fn role() -> Option<String> {
    env::var("ONELOOP_VICTIM").ok()
}

fn listen(number: i32) -> (OwnedFd, Listener) {
    let eventfd = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    let listener = Listener::new(number, eventfd.try_clone().unwrap()).unwrap();
    (eventfd, listener)
}

fn was_notified(eventfd: &OwnedFd) -> bool {
    rustix::io::read(eventfd, &mut [0; 8]).is_ok()
}

/// Sends a signal to this thread. It has been handled when this returns.
fn raise(number: i32) {
    // SAFETY: raise(3) has no conditions.
    assert_eq!(unsafe { libc::raise(number) }, 0);
}

/// Waits for the end of a process, and kills it after [`LONG`].
fn end(mut victim: Child) -> ExitStatus {
    let pidfd = pidfd_open(Pid::from_child(&victim), PidfdFlags::empty()).unwrap();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&LONG)).unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap()
}

/// Adds and drops listeners until one is notified.
fn come_and_go() {
    loop {
        let (eventfd, listener) = listen(SIGTERM);
        drop(listener);
        if was_notified(&eventfd) {
            process::exit(0);
        }
    }
}

#[test]
fn a_signal_notifies_or_kills_while_listeners_come_and_go() {
    if let Some(listeners) = role() {
        println!("begun");
        for _ in 1..listeners.parse().unwrap() {
            thread::spawn(come_and_go);
        }
        return come_and_go();
    }
    for round in 0..200 {
        let test = "a_signal_notifies_or_kills_while_listeners_come_and_go";
        let victim = victim(test, &(1 + round % 3).to_string());
        kill_process(Pid::from_child(&victim), Signal::TERM).unwrap();
        let status = end(victim);
        assert!(
            status.success() || status.signal() == Some(SIGTERM),
            "signal {round}: {status}"
        );
    }
}

/// At every moment one thread of this process listens. Others raise the signal, which must not kill
/// it.
#[test]
fn a_signal_that_is_handed_over_never_kills() {
    let is_over = AtomicBool::new(false);
    let (eventfd, mut listener) = listen(SIGHUP);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    raise(SIGHUP);
                }
            });
        }
        for _ in 0..20_000 {
            let next = Listener::new(SIGHUP, eventfd.try_clone().unwrap()).unwrap();
            listener = next; // only now the previous one is dropped
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(was_notified(&eventfd));
    drop(listener);
}

/// Continues a process whenever it stops, until it ends.
fn continue_until_it_ends(victim: Child) -> ExitStatus {
    let pid = Pid::from_child(&victim);
    loop {
        let options = WaitOptions::UNTRACED;
        let (_, status) = waitpid(Some(pid), options).unwrap().unwrap();
        if !status.stopped() {
            return ExitStatus::from_raw(status.as_raw());
        }
        kill_process(pid, Signal::CONT).unwrap();
    }
}

#[test]
fn threads_that_stop_at_the_same_time_leave_later_signals_to_listeners() {
    let name = "threads_that_stop_at_the_same_time_leave_later_signals_to_listeners";
    if role().is_none() {
        let status = continue_until_it_ends(victim(name, "stopped often"));
        assert!(status.success(), "{status}");
        return;
    }
    println!("begun");
    for _ in 0..500 {
        drop(listen(SIGTSTP));
        thread::scope(|scope| {
            scope.spawn(|| raise(SIGTSTP));
            scope.spawn(|| raise(SIGTSTP));
        });
        let (eventfd, _listener) = listen(SIGTSTP);
        raise(SIGTSTP);
        assert!(was_notified(&eventfd));
    }
}

#[test]
fn a_listener_is_notified_also_after_other_code_set_the_default_action() {
    drop(listen(SIGWINCH));
    handle(SIGWINCH, libc::SIG_DFL, 0);
    let (eventfd, _listener) = listen(SIGWINCH);
    raise(SIGWINCH);
    assert!(was_notified(&eventfd));
}

#[test]
fn without_listeners_a_signal_stops_again_and_the_next_listener_is_notified() {
    if role().is_some() {
        drop(listen(SIGTSTP));
        println!("begun");
        raise(SIGTSTP); // until it is continued
        let (eventfd, _listener) = listen(SIGTSTP);
        raise(SIGTSTP);
        assert!(was_notified(&eventfd));
        return;
    }
    let victim = victim(
        "without_listeners_a_signal_stops_again_and_the_next_listener_is_notified",
        "stopped",
    );
    let pid = Pid::from_child(&victim);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert_eq!(status.stopping_signal(), Some(SIGTSTP), "{status:?}");
    kill_process(pid, Signal::CONT).unwrap();
    assert!(end(victim).success());
}

static CALLS: AtomicI32 = AtomicI32::new(0);

extern "C" fn add_number(number: i32) {
    CALLS.fetch_add(number, Ordering::Relaxed);
}

extern "C" fn add_value(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel has filled it in for the current signal.
    let pid = unsafe { (*info).si_pid() };
    CALLS.fetch_add(pid, Ordering::Relaxed);
}

/// Installs a handler as other libraries do.
fn handle(number: i32, handler: usize, flags: i32) {
    // SAFETY: all zeros are a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the handlers here only add to an atomic, and have the signature that the flags
    // announce.
    let result = unsafe { libc::sigaction(number, &action, std::ptr::null_mut()) };
    assert_eq!(result, 0);
}

#[test]
fn an_earlier_handler_is_called_before_during_and_after_listening() {
    handle(SIGUSR1, add_number as *const () as usize, 0);
    handle(SIGUSR2, add_value as *const () as usize, libc::SA_SIGINFO);
    for (number, expected) in [(SIGUSR1, SIGUSR1), (SIGUSR2, process::id() as i32)] {
        CALLS.store(0, Ordering::Relaxed);
        raise(number);
        let (eventfd, listener) = listen(number);
        assert!(!was_notified(&eventfd));
        raise(number);
        assert!(was_notified(&eventfd));
        drop(listener);
        raise(number);
        assert!(!was_notified(&eventfd));
        assert_eq!(CALLS.load(Ordering::Relaxed), 3 * expected);
    }
}

static OLD_RAN: AtomicBool = AtomicBool::new(false);

extern "C" fn old(_: i32) {
    OLD_RAN.store(true, Ordering::SeqCst);
}

#[test]
fn a_replacing_listener_silences_the_old_handler_and_leaves_the_default() {
    let address = old as *const () as usize;
    // SAFETY: the handler only stores to an atomic.
    unsafe { libc::signal(SIGURG, address) };
    let eventfds = [0, 1].map(|_| eventfd(0, EventfdFlags::NONBLOCK).unwrap());
    let listeners =
        [0, 1].map(|at| Listener::replacing(SIGURG, eventfds[at].try_clone().unwrap()).unwrap());
    raise(SIGURG);
    assert!(eventfds.iter().all(was_notified));
    let [first, second] = listeners;
    drop(first);
    raise(SIGURG);
    assert_eq!(eventfds.each_ref().map(was_notified), [false, true]);
    assert_eq!(disposition(SIGURG).unwrap(), Disposition::Caught);
    drop(second);
    assert_eq!(disposition(SIGURG).unwrap(), Disposition::Default);
    let (eventfd, listener) = listen(SIGURG);
    raise(SIGURG);
    assert!(
        was_notified(&eventfd),
        "a listener of the other mode works as before"
    );
    drop(listener);
    raise(SIGURG);
    assert!(
        !OLD_RAN.load(Ordering::SeqCst),
        "and calls the old handler no more"
    );
}

#[test]
fn a_signal_kills_once_its_replacing_listeners_are_gone() {
    if role().is_some() {
        let eventfd = eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        drop(Listener::replacing(SIGHUP, eventfd).unwrap());
        println!("begun");
        raise(SIGHUP);
        return;
    }
    let victim = victim(
        "a_signal_kills_once_its_replacing_listeners_are_gone",
        "any",
    );
    assert_eq!(end(victim).signal(), Some(SIGHUP));
}

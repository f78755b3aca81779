//! The programs of `conformance/eventlet`, by the names of their Python twins.

mod ending;
mod locals;
mod pools;
mod queues;
mod serving;
mod sockets;
mod spawning;
mod sync;
mod time;

use crate::{Program, Suite};
use oneloop::green::{JoinError, catch_unwind};
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::time::Duration;

/// Programs by name, from functions that may fail.
macro_rules! programs {
    ($($name:literal: $kind:ident $program:path;)*) => {
        &[$(($name, Program::$kind(|| $program().expect_success()))),*]
    };
}

pub(crate) const PROGRAMS: Suite = programs! {
    "01_spawn_order": Green spawning::spawn_order;
    "02_spawn_after": Green spawning::spawn_after;
    "03_spawn_n": Green spawning::spawn_n;
    "04_spawn_after_local": Green spawning::spawn_after_local;
    "05_kill_runs_now": Green ending::kill_runs_now;
    "06_kill_unstarted": Green ending::kill_unstarted;
    "07_cancel": Green ending::cancel;
    "08_links": Green ending::links;
    "09_wait": Green ending::wait;
    "10_sleep": Green time::sleeps;
    "11_timers_in_a_storm": GreenInRealTime time::timers_in_a_storm;
    "12_timeout_nested": Green time::timeout_nested;
    "13_timeout_kinds": Green time::timeout_kinds;
    "14_event": Green sync::event;
    "15_event_once": Green sync::event_once;
    "16_semaphore": Green sync::semaphore;
    "17_bounded_capped": Green sync::bounded_capped;
    "18_queue": Green queues::queue;
    "19_queue_rendezvous": Green queues::queue_rendezvous;
    "20_queue_bounded": Green queues::queue_bounded;
    "21_queue_kinds": Green queues::queue_kinds;
    "22_task_done": Green queues::task_done;
    "23_green_pool": Green pools::green_pool;
    "24_pool_nested": Green pools::pool_nested;
    "25_imap": Green pools::imap;
    "26_pile": Green pools::pile;
    "27_resource_pool": Green pools::resource_pool;
    "28_local": Green locals::local;
    "29_thread_pool": GreenInRealTime locals::thread_pool;
    "30_echo_server": Green serving::echo_server;
    "31_stop_serve": Green serving::stop_serve;
    "32_serve_concurrency": Green serving::serve_concurrency;
    "33_trampoline": Green sockets::trampoline;
    "34_socket_timeouts": Green sockets::socket_timeouts;
    "35_second_read": Green sockets::second_read;
    "36_half_close": Green serving::half_close;
    "37_close_while_reading": Green sockets::close_while_reading;
};

/// What a program returns.
trait Success {
    fn expect_success(self);
}

impl Success for () {
    fn expect_success(self) {}
}

impl Success for io::Result<()> {
    fn expect_success(self) {
        self.expect("its sockets work");
    }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// `print(value)`
fn py(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

#[derive(Clone, Copy, Debug)]
struct ValueError(&'static str);

impl ValueError {
    /// `raise ValueError(…)`
    fn raise(self) -> ! {
        resume_unwind(Box::new(self))
    }
}

/// `try: function() except ValueError`
fn attempt<T>(function: impl FnOnce() -> T) -> Result<T, ValueError> {
    catch_unwind(function).map_err(|payload| match payload.downcast::<ValueError>() {
        Ok(error) => *error,
        Err(payload) => resume_unwind(payload),
    })
}

/// The `ValueError` that a thread raised.
fn raised(error: &JoinError) -> Option<ValueError> {
    match error {
        JoinError::Panicked(payload) => payload.downcast_ref().copied(),
        _ => None,
    }
}

/// `recv(100).decode()`
fn receive(mut from: impl Read) -> io::Result<String> {
    let mut buf = [0; 100];
    let count = from.read(&mut buf)?;
    Ok(String::from_utf8_lossy(&buf[..count]).into_owned())
}

/// `text or instead`
fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}

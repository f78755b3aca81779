//! The programs of `conformance/gevent`, by the names of their Python twins.

mod ending;
mod net;
mod pools;
mod queues;
mod spawning;
mod sync;
mod time;
mod waiting;

use crate::Program::{Green, GreenInRealTime};
use crate::Suite;
use oneloop::green::{ExitLink, JoinHandle, Outcome, Thread};
use oneloop::{Handle, JoinError};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const PROGRAMS: Suite = &[
    ("01_spawn_order", Green(spawning::spawn_order)),
    ("02_spawn_later", Green(spawning::spawn_later)),
    ("03_join_get", Green(spawning::join_get)),
    ("04_unhandled", Green(spawning::unhandled)),
    ("05_kill_block", Green(ending::kill_block)),
    ("06_kill_unstarted", Green(ending::kill_unstarted)),
    ("07_kill_cleanup_blocks", Green(ending::kill_cleanup_blocks)),
    ("08_kill_is_a_value", Green(ending::kill_is_a_value)),
    ("09_kill_and_timeout", Green(ending::kill_and_timeout)),
    ("10_links", Green(spawning::links)),
    ("11_joinall_killall", Green(waiting::join_all_kill_all)),
    ("12_wait_iwait", Green(waiting::wait_iwait)),
    ("13_sleep", Green(time::sleeping)),
    ("14_timeout_nested", Green(time::timeout_nested)),
    ("15_timeout_kinds", Green(time::timeout_kinds)),
    ("16_timeout_and_join", Green(time::timeout_and_join)),
    ("17_event", Green(sync::event)),
    ("18_async_result", Green(sync::async_result)),
    ("19_semaphore", Green(sync::semaphore)),
    ("20_rlock", Green(sync::rlock)),
    ("21_queue_alternates", Green(queues::alternates)),
    ("22_queue_limits", Green(queues::limits)),
    ("23_lifo_priority", Green(queues::lifo_priority)),
    ("24_joinable_queue", Green(queues::joinable)),
    ("25_channel", Green(queues::channel)),
    ("26_pool", Green(pools::pool)),
    ("27_pool_map", Green(pools::pool_map)),
    ("28_group", Green(pools::group)),
    ("29_local", Green(pools::local)),
    ("30_threadpool", GreenInRealTime(pools::thread_pool)),
    (
        "31_would_block_for_ever",
        Green(waiting::would_block_forever),
    ),
    ("32_echo_server", Green(net::echo_server)),
    ("33_socket_timeouts", Green(net::socket_timeouts)),
    ("34_close_while_reading", Green(net::close_while_reading)),
    ("35_two_readers", Green(net::two_readers)),
    ("36_server_pool", Green(net::server_pool)),
    ("37_server_stop", Green(net::server_stop)),
    ("38_half_close", Green(net::half_close)),
    ("39_datagram_server", Green(net::datagram_server)),
    ("40_wait_read", Green(net::wait_read)),
    ("41_two_consumers", Green(queues::two_consumers)),
    ("42_who_goes_on_first", Green(ending::first_to_continue)),
    ("43_imap_turns", Green(pools::imap_turns)),
];

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// For waits that end before that by other means.
const LONG: Duration = Duration::from_secs(1);

/// A `bool` as Python prints it.
fn truth(truth: bool) -> &'static str {
    if truth { "True" } else { "False" }
}

/// Keeps the loop busy for `duration`, without a wait.
fn compute_for(duration: Duration) {
    Handle::current().clock().advance(duration);
}

/// `raise ValueError(message)`.
fn raise(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

/// The message of the exception that ended a thread.
fn exception<T: 'static>(thread: &JoinHandle<T>) -> Option<String> {
    let message = |error: &JoinError| error.panic_message().map(str::to_owned);
    thread
        .peek(|result| result.as_ref().err().and_then(message))
        .flatten()
}

/// gevent's `successful()`: a kill is no error.
fn is_successful(thread: &Thread) -> bool {
    matches!(thread.outcome(), Some(Outcome::Returned | Outcome::Killed))
}

/// A copy of the value that a thread returned.
fn value<T: Copy + 'static>(thread: &JoinHandle<T>) -> Option<T> {
    thread
        .peek(|result| result.as_ref().ok().copied())
        .flatten()
}

/// Calls the function with the result at the end of the thread, on a new green thread.
fn link<T: 'static>(
    thread: &Rc<JoinHandle<T>>,
    call: impl FnOnce(&JoinHandle<T>) + 'static,
) -> ExitLink {
    let seen = Rc::clone(thread);
    thread.on_exit_spawn(move |_| call(&seen))
}

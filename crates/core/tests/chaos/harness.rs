//! What each program is checked for, whatever it does.

use oneloop::EventLoop;
use oneloop::aio::offload_to;
use oneloop::callback::net::Socket;
use oneloop::chaos::{self, Plan};
use oneloop::core::Class;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::{env, fs};

/// One program at a time: they count the fds of the process.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of seeds for each program.
pub(crate) fn seeds() -> u64 {
    let count = env::var("ONELOOP_CHAOS_SEEDS").ok();
    count.map_or(200, |count| count.parse().expect("a number of seeds"))
}

/// Runs a program under plans in which no operation fails, so that it must succeed.
#[track_caller]
pub(crate) fn check(program: impl Fn(&mut EventLoop)) {
    check_plans(seeds(), Plan::new, program);
}

/// Runs a program under plans in which connections break and fds run out, so that it may report
/// errors.
#[track_caller]
pub(crate) fn check_with_failures(program: impl Fn(&mut EventLoop)) {
    check_plans(seeds(), Plan::with_failures, program);
}

/// As [`check`], for a program that uses a directory.
#[track_caller]
pub(crate) fn check_in_dir(program: impl Fn(&mut EventLoop, &Path)) {
    check_plans_in_dir(seeds(), Plan::new, program);
}

/// As [`check_with_failures`], for a program that uses a directory.
#[track_caller]
pub(crate) fn check_in_dir_with_failures(program: impl Fn(&mut EventLoop, &Path)) {
    check_plans_in_dir(seeds(), Plan::with_failures, program);
}

#[track_caller]
pub(crate) fn check_plans_in_dir(
    seeds: u64,
    plan: impl Fn(u64) -> Plan,
    program: impl Fn(&mut EventLoop, &Path),
) {
    let _alone = alone();
    // Its removal opens fds as well, so it comes before the next program.
    let dir = tempfile::tempdir().expect("a directory");
    check_alone(seeds, plan, |event_loop| {
        program(event_loop, dir.path());
        event_loop.run().expect("the loop turns");
        // No task waits for the jobs that close files. Jobs of a class run in order, so they come
        // first.
        let last = event_loop.enter(|| offload_to(Class::Fs, || ()));
        event_loop.block_on(last).expect("no panic");
    });
}

#[track_caller]
pub(crate) fn check_plans(
    seeds: u64,
    plan: impl Fn(u64) -> Plan,
    program: impl Fn(&mut EventLoop),
) {
    let _alone = alone();
    check_alone(seeds, plan, program);
}

#[track_caller]
fn check_alone(seeds: u64, plan: impl Fn(u64) -> Plan, program: impl Fn(&mut EventLoop)) {
    chaos::check_plans((0..seeds).map(plan), |event_loop| {
        run(event_loop, &program);
    });
}

/// Runs a program to its end: no task and no fd may be left.
fn run(event_loop: &mut EventLoop, program: impl Fn(&mut EventLoop)) {
    let before = open_fds();
    program(event_loop);
    event_loop.run().expect("the loop turns");
    let left = event_loop.handle().dump_tasks();
    assert!(left.is_empty(), "tasks are left: {left:?}");
    assert_eq!(open_fds(), before, "fds are left");
}

/// The fds of this process, without pipes: a thread keeps some of those for its next splice.
fn open_fds() -> usize {
    let fds = fs::read_dir("/proc/self/fd").expect("a directory");
    let targets = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    targets
        .filter(|target| !target.to_string_lossy().starts_with("pipe:"))
        .count()
}

/// Counts the handles of a program in the callback style: each one closes once.
#[derive(Clone, Default)]
pub(crate) struct Closes {
    open: Rc<Cell<usize>>,
}

impl Closes {
    pub(crate) fn expect(&self, socket: &Socket) {
        let closed = self.one_more();
        socket.on_close(move |_, _| closed());
    }

    /// Returns what another handle calls when it closes.
    pub(crate) fn one_more(&self) -> impl Fn() + use<> {
        self.open.set(self.open.get() + 1);
        let (open, is_closed) = (Rc::clone(&self.open), Cell::new(false));
        move || {
            assert!(!is_closed.replace(true), "a handle closes once");
            open.set(open.get() - 1);
        }
    }

    /// After the program.
    #[track_caller]
    pub(crate) fn assert_all(&self) {
        assert_eq!(self.open.get(), 0, "handles have not closed");
    }
}

/// Bytes that differ from place to place, so that a gap or a repetition shows.
pub(crate) fn payload(seed: usize, len: usize) -> Vec<u8> {
    // Computed once: in a build for tests, that takes longer than the programs.
    static BYTES: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..1 << 19).map(|at| (at * 31 + at / 251) as u8).collect());
    BYTES[seed * 7..][..len].to_vec()
}

/// The lengths of messages: one byte, a line, a few pages, more than a chunk.
pub(crate) const LENGTHS: [usize; 4] = [1, 17, 5_000, 40_000];

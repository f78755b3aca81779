//! What each program is checked for, whatever it does.

use oneloop::EventLoop;
use oneloop::aio::offload_to;
use oneloop::callback::{dgram, net};
use oneloop::chaos::{self, Plan, Step};
use oneloop::core::Class;
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::{env, fs, io, thread};

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

/// The command that runs this test again, under this number of seeds.
pub(crate) fn command(seeds: u64) -> String {
    let thread = thread::current();
    let test = thread.name().filter(|name| *name != "main"); // the name of the test, on its own thread
    let test = test.map_or(String::new(), |test| format!(" {test} -- --exact"));
    format!("ONELOOP_CHAOS_SEEDS={seeds} cargo test -p oneloop-core --test chaos{test}")
}

/// A seam between chaos and the loop, as its steps show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seam {
    Event,
    WouldBlock,
    Interrupted,
    Moved,
    Reset,
    Shortage,
    Run,
    Time,
    Job,
    CacheMiss,
    Unknown,
}

impl Seam {
    fn of(step: &Step) -> Self {
        match step {
            Step::Event(..) => Seam::Event,
            Step::WouldBlock(..) => Seam::WouldBlock,
            Step::Interrupted(..) => Seam::Interrupted,
            Step::Moved(..) => Seam::Moved,
            Step::Reset(_) => Seam::Reset,
            Step::Shortage(_) => Seam::Shortage,
            Step::Ran(_) => Seam::Run,
            Step::Passed(_) => Seam::Time,
            Step::Job(_) => Seam::Job,
            Step::CacheMiss => Seam::CacheMiss,
            _ => Seam::Unknown,
        }
    }
}

/// The seams of a program that waits for timers, jobs, fds or files.
pub(crate) const TIMERS: &[Seam] = &[Seam::Run, Seam::Time];
pub(crate) const OFFLOADS: &[Seam] = &[Seam::Run, Seam::Job];
pub(crate) const FDS: &[Seam] = &[
    Seam::Run,
    Seam::Event,
    Seam::WouldBlock,
    Seam::Interrupted,
    Seam::Moved,
];
pub(crate) const CACHED_FILES: &[Seam] = &[Seam::Run, Seam::Job, Seam::CacheMiss];

/// The seams that a program under failures has as well: of connections; of other fds.
pub(crate) const BREAKS: &[Seam] = &[Seam::Reset, Seam::Shortage];
pub(crate) const LACKS_FDS: &[Seam] = &[Seam::Shortage];

/// Runs a program under plans in which no operation fails, so that it must succeed. Each of these
/// seams shows under some of the seeds.
#[track_caller]
pub(crate) fn check(seams: &[Seam], program: impl Fn(&mut EventLoop)) {
    check_plans(seeds(), Plan::new, seams, program);
}

/// Runs a program under plans in which connections break and fds run out, so that it may report
/// errors. It returns true if it has succeeded, which it does under some of the seeds, and not under
/// all.
#[track_caller]
pub(crate) fn check_with_failures(seams: &[&[Seam]], program: impl Fn(&mut EventLoop) -> bool) {
    let outcomes = Outcomes::default();
    check_plans(
        seeds(),
        Plan::with_failures,
        &seams.concat(),
        |event_loop| {
            outcomes.note(program(event_loop));
        },
    );
    outcomes.assert_both(seeds());
}

/// As [`check`], for a program that uses a directory.
#[track_caller]
pub(crate) fn check_in_dir(seams: &[Seam], program: impl Fn(&mut EventLoop, &Path)) {
    check_plans_in_dir(seeds(), Plan::new, seams, program);
}

/// As [`check_with_failures`], for a program that uses a directory.
#[track_caller]
pub(crate) fn check_in_dir_with_failures(
    seams: &[&[Seam]],
    program: impl Fn(&mut EventLoop, &Path) -> bool,
) {
    let outcomes = Outcomes::default();
    let seams = seams.concat();
    check_plans_in_dir(seeds(), Plan::with_failures, &seams, |event_loop, dir| {
        outcomes.note(program(event_loop, dir));
    });
    outcomes.assert_both(seeds());
}

#[track_caller]
pub(crate) fn check_plans_in_dir(
    seeds: u64,
    plan: impl Fn(u64) -> Plan,
    seams: &[Seam],
    program: impl Fn(&mut EventLoop, &Path),
) {
    let _alone = alone();
    // Its removal opens fds as well, so it comes before the next program.
    let dir = tempfile::tempdir().expect("a directory");
    check_alone(seeds, plan, seams, |event_loop| {
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
    seams: &[Seam],
    program: impl Fn(&mut EventLoop),
) {
    let _alone = alone();
    check_alone(seeds, plan, seams, program);
}

#[track_caller]
fn check_alone(
    seeds: u64,
    plan: impl Fn(u64) -> Plan,
    seams: &[Seam],
    program: impl Fn(&mut EventLoop),
) {
    let missing = RefCell::new(seams.to_vec());
    chaos::check_plans((0..seeds).map(plan), |event_loop| {
        run(event_loop, &program);
        let mut missing = missing.borrow_mut();
        if !missing.is_empty() {
            let steps = event_loop.handle().chaos_steps();
            missing.retain(|seam| !steps.iter().any(|step| Seam::of(step) == *seam));
        }
    });
    let missing = missing.take();
    assert!(
        missing.is_empty() || !are_enough(seeds),
        "no step of these kinds under {seeds} seeds: {missing:?}\nreproduce it: {}",
        command(seeds)
    );
}

/// A few seeds say nothing about what chaos does now and then, and a seed of the environment is the
/// only one.
fn are_enough(seeds: u64) -> bool {
    seeds >= 50 && env::var_os("ONELOOP_CHAOS").is_none()
}

/// How often a program under failures has succeeded, and how often not.
#[derive(Default)]
pub(crate) struct Outcomes {
    succeeded: Cell<u64>,
    failed: Cell<u64>,
}

impl Outcomes {
    pub(crate) fn note(&self, has_succeeded: bool) {
        let count = match has_succeeded {
            true => &self.succeeded,
            false => &self.failed,
        };
        count.set(count.get() + 1);
    }

    /// After all seeds.
    #[track_caller]
    pub(crate) fn assert_both(&self, seeds: u64) {
        let (succeeded, failed) = (self.succeeded.get(), self.failed.get());
        assert!(
            (succeeded > 0 && failed > 0) || !are_enough(seeds),
            "{succeeded} runs succeeded, and {failed} failed: there are both\nreproduce it: {}",
            command(seeds)
        );
    }
}

/// True if a program under failures has succeeded. The error that it reports otherwise is one that
/// chaos makes, or one to which such an error leads.
#[track_caller]
pub(crate) fn has_succeeded<T>(ended: io::Result<T>) -> bool {
    let Err(error) = ended else { return true };
    let is_shortage = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM]
        .map(Some)
        .contains(&error.raw_os_error());
    let is_break = matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::TimedOut
    );
    assert!(is_shortage || is_break, "unexpected: {error:?}");
    false
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
    pub(crate) fn expect(&self, socket: &net::Socket) {
        let closed = self.one_more();
        socket.on_close(move |_, _| closed());
    }

    /// A server that cannot listen closes as well.
    pub(crate) fn expect_server(&self, server: &net::Server) {
        let closed = self.one_more();
        server.on_close(move |_| closed());
        server.on_error(|server, _| {
            server.close();
        });
    }

    pub(crate) fn expect_datagrams(&self, socket: &dgram::Socket) {
        let closed = self.one_more();
        socket.on_close(move |_| closed());
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

//! Runs a program under thousands of schedules, each of which a seed reproduces.
//!
//! A test sees one schedule: the one that the kernel happened to make. Chaos makes another one from
//! each seed. It delivers events in another order and over several turns, invents readiness, cuts
//! reads and writes short, interrupts system calls, gives tasks small shares, makes timers late, and
//! with [`Plan::with_failures`] resets connections and refuses fds. Everything that it does, the
//! kernel may do as well. What the loop promises stays: the order of tasks that are ready, the order
//! of Node's callbacks, the order of jobs of one class, and that no timer is early.
//!
//! [`check`] runs a program under each of many seeds, on virtual time: an echo with six clients
//! takes a millisecond.
//!
//! ```
//! use oneloop::aio::{TcpListener, TcpStream, spawn};
//! use oneloop::chaos;
//!
//! chaos::check(0..50, |event_loop| {
//!     event_loop.block_on(async {
//!         let listener = TcpListener::bind("127.0.0.1:0").unwrap();
//!         let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
//!         let (server, _peer) = listener.accept().await.unwrap();
//!         spawn(async move { server.write_all(b"hello").await });
//!         // One `read_chunk` may return "he" only, and does so under some seeds.
//!         assert_eq!(client.read_text(100).await.unwrap(), "hello");
//!     });
//! });
//! ```
//!
//! Where a program has more than one thread, or asks the world for more than sockets on loopback,
//! the same seed may take other steps in another run. So does a program that iterates over a
//! `HashMap` of the standard library, whose order changes with each process.
//!
//! A variable of the environment, `ONELOOP_CHAOS=7`, puts that seed's plan on every loop of a
//! program that is built with the feature, on the real clock and without limits. There, jobs run on
//! the pool's threads as always, and timers on virtual time are not late. A value that is no seed is
//! an error of [`EventLoop::with`].

#[doc(hidden)]
pub use crate::mechanisms::bug::Bug;
pub use crate::mechanisms::chaos::{Digest, Name, Plan, Step};

use crate::event_loop::{EventLoop, Options};
use crate::mechanisms::chaos::{VARIABLE, seed_of_environment};
use crate::mechanisms::guard::panic_message;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

/// The number of steps that a report prints.
const STEPS_PRINTED: usize = 40;

/// Runs a program once for each seed, on a loop with [`Options::chaos`].
///
/// A run fails if the program panics, if a task panics that is not joined, or if the program hangs:
/// see [`Plan::time_max`], [`Plan::turns_max`] and [`Plan::hang_after`]. With `ONELOOP_CHAOS=SEED`
/// in the environment, only that seed runs.
///
/// ```
/// use oneloop::chaos;
/// use oneloop::green::{Wait, run_on, spawn};
/// use oneloop::sync::Queue;
///
/// chaos::check(0..50, |event_loop| {
///     let received = run_on(event_loop, || {
///         let queue = Queue::bounded(2);
///         let putter = queue.clone();
///         let thread = spawn(move || (0..10).for_each(|n| putter.put(n).wait()));
///         let received: Vec<_> = (0..10).map(|_| queue.get().wait()).collect();
///         thread.join().unwrap();
///         received
///     });
///     assert_eq!(received.unwrap(), Vec::from_iter(0..10));
/// });
/// ```
///
/// # Panics
/// With the first seed that fails. The message has the seed, what the program's panic said, the
/// last steps, whether a second run of the seed took the same steps, and the command that
/// reproduces it. And if `ONELOOP_CHAOS` is no seed.
#[track_caller]
pub fn check(seeds: impl IntoIterator<Item = u64>, program: impl Fn(&mut EventLoop)) {
    check_plans(seeds.into_iter().map(Plan::new), program);
}

/// [`check`], with plans that the caller makes. Of these, `ONELOOP_CHAOS=SEED` chooses the first
/// with that seed; if there is none, the first plan runs with that seed.
///
/// ```
/// use oneloop::chaos::{self, Plan};
/// let plans = (0..20).map(Plan::with_failures);
/// chaos::check_plans(plans, |event_loop| {
///     event_loop.block_on(oneloop::core::yield_now());
/// });
/// ```
///
/// # Panics
/// As [`check`].
#[track_caller]
pub fn check_plans(plans: impl IntoIterator<Item = Plan>, program: impl Fn(&mut EventLoop)) {
    let only = seed_of_environment().unwrap_or_else(|error| panic!("{error}"));
    if let Some(seed) = only {
        let plan = choose(plans, seed);
        return plan.iter().for_each(|plan| check_plan(plan, &program));
    }
    for plan in plans {
        check_plan(&plan, &program);
    }
}

/// # Panics
/// If the program fails under this plan.
fn check_plan(plan: &Plan, program: &impl Fn(&mut EventLoop)) {
    let run = Run::of(plan, program);
    if run.problem.is_some() {
        panic!("{}", report(plan, &run, &Run::of(plan, program)));
    }
}

/// The first plan with that seed; if there is none, the first plan, with that seed.
fn choose(plans: impl IntoIterator<Item = Plan>, seed: u64) -> Option<Plan> {
    let mut plans = plans.into_iter();
    let first = plans.next()?;
    if first.seed == seed {
        return Some(first);
    }
    let chosen = plans.find(|plan| plan.seed == seed);
    Some(chosen.unwrap_or(Plan { seed, ..first }))
}

/// What one run of a program did.
struct Run {
    /// Why it failed.
    problem: Option<String>,
    digest: Digest,
    steps: Vec<Step>,
}

impl Run {
    fn of(plan: &Plan, program: &impl Fn(&mut EventLoop)) -> Run {
        let options = Options {
            chaos: Some(plan.clone()),
            ..Options::chaos(plan.seed)
        };
        let mut event_loop = EventLoop::with(options)
            .unwrap_or_else(|error| panic!("cannot make an event loop: {error}"));
        let handle = event_loop.handle();
        let panics = Rc::new(RefCell::new(None));
        let first = Rc::clone(&panics);
        handle.on_unhandled(move |unhandled| {
            first.borrow_mut().get_or_insert(unhandled.to_string());
        });
        let ran = catch_unwind(AssertUnwindSafe(|| program(&mut event_loop)));
        let (digest, steps) = (
            handle.chaos_digest().unwrap_or_default(),
            handle.chaos_steps(),
        );
        let dropped = catch_unwind(AssertUnwindSafe(|| drop((event_loop, handle))));
        let thrown = ran.and(dropped).err();
        let thrown = thrown.map(|payload| panic_message(&*payload).unwrap_or("a panic").to_owned());
        Run {
            problem: thrown.or_else(|| panics.take()),
            digest,
            steps,
        }
    }

    /// The number of the first step that is kept.
    fn first_step(&self) -> u64 {
        self.digest.steps() - self.steps.len() as u64
    }

    /// The first step in which two runs differ, and its number.
    fn divergence(&self, other: &Run) -> Option<(u64, Option<Step>, Option<Step>)> {
        if self.digest == other.digest {
            return None;
        }
        let first = self.first_step().max(other.first_step());
        let at = |run: &Run, number| run.steps.get((number - run.first_step()) as usize).copied();
        let last = self.digest.steps().max(other.digest.steps());
        let numbers = first..=last;
        let mut steps = numbers.map(|number| (number, at(self, number), at(other, number)));
        steps.find(|(_, a, b)| a != b)
    }
}

fn report(plan: &Plan, run: &Run, again: &Run) -> String {
    let problem = run.problem.as_deref().unwrap_or_default();
    let mut text = format!("seed {} fails: {problem}\n", plan.seed);
    let _ = writeln!(text, "its last steps ({}):", run.digest);
    let printed = run.steps.len().min(STEPS_PRINTED);
    let skipped = run.steps.len() - printed;
    for (index, step) in run.steps.iter().enumerate().skip(skipped) {
        let _ = writeln!(text, "  {:>5}  {step}", run.first_step() + index as u64);
    }
    let outcome = match again.problem {
        Some(_) => "failed",
        None => "passed",
    };
    let _ = match run.divergence(again) {
        Some((number, first, second)) => {
            let name = |step: Option<Step>| step.map_or("the end".to_owned(), |s| s.to_string());
            writeln!(
                text,
                "a second run of the seed {outcome}, and differs from step {number} on, so the \
                 program depends on more than the seed:\n  {}\n  {}",
                name(first),
                name(second)
            )
        }
        None if run.digest != again.digest => writeln!(
            text,
            "a second run of the seed {outcome}, and differs in an early step"
        ),
        None => writeln!(
            text,
            "a second run of the seed took the same steps and {outcome}"
        ),
    };
    let _ = write!(text, "reproduce it: {}", command(plan.seed));
    text
}

/// What reproduces a run of this seed.
fn command(seed: u64) -> String {
    let thread = thread::current();
    // The test harness names its threads after the tests, unless it has only one thread.
    match thread.name().filter(|name| *name != "main") {
        Some(test) => format!("{VARIABLE}={seed} cargo test {test} -- --exact"),
        None => format!("run it again with {VARIABLE}={seed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_chooses_the_plan_that_failed() {
        let plans = || {
            (0..10).map(|seed| {
                if seed == 5 {
                    Plan::with_failures(seed)
                } else {
                    Plan::new(seed)
                }
            })
        };
        assert_eq!(choose(plans(), 5), Some(Plan::with_failures(5)));
        assert_eq!(choose(plans(), 0), Some(Plan::new(0)));
        assert_eq!(choose(plans(), 77), Some(Plan::new(77)));
        assert_eq!(choose([], 5), None);
    }

    #[test]
    fn the_command_names_no_test_where_the_thread_does_not() {
        let on_thread = |name: &str| {
            let thread = thread::Builder::new().name(name.to_owned());
            thread.spawn(|| command(7)).unwrap().join().unwrap()
        };
        assert_eq!(on_thread("main"), "run it again with ONELOOP_CHAOS=7");
        let of_test = "ONELOOP_CHAOS=7 cargo test lines::are_whole -- --exact";
        assert_eq!(on_thread("lines::are_whole"), of_test);
    }
}

//! Random programs of green threads that kill, panic, time out and wait in their drops: none of
//! them aborts the process, and each one ends. They run in their own process, as an abort would end
//! it.

mod harness;

use harness::{MS, event_loop};
use oneloop_green::{self as green, Thread, Wait, current, run_on, scope, sleep, spawn, yield_now};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::Command;
use std::rc::Rc;

const CASE: &str = "ONELOOP_TEST_RANDOM";
const FIRST: &str = "ONELOOP_TEST_RANDOM_SEED";
/// The number of programs that the test runs. For others, set the first seed and their number
/// (`ONELOOP_TEST_RANDOM_COUNT`) in the environment.
const PROGRAMS: u64 = 2000;

/// xorshift64*: the same programs everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

type Steps = Rc<[Step]>;

#[derive(Debug)]
enum Step {
    Sleep(u64),
    Yield,
    Spawn(Steps),
    Kill(u64),
    KillSoon(u64),
    KillNow(u64),
    Throw(u64),
    Cancel(u64),
    Join(u64),
    Timeout(u64, Steps),
    Panic,
    Resume,
    /// True for the standard library's `catch_unwind`.
    Catch(bool, Steps),
    /// When the rest has run, or unwinds, this runs in a drop; if true, in a `catch_unwind` there.
    Guard(bool, Steps),
    Scope(Steps, Steps),
}

fn steps(random: &mut Random, depth: u64) -> Steps {
    let count = 1 + random.below(4);
    (0..count).map(|_| step(random, depth)).collect()
}

fn step(random: &mut Random, depth: u64) -> Step {
    let waits = random.below(4);
    let number = random.below(8);
    match random.below(if depth > 0 { 20 } else { 12 }) {
        0..3 => Step::Sleep(waits),
        3 => Step::Yield,
        4 => Step::Kill(number),
        5 => Step::KillSoon(number),
        6 => Step::KillNow(number),
        7 => Step::Throw(number),
        8 => Step::Cancel(number),
        9 => Step::Join(number),
        10 => Step::Panic,
        11 => Step::Resume,
        12 | 13 => Step::Spawn(steps(random, depth - 1)),
        14 => Step::Timeout(waits, steps(random, depth - 1)),
        15 => Step::Catch(number < 4, steps(random, depth - 1)),
        16..19 => Step::Guard(number < 4, steps(random, depth - 1)),
        _ => Step::Scope(steps(random, depth - 1), steps(random, depth - 1)),
    }
}

/// All threads that were spawned.
type World = Rc<RefCell<Vec<Thread>>>;

fn thread(world: &World, number: u64) -> Thread {
    let threads = world.borrow();
    threads[number as usize % threads.len()].clone()
}

/// Runs some steps when it is dropped.
struct Guard<'a> {
    catches: bool,
    steps: &'a Steps,
    world: &'a World,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.catches {
            let _ = green::catch_unwind(|| run_steps(self.steps, self.world));
        } else {
            // A step that unwinds in a drop would rightly abort the process.
            let waits = self.steps.iter().filter(|step| only_waits(step));
            waits.for_each(|step| run_step(step, self.world));
        }
    }
}

fn only_waits(step: &Step) -> bool {
    !matches!(
        step,
        Step::Spawn(_)
            | Step::Timeout(..)
            | Step::Panic
            | Step::Resume
            | Step::Catch(..)
            | Step::Guard(..)
            | Step::Scope(..)
    )
}

fn run_steps(steps: &[Step], world: &World) {
    for (index, step) in steps.iter().enumerate() {
        if let Step::Guard(catches, steps_in_drop) = step {
            let _guard = Guard {
                catches: *catches,
                steps: steps_in_drop,
                world,
            };
            return run_steps(&steps[index + 1..], world);
        }
        run_step(step, world);
    }
}

fn run_step(step: &Step, world: &World) {
    match step {
        Step::Sleep(ms) => sleep(*ms as u32 * MS),
        Step::Yield => yield_now(),
        Step::Spawn(steps) => {
            let (steps, inside) = (Rc::clone(steps), Rc::clone(world));
            let spawned = spawn(move || run_steps(&steps, &inside));
            world.borrow_mut().push(spawned.thread().clone());
        }
        Step::Kill(number) => {
            // Not `kill`: two threads that kill each other in their drops would be a deadlock.
            thread(world, *number).kill_soon();
            sleep(MS);
        }
        Step::KillSoon(number) => thread(world, *number).kill_soon(),
        Step::KillNow(number) => thread(world, *number).kill_now(),
        Step::Throw(number) => thread(world, *number).throw(Box::new("thrown")),
        Step::Cancel(number) => drop(thread(world, *number).cancel()),
        Step::Join(number) => {
            let joined = thread(world, *number);
            if joined != current() {
                let _ = joined.finished().wait_timeout(5 * MS);
            }
        }
        Step::Timeout(ms, steps) => drop(green::timeout(*ms as u32 * MS, || {
            run_steps(steps, world);
        })),
        Step::Panic => panic!("a step"),
        Step::Resume => resume_unwind(Box::new("a step")),
        Step::Catch(true, steps) => drop(std::panic::catch_unwind(AssertUnwindSafe(|| {
            run_steps(steps, world);
        }))),
        Step::Catch(false, steps) => drop(green::catch_unwind(|| run_steps(steps, world))),
        Step::Guard(..) => unreachable!("`run_steps` handles it"),
        Step::Scope(inside, child) => scope(|scope| {
            let spawned = scope.spawn(|| run_steps(child, world));
            world.borrow_mut().push(spawned.thread().clone());
            run_steps(inside, world);
        }),
    }
}

/// Runs one program to its end.
fn run_program(seed: u64) {
    let mut random = Random::new(seed);
    let threads: Vec<_> = (0..3).map(|_| steps(&mut random, 4)).collect();
    let mut event_loop = event_loop();
    event_loop.handle().on_unhandled(|_| ());
    let ended = run_on(&mut event_loop, move || {
        let world = World::default();
        world.borrow_mut().push(current());
        for steps in threads {
            run_step(&Step::Spawn(steps), &world);
        }
        // The programs kill the main thread as well.
        let wait = |ms| drop(green::catch_unwind(|| sleep(ms * MS)));
        wait(20);
        world.borrow()[1..].iter().for_each(Thread::kill_soon);
        let have_ended = |world: &World| world.borrow()[1..].iter().all(Thread::is_finished);
        (0..1000).any(|_| {
            wait(1);
            have_ended(&world)
        })
    });
    assert!(ended.unwrap(), "seed {seed}");
    assert!(!std::thread::panicking());
}

#[test]
fn no_program_of_kills_panics_and_waits_in_drops_ends_the_process() {
    let case = "no_program_of_kills_panics_and_waits_in_drops_ends_the_process";
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if std::env::var(CASE).is_ok() {
        std::panic::set_hook(Box::new(|_| ()));
        let first = number(FIRST).unwrap_or(0);
        let count = number("ONELOOP_TEST_RANDOM_COUNT").unwrap_or(PROGRAMS);
        for seed in first..first + count {
            println!("seed {seed}");
            run_program(seed);
        }
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", case, "--nocapture"])
        .env(CASE, case)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().rev().take(4).collect::<Vec<_>>();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {last:?}\n{stderr}",
        output.status
    );
}

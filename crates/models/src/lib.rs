//! Runs a model under each schedule of its threads: see `tests/models`, and `make models`.
#![forbid(unsafe_code)]
#![cfg(loom)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// The number of times that a schedule takes the processor from a thread that could continue. Almost
/// all bugs need one or two, and each further one multiplies the number of schedules.
const PREEMPTIONS_MAX: usize = 3;

/// The command that runs one model. loom takes the schedules in the same order each time.
const AGAIN: &str = "CARGO_TARGET_DIR=target/models RUSTFLAGS='--cfg loom' cargo test \
    --profile models -p oneloop-models --test models --";

/// Runs a model under each schedule with at most three preemptions, or as many as
/// `LOOM_MAX_PREEMPTIONS` says, and prints the number of schedules.
///
/// # Panics
/// If one of them panics, or all of its threads wait for each other.
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS_MAX);
    builder.max_branches = 10_000;
    let schedules = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&schedules);
    let started = Instant::now();
    let thread = thread::current();
    let name = thread.name().unwrap_or("a model");
    let checked = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            model();
        });
    }));
    if let Err(panic) = checked {
        println!(
            "{name} fails in schedule {}; again:",
            schedules.load(Ordering::Relaxed)
        );
        println!("    {AGAIN} --exact {name}");
        resume_unwind(panic);
    }
    println!(
        "{name}: {} schedules in {:.1} s",
        schedules.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64()
    );
}

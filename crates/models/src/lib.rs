//! Runs a model under each schedule of its threads: see `tests/models`, and `make models`.
#![forbid(unsafe_code)]
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// The number of times that a schedule takes the processor from a thread that could continue. Almost
/// all bugs need one or two, and each further one multiplies the number of schedules.
const PREEMPTIONS_MAX: usize = 3;

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
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let thread = thread::current();
    println!(
        "{}: {} schedules in {:.1} s",
        thread.name().unwrap_or("a model"),
        schedules.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64()
    );
}

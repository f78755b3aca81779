//! The programs of `conformance/node`, by the names of their JavaScript twins.

mod errors;
mod order;
mod perf_hooks;
mod process;
mod timers;

use oneloop::Handle;
use std::time::Duration;

type Program = fn();

const PROGRAMS: &[(&str, Program)] = &[
    ("01_phases", order::phases),
    ("03_tick_micro_interleave", order::tick_micro_interleave),
    ("05_timer_in_timer", timers::timer_in_timer),
    ("07_coalesce_lists_order", timers::coalesce_lists_order),
    ("09_unref", process::unref),
    ("09b_unref_only", process::unref_only),
    ("11_uncaught", errors::uncaught),
    ("21_elu", perf_hooks::utilization_and_delay),
    (
        "27_immediate_queue_snapshot",
        order::immediate_queue_snapshot,
    ),
    ("35_tick_throw", errors::tick_throw),
    ("51_throw_in_first_tick", errors::throw_in_first_tick),
    ("52_throw_in_tick_of_timer", errors::throw_in_tick_of_timer),
    ("53_throw_in_immediate", errors::throw_in_immediate),
    ("54_throw_in_microtask", errors::throw_in_microtask),
    ("55_before_exit", process::before_exit),
    ("56_uncaught_ends", process::uncaught_ends),
    ("57_throw_in_handler", process::throw_in_handler),
    ("58_exit", process::exit_with_a_code),
    ("59_interval_and_refresh", timers::interval_and_refresh),
    ("60_async_functions", order::async_functions),
    ("61_throwing_interval", errors::throwing_interval),
    ("62_timers_after_check", order::timers_after_check),
    ("63_clear_inside_the_list", timers::clear_inside_the_list),
    (
        "64_ticks_before_microtasks_always",
        order::ticks_before_microtasks_always,
    ),
    ("65_unref_then_ref", process::unref_then_ref),
];

/// The program of that name.
pub(crate) fn program(name: &str) -> Option<Program> {
    PROGRAMS
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, program)| *program)
}

/// All names.
pub(crate) fn names() -> Vec<&'static str> {
    PROGRAMS.iter().map(|(name, _)| *name).collect()
}

/// `const t=Date.now();while(Date.now()-t<ms);`
fn compute_for(ms: u64) {
    Handle::current().clock().advance(Duration::from_millis(ms));
}

/// A function that prints a line.
fn say(line: &'static str) -> impl Fn() {
    move || println!("{line}")
}

/// A function that throws, as `throw new Error(message)`.
fn throw(message: &'static str) -> impl Fn() -> Result<(), &'static str> {
    move || Err(message)
}

//! What `trace_tasks` costs a task that no subscriber has asked for: a poll, with and without it.
//!
//! `cargo bench -p oneloop-tracing`. The kinds take turns, so that another load hits all of them.

use oneloop::EventLoop;
use oneloop::aio::{spawn, yield_now};
use std::time::Instant;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

const TASKS: u32 = 1_000;
const POLLS: u32 = 200;
const ROUNDS: usize = 101;

/// A subscriber that wants no spans of tasks, as most programs have.
struct Other;

impl Subscriber for Other {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.target().starts_with("tokio::task")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The ns of one poll, of many tasks that yield.
fn poll_ns(is_traced: bool) -> f64 {
    let mut event_loop = EventLoop::new().expect("two fds");
    if is_traced {
        oneloop::tracing::trace_tasks(&event_loop.handle());
    }
    event_loop.block_on(async {
        let yields = || async {
            for _ in 0..POLLS {
                yield_now().await;
            }
        };
        let tasks: Vec<_> = (0..TASKS).map(|_| spawn(yields())).collect();
        let start = Instant::now();
        for task in tasks {
            task.await.expect("it only yields");
        }
        start.elapsed().as_nanos() as f64 / f64::from(TASKS * POLLS)
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let under_another = || dispatcher::with_default(&Dispatch::new(Other), || poll_ns(true));
    let (mut plain, mut traced, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(poll_ns(false));
        traced.push(poll_ns(true));
        other.push(under_another());
    }
    let more = |values: &[f64]| {
        let pairs = values.iter().zip(&plain);
        median(pairs.map(|(value, plain)| value - plain).collect())
    };
    let (traced, other) = (more(&traced), more(&other));
    println!("a poll: {:.1} ns", median(plain.clone()));
    println!("with trace_tasks and no subscriber: {traced:+.1} ns");
    println!("with trace_tasks and a subscriber that asks for other spans: {other:+.1} ns");
}

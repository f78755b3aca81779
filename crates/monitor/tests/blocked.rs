//! The report of a blocked loop names the task and where it is.

use oneloop_core::EventLoop;
use oneloop_green::{Builder, STACK_BYTES_MIN, run_on, spawn, yield_now};
use oneloop_monitor::{Blocked, Monitor, MonitorOptions};
use std::hint::black_box;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

fn watched(options: MonitorOptions) -> (EventLoop, Monitor, Receiver<Blocked>) {
    let event_loop = EventLoop::new().unwrap();
    let (sender, receiver): (Sender<Blocked>, _) = channel();
    let report = move |blocked: &Blocked| drop(sender.send(blocked.clone()));
    let monitor = Monitor::start(&event_loop.handle(), options, report).unwrap();
    (event_loop, monitor, receiver)
}

fn soon(backtrace: bool) -> MonitorOptions {
    MonitorOptions {
        threshold: Duration::from_millis(20),
        backtrace,
    }
}

/// Computes until the monitor reports it.
#[inline(never)]
fn compute_until_reported(receiver: &Receiver<Blocked>) -> Blocked {
    loop {
        if let Ok(blocked) = receiver.try_recv() {
            return blocked;
        }
        black_box((0..1000_u64).sum::<u64>());
    }
}

#[test]
fn a_blocking_task_is_reported_with_its_backtrace() {
    let (mut event_loop, _monitor, receiver) = watched(soon(true));
    let handle = event_loop.handle();
    let task = handle.spawn(async move { (compute_until_reported(&receiver), receiver) });
    let (blocked, receiver) = event_loop.block_on(task).unwrap();
    assert!(blocked.at_least >= Duration::from_millis(20));
    assert!(
        blocked
            .running
            .spawned_at
            .unwrap()
            .file()
            .ends_with("blocked.rs")
    );
    let text = blocked.to_string();
    assert!(text.contains("compute_until_reported"), "{text}");
    assert!(receiver.try_recv().is_err(), "a block is reported once");
}

#[test]
fn a_task_that_blocks_in_the_kernel_is_reported() {
    let (mut event_loop, _monitor, receiver) = watched(soon(true));
    let task = event_loop
        .handle()
        .spawn(async move { receiver.recv().unwrap() });
    let blocked = event_loop.block_on(task).unwrap();
    let text = blocked.to_string();
    assert!(text.contains("recv"), "{text}");
}

#[test]
fn without_a_backtrace_no_task_is_interrupted() {
    let (mut event_loop, _monitor, receiver) = watched(soon(false));
    let task = event_loop
        .handle()
        .spawn(async move { receiver.recv().unwrap() });
    let blocked = event_loop.block_on(task).unwrap();
    assert!(blocked.backtrace.is_empty());
    assert!(blocked.to_string().contains("blocked.rs"), "{blocked}");
}

#[test]
fn a_loop_that_waits_is_not_blocked() {
    let (mut event_loop, monitor, receiver) = watched(soon(true));
    let sleep = event_loop.handle().sleep(Duration::from_millis(100));
    event_loop.block_on(sleep);
    drop(monitor);
    assert!(receiver.recv().is_err(), "a block was reported");
}

#[test]
fn a_green_thread_is_sampled_on_its_own_stack() {
    let (mut event_loop, _monitor, receiver) = watched(soon(true));
    let blocked = run_on(&mut event_loop, move || {
        let thread = Builder::new().stack_bytes(STACK_BYTES_MIN);
        let thread = thread
            .spawn(move || compute_until_reported(&receiver))
            .unwrap();
        thread.join().unwrap()
    });
    let text = blocked.unwrap().to_string();
    assert!(text.contains("compute_until_reported"), "{text}");
    assert!(
        text.contains("oneloop_green::body"),
        "the resuming frames are there, too: {text}"
    );
}

/// The address and size of this thread's alternate stack.
fn alternate_stack() -> Option<(usize, usize)> {
    // SAFETY: all zeros are a valid stack_t, and the call only writes one.
    let stack = unsafe {
        let mut stack: libc::stack_t = std::mem::zeroed();
        libc::sigaltstack(std::ptr::null(), &mut stack);
        stack
    };
    let is_there = stack.ss_flags & libc::SS_DISABLE == 0;
    is_there.then_some((stack.ss_sp as usize, stack.ss_size))
}

#[test]
fn monitors_that_end_in_any_order_leave_the_alternate_stack() {
    let (_first_loop, first, _) = watched(soon(true));
    let (_second_loop, second, _) = watched(soon(true));
    let stack = alternate_stack();
    drop(first);
    assert_eq!(alternate_stack(), stack);
    drop(second);
    assert_eq!(
        alternate_stack(),
        stack,
        "the first monitor does not own it"
    );
}

#[test]
fn a_task_whose_own_loop_switches_stacks_all_the_time_is_sampled() {
    let options = MonitorOptions {
        threshold: Duration::from_millis(1),
        ..MonitorOptions::default()
    };
    let (mut event_loop, _monitor, receiver) = watched(options);
    let block_ms = |ms: u64| {
        let began = Instant::now();
        let yields = move || {
            while began.elapsed() < Duration::from_millis(ms) {
                (0..50).for_each(|_| yield_now());
            }
        };
        // Driven by hand, as `run` refuses to block the loop that runs this task.
        let mut inner = EventLoop::new().unwrap();
        inner.enter(|| [spawn(yields), spawn(yields)]);
        while inner.run_nowait().unwrap() {}
    };
    run_on(&mut event_loop, move || {
        for _ in 0..300 {
            block_ms(4);
            yield_now();
        }
    })
    .unwrap();
    let seen = receiver
        .try_iter()
        .filter(|blocked| !blocked.backtrace.is_empty());
    assert!(seen.count() > 0);
}

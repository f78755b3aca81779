//! Child processes: what `cat` is given comes back, and its end is reported once. Such a child needs
//! real time, in which no virtual time passes. Starting it takes longer than all else, so these
//! programs run under a quarter of the seeds.

use crate::harness::{
    Closes, FDS, LACKS_FDS, Outcomes, check_plans, has_succeeded, payload, seeds,
};
use oneloop::aio;
use oneloop::callback::{child_process, run_on};
use oneloop::chaos::Plan;
use oneloop::process::{Command, Output, Stdio};
use oneloop::{EventLoop, green};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

const CHILDREN: usize = 2;

/// A machine at its limit takes its time to start a process.
const CHILD_MAX: Duration = Duration::from_secs(60);

fn plan(seed: u64) -> Plan {
    let mut plan = Plan::new(seed);
    plan.hang_after = Some(CHILD_MAX);
    plan
}

fn plan_with_failures(seed: u64) -> Plan {
    let mut plan = Plan::with_failures(seed);
    plan.hang_after = Some(CHILD_MAX);
    plan
}

fn check_with_failures(program: impl Fn(&mut EventLoop) -> bool) {
    let (seeds, outcomes) = (seeds() / 4, Outcomes::default());
    let seams = [FDS, LACKS_FDS].concat();
    check_plans(seeds, plan_with_failures, &seams, |event_loop| {
        outcomes.note(program(event_loop));
    });
    outcomes.assert_both(seeds);
}

/// Less than a pipe holds, and more.
fn input(number: usize) -> Vec<u8> {
    payload(number, 100 + number * 100_000)
}

/// Returns true unless an error was reported.
fn assert_same(number: usize, output: io::Result<Output>) -> bool {
    has_succeeded(output.map(|output| {
        assert!(output.status.success());
        assert_eq!(output.stdout, input(number));
    }))
}

#[test]
fn async_children_return_their_bytes() {
    check_plans(seeds() / 4, plan, FDS, |event_loop| {
        assert!(async_children(event_loop))
    });
}

#[test]
fn async_children_return_their_bytes_or_an_error() {
    check_with_failures(async_children);
}

/// Returns true unless an error was reported.
fn async_children(event_loop: &mut EventLoop) -> bool {
    event_loop.block_on(async {
        let children = (0..CHILDREN).map(|number| async move {
            let mut command = Command::new("cat");
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let output = match child {
                Ok(mut child) => child.communicate(input(number)).await,
                Err(error) => Err(error),
            };
            assert_same(number, output)
        });
        aio::join_all(children).await.iter().all(|it| *it)
    })
}

#[test]
fn green_children_return_their_bytes() {
    check_plans(seeds() / 4, plan, FDS, |event_loop| {
        assert!(green_children(event_loop))
    });
}

#[test]
fn green_children_return_their_bytes_or_an_error() {
    check_with_failures(green_children);
}

/// As [`async_children`].
fn green_children(event_loop: &mut EventLoop) -> bool {
    let ran = green::run_on(event_loop, || {
        let threads = (0..CHILDREN).map(|number| {
            green::spawn(move || {
                let mut command = green::process::Command::new("cat");
                let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
                assert_same(
                    number,
                    child.and_then(|mut child| child.communicate(input(number))),
                )
            })
        });
        let threads: Vec<_> = threads.collect();
        let whole = threads.into_iter().map(|thread| thread.join().unwrap());
        whole.collect::<Vec<_>>().iter().all(|it| *it)
    });
    ran.unwrap()
}

#[test]
fn callback_children_return_their_bytes() {
    check_plans(seeds() / 4, plan, FDS, |event_loop| {
        assert_eq!(callback_children(event_loop), CHILDREN)
    });
}

#[test]
fn callback_children_return_their_bytes_or_an_error() {
    check_with_failures(|event_loop| callback_children(event_loop) == CHILDREN);
}

/// Returns the number of children that have returned all bytes.
fn callback_children(event_loop: &mut EventLoop) -> usize {
    let (whole, closes) = (Rc::new(Cell::new(0)), Closes::default());
    let (count, of_children) = (Rc::clone(&whole), closes.clone());
    let code = run_on(event_loop, move || {
        for number in 0..CHILDREN {
            callback_child(number, &count, &of_children);
        }
    });
    assert_eq!(code.unwrap(), 0);
    closes.assert_all();
    whole.get()
}

fn callback_child(number: usize, whole: &Rc<Cell<usize>>, closes: &Closes) {
    // Node throws what is no ordinary failure of a start, such as ENOMEM.
    let Ok(child) = child_process::spawn("cat", [""; 0]) else {
        return;
    };
    child.on_error(|_, _| ());
    let streams = [child.stdin(), child.stdout(), child.stderr()];
    let [Some(stdin), Some(stdout), Some(stderr)] = streams else {
        return;
    };
    let got = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&got);
    for stream in [&stdin, &stdout, &stderr] {
        stream.on_error(|_, _| ());
        closes.expect(stream);
    }
    stdout.on_data(move |_, chunk| got.borrow_mut().extend_from_slice(chunk));
    stdin.end_with(input(number));
    if child.pid().is_some() {
        let (exited, closed) = (closes.one_more(), closes.one_more());
        let whole = Rc::clone(whole);
        child.on_exit(move |_, _, _| exited());
        child.on_close(move |_, code, _| {
            closed();
            let (got, sent) = (all.borrow(), input(number));
            assert!(sent.starts_with(&got));
            if code == Some(0) && got.len() == sent.len() {
                whole.set(whole.get() + 1);
            }
        });
    }
}

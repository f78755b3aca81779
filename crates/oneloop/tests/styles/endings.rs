//! How a loop ends: what a nested run answers, and which tasks are reported as unfinished.

use oneloop::callback::{next_tick, set_timeout};
use oneloop::core::{Signals, Unfinished, UnfinishedCause};
use oneloop::green::{self, RunError, Wait};
use oneloop::signal::number::SIGWINCH;
use oneloop::sync::{OneShot, Queue};
use oneloop::{EventLoop, Handle, Options, aio, callback};
use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, Command};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;
use std::{env, thread};

const SECOND: Duration = Duration::from_secs(1);

/// The message of the panic in a function.
fn panic_of(function: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(function)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// What each way to run a loop answers here.
fn refusals() -> Vec<String> {
    let error = |result: io::Result<_>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        error.to_string()
    };
    let mut other = EventLoop::new().unwrap();
    let green_on = |event_loop: &mut EventLoop| match green::run_on(event_loop, || ()) {
        Err(RunError::Io(error)) => Err(error),
        other => panic!("{other:?}"),
    };
    vec![
        panic_of(|| aio::block_on(async {})),
        panic_of(|| other.block_on(async {})),
        error(other.run()),
        error(other.run_once().map(drop)),
        error(callback::run(|| ()).map(drop)),
        error(callback::run_on(&mut other, || ()).map(drop)),
        error(green_on(&mut other)),
        green::run(|| ()).unwrap_err().to_string(),
    ]
}

fn assert_refused(refusals: Vec<String>) {
    assert_eq!(refusals.len(), 8);
    for refusal in refusals {
        assert!(refusal.contains(&format!(" at {}:", file!())), "{refusal}");
        assert!(
            refusal.contains("would block the loop that runs this code"),
            "{refusal}"
        );
        for way in ["`.await`", "`.wait()`", "`spawn_micro`", "`offload`"] {
            assert!(refusal.contains(way), "{refusal}");
        }
    }
}

#[test]
fn no_style_runs_a_loop_inside_of_a_running_loop() {
    assert_refused(aio::block_on(async { refusals() }));
    assert_refused(green::run(refusals).unwrap());
    let said = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&said);
    callback::run(move || *kept.borrow_mut() = refusals()).unwrap();
    assert_refused(said.take());
}

#[test]
fn a_refused_run_leaves_both_loops_usable() {
    let mut other = EventLoop::new().unwrap();
    aio::block_on(async {
        assert!(other.run().is_err());
        assert_eq!(aio::spawn(async { 1 }).await.unwrap(), 1);
    });
    assert_eq!(other.block_on(async { 2 }), 2);
}

#[test]
fn a_loop_may_run_where_it_blocks_no_other_one() {
    let mut other = EventLoop::new().unwrap();
    // Entered, but not running.
    assert_eq!(other.enter(|| aio::block_on(async { 1 })), 1);
    aio::block_on(async {
        // Without a wait.
        let task = other.handle().spawn(async { 2 });
        while other.run_nowait().unwrap() {}
        assert_eq!(task.await.unwrap(), 2);
        // On another thread.
        let nested = aio::offload(|| aio::block_on(async { 3 })).await;
        assert_eq!(nested.unwrap(), 3);
        assert_eq!(
            thread::spawn(|| aio::block_on(async { 4 })).join().unwrap(),
            4
        );
    });
    // While a loop is dropped: it runs no more.
    struct RunsAtTheEnd(Rc<RefCell<u32>>);
    impl Drop for RunsAtTheEnd {
        fn drop(&mut self) {
            *self.0.borrow_mut() = aio::block_on(async { 5 });
        }
    }
    let result = Rc::default();
    let at_end = RunsAtTheEnd(Rc::clone(&result));
    other.handle().spawn_detached(async move {
        let _at_end = at_end;
        pending().await
    });
    drop(other);
    assert_eq!(*result.borrow(), 5);
}

#[test]
fn a_function_that_needs_a_loop_names_the_functions_that_run_one() {
    let said = panic_of(|| drop(aio::spawn(async {})));
    for run in [
        "oneloop::aio::block_on",
        "oneloop::green::run",
        "oneloop::callback::run",
    ] {
        assert!(said.contains(run), "{said}");
    }
}

/// `run` of the style would be refused there, so the panic must not advise it.
#[test]
fn on_a_loop_that_runs_a_style_names_what_works_there() {
    aio::block_on(async {
        let said = panic_of(|| green::sleep(Duration::ZERO));
        for advice in ["`.await`", "oneloop::aio", "`sleep`", "spawn_micro"] {
            assert!(said.contains(advice), "{said}");
        }
        assert!(!said.contains("oneloop::green::run"), "{said}");

        let said = panic_of(|| {
            callback::set_timeout(|| {}, 1);
        });
        assert!(said.contains("oneloop::callback::enter"), "{said}");
        assert!(!said.contains("oneloop::callback::run"), "{said}");
        let _callbacks = callback::enter(&Handle::current());
        let fired = OneShot::new();
        let fire = fired.clone();
        callback::set_timeout(move || fire.send(()).unwrap(), 1);
        fired.get().await;
    });
}

type Reports = Rc<RefCell<Vec<Unfinished>>>;

/// A loop on virtual time whose reports of unfinished tasks are collected.
fn reporting_loop() -> (EventLoop, Reports) {
    let event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let reports = Reports::default();
    let kept = Rc::clone(&reports);
    let keep = move |unfinished: &Unfinished| kept.borrow_mut().push(unfinished.clone());
    event_loop.handle().on_unfinished(keep);
    (event_loop, reports)
}

#[test]
fn a_loop_that_is_dropped_reports_the_tasks_that_still_wait() {
    let (mut event_loop, reports) = reporting_loop();
    let queue = Queue::<u32>::unbounded();
    let line = line!() + 2;
    event_loop.enter(|| {
        aio::spawn(async move { queue.get().await });
        green::spawn(|| pending::<()>().wait());
        aio::spawn(async {});
    });
    event_loop.run().unwrap();
    assert!(
        reports.borrow().is_empty(),
        "the tasks may continue in a next run"
    );
    drop(event_loop);
    let [report] = &*reports.take() else {
        panic!("one report");
    };
    assert_eq!(report.cause, UnfinishedCause::LoopDropped);
    let text = report.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "the loop ends while tasks still wait");
    assert_eq!(lines.len(), 3, "{text}");
    for (line, task) in (line..).zip(&lines[1..]) {
        assert!(
            task.contains("waits") && task.contains(&format!("endings.rs:{line}")),
            "{task}"
        );
    }
}

#[test]
fn a_loop_whose_tasks_have_ended_reports_nothing() {
    let (mut event_loop, reports) = reporting_loop();
    callback::run_on(&mut event_loop, || {
        set_timeout(|| (), 10);
        next_tick(|| ());
        aio::spawn(aio::sleep(SECOND));
    })
    .unwrap();
    event_loop.block_on(async { aio::sleep(SECOND).await });
    drop(event_loop);
    assert!(reports.borrow().is_empty(), "{:?}", reports.borrow());
}

#[test]
fn block_on_reports_once_that_nothing_on_its_loop_can_wake_a_task() {
    let (mut event_loop, reports) = reporting_loop();
    let (report_sender, reported) = mpsc::channel();
    let kept = Rc::clone(&reports);
    event_loop.handle().on_unfinished(move |unfinished| {
        kept.borrow_mut().push(unfinished.clone());
        report_sender.send(()).unwrap();
    });
    let waits = event_loop.handle().spawn(pending::<()>());
    let mut first = Some(reported);
    // Twice, a thread that has no `Remote` wakes the future, the first time after the report.
    let mut wakes = 0;
    let line = line!() + 1;
    event_loop.block_on(poll_fn(|cx| {
        let waker = cx.waker().clone();
        let reported = first.take();
        thread::spawn(move || {
            reported.map(|reported| reported.recv());
            waker.wake();
        });
        wakes += 1;
        if wakes > 3 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    let [report] = &*reports.take() else {
        panic!("one report");
    };
    let UnfinishedCause::Stuck(at) = report.cause else {
        panic!("{report}");
    };
    assert_eq!((at.file(), at.line()), (file!(), line));
    assert_eq!(report.tasks.len(), 1, "{report}");
    drop(waits);
}

#[test]
fn a_future_that_waits_for_a_signal_is_not_reported() {
    let (mut event_loop, reports) = reporting_loop();
    event_loop.block_on(async {
        let signals = Signals::new(&Handle::current(), &[SIGWINCH]).unwrap();
        // The process sends it once the loop has nothing else to do.
        let pid = process::id().to_string();
        let _kill = thread::spawn(move || {
            let kill = Command::new("kill").args(["-WINCH", &pid]).status();
            assert!(kill.unwrap().success());
        });
        assert_eq!(signals.recv().await.unwrap(), SIGWINCH);
    });
    assert!(reports.borrow().is_empty(), "{:?}", reports.borrow());
}

#[test]
fn a_future_that_waits_for_a_timer_a_job_or_a_remote_is_not_reported() {
    let (mut event_loop, reports) = reporting_loop();
    event_loop.block_on(async {
        aio::sleep(SECOND).await;
        aio::offload(|| ()).await.unwrap();
        let done = OneShot::new();
        let distant = oneloop::sync::Distant::new(&Handle::current(), done.clone());
        thread::spawn(move || distant.run(|done| done.send(()).unwrap()));
        done.get().await;
    });
    assert!(reports.borrow().is_empty(), "{:?}", reports.borrow());
}

/// Runs one of the tests below in a process of its own, with a variable. Returns its stderr.
fn in_a_process(test: &str, debug: Option<&str>) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "--ignored", test]);
    match debug {
        Some(value) => command.env("ONELOOP_DEBUG", value),
        None => command.env_remove("ONELOOP_DEBUG"),
    };
    let output = command.output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn leaves_a_task() {
    callback::run(|| {
        let queue = Queue::<u32>::unbounded();
        aio::spawn(async move { queue.get().await });
    })
    .unwrap();
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn waits_for_a_queue() {
    let queue = Queue::<u32>::unbounded();
    ends_soon();
    aio::block_on(queue.get());
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn keeps_no_waker() {
    ends_soon();
    aio::block_on(poll_fn(|_| Poll::<()>::Pending));
}

/// Ends the process once the report is there, or could be: what these tests wait for never comes.
fn ends_soon() {
    thread::spawn(|| {
        thread::sleep(SECOND / 5);
        process::exit(0)
    });
}

#[test]
fn without_a_hook_the_reports_go_to_stderr_where_a_variable_asks_for_them() {
    let said = in_a_process("endings::leaves_a_task", Some("1"));
    let task = "oneloop: the loop ends while tasks still wait\n  task ";
    assert!(said.contains(task), "{said}");
    let said = in_a_process("endings::waits_for_a_queue", Some("1"));
    assert!(
        said.contains("oneloop: block_on at crates/oneloop/tests/styles/endings.rs:"),
        "{said}"
    );
    assert!(
        said.contains("nothing on its loop can wake a task"),
        "{said}"
    );
    for quiet in [None, Some(""), Some("0")] {
        for test in ["leaves_a_task", "waits_for_a_queue"] {
            let said = in_a_process(&format!("endings::{test}"), quiet);
            assert!(!said.contains("oneloop:"), "{said}");
        }
    }
}

#[test]
fn a_future_that_can_never_complete_is_reported_without_a_variable() {
    let said = in_a_process("endings::keeps_no_waker", None);
    assert!(
        said.contains("never returns: its future waits, and nothing has its waker"),
        "{said}"
    );
}

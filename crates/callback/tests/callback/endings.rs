//! How a program of the callback style ends, and promises that other styles await.

use oneloop::callback::process::{exit, on_exit, on_uncaught_exception};
use oneloop::callback::{Promise, run_on, set_immediate, set_interval, set_timeout, spawn_micro};
use oneloop::green::{self, Wait};
use oneloop::{EventLoop, Handle, Options};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

type Trace = Rc<RefCell<Vec<String>>>;

fn note(trace: &Trace, line: impl Into<String>) {
    trace.borrow_mut().push(line.into());
}

/// Runs a program on virtual time. Returns its exit code and its notes.
fn trace(program: impl FnOnce(Trace) + 'static) -> (u8, Vec<String>) {
    let trace = Trace::default();
    let inside = Rc::clone(&trace);
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    event_loop.handle().on_unhandled({
        let trace = Rc::clone(&trace);
        move |unhandled| note(&trace, unhandled.to_string())
    });
    let code = run_on(&mut event_loop, move || program(inside)).unwrap();
    (code, trace.take())
}

/// Notes the exit code at 'exit'.
fn note_exit(trace: &Trace) {
    let trace = Rc::clone(trace);
    on_exit(move |code| note(&trace, format!("exit {code}")));
}

#[test]
fn an_exit_in_a_task_ends_the_program() {
    let ended = trace(|trace| {
        note_exit(&trace);
        set_timeout(move || note(&trace, "never"), 1);
        Handle::current().spawn_detached(async { exit(4) });
    });
    assert_eq!(ended, (4, vec!["exit 4".to_owned()]));
}

#[test]
fn an_exit_in_a_green_thread_ends_the_program() {
    let ended = trace(|trace| {
        note_exit(&trace);
        set_timeout(move || note(&trace, "never"), 10);
        drop(green::spawn(|| {
            green::sleep(Duration::from_millis(1));
            exit(4);
        }));
    });
    assert_eq!(ended, (4, vec!["exit 4".to_owned()]));
}

#[test]
fn an_exit_in_a_task_reports_the_error_of_an_exit_listener() {
    let ended = trace(|trace| {
        let is_first = Cell::new(true);
        let handler = Rc::clone(&trace);
        on_uncaught_exception(move |error, _| note(&handler, format!("handled {error}")));
        note_exit(&trace);
        on_exit(move |_| {
            is_first
                .replace(false)
                .then_some(())
                .map_or(Ok(()), |()| Err("x"))
        });
        set_timeout(move || note(&trace, "timeout"), 1);
        Handle::current().spawn_detached(async { exit(4) });
    });
    let lines = ["exit 4", "handled x", "timeout", "exit 4"];
    assert_eq!(ended, (4, lines.map(str::to_owned).to_vec()));
}

#[test]
fn a_panic_in_the_drop_of_a_promises_future_is_uncaught() {
    struct PanicInDrop;
    impl Drop for PanicInDrop {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("dropped"));
        }
    }
    let ended = trace(|trace| {
        let handler = Rc::clone(&trace);
        on_uncaught_exception(move |error, origin| note(&handler, format!("{error} {origin}")));
        let value = PanicInDrop;
        drop(spawn_micro(async move {
            let _value = value;
        }));
        set_timeout(move || note(&trace, "timeout"), 1);
    });
    let lines = ["dropped unhandledRejection", "timeout"];
    assert_eq!(ended, (0, lines.map(str::to_owned).to_vec()));
}

/// A promise whose rejection was reported before `late` runs.
fn reported(trace: &Trace, late: impl FnOnce(Promise) + 'static) {
    let handler = Rc::clone(trace);
    on_uncaught_exception(move |error, origin| note(&handler, format!("{error} {origin}")));
    let promise = spawn_micro(async { Err::<(), _>("boom") });
    set_timeout(move || late(promise), 5);
}

#[test]
fn a_task_and_a_green_thread_get_the_error_of_a_promise_that_was_reported() {
    let ended = trace(|trace| {
        let inside = Rc::clone(&trace);
        reported(&trace, move |promise| {
            let (task, thread) = (Rc::clone(&inside), inside);
            let again = promise.clone();
            Handle::current().spawn_detached(async move {
                note(&task, format!("task {}", promise.await.unwrap_err()));
            });
            drop(green::spawn(move || {
                note(&thread, format!("thread {}", again.wait().unwrap_err()));
            }));
        });
    });
    let lines = ["boom unhandledRejection", "task boom", "thread boom"];
    assert_eq!(ended, (0, lines.map(str::to_owned).to_vec()));
}

#[test]
fn several_tasks_may_await_a_promise_before_it_settles() {
    let ended = trace(|trace| {
        let promise = spawn_micro(async {
            Handle::current().sleep(Duration::from_millis(5)).await;
            Err::<(), _>("boom")
        });
        for name in ["a", "b"] {
            let (trace, promise) = (Rc::clone(&trace), promise.clone());
            Handle::current().spawn_detached(async move {
                note(&trace, format!("{name} {}", promise.await.unwrap_err()));
            });
        }
    });
    assert_eq!(ended, (0, vec!["a boom".to_owned(), "b boom".to_owned()]));
}

#[test]
fn the_loop_turns_for_a_millisecond_between_two_passes_of_slow_timers() {
    let ended = trace(|trace| {
        let count = Rc::new(Cell::new(0));
        set_interval(
            {
                let trace = Rc::clone(&trace);
                move || {
                    count.set(count.get() + 1);
                    note(&trace, format!("interval {}", count.get()));
                    let clock = Handle::current().clock().clone();
                    clock.advance(Duration::from_millis(40));
                    // Starting a timer reads the time, and the next pass is a millisecond from it.
                    set_timeout(|| {}, 1000).unref();
                    let trace = Rc::clone(&trace);
                    set_immediate(move || {
                        note(&trace, "first");
                        let trace = Rc::clone(&trace);
                        set_immediate(move || note(&trace, "second"));
                    });
                    if count.get() == 2 {
                        exit(0);
                    }
                }
            },
            10,
        );
    });
    let lines = ["interval 1", "first", "second", "interval 2"];
    assert_eq!(ended, (0, lines.map(str::to_owned).to_vec()));
}

#[test]
fn an_exit_in_the_drop_of_a_canceled_task_ends_the_program() {
    struct ExitInDrop;
    impl Drop for ExitInDrop {
        fn drop(&mut self) {
            exit(9);
        }
    }
    let ended = trace(|trace| {
        note_exit(&trace);
        let value = ExitInDrop;
        let task = Handle::current().spawn(async move {
            let _value = value;
            std::future::pending::<()>().await;
        });
        set_timeout(move || task.cancel(), 1);
        set_timeout(move || note(&trace, "never"), 2);
    });
    assert_eq!(ended, (9, vec!["exit 9".to_owned()]));
}

#[test]
fn an_exit_ends_the_program_even_if_its_unwinding_is_caught() {
    let ended = trace(|trace| {
        note_exit(&trace);
        set_timeout(
            move || {
                let caught = std::panic::catch_unwind(|| exit(4)).is_err();
                note(&trace, format!("caught {caught}"));
                set_timeout(move || note(&trace, "never"), 1);
            },
            1,
        );
    });
    let lines = ["exit 4", "caught true"];
    assert_eq!(ended, (4, lines.map(str::to_owned).to_vec()));
}

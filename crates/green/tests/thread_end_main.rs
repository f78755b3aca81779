//! The main thread ends as others do: green threads on a loop in one of its thread-locals are left
//! behind. Without the test harness, which would run this on another thread.

use oneloop_core::EventLoop;
use oneloop_green::{Wait, run_on, spawn, yield_now};
use std::cell::{Cell, RefCell};
use std::future::pending;
use std::process::{Command, abort};

const CASE: &str = "ONELOOP_TEST_THREAD_END";

struct Data {
    is_gone: Box<Cell<bool>>,
}

impl Drop for Data {
    fn drop(&mut self) {
        self.is_gone.set(true);
    }
}

/// Reports when it is dropped, which must not happen.
struct NeverDropped<'a>(&'a Data);

impl Drop for NeverDropped<'_> {
    fn drop(&mut self) {
        eprintln!("used after its drop: {}", self.0.is_gone.get());
        abort();
    }
}

thread_local! {
    static LOOP: RefCell<EventLoop> = RefCell::new(EventLoop::new().unwrap());
    static DATA: Data = Data { is_gone: Box::default() };
}

fn main() {
    if std::env::var_os(CASE).is_some() {
        return LOOP.with_borrow_mut(|event_loop| run_on(event_loop, lingers).unwrap());
    }
    let program = std::env::current_exe().unwrap();
    let mut again = Command::new(program);
    again
        .env(CASE, "main")
        .env("ASAN_OPTIONS", "detect_leaks=0");
    let output = again.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    let reports = stderr.matches("oneloop: green threads are left behind");
    assert_eq!(reports.count(), 1, "{stderr}");
    println!("the main thread leaves behind green threads on a loop in a thread-local: ok");
}

/// Leaves a green thread suspended with a reference to a thread-local.
fn lingers() {
    drop(spawn(|| {
        DATA.with(|data| {
            let _never = NeverDropped(data);
            pending::<()>().wait();
        });
    }));
    yield_now();
}

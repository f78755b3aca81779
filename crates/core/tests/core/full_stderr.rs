//! Whatever is wrong with stderr, the loop lives. Each case is a process of its own: this test,
//! started again with a name in its environment, and with a stderr that takes nothing.

use oneloop::callback::{self, AbortController, process, set_timeout};
use oneloop::core::{Class, PoolOptions, report};
use oneloop::monitor::{Monitor, MonitorOptions};
use oneloop::{EventLoop, Handle, Options, green};
use std::cell::Cell;
use std::fs::File;
use std::future::{Future, pending, poll_fn};
use std::io::pipe;
use std::panic::panic_any;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

const CASE: &str = "ONELOOP_TEST_FULL_STDERR";

/// Runs the case in processes whose stderr is full, or is a pipe without a reader.
fn with_bad_stderr(case: &str, run: impl FnOnce()) {
    if std::env::var(CASE).is_ok_and(|running| running == case) {
        return run();
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (reader, broken) = pipe().unwrap();
    drop(reader);
    for (what, stderr) in [("full", Stdio::from(full)), ("broken", broken.into())] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("full_stderr::{case}"), "--nocapture"])
            .env(CASE, case)
            .stderr(stderr)
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{what}: {}\n{stdout}",
            output.status
        );
        assert!(stdout.contains("1 passed"), "{what}: {stdout}");
    }
}

/// Panics when it is dropped, with another one.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

#[test]
fn a_report_is_no_panic() {
    with_bad_stderr("a_report_is_no_panic", || report("nobody reads this"));
}

#[test]
fn the_loop_outlives_a_task_whose_panic_cannot_be_reported() {
    let case = "the_loop_outlives_a_task_whose_panic_cannot_be_reported";
    with_bad_stderr(case, || {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        drop(handle.spawn(async { panic!("in a task") }));
        handle.spawn_detached(async { panic!("in a detached task") });
        drop(handle.spawn(async { panic_any(Bomb(3)) }));
        let ended = handle.spawn(async { panic!("its handle is dropped later") });
        let hooked = handle.clone();
        drop(handle.spawn(async move {
            hooked.on_unhandled(|unhandled| panic!("in a hook: {unhandled}"));
            panic!("with a hook that panics")
        }));
        let lives = handle.spawn(async { 7 });
        event_loop.run().unwrap();
        drop(ended);
        assert_eq!(event_loop.block_on(lives).unwrap(), 7);
        assert_eq!(handle.stats().tasks_unhandled, 4); // the last one's loop did not run
    });
}

#[test]
fn an_observer_that_panics_ends_nothing() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let reports = Rc::new(Cell::new(0));
    let counts = Rc::clone(&reports);
    handle.observe(Some(move |_: &_| {
        counts.set(counts.get() + 1);
        panic_any(Bomb(1));
    }));
    let lives = handle.spawn(async { 7 });
    assert_eq!(event_loop.block_on(lives).unwrap(), 7);
    assert!(reports.get() > 0);
}

/// Panics when it is woken, and when it is dropped.
struct BadWaker;

impl Wake for BadWaker {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

impl Drop for BadWaker {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("in a waker's drop");
        }
    }
}

/// Polls a future with a waker that panics.
fn poll_badly<F: Future>(future: F) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(BadWaker));
    let polled = pin!(future).poll(&mut Context::from_waker(&waker));
    std::mem::forget(waker); // so that only the clones are dropped, wherever they are kept
    polled
}

#[test]
fn a_waker_that_panics_keeps_no_other_task_from_waking() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let mut bad = Box::pin(handle.sleep(Duration::from_millis(1)));
    assert!(poll_badly(bad.as_mut()).is_pending());
    let good = handle.spawn(handle.sleep(Duration::from_millis(1)));
    event_loop.block_on(good).unwrap();
}

#[test]
fn a_loop_can_be_dropped_whatever_its_wakers_do() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let mut sleeps = [1, 2].map(|secs| Box::pin(handle.sleep(Duration::from_secs(secs))));
    for sleep in &mut sleeps {
        assert!(poll_badly(sleep.as_mut()).is_pending());
    }
    for _ in 0..2 {
        let bomb = Bomb(2);
        handle.remote().run(move |_| drop(bomb)).unwrap();
    }
    drop(event_loop);
    drop(sleeps);
}

/// One worker for each class: if it ended, no other job would run.
fn with_one_worker(queued_max: usize) -> EventLoop {
    let pool = PoolOptions {
        queued_max,
        ..PoolOptions::with_threads_max(1)
    };
    EventLoop::with(pool.into()).unwrap()
}

fn workers_survive_any_job() {
    let mut event_loop = with_one_worker(8);
    let handle = event_loop.handle();
    for class in [Class::Fs, Class::Cpu, Class::Dns] {
        let panics = handle.offload_to(class, || panic!("in a job"));
        assert!(event_loop.block_on(panics).is_err());
        for depth in 0..3 {
            // The worker drops the payload if no task waits for it by then.
            drop_once_begun(&handle, class, move || panic_any(Bomb(depth)));
            drop_once_begun(&handle, class, move || Bomb(depth));
            cancel_before_it_begins(&mut event_loop, class, Bomb(depth));
            let panics = handle.offload_to(class, move || panic_any(Bomb(depth)));
            std::mem::forget(event_loop.block_on(panics));
        }
        let job = handle.offload_to(class, || 7);
        assert_eq!(event_loop.block_on(job).unwrap(), 7);
    }
}

/// Cancels a job that holds a value, while the worker is busy: the worker drops the value.
fn cancel_before_it_begins(event_loop: &mut EventLoop, class: Class, held: Bomb) {
    let handle = event_loop.handle();
    let (go, wait) = mpsc::channel::<()>();
    let busy = handle.offload_to(class, move || wait.recv().is_err());
    drop(handle.offload_to(class, move || drop(held)));
    drop(go);
    event_loop.block_on(busy).unwrap();
}

/// Starts a job, and drops its future while the job is at work.
fn drop_once_begun<T: Send + 'static>(
    handle: &Handle,
    class: Class,
    job: impl FnOnce() -> T + Send + 'static,
) {
    let (tell, begun) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let future = handle.offload_to(class, move || {
        tell.send(()).unwrap();
        let _ = wait.recv();
        job()
    });
    begun.recv().unwrap();
    drop(future);
    drop(go);
}

#[test]
fn a_worker_survives_any_job() {
    workers_survive_any_job();
}

#[test]
fn a_worker_survives_any_job_also_with_a_bad_stderr() {
    let case = "a_worker_survives_any_job_also_with_a_bad_stderr";
    with_bad_stderr(case, workers_survive_any_job);
}

#[test]
fn a_worker_survives_the_wakers_of_waiting_tasks() {
    let mut event_loop = with_one_worker(1);
    let handle = event_loop.handle();
    let (go, wait) = mpsc::channel::<()>();
    let (tell, begun) = mpsc::channel();
    let busy = handle.offload_to(Class::Fs, move || {
        tell.send(()).unwrap();
        let _ = wait.recv();
    });
    begun.recv().unwrap(); // it is out of the queue
    let queued = handle.offload_to(Class::Fs, || 1);
    let mut in_line = Box::pin(handle.offload_to(Class::Fs, || 2)); // the queue is full
    assert!(poll_badly(in_line.as_mut()).is_pending());
    let mut done = Box::pin(busy);
    assert!(poll_badly(done.as_mut()).is_pending());
    drop(go);
    assert_eq!(event_loop.block_on(queued).unwrap(), 1);
    assert_eq!(event_loop.block_on(in_line).unwrap(), 2);
}

#[test]
fn a_green_thread_whose_panic_cannot_be_reported_ends_alone() {
    let case = "a_green_thread_whose_panic_cannot_be_reported_ends_alone";
    with_bad_stderr(case, || {
        let sum = green::run(|| {
            drop(green::spawn(|| panic!("in a green thread")));
            let bomb = Bomb(2);
            let never_begins = green::spawn(move || drop(bomb));
            assert!(never_begins.cancel());
            drop(never_begins);
            let bomb = Bomb(1);
            green::spawn(move || drop(bomb)).kill();
            green::yield_now();
            green::spawn(|| 7).join().unwrap()
        });
        assert_eq!(sum.unwrap(), 7);
        assert_eq!(green::try_current(), None);
    });
}

#[test]
fn an_uncaught_error_that_cannot_be_printed_ends_the_program_with_its_code() {
    let case = "an_uncaught_error_that_cannot_be_printed_ends_the_program_with_its_code";
    with_bad_stderr(case, || {
        let code = callback::run(|| {
            process::on_exit(|_| Err::<(), _>("in an 'exit' handler"));
            set_timeout(|| (), 1e12); // a warning
            Err::<(), _>("uncaught")
        });
        assert_eq!(code.unwrap(), 1);
        let code = callback::run(|| {
            process::on_uncaught_exception(|_, _| -> Result<(), &str> { panic_any(Bomb(2)) });
            Err::<(), _>("uncaught")
        });
        assert_eq!(code.unwrap(), 7);
        let controller = AbortController::new();
        controller
            .signal()
            .on_abort(|_| Err::<(), _>("in a listener"));
        controller.abort(); // outside of a program
    });
}

#[test]
fn a_callback_that_panics_with_what_panics_leaves_the_program_in_order() {
    let log = Rc::new(Cell::new(0));
    let counts = Rc::clone(&log);
    let code = callback::run(move || {
        process::on_uncaught_exception(|_, _| ());
        let count = move |by| counts.set(counts.get() + by);
        set_timeout(|| -> Result<(), &str> { panic_any(Bomb(2)) }, 1);
        callback::queue_microtask(|| -> Result<(), &str> { panic_any(Bomb(2)) });
        drop(callback::spawn_micro(async {
            if true {
                panic_any(Bomb(2));
            }
        }));
        let (tick, timer, immediate) = (count.clone(), count.clone(), count);
        callback::next_tick(move || tick(1));
        callback::set_immediate(move || immediate(10));
        set_timeout(move || timer(100), 2);
    });
    assert_eq!((code.unwrap(), log.get()), (0, 111));
}

#[test]
fn a_monitor_whose_report_panics_reports_again() {
    let mut event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = mpsc::channel();
    let options = MonitorOptions {
        threshold: Duration::from_millis(5),
        backtrace: false,
    };
    let report = move |_: &_| {
        let _ = sender.send(());
        panic!("in a report");
    };
    let _monitor = Monitor::start(&event_loop.handle(), options, report).unwrap();
    for _ in 0..2 {
        event_loop.block_on(async {
            receiver.recv_timeout(Duration::from_secs(20)).unwrap(); // blocks the loop until the report
        });
    }
}

#[test]
fn a_waiting_task_in_a_program_with_a_bad_stderr_is_still_woken() {
    let case = "a_waiting_task_in_a_program_with_a_bad_stderr_is_still_woken";
    with_bad_stderr(case, || {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let inside = handle.clone();
        drop(handle.spawn(async move {
            let job = inside.spawn(pending::<()>());
            job.cancel();
            drop(job);
            let mut turns = 0;
            poll_fn(|cx| {
                turns += 1;
                cx.waker().wake_by_ref();
                if turns < 3 {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
            panic!("after some turns");
        }));
        event_loop.run().unwrap();
        assert_eq!(handle.task_count(), 0);
    });
}

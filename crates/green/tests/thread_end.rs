//! An OS thread that ends with suspended green threads on a loop in a thread-local: none of them
//! uses a thread-local after its destructor. Each case is its own process, which is this test
//! started again with the case in the environment, as stacks that are left behind are leaked.

mod harness;

use harness::{event_loop, run};
use oneloop_core::{EventLoop, Handle};
use oneloop_green::{
    Builder, STACK_BYTES_MIN, Thread, Wait, run_on, scope, spawn, try_current, yield_now,
};
use std::cell::{Cell, Ref, RefCell};
use std::fs::File;
use std::future::pending;
use std::process::{self, Command, Output, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const CASE: &str = "ONELOOP_TEST_THREAD_END";
const LEFT_BEHIND: &str = "oneloop: green threads are left behind";

/// [`Data`] was dropped.
static IS_GONE: AtomicBool = AtomicBool::new(false);
/// The number of guards of green threads that were dropped.
static DROPPED: AtomicU32 = AtomicU32::new(0);

/// Aborts if a green thread uses it after its drop; a sanitizer sees that as well.
struct Data(RefCell<String>);

impl Data {
    const fn new() -> Self {
        Data(RefCell::new(String::new()))
    }

    fn use_it(&self) {
        if IS_GONE.load(Ordering::Relaxed) {
            eprintln!("used after its drop");
            process::abort();
        }
        self.0.borrow_mut().push('x');
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        IS_GONE.store(true, Ordering::Relaxed);
    }
}

/// Uses the data when it is dropped.
struct UsesInDrop<'a>(&'a Data);

impl Drop for UsesInDrop<'_> {
    fn drop(&mut self) {
        self.0.use_it();
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// Calls a function when it is dropped: as a thread-local, at the thread's end.
struct AtEnd(fn());

impl Drop for AtEnd {
    fn drop(&mut self) {
        (self.0)();
    }
}

thread_local! {
    static DATA: Data = const { Data::new() };
    static LOOP: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    static OTHER: RefCell<Option<EventLoop>> = const { RefCell::new(None) };
    static SHARED: RefCell<Option<Rc<RefCell<EventLoop>>>> = const { RefCell::new(None) };
    static SHARED_TOO: RefCell<Option<Rc<RefCell<EventLoop>>>> = const { RefCell::new(None) };
    static LAZY: RefCell<EventLoop> = RefCell::new(event_loop());
    static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
}

/// Waits with a reference to a thread-local on its stack.
fn lingers() {
    DATA.with(|data| {
        let _uses = UsesInDrop(data);
        pending::<()>().wait();
        data.use_it();
    });
}

/// Leaves one green thread suspended on that loop.
fn linger_on(event_loop: &mut EventLoop) {
    run_on(event_loop, || {
        drop(spawn(lingers));
        yield_now();
    })
    .unwrap();
}

fn keep(event_loop: EventLoop) {
    LOOP.set(Some(event_loop));
}

fn with_loop<T>(function: impl FnOnce(&mut EventLoop) -> T) -> T {
    LOOP.with_borrow_mut(|event_loop| function(event_loop.as_mut().unwrap()))
}

fn again(case: &str, stderr: Stdio) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", case, "--nocapture"]);
    command
        .env(CASE, case)
        .env("ASAN_OPTIONS", "detect_leaks=0");
    command.stderr(stderr).output().unwrap()
}

fn is_case(case: &str) -> bool {
    std::env::var(CASE).is_ok_and(|running| running == case)
}

/// Runs a case on a thread that ends, in its own process, and returns that one's stderr.
fn ends(case: &str, thread: fn()) -> String {
    if is_case(case) {
        std::thread::spawn(thread).join().unwrap();
        process::exit(0);
    }
    let output = again(case, Stdio::piped());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {stderr}", output.status);
    stderr
}

/// Runs a case that leaves green threads behind, once per thread.
fn leaves_behind(case: &str, thread: fn()) {
    let stderr = ends(case, thread);
    assert_eq!(stderr.matches(LEFT_BEHIND).count(), 1, "{stderr}");
}

#[test]
fn rule_12_a_loop_in_a_lazy_thread_local_leaves_its_threads_behind() {
    leaves_behind(
        "rule_12_a_loop_in_a_lazy_thread_local_leaves_its_threads_behind",
        || LAZY.with_borrow_mut(linger_on),
    );
}

#[test]
fn a_loop_older_than_the_data_of_its_threads_leaves_them_behind() {
    leaves_behind(
        "a_loop_older_than_the_data_of_its_threads_leaves_them_behind",
        || {
            keep(event_loop());
            with_loop(linger_on);
        },
    );
}

#[test]
fn a_loop_made_after_another_one_has_run_leaves_its_threads_behind() {
    leaves_behind(
        "a_loop_made_after_another_one_has_run_leaves_its_threads_behind",
        || {
            linger_nowhere(&mut event_loop());
            LAZY.with_borrow_mut(linger_on);
        },
    );
}

/// Leaves one green thread suspended that refers to no thread-local.
fn linger_nowhere(event_loop: &mut EventLoop) {
    run_on(event_loop, || {
        drop(spawn(|| pending::<()>().wait()));
        yield_now();
    })
    .unwrap();
}

#[test]
fn a_loop_that_moves_between_its_runs_leaves_its_threads_behind() {
    leaves_behind(
        "a_loop_that_moves_between_its_runs_leaves_its_threads_behind",
        || {
            let mut event_loop = event_loop();
            linger_nowhere(&mut event_loop);
            keep(event_loop);
            with_loop(linger_nowhere);
            OTHER.set(LOOP.take());
            OTHER.with_borrow_mut(|event_loop| linger_on(event_loop.as_mut().unwrap()));
        },
    );
}

#[test]
fn a_loop_shared_by_two_thread_locals_leaves_its_threads_behind() {
    leaves_behind(
        "a_loop_shared_by_two_thread_locals_leaves_its_threads_behind",
        || {
            let event_loop = Rc::new(RefCell::new(event_loop()));
            SHARED.set(Some(Rc::clone(&event_loop)));
            linger_nowhere(&mut event_loop.borrow_mut());
            SHARED_TOO.set(Some(Rc::clone(&event_loop)));
            linger_on(&mut event_loop.borrow_mut());
            SHARED.take();
        },
    );
}

#[test]
fn a_loop_whose_os_thread_exits_the_process_leaves_its_threads_behind() {
    leaves_behind(
        "a_loop_whose_os_thread_exits_the_process_leaves_its_threads_behind",
        || {
            keep(event_loop());
            with_loop(linger_on);
            process::exit(0);
        },
    );
}

#[test]
fn a_loop_leaves_its_threads_behind_when_a_green_thread_exits_the_process() {
    leaves_behind(
        "a_loop_leaves_its_threads_behind_when_a_green_thread_exits_the_process",
        || {
            keep(event_loop());
            with_loop(linger_on);
            run(|| process::exit(0)).unwrap();
        },
    );
}

#[test]
fn a_full_stderr_is_no_panic() {
    let case = "a_full_stderr_is_no_panic";
    if is_case(case) {
        ends(case, || LAZY.with_borrow_mut(linger_on));
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = again(case, full.into());
    assert!(output.status.success(), "{}", output.status);
}

#[test]
fn a_scope_and_its_threads_never_run_again_even_if_they_have_not_begun() {
    leaves_behind(
        "a_scope_and_its_threads_never_run_again_even_if_they_have_not_begun",
        || {
            keep(event_loop());
            with_loop(|event_loop| {
                run_on(event_loop, || {
                    drop(spawn(|| DATA.with(lends)));
                    yield_now();
                })
                .unwrap();
            });
        },
    );
}

/// Lends a thread-local to one thread that waits, and a borrow of it to one that has not begun.
fn lends(data: &Data) {
    scope(|scope| {
        scope.spawn(|| {
            let _uses = UsesInDrop(data);
            pending::<()>().wait();
        });
        yield_now();
        let borrowed: Ref<'_, String> = data.0.borrow();
        let uses = UsesInDrop(data);
        scope.spawn(move || drop((borrowed, uses)));
        Handle::current().stop();
    });
}

/// Starts a green thread that uses a thread-local whenever it runs, on a loop that is never
/// dropped, and calls a function at the thread's end, when that thread-local has been dropped.
fn uses_at_end(at_end: fn()) {
    AT_END.set(Some(AtEnd(at_end)));
    let event_loop = Box::leak(Box::new(event_loop()));
    run_on(event_loop, || {
        let thread = spawn(|| {
            DATA.with(|data| {
                loop {
                    data.use_it();
                    yield_now();
                }
            })
        });
        FORGOTTEN_THREAD.set(Some(Box::leak(Box::new(thread.thread().clone()))));
        yield_now();
    })
    .unwrap();
    FORGOTTEN.set(Some(event_loop));
}

thread_local! {
    // These have no destructors.
    static FORGOTTEN: Cell<Option<&'static mut EventLoop>> = const { Cell::new(None) };
    static FORGOTTEN_THREAD: Cell<Option<&'static Thread>> = const { Cell::new(None) };
}

#[test]
fn a_loop_run_by_a_destructor_leaves_its_old_threads_behind() {
    leaves_behind(
        "a_loop_run_by_a_destructor_leaves_its_old_threads_behind",
        || {
            uses_at_end(|| {
                let event_loop = FORGOTTEN.take().unwrap();
                event_loop.run().unwrap();
                assert_eq!(event_loop.handle().task_count(), 0);
                assert!(FORGOTTEN_THREAD.take().unwrap().is_finished());
            });
        },
    );
}

#[test]
fn a_loop_that_blocks_on_a_future_in_a_destructor_leaves_its_threads_behind() {
    leaves_behind(
        "a_loop_that_blocks_on_a_future_in_a_destructor_leaves_its_threads_behind",
        || {
            uses_at_end(|| {
                let thread = FORGOTTEN_THREAD.take().unwrap();
                FORGOTTEN.take().unwrap().block_on(thread.finished());
            });
        },
    );
}

#[test]
fn a_thread_canceled_in_a_destructor_never_runs_again() {
    leaves_behind("a_thread_canceled_in_a_destructor_never_runs_again", || {
        uses_at_end(|| {
            let thread = FORGOTTEN_THREAD.take().unwrap();
            let event_loop = FORGOTTEN.take().unwrap();
            event_loop.handle().cancel_task(thread.id());
            assert!(thread.is_finished());
        });
    });
}

#[test]
fn a_thread_canceled_while_a_green_thread_exits_the_process_never_runs_again() {
    leaves_behind(
        "a_thread_canceled_while_a_green_thread_exits_the_process_never_runs_again",
        || {
            AT_END.set(Some(AtEnd(|| {
                let thread = FORGOTTEN_THREAD.take().unwrap();
                Handle::current().cancel_task(thread.id()); // the loop is below on the stack
                assert!(thread.is_finished());
            })));
            let _ = run(|| {
                let lingers = spawn(lingers);
                yield_now();
                FORGOTTEN_THREAD.set(Some(Box::leak(Box::new(lingers.thread().clone()))));
                drop(lingers);
                process::exit(0);
            });
        },
    );
}

#[test]
fn a_loop_in_a_thread_local_unwinds_its_threads_while_the_os_thread_lives() {
    let stderr = ends(
        "a_loop_in_a_thread_local_unwinds_its_threads_while_the_os_thread_lives",
        || {
            keep(event_loop());
            with_loop(linger_on);
            with_loop(linger_on); // the first green thread may run again
            drop(LOOP.take());
            assert_eq!(DROPPED.load(Ordering::Relaxed), 2);
        },
    );
    assert!(!stderr.contains(LEFT_BEHIND), "{stderr}");
}

#[test]
fn a_function_that_has_not_begun_is_dropped() {
    let stderr = ends("a_function_that_has_not_begun_is_dropped", || {
        keep(event_loop());
        with_loop(|event_loop| {
            let at_end = AtEnd(|| eprintln!("dropped"));
            event_loop.enter(|| drop(spawn(move || drop(at_end))));
        });
    });
    assert!(stderr.contains("dropped"), "{stderr}");
    assert!(!stderr.contains(LEFT_BEHIND), "{stderr}");
}

#[test]
fn green_threads_that_begin_in_a_destructor_run_and_unwind() {
    let stderr = ends(
        "green_threads_that_begin_in_a_destructor_run_and_unwind",
        || {
            AT_END.set(Some(AtEnd(|| {
                let joined = oneloop_green::run(|| {
                    drop(spawn(|| {
                        let _at_end = AtEnd(|| eprintln!("unwound"));
                        pending::<()>().wait();
                    }));
                    spawn(yield_now).join().is_ok()
                });
                assert!(joined.unwrap() && try_current().is_none());
            })));
            run(yield_now).unwrap();
        },
    );
    assert!(stderr.contains("unwound"), "{stderr}");
    assert!(!stderr.contains(LEFT_BEHIND), "{stderr}");
}

#[test]
fn the_smallest_stack_is_large_enough_to_detect_the_end_of_its_os_thread() {
    run(|| {
        let small = Builder::new().stack_bytes(STACK_BYTES_MIN);
        let cancels = small.spawn(|| {
            let lingers = spawn(|| pending::<()>().wait());
            yield_now();
            Handle::current().cancel_task(lingers.id());
            lingers.is_finished()
        });
        assert!(cancels.unwrap().join().unwrap());
    })
    .unwrap();
}

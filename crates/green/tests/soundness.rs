//! What holds whatever safe code does: no frame is freed while it is borrowed, no stack stays
//! current after its end, no waiter misses its wake. On virtual time.

mod harness;

use harness::{MS, event_loop, run};
use oneloop_core::Handle;
use oneloop_green::{
    self as green, Elapsed, JoinHandle, Outcome, RunError, Scope, Thread, Wait, catch_unwind,
    current, eventlet, green_local, run_on, scope, sleep, spawn, timeout, try_current, yield_now,
};
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// Waits forever in its drop.
struct Stuck;

impl Drop for Stuck {
    fn drop(&mut self) {
        pending::<()>().wait();
    }
}

/// Sets a flag when it is dropped.
struct Lent<'a>(&'a Cell<bool>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Runs a scope whose thread is stuck in a drop, while a thread of its inner scope borrows.
fn lends_to_a_stuck_thread(gone: &'static Cell<bool>, stuck: &RefCell<Option<Thread>>) {
    let lent = Lent(gone);
    let lent = &lent;
    scope(|outer| {
        let thread = outer.spawn(move || {
            scope(|inner| {
                inner.spawn(move || {
                    pending::<()>().wait();
                    let _ = lent;
                });
                let _stuck = Stuck;
                pending::<()>().wait();
            });
        });
        stuck.replace(Some(thread.thread().clone()));
    });
}

#[test]
fn a_scope_with_a_thread_that_is_left_behind_is_left_behind_too() {
    let gone: &'static Cell<bool> = Box::leak(Box::default());
    let mut event_loop = event_loop();
    run_on(&mut event_loop, move || {
        spawn(move || lends_to_a_stuck_thread(gone, &RefCell::default()));
        (0..3).for_each(|_| yield_now());
    })
    .unwrap();
    drop(event_loop);
    assert!(!gone.get(), "a lent value stays as long as its borrower");
}

#[test]
fn a_scope_waits_forever_for_a_canceled_thread_that_is_left_behind() {
    let gone: &'static Cell<bool> = Box::leak(Box::default());
    run(move || {
        let stuck = Rc::new(RefCell::new(None));
        let into = Rc::clone(&stuck);
        let lender = spawn(move || lends_to_a_stuck_thread(gone, &into));
        (0..3).for_each(|_| yield_now());
        let stuck = stuck.take().unwrap();
        Handle::current().cancel_task(stuck.id());
        sleep(MS);
        assert!(stuck.is_finished() && !lender.is_finished() && !gone.get());
    })
    .unwrap();
}

/// Spawns into a scope when it is dropped.
struct Spawns<'scope, 'env>(&'scope Scope<'scope, 'env>, &'env Cell<u32>);

impl Drop for Spawns<'_, '_> {
    fn drop(&mut self) {
        let count = self.1;
        self.0.spawn(move || {
            yield_now();
            count.set(count.get() + 1);
        });
    }
}

#[test]
fn a_thread_spawned_in_the_drop_of_a_late_function_is_in_the_scope() {
    run(|| {
        let handle = Handle::current();
        let reports = Rc::new(Cell::new(0));
        let counts = Rc::clone(&reports);
        handle.on_unhandled(move |_| counts.set(counts.get() + 1));
        let (tasks, count) = (handle.task_count(), Cell::new(0));
        let count = &count;
        let failed = catch_unwind(|| {
            scope(|scope| {
                scope.spawn(|| panic!("first"));
                let _ = catch_unwind(|| sleep(MS));
                let spawns = Spawns(scope, count);
                scope.spawn(move || drop(spawns));
            });
        });
        assert!(failed.is_err());
        assert_eq!((handle.task_count(), count.get()), (tasks, 0));
        assert_eq!(reports.get(), 0);
    })
    .unwrap();
}

/// A payload that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a bomb");
    }
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

/// Polls a handle from outside of the loop.
fn poll<T: 'static>(handle: &mut JoinHandle<T>, waker: Waker) {
    let polled = Pin::new(handle).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
}

#[test]
fn no_stack_that_ends_stays_current_whatever_panics_on_it() {
    let mut event_loop = event_loop();
    let threads = event_loop.enter(|| {
        let mut woken = spawn(|| ());
        eventlet::link(&woken, |_| ());
        poll(&mut woken, Arc::new(PanickingWaker).into());
        let linked = spawn(|| ());
        eventlet::link(&linked, |_| panic_any(Bomb));
        [woken, linked]
    });
    event_loop.run().unwrap();
    assert_eq!(try_current(), None);
    assert!(threads.iter().all(|thread| thread.is_finished()));
}

#[test]
fn a_local_that_panics_in_its_drop_leaves_no_joiner_parked() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in a local's drop");
        }
    }
    green_local! {
        static BAD: Bad = Bad;
    }
    let joined = run(|| spawn(|| BAD.with(|_| 1)).join());
    assert_eq!(joined.unwrap().unwrap(), 1);
}

#[test]
fn a_wait_in_the_drop_of_a_function_that_never_ran_is_no_panic() {
    struct Sleeps;
    impl Drop for Sleeps {
        fn drop(&mut self) {
            sleep(MS);
        }
    }
    let mut event_loop = event_loop();
    let reports = Rc::new(Cell::new(0));
    let counts = Rc::clone(&reports);
    let handle = event_loop.handle();
    handle.on_unhandled(move |_| counts.set(counts.get() + 1));
    run_on(&mut event_loop, || {
        let sleeps = Sleeps;
        spawn(move || drop(sleeps)).kill();
    })
    .unwrap();
    assert_eq!(reports.get(), 0);
}

#[test]
fn a_waker_may_do_anything_in_its_drop() {
    struct Links(Rc<RefCell<Option<Thread>>>);
    thread_local! {
        static LINKS: Links = Links(Rc::default());
    }
    struct Linking;
    impl Wake for Linking {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Linking {
        fn drop(&mut self) {
            let thread = LINKS.with(|links| links.0.borrow().clone());
            thread.unwrap().on_exit(|_| ());
        }
    }
    event_loop().enter(|| {
        let mut thread = spawn(|| ());
        LINKS.with(|links| links.0.replace(Some(thread.thread().clone())));
        poll(&mut thread, Arc::new(Linking).into());
        poll(&mut thread, Arc::new(Linking).into());
    });
}

#[test]
fn threads_of_one_loop_can_be_joined_on_another() {
    let (mut ours, mut theirs) = (event_loop(), event_loop());
    let _alive = ours.handle().keep_alive();
    let sleeper = theirs.enter(|| spawn(|| sleep(MS)));
    let joiner = ours.enter(|| {
        // Takes the first key, so that the joiner's key differs from the sleeper's.
        drop(spawn(|| pending::<()>().wait()));
        spawn(move || sleeper.join().unwrap())
    });
    ours.run_nowait().unwrap();
    theirs.run().unwrap();
    for _ in 0..2 {
        ours.run_nowait().unwrap();
    }
    assert!(joiner.is_finished());
}

#[test]
fn a_dropped_loop_wakes_the_joiners_of_its_threads_on_other_loops() {
    let (mut ours, mut theirs) = (event_loop(), event_loop());
    let _alive = ours.handle().keep_alive();
    let thread = theirs.enter(|| spawn(|| pending::<()>().wait()));
    thread.on_exit(|_| ());
    theirs.run().unwrap();
    let joiner = ours.enter(|| spawn(move || thread.join().is_err()));
    ours.run_nowait().unwrap();
    drop(theirs);
    for _ in 0..2 {
        ours.run_nowait().unwrap();
    }
    assert!(joiner.is_finished());
}

#[test]
fn a_thread_that_kills_itself_in_a_drop_ends_once() {
    struct Kills;
    impl Drop for Kills {
        fn drop(&mut self) {
            current().kill();
        }
    }
    let joined = run(|| {
        let thread = spawn(|| {
            let _kills = Kills;
            panic!("once");
        });
        thread.join()
    });
    let error = joined.unwrap().unwrap_err();
    assert_eq!(error.panic_message(), Some("once"));
}

#[test]
fn a_deadlock_in_the_main_threads_drop_is_an_error() {
    let ended = run(|| {
        let _stuck = Stuck;
        panic!("main ends");
    });
    assert!(matches!(ended, Err(RunError::Deadlock(_))));
}

#[test]
fn a_timeout_fires_while_the_stack_below_unwinds() {
    struct Runs<'a>(&'a Cell<Option<Result<(), Elapsed>>>);
    impl Drop for Runs<'_> {
        fn drop(&mut self) {
            self.0
                .set(Some(run(|| timeout(MS, || sleep(1000 * MS))).unwrap()));
        }
    }
    let ended = Cell::new(None);
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _runs = Runs(&ended);
        panic!("outside");
    }));
    assert!(panicked.is_err());
    assert_eq!(ended.get(), Some(Err(Elapsed)));
}

/// Waits in its drop for that many milliseconds.
struct Lingers(u32);

impl Drop for Lingers {
    fn drop(&mut self) {
        sleep(self.0 * MS);
    }
}

/// Starts a thread that unwinds by `throw`, and waits `ms` milliseconds in a drop.
fn unwinding(throw: fn(), ms: u32) -> JoinHandle<()> {
    let thread = spawn(move || {
        let _lingers = Lingers(ms);
        throw();
    });
    yield_now();
    thread
}

/// All ways to start unwinding.
const THROWS: [fn(); 4] = [
    || panic!("a panic"),
    || std::panic::resume_unwind(Box::new("a panic")),
    || green::resume_unwind(Box::new("a panic")),
    || {
        let _ = std::panic::catch_unwind(|| panic!("caught"));
        panic_any("a panic");
    },
];

#[test]
fn a_thread_that_waits_in_its_drop_is_not_interrupted_while_others_unwind() {
    for (throw, other) in THROWS.into_iter().flat_map(|a| THROWS.map(|b| (a, b))) {
        let ended = run(move || {
            let others = unwinding(other, 5);
            let victim = unwinding(throw, 2);
            victim.kill_soon();
            victim.throw(Box::new("more"));
            victim.kill();
            assert!(victim.is_finished() && !others.is_finished());
            let waits_in_its_drop = unwinding(throw, 20);
            drop(others.join());
            waits_in_its_drop.kill_now();
            assert!(!waits_in_its_drop.is_finished());
            [victim.join(), waits_in_its_drop.join()]
        });
        for error in ended.unwrap().map(Result::unwrap_err) {
            assert_eq!(error.panic_message(), Some("a panic"));
        }
    }
}

#[test]
fn a_thread_that_does_not_unwind_is_interrupted_while_others_unwind() {
    for throw in THROWS {
        let ended = run(move || {
            let others = unwinding(throw, 50);
            let killed = spawn(|| sleep(1000 * MS));
            yield_now();
            killed.kill();
            let timed_out = timeout(MS, || sleep(1000 * MS));
            // Nor does a thread that has unwound before, whichever function caught it.
            let has_unwound = spawn(|| {
                let _ = std::panic::catch_unwind(|| panic!("caught"));
                let _ = catch_unwind(|| panic!("caught"));
                sleep(1000 * MS);
            });
            yield_now();
            has_unwound.kill();
            assert!(!others.is_finished() && has_unwound.is_finished());
            (killed.is_finished(), timed_out)
        });
        assert_eq!(ended.unwrap(), (true, Err(Elapsed)));
    }
}

#[test]
fn a_catch_in_a_drop_does_not_make_an_unwinding_thread_interruptible() {
    struct Catches;
    impl Drop for Catches {
        fn drop(&mut self) {
            let _ = catch_unwind(|| sleep(2 * MS));
            let _ = timeout(MS, || sleep(2 * MS));
        }
    }
    let error = run(|| {
        let thread = spawn(|| {
            let _catches = Catches;
            panic!("once");
        });
        yield_now();
        thread.kill();
        thread.join()
    });
    let error = error.unwrap().unwrap_err();
    assert_eq!(error.panic_message(), Some("once"));
}

#[test]
fn an_ordinary_drop_is_interrupted_while_another_thread_unwinds() {
    let ended = run(|| {
        let others = unwinding(THROWS[0], 50);
        let thread = spawn(|| drop(Lingers(1000)));
        yield_now();
        thread.kill();
        (others.is_finished(), thread.outcome())
    });
    assert_eq!(ended.unwrap(), (false, Some(Outcome::Killed)));
}

#[test]
fn several_values_left_with_a_thread_may_panic_in_their_drops() {
    green_local! {
        static FIRST: Bomb = Bomb;
        static SECOND: Bomb = Bomb;
    }
    let joined = run(|| {
        let thread = spawn(|| {
            FIRST.with(|_| ());
            SECOND.with(|_| ());
            current().throw(Box::new(Bomb));
            current().throw(Box::new(Bomb));
            7
        });
        thread.join()
    });
    assert_eq!(joined.unwrap().unwrap(), 7);
}

#[test]
fn a_scope_that_fails_twice_returns_the_first_failure() {
    let failed = run(|| {
        catch_unwind(|| {
            scope(|scope| {
                scope.spawn(|| panic!("first"));
                let _ = catch_unwind(|| sleep(MS));
                panic_any(Bomb);
            });
        })
    });
    let payload = failed.unwrap().unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"first"));
}

#[test]
fn a_full_stderr_leaves_no_stack_current() {
    let case = "a_full_stderr_leaves_no_stack_current";
    if std::env::var("ONELOOP_TEST_FULL_STDERR").is_err() {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", case, "--nocapture"])
            .env("ONELOOP_TEST_FULL_STDERR", "1")
            .stderr(full.unwrap())
            .status();
        return assert!(status.unwrap().success());
    }
    let event_loop = event_loop();
    let handle = event_loop.enter(|| {
        let bomb = Bomb;
        let handle = spawn(move || drop(bomb));
        assert!(catch_unwind(|| handle.cancel()).unwrap());
        handle
    });
    drop(handle);
    assert_eq!(try_current(), None);
    drop(event_loop);
    assert_eq!(try_current(), None);
}

/// A drop that the compiler inlines into the function that unwinds, with a wait between inner
/// drops.
struct Inlined(u32);

impl Drop for Inlined {
    #[inline(always)]
    fn drop(&mut self) {
        let _before = [Lingers(1), Lingers(1)];
        let text = std::hint::black_box(String::from("freed at the end"));
        let _ = std::panic::catch_unwind(|| std::hint::black_box(1));
        sleep_ms(self.0).wait();
        drop(text);
    }
}

fn sleep_ms(ms: u32) -> oneloop_core::Sleep {
    Handle::current().sleep(ms * MS)
}

#[test]
fn an_inlined_drop_of_a_thread_that_unwinds_is_not_interrupted() {
    for throw in THROWS {
        let ended = run(move || {
            let others = unwinding(throw, 50);
            let threads = [0, 1, 2, 3, 4].map(|ms| {
                let thread = spawn(move || {
                    let _drops = Box::new((Inlined(2), vec![Inlined(1)]));
                    let _drop = Inlined(2);
                    throw();
                });
                sleep(ms * MS);
                thread.kill_soon();
                thread
            });
            let errors = threads.map(|thread| thread.join().unwrap_err());
            (errors, others.is_finished())
        });
        let (errors, others_have_ended) = ended.unwrap();
        let are_panics = errors.map(|error| error.panic_message() == Some("a panic"));
        assert!(are_panics == [true; 5] && !others_have_ended);
    }
}

/// Sorts with the C library, which calls back a comparison that waits and catches.
fn sort_while_interrupted() -> ([i32; 3], u32) {
    thread_local! {
        static CAUGHT: Cell<u32> = const { Cell::new(0) };
    }
    extern "C" fn compare(a: *const c_void, b: *const c_void) -> c_int {
        let caught = std::panic::catch_unwind(|| sleep(MS));
        CAUGHT.set(CAUGHT.get() + u32::from(caught.is_err()));
        // SAFETY: `qsort` passes pointers to two of the numbers.
        let (a, b) = unsafe { (a.cast::<i32>().read(), b.cast::<i32>().read()) };
        a.cmp(&b) as c_int
    }
    let mut numbers = [3, 1, 2];
    // SAFETY: these are three numbers of four bytes, of which the comparison reads two.
    unsafe { libc::qsort((&raw mut numbers).cast(), 3, 4, Some(compare)) };
    (numbers, CAUGHT.get())
}

#[test]
fn a_kill_during_a_callback_from_c_can_be_caught_there() {
    let sorted = run(|| {
        let thread = spawn(sort_while_interrupted);
        yield_now();
        thread.kill();
        thread.join()
    });
    assert_eq!(sorted.unwrap().unwrap(), ([1, 2, 3], 1));
}

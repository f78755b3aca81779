//! What holds whatever safe code does: no frame goes that somebody borrows, no stack stays the current
//! one, nobody waits for a wake that was lost. Virtual time throughout.

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

/// Waits in its drop for what never comes.
struct Stuck;

impl Drop for Stuck {
    fn drop(&mut self) {
        pending::<()>().wait();
    }
}

/// Says when it is gone.
struct Lent<'a>(&'a Cell<bool>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// A scope whose thread is stuck in a cleanup, while the thread of that one's own scope borrows.
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
fn a_scope_with_a_thread_that_is_left_behind_is_left_too() {
    let gone: &'static Cell<bool> = Box::leak(Box::default());
    let mut event_loop = event_loop();
    run_on(&mut event_loop, move || {
        spawn(move || lends_to_a_stuck_thread(gone, &RefCell::default()));
        (0..3).for_each(|_| yield_now());
    })
    .unwrap();
    drop(event_loop);
    assert!(!gone.get(), "what is lent stays as long as who borrows it");
}

#[test]
fn a_scope_with_a_thread_that_is_cancelled_by_name_and_left_behind_waits() {
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
fn what_is_spawned_in_the_drop_of_what_came_too_late_is_in_the_scope() {
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

/// Something to panic with that panics when it is dropped.
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
fn whatever_panics_on_a_stack_that_ends_it_is_current_no_more() {
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
fn a_local_that_panics_in_its_drop_leaves_nobody_waiting() {
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
fn what_waits_in_the_drop_of_one_that_never_began_is_no_panic() {
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
        drop(spawn(|| pending::<()>().wait())); // so that the joiner's name is not the sleeper's
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
fn a_loop_that_goes_wakes_who_waits_for_its_threads_elsewhere() {
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
fn a_thread_that_kills_itself_in_a_cleanup_ends_once() {
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
fn a_deadlock_in_the_main_threads_cleanup_is_an_error() {
    let ended = run(|| {
        let _stuck = Stuck;
        panic!("main ends");
    });
    assert!(matches!(ended, Err(RunError::Deadlock(_))));
}

#[test]
fn interrupts_come_while_something_else_unwinds() {
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

/// Waits in its drop for a while.
struct Lingers(u32);

impl Drop for Lingers {
    fn drop(&mut self) {
        sleep(self.0 * MS);
    }
}

/// A thread that unwinds as it is told to, with a wait in its drop.
fn unwinding(throw: fn(), ms: u32) -> JoinHandle<()> {
    let thread = spawn(move || {
        let _lingers = Lingers(ms);
        throw();
    });
    yield_now();
    thread
}

/// All ways to begin to unwind.
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
fn a_thread_that_waits_in_its_drop_is_not_interrupted_whoever_else_unwinds() {
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
fn a_thread_that_does_not_unwind_is_interrupted_whoever_else_unwinds() {
    for throw in THROWS {
        let ended = run(move || {
            let others = unwinding(throw, 50);
            let killed = spawn(|| sleep(1000 * MS));
            yield_now();
            killed.kill();
            let timed_out = timeout(MS, || sleep(1000 * MS));
            // Nor is one that has unwound: whichever function caught it.
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
fn a_drop_at_the_end_of_its_scope_is_interrupted_though_another_thread_unwinds() {
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
fn what_others_left_with_a_thread_may_panic_in_its_drop_more_than_once() {
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
fn a_scope_that_fails_twice_fails_with_the_first() {
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
fn a_full_stderr_leaves_no_stack_the_current_one() {
    let case = "a_full_stderr_leaves_no_stack_the_current_one";
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

/// A drop that the compiler puts into whatever function unwinds, with a wait between drops of its own.
struct Inlined(u32);

impl Drop for Inlined {
    #[inline(always)]
    fn drop(&mut self) {
        let _before = [Lingers(1), Lingers(1)];
        let text = std::hint::black_box(String::from("to be freed"));
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

/// Sorts with the C library, which calls a comparison back that waits and catches.
fn sort_while_interrupted() -> ([i32; 3], u32) {
    thread_local! {
        static CAUGHT: Cell<u32> = const { Cell::new(0) };
    }
    extern "C" fn compare(a: *const c_void, b: *const c_void) -> c_int {
        let caught = std::panic::catch_unwind(|| sleep(MS));
        CAUGHT.set(CAUGHT.get() + u32::from(caught.is_err()));
        // SAFETY: `qsort` gives two of the numbers.
        let (a, b) = unsafe { (a.cast::<i32>().read(), b.cast::<i32>().read()) };
        a.cmp(&b) as c_int
    }
    let mut numbers = [3, 1, 2];
    // SAFETY: these are three of four bytes each, and the comparison reads two of them.
    unsafe { libc::qsort((&raw mut numbers).cast(), 3, 4, Some(compare)) };
    (numbers, CAUGHT.get())
}

#[test]
fn a_kill_of_what_waits_below_c_code_can_be_caught_there() {
    let sorted = run(|| {
        let thread = spawn(sort_while_interrupted);
        yield_now();
        thread.kill();
        thread.join()
    });
    assert_eq!(sorted.unwrap().unwrap(), ([1, 2, 3], 1));
}

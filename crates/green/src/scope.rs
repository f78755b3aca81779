//! Structured concurrency: green threads that end before the function that spawned them returns, so
//! that they may borrow from it.
//!
//! ```text
//!   try_scope ──▶ function ──▶ wait for the children ──▶ all gone ──▶ the result, error or panic
//!                    │ panics, fails, is interrupted         ▲
//!                    ▼                                       │
//!       EndGuard: kill the children, wait for them shielded ─┘
//!                    ▲
//!       a child fails: it stores its failure, kills the others, interrupts the parent
//!
//!   the loop is dropped ──▶ EndGuard: cancel each child on the spot ──▶ all gone
//!                              └── a child is below on this call stack, or left behind:
//!                                  this stack never continues either
//! ```

use crate::current::is_on_its_loop;
use crate::finished::Until;
use crate::outcome::ResultSlot;
use crate::record::interrupt::LoopClosed;
use crate::record::{Thread, ThreadRecord};
use crate::spawn::Builder;
use crate::token::{ScopeFailed, is_ending};
use crate::unwind::resume_unwind;
use crate::wait::{current, wait_at, wait_or_closed};
use oneloop_core::{Handle, JoinError, Unhandled, drop_guarded};
use std::any::Any;
use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::mem::transmute;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

/// Calls a function that spawns green threads, and returns once all of them have ended. They may
/// borrow whatever exists when this is called, as those of [`std::thread::scope`].
///
/// The first failure cancels the rest: when one of the threads panics, the others are killed, the
/// function's current wait unwinds, and this panics with the same payload. The threads are also
/// killed when the function panics, or the thread that called this is killed. This waits for their
/// cleanup, and nothing interrupts that.
///
/// ```
/// use oneloop::green::{run, scope, yield_now};
/// use std::cell::Cell;
/// let sum = run(|| {
///     let sum = Cell::new(0);
///     scope(|scope| {
///         for n in 1..=3 {
///             let sum = &sum;
///             scope.spawn(move || {
///                 yield_now();
///                 sum.set(sum.get() + n);
///             });
///         }
///     });
///     sum.get()
/// })?;
/// assert_eq!(sum, 6);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of a green thread, and when the function or one of the threads does.
#[track_caller]
#[doc(alias("TaskGroup", "nursery"))]
pub fn scope<'env, T>(function: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
    match try_scope(|scope| Ok::<_, Infallible>(function(scope))) {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

/// As [`scope`], for a function and threads ([`Scope::spawn_try`]) that can also fail with an
/// error: the first error cancels the rest, and is the result.
///
/// ```
/// use oneloop::green::{run, sleep, try_scope};
/// use std::time::Duration;
/// let result = run(|| {
///     try_scope(|scope| {
///         scope.spawn(|| sleep(Duration::from_secs(3600)));
///         scope.spawn_try(|| Err::<(), _>("no luck"));
///         Ok(())
///     })
/// })?;
/// assert_eq!(result, Err("no luck"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The first one of the function or of a thread.
///
/// # Panics
/// As [`scope`].
#[track_caller]
pub fn try_scope<'env, T, E: 'env>(
    function: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env, E>) -> Result<T, E>,
) -> Result<T, E> {
    let at = Location::caller();
    assert!(
        // Inside of another loop, the wait for the threads would block that loop and its tasks.
        is_on_its_loop(),
        "a scope waits for its threads, so it cannot run inside of another loop"
    );
    let scope = Scope {
        parent: current(),
        children: RefCell::default(),
        failure: RefCell::new(None),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = scope.run(at, || function(&scope));
    let Some(failure) = scope.failure.take() else {
        return result.unwrap_or_else(|payload| resume_unwind(payload));
    };
    drop_guarded(result); // before the failure unwinds: a second unwinding would abort
    match failure {
        Failure::Panic(payload) => resume_unwind(payload),
        Failure::Error(error) => Err(error),
    }
}

/// Spawns green threads that end before [`scope`] returns.
///
/// `E: 'env` is for the compiler: if `E` and `'env` both outlived `'scope` without an order between
/// them, it would require the values that a closure borrows to be `'static`.
pub struct Scope<'scope, 'env: 'scope, E: 'env = Infallible> {
    parent: Rc<ThreadRecord>,
    /// The threads whose stacks may still borrow.
    children: RefCell<Vec<Thread>>,
    /// The first one.
    failure: RefCell<Option<Failure<E>>>,
    /// Invariant, as in the standard library: a shorter lifetime would let a thread borrow from the
    /// scope's own function.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// What canceled a scope.
enum Failure<E> {
    Panic(Box<dyn Any + Send>),
    Error(E),
}

impl<'env, E: 'env> fmt::Debug for Scope<'_, 'env, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({} threads)", self.children.borrow().len())
    }
}

impl<'scope, 'env, E: 'env> Scope<'scope, 'env, E> {
    /// Starts a green thread in the scope: see [`spawn`](crate::spawn).
    ///
    /// # Panics
    /// When there is no memory for its stack.
    #[track_caller]
    pub fn spawn<T: 'scope>(
        &'scope self,
        function: impl FnOnce() -> T + 'scope,
    ) -> ScopedJoinHandle<'scope, T> {
        self.spawn_try(|| Ok(function()))
    }

    /// Starts a green thread in the scope whose error cancels the rest: see [`try_scope`].
    ///
    /// # Panics
    /// As [`Scope::spawn`].
    #[track_caller]
    pub fn spawn_try<T: 'scope>(
        &'scope self,
        function: impl FnOnce() -> Result<T, E> + 'scope,
    ) -> ScopedJoinHandle<'scope, T> {
        let slot = Rc::new(ResultSlot::default());
        let into = Rc::clone(&slot);
        let child = move || match catch_unwind(AssertUnwindSafe(function)) {
            Ok(Ok(value)) => into.store(Ok(value)),
            Ok(Err(error)) => self.fail(Failure::Error(error)),
            // A kill of one thread, or the end of the loop, is no failure of the scope: the others
            // continue.
            Err(payload) if is_ending(&*payload) => resume_unwind(payload),
            Err(payload) => self.fail(Failure::Panic(payload)),
        };
        // Boxed, as a trait object's lifetime can be transmuted: the closure's own type has no
        // name.
        let child: Box<dyn FnOnce() + 'scope> = Box::new(child);
        // SAFETY: only the lifetime changes. What the function borrows is valid until `try_scope`
        // returns or unwinds, which `EndGuard` delays until this thread's stack is empty: then its
        // function has run or been dropped. If the stack is left behind it never is empty, and the
        // caller's stack is left behind as well.
        let child: Box<dyn FnOnce() + 'static> = unsafe { transmute(child) };
        let spawned = Builder::new().borrows().start_at(child, Location::caller());
        let thread = spawned.thread().clone();
        // At once: `EndGuard` must know of it before any other code can run, and panic.
        self.children.borrow_mut().push(thread.clone());
        drop(spawned);
        let gone = self.take_gone();
        drop(gone); // after the borrow of `children`
        if self.failure.borrow().is_some() {
            thread.kill_soon(); // the scope has failed before
        }
        ScopedJoinHandle {
            thread,
            slot,
            scope: PhantomData,
        }
    }

    /// Kills the threads of the scope; its function continues.
    pub fn cancel(&self) {
        // A copy: the kill of a thread that has not begun drops its function, which may spawn here.
        let children = self.children.borrow().clone();
        for child in children {
            child.kill_soon();
        }
    }

    /// Cancels the rest if this is the first failure; a later panic is only reported.
    fn fail(&self, failure: Failure<E>) {
        let first = self.failure.borrow().is_none();
        if first {
            self.failure.replace(Some(failure));
            self.cancel();
            // The function may be waiting for the thread that has just failed.
            self.parent.interrupt(Box::new(ScopeFailed(self.id())));
        } else if let Failure::Panic(payload) = failure {
            let error = JoinError::Panicked(payload);
            let spawned_at = self.parent.spawned_at;
            Handle::report_unhandled(Unhandled { error, spawned_at });
        }
    }

    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Calls the function, and waits for the threads. If that unwinds, `EndGuard` kills them first.
    #[track_caller]
    fn run<T>(
        &self,
        at: &'static Location<'static>,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<T, E>, Box<dyn Any + Send>> {
        let ends = EndGuard { scope: self, at };
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = function();
            if result.is_err() {
                self.cancel();
            }
            // One by one: while one is waited for, it may spawn others into the scope.
            while let Some(child) = self.next_child() {
                wait_at(child.until(Until::Gone), at);
            }
            result
        }));
        drop(ends);
        // A child may have failed while its siblings were waited for, shielded.
        self.parent.forget_interrupts(|payload| {
            let failed = payload.downcast_ref::<ScopeFailed>();
            failed.is_some_and(|failed| failed.0 == self.id())
        });
        result
    }

    fn next_child(&self) -> Option<Thread> {
        let gone = self.take_gone();
        drop(gone);
        self.children.borrow().first().cloned()
    }

    fn take_gone(&self) -> Vec<Thread> {
        let is_gone = |child: &mut Thread| child.record().is_gone();
        self.children.borrow_mut().extract_if(.., is_gone).collect()
    }
}

/// Ends the threads of a scope before it ends itself, in every case.
struct EndGuard<'a, 'scope, 'env, E: 'env> {
    scope: &'a Scope<'scope, 'env, E>,
    at: &'static Location<'static>,
}

impl<'env, E: 'env> Drop for EndGuard<'_, '_, 'env, E> {
    fn drop(&mut self) {
        // Nothing in `end_all` panics; if it did, threads that still borrow would outlive the
        // scope.
        if catch_unwind(AssertUnwindSafe(|| self.end_all())).is_err() {
            std::process::abort();
        }
    }
}

impl<'env, E: 'env> EndGuard<'_, '_, 'env, E> {
    #[track_caller]
    fn end_all(&self) {
        if self.scope.next_child().is_none() {
            return;
        }
        let parent = &self.scope.parent;
        let shielded = parent.shield();
        self.scope.cancel();
        while let Some(child) = self.scope.next_child() {
            if let Err(LoopClosed) = wait_or_closed(child.until(Until::Gone), self.at) {
                // The loop is being dropped: the child ends within this call, or never runs again.
                child.record().handle.cancel_task(child.id());
                while !child.record().is_gone() {
                    // It is below on this call stack, or its stack was left behind. It may still
                    // borrow, so this stack never continues, and is left behind as well.
                    parent.switch.suspend();
                }
            }
        }
        drop(shielded);
    }
}

/// Waits for the result of a green thread in a scope.
pub struct ScopedJoinHandle<'scope, T> {
    thread: Thread,
    slot: Rc<ResultSlot<T>>,
    scope: PhantomData<&'scope ()>,
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopedJoinHandle({:?})", self.thread)
    }
}

impl<T> ScopedJoinHandle<'_, T> {
    /// The thread without its result.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Waits until the thread has ended, and returns its result. If it fails, so does its scope,
    /// and this unwinds.
    ///
    /// # Errors
    /// [`JoinError::Killed`] if it was killed.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        let _ = wait_or_closed(self.thread.finished(), Location::caller());
        self.slot.take().unwrap_or(Err(JoinError::Killed))
    }
}

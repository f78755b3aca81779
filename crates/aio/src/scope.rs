//! Structured concurrency: futures that end before the function that spawned them returns, so that
//! they may borrow from it.
//!
//! ```text
//!   try_scope ──▶ function and children run ──all done──▶ the result
//!                        │                          ▲
//!                        │ the first failure        │ drops them all: an error or a panic
//!                        └──────────────────────────┘
//!   the scope is dropped ──▶ EndGuard: drops the children
//! ```

use crate::woken::{MemberWaker, Woken};
use oneloop_core::{JoinError, Joined, JoinedBody, Key, Slots, drop_each, drop_guarded, guarded};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Calls an async function that spawns futures, and waits until all of them have ended. They may
/// borrow whatever exists when this is called, as the threads of [`std::thread::scope`] and of
/// `oneloop::green::scope`.
///
/// The first failure cancels the rest: when one of them panics, the others and the function are
/// dropped, and this panics with the same payload. They are also dropped when the function panics,
/// and when the scope itself is dropped, by a timeout for instance. So nothing that is spawned in a
/// scope outlives it.
///
/// ```
/// use oneloop::aio::{block_on, scope, sleep};
/// use std::cell::Cell;
/// use std::time::Duration;
///
/// block_on(async {
///     let names = [String::from("tea"), String::from("toast")];
///     let letters = Cell::new(0);
///     scope(async |scope| {
///         for name in &names {
///             let letters = &letters;
///             scope.spawn(async move {
///                 sleep(Duration::from_millis(1)).await;
///                 letters.set(letters.get() + name.len()); // both are borrowed
///             });
///         }
///     })
///     .await;
///     assert_eq!(letters.get(), 8);
/// });
/// ```
///
/// **They are no tasks.** They run on the task that waits for the scope, which is what lets them
/// borrow: a task could outlive a scope that is leaked, so a task has to be `'static`. A wake polls
/// only the future that was woken. They see the task-locals and the [`deadline`](crate::deadline())
/// of the scope. They share the I/O of one task per turn, and a list of tasks shows one task; work
/// that needs a share of its own is spawned as a task, in a [`JoinSet`](crate::JoinSet).
///
/// One that shall spawn others takes a clone of the scope:
///
/// ```
/// # use oneloop::aio::{block_on, scope};
/// block_on(scope(async |scope| {
///     let inner = scope.clone();
///     scope.spawn(async move {
///         inner.spawn(async { println!("the scope waits for this, too") });
///     });
/// }));
/// ```
///
/// Not cancel safe: a scope that is dropped drops its futures at their current waits.
///
/// # Panics
/// When the function or one of the futures does.
#[doc(alias("TaskGroup", "nursery", "moro", "FuturesUnordered"))]
pub async fn scope<'env, T>(function: impl AsyncFnOnce(&Scope<'env>) -> T) -> T {
    let function = async move |scope: &Scope<'env>| Ok(function(scope).await);
    let Ok(value) = try_scope(function).await;
    value
}

/// As [`scope`], for a function and futures ([`Scope::spawn_try`]) that can also fail with an
/// error: the first error cancels the rest, and is the result.
///
/// ```
/// use oneloop::aio::{block_on, sleep, try_scope};
/// use std::time::Duration;
///
/// let result = block_on(try_scope(async |scope| {
///     scope.spawn(sleep(Duration::from_secs(3600)));
///     scope.spawn_try(async { Err::<(), _>("no luck") });
///     Ok(())
/// }));
/// assert_eq!(result, Err("no luck"));
/// ```
///
/// Not cancel safe, as [`scope`].
///
/// # Errors
/// The first one of the function or of a future.
///
/// # Panics
/// As [`scope`].
pub async fn try_scope<'env, T, E: 'env>(
    function: impl AsyncFnOnce(&Scope<'env, E>) -> Result<T, E>,
) -> Result<T, E> {
    let scope = Scope::new();
    let _ends = EndGuard(&scope.state);
    let state = &*scope.state;
    let mut function = pin!(Some(function(&scope)));
    let waker = state.woken.add(Member::Function);
    let mut result = None;
    poll_fn(|cx| {
        let woken = state.woken.take(cx);
        for &member in &woken {
            match member {
                Member::Child(key) => state.poll_child(key),
                Member::Function => {
                    let waker = waker.begin_poll();
                    let Some(future) = function.as_mut().as_pin_mut() else {
                        continue; // woken after it was done
                    };
                    let cx = &mut Context::from_waker(&waker);
                    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                        Ok(Poll::Pending) => {}
                        Ok(Poll::Ready(Ok(value))) => {
                            result = Some(value);
                            function.set(None);
                        }
                        Ok(Poll::Ready(Err(error))) => state.fail(Failure::Error(error)),
                        Err(payload) => state.fail(Failure::Panic(payload)),
                    }
                }
            }
            if state.failure.borrow().is_some() {
                return Poll::Ready(());
            }
        }
        state.woken.keep(woken);
        match result.is_some() && state.children.borrow().is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    let Some(failure) = state.failure.take() else {
        return Ok(result.expect("without a failure the scope waits for the result"));
    };
    // Before the failure unwinds: a second unwinding would abort.
    state.end();
    guarded(|| function.set(None));
    drop_guarded(result);
    match failure {
        Failure::Panic(payload) => resume_unwind(payload),
        Failure::Error(error) => Err(error),
    }
}

/// Spawns futures that end before [`scope`] returns. A clone is a handle to the same scope.
pub struct Scope<'env, E: 'env = Infallible> {
    state: Rc<ScopeState<'env, E>>,
}

impl<'env, E: 'env> Clone for Scope<'env, E> {
    fn clone(&self) -> Self {
        Scope {
            state: Rc::clone(&self.state),
        }
    }
}

impl<'env, E: 'env> fmt::Debug for Scope<'env, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.state.children.borrow().len();
        f.debug_struct("Scope")
            .field("children", &children)
            .finish()
    }
}

struct ScopeState<'env, E> {
    children: RefCell<Slots<Child<'env>>>,
    woken: Arc<Woken<Member>>,
    /// The first one.
    failure: RefCell<Option<Failure<E>>>,
    /// It takes no more children: it has failed, or is gone.
    is_over: Cell<bool>,
}

/// A future that runs in a scope.
struct Child<'env> {
    /// `None` while it is polled.
    future: Option<ChildFuture<'env>>,
    waker: Arc<MemberWaker<Member>>,
}

type ChildFuture<'env> = Pin<Box<dyn Future<Output = ()> + 'env>>;

/// What runs in a scope, for wakers.
#[derive(Clone, Copy)]
enum Member {
    Function,
    Child(ChildKey),
}

/// The name of a child, which wakers can hold: without its lifetime.
type ChildKey = Key<Child<'static>>;

/// What canceled a scope.
enum Failure<E> {
    Panic(Box<dyn Any + Send>),
    Error(E),
}

impl<'env, E: 'env> Scope<'env, E> {
    fn new() -> Self {
        Scope {
            state: Rc::new(ScopeState {
                children: RefCell::default(),
                woken: Woken::new(),
                failure: RefCell::new(None),
                is_over: Cell::new(false),
            }),
        }
    }

    /// Starts a future in the scope. It never runs before `spawn` returns. Waiting for the handle is
    /// cancel safe.
    ///
    /// Dropping the handle lets the future continue. After the end of the scope, the future is
    /// dropped at once. It makes three allocations.
    #[track_caller]
    pub fn spawn<F: Future + 'env>(&self, future: F) -> ScopedJoinHandle<'env, F::Output, E> {
        self.spawn_then(future, Ok)
    }

    /// Starts a future in the scope whose error cancels the rest: see [`try_scope`]. Waiting for the
    /// handle is cancel safe.
    #[track_caller]
    pub fn spawn_try<F, T>(&self, future: F) -> ScopedJoinHandle<'env, T, E>
    where
        F: Future<Output = Result<T, E>> + 'env,
        T: 'env,
    {
        self.spawn_then(future, |result| result)
    }

    #[track_caller]
    fn spawn_then<F: Future + 'env, T: 'env>(
        &self,
        future: F,
        into_result: impl FnOnce(F::Output) -> Result<T, E> + 'env,
    ) -> ScopedJoinHandle<'env, T, E> {
        let spawned_at = Location::caller();
        let joined = Rc::new(Joined::new());
        let (ends, state) = (Rc::clone(&joined), Rc::clone(&self.state));
        let then = move |ended: Result<F::Output, JoinError>| {
            let failure = match ended.map(into_result) {
                Ok(Ok(value)) => return ends.end(Ok(value), spawned_at),
                Ok(Err(error)) => Some(Failure::Error(error)),
                Err(JoinError::Panicked(payload)) => Some(Failure::Panic(payload)),
                // A cancel of one future is no failure of the scope: the others continue.
                Err(_) => None,
            };
            if let Some(failure) = failure {
                state.fail(failure);
            }
            ends.end(Err(JoinError::Canceled), spawned_at);
        };
        let body = Box::pin(JoinedBody::new(future, then));
        ScopedJoinHandle {
            key: self.state.start(body),
            joined,
            state: Rc::clone(&self.state),
        }
    }

    /// Cancels the futures of the scope; its function continues.
    pub fn cancel(&self) {
        let keys: Vec<_> = {
            let children = self.state.children.borrow();
            children.iter().map(|(key, _)| key).collect()
        };
        // The drop of one may spawn others, which continue.
        keys.into_iter().for_each(|key| self.state.cancel(key));
    }
}

impl<'env, E: 'env> ScopeState<'env, E> {
    fn fail(&self, failure: Failure<E>) {
        self.failure.replace(Some(failure));
    }

    fn start(&self, future: ChildFuture<'env>) -> Key<Child<'env>> {
        if self.is_over.get() {
            drop_guarded(future); // which cancels it
            return Key::from_u64(u64::MAX);
        }
        self.children.borrow_mut().insert_with(|key| Child {
            future: Some(future),
            waker: self.woken.add(Member::Child(Key::from_u64(key.to_u64()))),
        })
    }

    fn poll_child(&self, key: ChildKey) {
        let key = Key::from_u64(key.to_u64());
        let Some((mut future, waker)) = self.take_future(key) else {
            return; // woken after its end
        };
        // A panic of the future is its result.
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let ended = match polled {
            Poll::Pending => self.put_back(key, future),
            Poll::Ready(()) => Some(future),
        };
        if ended.is_some() {
            self.children.borrow_mut().remove(key);
            drop_guarded(ended);
        }
    }

    /// Takes a future for a poll: it may spawn others, cancel them, and cancel itself.
    fn take_future(&self, key: Key<Child<'env>>) -> Option<(ChildFuture<'env>, Waker)> {
        let mut children = self.children.borrow_mut();
        let child = children.get_mut(key)?;
        Some((child.future.take()?, child.waker.begin_poll()))
    }

    /// Puts a future back; returns it if it was canceled meanwhile.
    fn put_back(
        &self,
        key: Key<Child<'env>>,
        future: ChildFuture<'env>,
    ) -> Option<ChildFuture<'env>> {
        let mut children = self.children.borrow_mut();
        let Some(child) = children.get_mut(key) else {
            return Some(future);
        };
        child.future = Some(future);
        None
    }

    fn cancel(&self, key: Key<Child<'env>>) {
        let child = self.children.borrow_mut().remove(key);
        if child.is_some() {
            drop_guarded(child);
            self.woken.wake_task(); // it may have been the last one
        }
    }

    /// Drops the children, which may own handles to the scope, and takes no others.
    fn end(&self) {
        self.is_over.set(true);
        drop_each(self.children.take().into_values());
    }
}

/// Ends the futures of a scope with the scope, in every case.
struct EndGuard<'a, 'env, E: 'env>(&'a ScopeState<'env, E>);

impl<'env, E: 'env> Drop for EndGuard<'_, 'env, E> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Waits for the result of a future in a scope, or cancels it. Dropping the handle lets the future
/// continue.
///
/// As a future it returns `Result<T, JoinError>`, and is cancel safe: the error is
/// [`JoinError::Canceled`]. If the future fails, so does its scope, and the code that waits there is
/// dropped. It panics when it is polled again after it returned the result.
pub struct ScopedJoinHandle<'env, T, E: 'env = Infallible> {
    joined: Rc<Joined<T>>,
    key: Key<Child<'env>>,
    state: Rc<ScopeState<'env, E>>,
}

impl<'env, T, E: 'env> ScopedJoinHandle<'env, T, E> {
    /// Cancels the future: drops it now; or, if it is running, at its next wait. The others in the
    /// scope continue.
    #[doc(alias = "abort")]
    pub fn cancel(&self) {
        self.state.cancel(self.key);
    }

    /// True once the future has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        !self.joined.is_running()
    }
}

impl<T, E> Future for ScopedJoinHandle<'_, T, E> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.joined.poll_result(cx)
    }
}

impl<'env, T, E: 'env> fmt::Debug for ScopedJoinHandle<'env, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopedJoinHandle(future {})", self.key)
    }
}

//! Names for values of one loop, for other threads and their loops.

use crate::blocking::{park_until, refuse_in_loop};
use crate::broadcast::Sender as BroadcastSender;
use crate::watch::{Receiver as WatchReceiver, Sender as WatchSender};
use crate::{
    Barrier, BoundedSemaphore, CappedSemaphore, Condition, Event, Mutex, Notify, OnceCell, OneShot,
    Queue, RLock, Receiver, ResourcePool, RwLock, Semaphore, Sender, ShutdownToken,
};
use oneloop_core::concurrency::thread::{self, ThreadId};
use oneloop_core::concurrency::{self, thread_local};
use oneloop_core::{Handle, JoinError, Key, LoopGone, Remote, Slots, drop_guarded, wake_guarded};
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

type Value = Rc<dyn Any>;

thread_local! {
    /// The values that have names on other threads. The values never leave this thread.
    static VALUES: RefCell<Slots<Value>> = RefCell::default();
}

/// The name of a value on a loop's thread. While it exists, the loop lives and so does the value.
struct Home {
    remote: Remote,
    thread: ThreadId,
    value: Key<Value>,
}

impl Drop for Home {
    fn drop(&mut self) {
        let key = self.value;
        let remove = move || {
            // `try_with`: while the thread ends, `VALUES` may be gone with its values.
            let value = VALUES.try_with(|values| values.borrow_mut().remove(key));
            drop(value);
        };
        if thread::current().id() == self.thread {
            remove();
        } else {
            // Fails when the loop is gone. The value is not `Send`, so it stays until its thread
            // ends.
            let _ = self.remote.run(move |_| remove());
        }
    }
}

/// A name for a primitive, or any other value of one loop: `Send` and `Sync`, even if the value is
/// not.
///
/// `remote()` of each type of this crate returns one; [`Distant::new`] creates one for any value.
/// Code that uses the value runs at home, on its loop's thread: closures go there, and results come
/// back. The name keeps that loop alive, as [`Remote`] does. Dropping the last clone drops the
/// value at home; if the loop is gone by then, the value stays until that thread ends.
///
/// ```text
///  another thread                           home, the loop's thread
///
///  Distant ── run(closure) ──▶ Remote ──▶ a task runs the closure with the value
///          ── ask(closure) ──▶ Remote ──▶ a task runs the closure, and then its future
///  Ask ◀── answer ──────── Exchange ◀──── Answerer
///  Ask ─── drop, cancel ── Exchange ────▶ the task ends, and drops the future
/// ```
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::{Distant, Queue};
/// let mut event_loop = EventLoop::new()?;
/// let queue = Queue::unbounded();
/// let distant = Distant::new(&event_loop.handle(), queue.clone());
/// let thread = std::thread::spawn(move || {
///     distant.run(|queue| queue.try_put(20).unwrap())?;
///     distant.run(|queue| queue.try_put(22).unwrap())
/// });
/// let sum = event_loop.block_on(async { queue.get().await + queue.get().await });
/// assert_eq!(sum, 42);
/// thread.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("call_soon_threadsafe", "thread_safe", "spawn_pinned"))]
pub struct Distant<P> {
    home: Arc<Home>,
    of: PhantomData<fn() -> P>,
}

impl<P: 'static> Distant<P> {
    /// Creates a name for a value, which then lives on this loop.
    pub fn new(handle: &Handle, value: P) -> Self {
        let value: Value = Rc::new(value);
        Distant {
            home: Arc::new(Home {
                remote: handle.remote(),
                thread: thread::current().id(),
                value: VALUES.with(|values| values.borrow_mut().insert(value)),
            }),
            of: PhantomData,
        }
    }

    /// Runs a function with the value, at home, in a task. Calls from one thread run in the order
    /// of the calls. The value lives at least until the function has returned.
    ///
    /// # Errors
    /// [`LoopGone`] if the loop was dropped. The function is dropped, too.
    pub fn run(&self, function: impl FnOnce(&P) + Send + 'static) -> Result<(), LoopGone> {
        let distant = self.clone();
        self.home.remote.run(move |_| distant.at_home(function))
    }

    fn at_home<R>(&self, function: impl FnOnce(&P) -> R) -> R {
        let key = self.home.value;
        // A clone of the `Rc`, so that the function may create and drop other names (rule 1).
        let value = VALUES.with(|values| values.borrow().get(key).cloned());
        let value = value.and_then(|value| value.downcast::<P>().ok());
        function(&value.expect("a value lives as long as its names"))
    }

    /// Runs a function with the value at home, waits there for the future that the function
    /// returns, and returns that future's result to this thread:
    /// `distant.ask(|queue| queue.get()).await`.
    ///
    /// The function runs even if the [`Ask`] is never polled. The [`Ask`] keeps the home loop alive
    /// and, once it has been polled, the loop that polled it. A virtual clock does not wait for it.
    ///
    /// Cancel safe until the answer has come: dropping the [`Ask`] ends the wait at home, and drops
    /// an answer that has come. [`Ask::cancel`] returns it.
    ///
    /// ```
    /// use oneloop::EventLoop;
    /// use oneloop::sync::{Distant, OneShot};
    /// use std::thread;
    /// let mut event_loop = EventLoop::new()?;
    /// let question = OneShot::new();
    /// let distant = Distant::new(&event_loop.handle(), question.clone());
    /// let other = thread::spawn(move || {
    ///     let mut event_loop = EventLoop::new()?;
    ///     event_loop.block_on(distant.ask(|question| question.get())).map_err(Into::into)
    /// });
    /// question.send(6 * 7).unwrap();
    /// event_loop.run()?; // until the other thread has its answer
    /// let answer: std::io::Result<i32> = other.join().unwrap();
    /// assert_eq!(answer?, 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "run_coroutine_threadsafe")]
    pub fn ask<F>(&self, function: impl FnOnce(&P) -> F + Send + 'static) -> Ask<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let exchange: Arc<concurrency::Mutex<Exchange<F::Output>>> = Arc::default();
        let answerer = Answerer {
            exchange: Arc::clone(&exchange),
        };
        let distant = self.clone();
        // If the loop is gone, the answerer is dropped with the function, and its drop answers.
        let _ = self.home.remote.run(move |handle| {
            // Caught here, because the panic belongs to the asker and not to the home loop's task.
            match catch_unwind(AssertUnwindSafe(|| distant.at_home(function))) {
                Ok(future) => handle.spawn_detached(answerer.run(future)),
                Err(payload) => answerer.send(Err(JoinError::Panicked(payload))),
            }
        });
        Ask {
            exchange,
            _home: Arc::clone(&self.home),
            asker: None,
        }
    }

    /// As [`Distant::ask`], but blocks the thread until the answer comes: for threads without a
    /// loop.
    ///
    /// # Errors
    /// Those of [`Ask`].
    ///
    /// # Panics
    /// Inside a loop, because it would block that loop.
    #[track_caller]
    pub fn ask_blocking<F>(
        &self,
        function: impl FnOnce(&P) -> F + Send + 'static,
    ) -> Result<F::Output, JoinError>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        refuse_in_loop("ask_blocking would block the loop that runs here: await ask instead");
        let mut ask = self.ask(function);
        park_until(|cx| Pin::new(&mut ask).poll(cx))
    }
}

impl<P> Clone for Distant<P> {
    fn clone(&self) -> Self {
        Distant {
            home: Arc::clone(&self.home),
            of: PhantomData,
        }
    }
}

impl<P> fmt::Debug for Distant<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Distant({})", std::any::type_name::<P>())
    }
}

/// Where the task at home leaves the answer for the [`Ask`] of another thread.
struct Exchange<T> {
    answer: Option<Result<T, JoinError>>,
    /// Wakes the task that polls the [`Ask`].
    asker: Option<Waker>,
    /// Wakes the task at home.
    answerer: Option<Waker>,
    /// True once the answer was sent, or the [`Ask`] is gone.
    is_over: bool,
}

impl<T> Default for Exchange<T> {
    fn default() -> Self {
        Exchange {
            answer: None,
            asker: None,
            answerer: None,
            is_over: false,
        }
    }
}

// Ignores the poison: no code that holds the lock leaves the exchange half changed.
fn lock<T>(exchange: &concurrency::Mutex<T>) -> concurrency::MutexGuard<'_, T> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The side at home. It sends one answer; its drop sends an error if none was sent before.
struct Answerer<T> {
    exchange: Arc<concurrency::Mutex<Exchange<T>>>,
}

impl<T> Answerer<T> {
    /// Runs the future until it is ready or the [`Ask`] is gone, and sends its result.
    async fn run(self, future: impl Future<Output = T>) {
        let mut future = pin!(future);
        let answer = poll_fn(|cx| {
            if self.is_canceled(cx) {
                return Poll::Ready(None);
            }
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(polled) => polled.map(|answer| Some(Ok(answer))),
                Err(payload) => Poll::Ready(Some(Err(JoinError::Panicked(payload)))),
            }
        });
        if let Some(answer) = answer.await {
            self.send(answer);
        }
    }

    /// True if the [`Ask`] is gone. If it is dropped later, its drop wakes this task.
    fn is_canceled(&self, cx: &mut Context<'_>) -> bool {
        let waker = cx.waker().clone(); // foreign code, so before the lock
        let mut exchange = lock(&self.exchange);
        let before = exchange.answerer.replace(waker);
        let is_canceled = exchange.is_over; // no answer was sent yet, so the `Ask` ended it
        drop(exchange);
        drop(before);
        is_canceled
    }

    /// Sends the answer, unless one was sent before or the [`Ask`] is gone.
    fn send(&self, answer: Result<T, JoinError>) {
        let mut exchange = lock(&self.exchange);
        let unwanted = match std::mem::replace(&mut exchange.is_over, true) {
            true => Some(answer),
            false => exchange.answer.replace(answer),
        };
        let wakers = (exchange.asker.take(), exchange.answerer.take());
        drop(exchange);
        // Wakers and answers are foreign code, which may use this exchange: so after the lock.
        drop_guarded(unwanted);
        if let Some(asker) = wakers.0 {
            wake_guarded(asker);
        }
    }
}

impl<T> Drop for Answerer<T> {
    fn drop(&mut self) {
        self.send(Err(JoinError::Canceled));
    }
}

/// The future of [`Distant::ask`]: the answer from home.
///
/// Its output is `Result<T, JoinError>`: [`JoinError::Canceled`] when the home loop was dropped,
/// [`JoinError::Panicked`] when the function or its future panicked. An `Ask` that is polled again
/// after that stays pending forever.
///
/// Dropping the `Ask` ends the wait at home, and drops an answer that has come. [`Ask::cancel`]
/// returns that answer.
#[must_use = "an `Ask` that is dropped at once ends the wait at home"]
pub struct Ask<T> {
    exchange: Arc<concurrency::Mutex<Exchange<T>>>,
    _home: Arc<Home>,
    /// Keeps the asker's loop alive while it waits; `None` before the first poll and outside of
    /// loops.
    asker: Option<Remote>,
}

impl<T> Ask<T> {
    /// Ends the wait, and returns the answer if it has come already.
    pub fn cancel(self) -> Option<Result<T, JoinError>> {
        self.end()
    }

    fn end(&self) -> Option<Result<T, JoinError>> {
        let mut exchange = lock(&self.exchange);
        exchange.is_over = true;
        let answer = exchange.answer.take();
        let wakers = (exchange.answerer.take(), exchange.asker.take());
        drop(exchange);
        if let Some(answerer) = wakers.0 {
            wake_guarded(answerer);
        }
        answer
    }
}

impl<T> Future for Ask<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone(); // foreign code, so before the lock
        let mut exchange = lock(&self.exchange);
        if let Some(answer) = exchange.answer.take() {
            drop(exchange);
            self.asker = None;
            return Poll::Ready(answer);
        }
        let before = exchange.asker.replace(waker);
        drop(exchange);
        drop(before);
        if self.asker.is_none() {
            self.asker = Handle::try_current().map(|handle| handle.remote());
        }
        Poll::Pending
    }
}

impl<T> Drop for Ask<T> {
    fn drop(&mut self) {
        drop(self.end());
    }
}

impl<T> fmt::Debug for Ask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = lock(&self.exchange).answer.is_some();
        write!(f, "Ask(answered: {answered})")
    }
}

macro_rules! can_be_distant {
    ($($name:ident $(<$value:ident>)?),*) => {$(
        impl $(<$value: 'static>)? $name $(<$value>)? {
            /// Returns a name that other threads can use: see [`Distant`]. It keeps the loop alive.
            ///
            /// # Panics
            /// Outside of a loop. [`Distant::new`] takes the loop as an argument.
            #[track_caller]
            pub fn remote(&self) -> Distant<Self> {
                Distant::new(&Handle::current(), self.clone())
            }
        }
    )*};
}
can_be_distant!(
    Event,
    Notify,
    Barrier,
    OneShot<T>,
    OnceCell<T>,
    Semaphore,
    BoundedSemaphore,
    CappedSemaphore,
    RLock,
    Mutex<T>,
    RwLock<T>,
    ShutdownToken,
    Condition,
    Queue<T>,
    Sender<T>,
    Receiver<T>,
    WatchSender<T>,
    WatchReceiver<T>,
    BroadcastSender<T>,
    ResourcePool<T>
);

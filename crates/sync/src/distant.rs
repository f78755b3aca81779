//! What lives on one loop, used from other threads and other loops.

use crate::{
    BoundedSemaphore, CappedSemaphore, Condition, Event, OneShot, Queue, RLock, Receiver,
    ResourcePool, Semaphore, Sender,
};
use oneloop_core::{Handle, JoinError, Key, LoopGone, Remote, Slots, drop_guarded, wake_guarded};
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread, ThreadId};

type Value = Rc<dyn Any>;

thread_local! {
    /// What other threads have names for; it never leaves this one.
    static VALUES: RefCell<Slots<Value>> = RefCell::default();
}

/// Names a value of the loop's thread. While it exists, the loop is alive and the value is there.
struct Home {
    remote: Remote,
    thread: ThreadId,
    value: Key<Value>,
}

impl Drop for Home {
    fn drop(&mut self) {
        let key = self.value;
        let remove = move || {
            // At the thread's end, the values are gone with it.
            let value = VALUES.try_with(|values| values.borrow_mut().remove(key));
            drop(value);
        };
        if thread::current().id() == self.thread {
            remove();
        } else {
            // When the loop is gone, the value stays until its thread ends.
            let _ = self.remote.run(move |_| remove());
        }
    }
}

/// A primitive, or whatever else lives on one loop, as other threads know it: `Send` and `Sync`, though
/// the thing itself is not.
///
/// Each type here makes one by its `remote()`; [`Distant::new`] does for anything. All of its code runs
/// at home, on the loop's thread; only closures go there, and values come back. It keeps that loop
/// alive, as [`Remote`] does; with the last clone, the value is dropped there. (If the loop is gone by
/// then, it stays until that thread ends.)
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::{Distant, Queue};
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
pub struct Distant<P> {
    home: Arc<Home>,
    of: PhantomData<fn() -> P>,
}

impl<P: 'static> Distant<P> {
    /// Gives a value of that loop a name for other threads.
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

    /// Runs a function with the value at home, as a task of its own; calls from one thread run in their
    /// order. The value outlives it.
    ///
    /// # Errors
    /// [`LoopGone`] when the loop was dropped; the function is dropped then.
    pub fn run(&self, function: impl FnOnce(&P) + Send + 'static) -> Result<(), LoopGone> {
        let distant = self.clone();
        self.home.remote.run(move |_| distant.at_home(function))
    }

    fn at_home<R>(&self, function: impl FnOnce(&P) -> R) -> R {
        let key = self.home.value;
        let value = VALUES.with(|values| values.borrow().get(key).cloned());
        let value = value.and_then(|value| value.downcast::<P>().ok());
        function(&value.expect("a value is there as long as its names"))
    }

    /// Runs a function with the value at home, waits there for the future that it returns, and gives
    /// what that gives to whoever awaits this, on any loop: `distant.ask(|queue| queue.get()).await`.
    ///
    /// It begins at once, awaited or not. The [`Ask`] keeps the home loop alive and, from when it is
    /// first polled, the loop that polls it; a virtual clock there does not wait for it.
    ///
    /// ```
    /// use oneloop_core::EventLoop;
    /// use oneloop_sync::{Distant, OneShot};
    /// use std::thread;
    /// let mut event_loop = EventLoop::new()?;
    /// let question = OneShot::new();
    /// let distant = Distant::new(&event_loop.handle(), question.clone());
    /// let other = thread::spawn(move || {
    ///     let mut event_loop = EventLoop::new()?;
    ///     event_loop.block_on(distant.ask(|question| question.get())).map_err(Into::into)
    /// });
    /// question.send(6 * 7).unwrap();
    /// event_loop.run()?; // until nobody asks any more
    /// let answer: std::io::Result<i32> = other.join().unwrap();
    /// assert_eq!(answer?, 42);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ask<F>(&self, function: impl FnOnce(&P) -> F + Send + 'static) -> Ask<F::Output>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let exchange: Arc<Mutex<Exchange<F::Output>>> = Arc::default();
        let teller = Teller {
            exchange: Arc::clone(&exchange),
        };
        let distant = self.clone();
        // If the loop is gone, the teller is dropped with the function, and says so.
        let _ = self.home.remote.run(move |handle| {
            match catch_unwind(AssertUnwindSafe(|| distant.at_home(function))) {
                Ok(future) => handle.spawn_detached(teller.answer(future)),
                Err(payload) => teller.tell(Err(JoinError::Panicked(payload))),
            }
        });
        Ask {
            exchange,
            _home: Arc::clone(&self.home),
            asker: None,
        }
    }

    /// As [`Distant::ask`], for a thread without a loop: it sleeps until the answer comes.
    ///
    /// # Errors
    /// As [`Ask`].
    ///
    /// # Panics
    /// Inside a loop, which would stand still.
    pub fn ask_blocking<F>(
        &self,
        function: impl FnOnce(&P) -> F + Send + 'static,
    ) -> Result<F::Output, JoinError>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        assert!(
            Handle::try_current().is_none(),
            "ask_blocking would block the loop that runs here: await ask instead"
        );
        let mut ask = self.ask(function);
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(answer) = Pin::new(&mut ask).poll(&mut cx) {
                return answer;
            }
            thread::park();
        }
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

/// Wakes a thread that sleeps.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What who asks and who answers share.
struct Exchange<T> {
    answer: Option<Result<T, JoinError>>,
    asker: Option<Waker>,
    answerer: Option<Waker>,
    /// It was answered, or nobody wants the answer any more.
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

/// Nothing that holds the lock can leave the inside half-changed.
fn lock<T>(exchange: &Mutex<T>) -> MutexGuard<'_, T> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The side at home: it answers, or its drop does.
struct Teller<T> {
    exchange: Arc<Mutex<Exchange<T>>>,
}

impl<T> Teller<T> {
    /// Waits for the answer for as long as somebody wants it.
    async fn answer(self, future: impl Future<Output = T>) {
        let mut future = pin!(future);
        let answer = poll_fn(|cx| {
            if self.is_cancelled(cx) {
                return Poll::Ready(None);
            }
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(polled) => polled.map(|answer| Some(Ok(answer))),
                Err(payload) => Poll::Ready(Some(Err(JoinError::Panicked(payload)))),
            }
        });
        if let Some(answer) = answer.await {
            self.tell(answer);
        }
    }

    /// True when nobody wants the answer; who cancels from here on wakes this.
    fn is_cancelled(&self, cx: &mut Context<'_>) -> bool {
        let waker = cx.waker().clone(); // foreign code, so before the lock
        let mut exchange = lock(&self.exchange);
        let before = exchange.answerer.replace(waker);
        let is_cancelled = exchange.is_over; // and not by us
        drop(exchange);
        drop(before);
        is_cancelled
    }

    /// The first answer is the one; if nobody wants it, it is dropped.
    fn tell(&self, answer: Result<T, JoinError>) {
        let mut exchange = lock(&self.exchange);
        let unwanted = match std::mem::replace(&mut exchange.is_over, true) {
            true => Some(answer),
            false => exchange.answer.replace(answer),
        };
        let wakers = (exchange.asker.take(), exchange.answerer.take());
        drop(exchange);
        drop_guarded(unwanted);
        if let Some(asker) = wakers.0 {
            wake_guarded(asker);
        }
    }
}

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        self.tell(Err(JoinError::Cancelled));
    }
}

/// The answer from home: see [`Distant::ask`].
///
/// As a future it gives `Result<T, JoinError>`: [`JoinError::Cancelled`] when the home loop was dropped,
/// [`JoinError::Panicked`] when the function or its future did. Polled again after that, it is pending
/// for ever.
///
/// Dropped, it ends the wait at home. An answer that had come is dropped with it: [`Ask::cancel`] gives
/// that.
#[must_use = "dropped at once, it ends the wait at home"]
pub struct Ask<T> {
    exchange: Arc<Mutex<Exchange<T>>>,
    _home: Arc<Home>,
    /// Keeps the loop alive that waits here.
    asker: Option<Remote>,
}

impl<T> Ask<T> {
    /// Ends the wait; gives the answer, if it has come already.
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
            /// A name for this that other threads can use: see [`Distant`]. It keeps the loop alive.
            ///
            /// # Panics
            /// Outside of a loop: [`Distant::new`] takes the one it is to be.
            pub fn remote(&self) -> Distant<Self> {
                Distant::new(&Handle::current(), self.clone())
            }
        }
    )*};
}
can_be_distant!(
    Event,
    OneShot<T>,
    Semaphore,
    BoundedSemaphore,
    CappedSemaphore,
    RLock,
    Condition,
    Queue<T>,
    Sender<T>,
    Receiver<T>,
    ResourcePool<T>
);

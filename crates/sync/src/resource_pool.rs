//! Things that are expensive to create, lent to one task at a time.

use crate::semaphore::{Acquire, Permit, Semaphore};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

struct ResourcePoolState<T> {
    /// One permit for each thing that is not lent, created or not.
    permits: Semaphore,
    /// Things that were created and are not lent; the front one is lent next.
    idle: RefCell<VecDeque<T>>,
    /// Lends the thing that came back last, not the one that has been idle longest.
    last_first: bool,
    create: Box<dyn Fn() -> T>,
}

/// Lends things, such as connections, and creates them when they are needed, up to a maximum:
/// eventlet's `pools.Pool`. While all things are lent, a task waits; first come, first served.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::sync::ResourcePool;
/// let mut event_loop = EventLoop::new()?;
/// let buffers = ResourcePool::new(2, || Vec::<u8>::with_capacity(4096));
/// event_loop.block_on(async {
///     let mut buffer = buffers.get().await;
///     buffer.extend_from_slice(b"hello");
/// });
/// assert_eq!(buffers.idle(), 1); // the buffer came back, and will be lent again
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias("deadpool", "r2d2", "TokenPool"))]
pub struct ResourcePool<T> {
    state: Rc<ResourcePoolState<T>>,
}

impl<T> ResourcePool<T> {
    /// Creates a pool of at most `max` things, which `create` makes. It lends the thing that has
    /// been idle longest, as eventlet does.
    pub fn new(max: usize, create: impl Fn() -> T + 'static) -> Self {
        ResourcePool::with(max, false, Box::new(create))
    }

    /// As [`ResourcePool::new`], but lends the thing that came back last: eventlet's
    /// `order_as_stack`. So few things stay busy and the others stay idle.
    pub fn lifo(max: usize, create: impl Fn() -> T + 'static) -> Self {
        ResourcePool::with(max, true, Box::new(create))
    }

    fn with(max: usize, last_first: bool, create: Box<dyn Fn() -> T>) -> Self {
        ResourcePool {
            state: Rc::new(ResourcePoolState {
                permits: Semaphore::new(max),
                idle: RefCell::default(),
                last_first,
                create,
            }),
        }
    }

    /// Waits for a thing, and borrows it. If none is idle when the task's turn comes, the future
    /// creates one; if that panics, the next task gets the turn. Cancel safe.
    pub fn get(&self) -> ResourceGet<T> {
        ResourceGet {
            acquire: self.state.permits.acquire(),
            pool: self.clone(),
        }
    }

    /// Borrows a thing, if one is idle or may be created, and no task waits for it.
    pub fn try_get(&self) -> Option<Pooled<T>> {
        let permit = self.state.permits.try_acquire()?;
        Some(self.lend(permit))
    }

    // A permit always finds an idle thing, or leave to create one: together, permits and things
    // that are lent are as many as the maximum.

    fn lend(&self, permit: Permit) -> Pooled<T> {
        // The borrow ends with this line: `create` is foreign code, and may use this very pool.
        let idle = self.state.idle.borrow_mut().pop_front();
        Pooled {
            value: Some(idle.unwrap_or_else(&self.state.create)),
            pool: self.clone(),
            _permit: permit,
        }
    }

    /// Returns how many things exist and are not lent.
    pub fn idle(&self) -> usize {
        self.state.idle.borrow().len()
    }

    /// Returns how many things a task that comes now could borrow: the idle ones, and those not
    /// created yet.
    pub fn available(&self) -> usize {
        self.state.permits.available()
    }

    /// Returns the number of waiters for which there is no thing.
    pub fn waiting(&self) -> usize {
        self.state.permits.waiting()
    }
}

impl<T> Clone for ResourcePool<T> {
    fn clone(&self) -> Self {
        ResourcePool {
            state: Rc::clone(&self.state),
        }
    }
}

impl<T> fmt::Debug for ResourcePool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourcePool")
            .field("idle", &self.idle())
            .field("available", &self.available())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// The future of [`ResourcePool::get`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ResourceGet<T> {
    acquire: Acquire,
    pool: ResourcePool<T>,
}

impl<T> Future for ResourceGet<T> {
    type Output = Pooled<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Pooled<T>> {
        let permit = ready!(Pin::new(&mut self.acquire).poll(cx));
        Poll::Ready(self.pool.lend(permit))
    }
}

/// A thing that a [`ResourcePool`] lent; its drop returns it.
#[must_use = "a thing that is dropped at once goes back at once"]
pub struct Pooled<T> {
    /// `None` once it was detached.
    value: Option<T>,
    pool: ResourcePool<T>,
    _permit: Permit, // declared last: the next task must find the thing when it gets the permit
}

impl<T> Pooled<T> {
    /// Takes the thing out of the pool, which creates another one when it needs to: for a
    /// connection that broke, say.
    pub fn detach(mut self) -> T {
        self.value.take().expect("`detach` consumes the guard")
    }
}

impl<T> Deref for Pooled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let value = self.value.as_ref();
        value.expect("only `detach` and the drop take the value")
    }
}

impl<T> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        let value = self.value.as_mut();
        value.expect("only `detach` and the drop take the value")
    }
}

impl<T> Drop for Pooled<T> {
    fn drop(&mut self) {
        let Some(value) = self.value.take() else {
            return;
        };
        let ResourcePoolState {
            idle, last_first, ..
        } = &*self.pool.state;
        match last_first {
            true => idle.borrow_mut().push_front(value),
            false => idle.borrow_mut().push_back(value),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Pooled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pooled").field(&**self).finish()
    }
}

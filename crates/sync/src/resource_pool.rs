//! Things that are dear to make, lent to one task at a time.

use crate::semaphore::{Acquire, Permit, Semaphore};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

struct Inner<T> {
    /// One for each thing that may be lent, whether it is made yet or not.
    places: Semaphore,
    idle: RefCell<VecDeque<T>>,
    /// The idle one to be lent next is the one that came back last.
    last_first: bool,
    create: Box<dyn Fn() -> T>,
}

/// Lends things, such as connections, and makes them as they are needed, up to so many: eventlet's
/// `pools.Pool`. Who comes when all are lent waits, first come first served.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_sync::ResourcePool;
/// let mut event_loop = EventLoop::new()?;
/// let buffers = ResourcePool::new(2, || Vec::<u8>::with_capacity(4096));
/// event_loop.block_on(async {
///     let mut buffer = buffers.get().await;
///     buffer.extend_from_slice(b"hello");
/// });
/// assert_eq!(buffers.idle(), 1); // it came back, and will be lent again
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ResourcePool<T> {
    inner: Rc<Inner<T>>,
}

impl<T> ResourcePool<T> {
    /// A pool of up to so many things, made by that function. The one that has been idle longest is
    /// lent first, as in eventlet.
    pub fn new(max: usize, create: impl Fn() -> T + 'static) -> Self {
        ResourcePool::with(max, false, Box::new(create))
    }

    /// As [`ResourcePool::new`], but the one that came back last is lent first: eventlet's
    /// `order_as_stack`. It keeps few of them busy.
    pub fn lifo(max: usize, create: impl Fn() -> T + 'static) -> Self {
        ResourcePool::with(max, true, Box::new(create))
    }

    fn with(max: usize, last_first: bool, create: Box<dyn Fn() -> T>) -> Self {
        ResourcePool {
            inner: Rc::new(Inner {
                places: Semaphore::new(max),
                idle: RefCell::default(),
                last_first,
                create,
            }),
        }
    }

    /// Waits for a thing, and borrows it. When the future is ready it may have to be made, there and
    /// then; if that panics, the place is free for the next one. Cancel safe.
    pub fn get(&self) -> ResourceGet<T> {
        ResourceGet {
            acquire: self.inner.places.acquire(),
            pool: self.clone(),
        }
    }

    /// Borrows a thing, if there is one, or may be made, that nobody waits for.
    pub fn try_get(&self) -> Option<Pooled<T>> {
        let place = self.inner.places.try_acquire()?;
        Some(self.lend(place))
    }

    fn lend(&self, place: Permit) -> Pooled<T> {
        let idle = self.inner.idle.borrow_mut().pop_front();
        Pooled {
            value: Some(idle.unwrap_or_else(&self.inner.create)),
            pool: self.clone(),
            _place: place,
        }
    }

    /// How many things are here, made and not lent.
    pub fn idle(&self) -> usize {
        self.inner.idle.borrow().len()
    }

    /// How many more could be lent to who comes now: those idle and those not made yet.
    pub fn available(&self) -> usize {
        self.inner.places.available()
    }

    /// How many wait, and there is none for them.
    pub fn waiting(&self) -> usize {
        self.inner.places.waiting()
    }
}

impl<T> Clone for ResourcePool<T> {
    fn clone(&self) -> Self {
        ResourcePool {
            inner: Rc::clone(&self.inner),
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

/// The future of [`ResourcePool::get`]; it takes its place in line when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ResourceGet<T> {
    acquire: Acquire,
    pool: ResourcePool<T>,
}

impl<T> Future for ResourceGet<T> {
    type Output = Pooled<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Pooled<T>> {
        let place = ready!(Pin::new(&mut self.acquire).poll(cx));
        Poll::Ready(self.pool.lend(place))
    }
}

/// A thing that a [`ResourcePool`] lent; it goes back with its drop.
#[must_use = "dropped at once, it goes back at once"]
pub struct Pooled<T> {
    /// None once it was taken out.
    value: Option<T>,
    pool: ResourcePool<T>,
    _place: Permit, // given back behind the thing
}

impl<T> Pooled<T> {
    /// Takes the thing out of the pool, which makes another one when need be: for one that broke.
    pub fn detach(mut self) -> T {
        self.value.take().expect("it is taken out once")
    }
}

impl<T> Deref for Pooled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let value = self.value.as_ref();
        value.expect("it is taken out at the end only")
    }
}

impl<T> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut T {
        let value = self.value.as_mut();
        value.expect("it is taken out at the end only")
    }
}

impl<T> Drop for Pooled<T> {
    fn drop(&mut self) {
        let Some(value) = self.value.take() else {
            return;
        };
        let Inner {
            idle, last_first, ..
        } = &*self.pool.inner;
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

//! A value that the first task that needs it creates, while others wait for it.

use crate::semaphore::Semaphore;
use std::cell;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::rc::Rc;

/// A value that is created once, by the first task that needs it; tasks that come meanwhile wait:
/// tokio's `OnceCell`. Creating it may wait, fail, and be canceled, and then the next task tries.
///
/// A clone is a handle to the same value. Once it is there, [`OnceCell::get`] borrows it without a
/// lock, and it never changes. A value that another task sends is a [`OneShot`](crate::OneShot).
///
/// ```
/// use oneloop::aio::{TcpListener, TcpStream, block_on, join};
/// use oneloop::sync::OnceCell;
/// use std::io;
///
/// block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     let connection = OnceCell::new();
///     let connect = || connection.get_or_try_init(|| TcpStream::connect(addr));
///     let (one, two) = join(connect(), connect()).await;
///     assert_eq!(one?.local_addr()?, two?.local_addr()?, "there is one connection");
///     io::Result::Ok(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A green thread calls `cell.get_or_init(…).wait()`, and a callback calls [`OnceCell::get`], or
/// waits in `spawn_micro(async move { … cell.get_or_init(…).await … })`. Other threads reach the
/// value by [`OnceCell::remote`].
#[doc(alias("LazyCell", "OnceLock", "AsyncOnceCell"))]
pub struct OnceCell<T> {
    state: Rc<OnceCellState<T>>,
}

struct OnceCellState<T> {
    value: cell::OnceCell<T>,
    /// The task that has the permit creates the value.
    creating: Semaphore,
}

impl<T> OnceCell<T> {
    /// Creates a cell without a value.
    pub fn new() -> Self {
        OnceCell::of(cell::OnceCell::new())
    }

    fn of(value: cell::OnceCell<T>) -> Self {
        OnceCell {
            state: Rc::new(OnceCellState {
                value,
                creating: Semaphore::new(1),
            }),
        }
    }

    /// Returns the value, if it is there.
    pub fn get(&self) -> Option<&T> {
        self.state.value.get()
    }

    /// True once the value is there.
    #[doc(alias = "initialized")]
    pub fn is_set(&self) -> bool {
        self.get().is_some()
    }

    /// Stores the value, if none is there, and no task creates one.
    ///
    /// # Errors
    /// [`SetError`] returns the value.
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.is_set() {
            return Err(SetError::AlreadySet(value));
        }
        let Some(_permit) = self.state.creating.try_acquire() else {
            return Err(SetError::Creating(value));
        };
        self.state.value.set(value).map_err(SetError::AlreadySet)
    }

    /// Returns the value. If there is none, creates it by the future of `create`, or waits for the
    /// task that does.
    ///
    /// Cancel safe: if the future is dropped while it creates the value, the next waiter calls its
    /// `create`. It borrows the cell; clone the cell into a task of its own.
    ///
    /// # Panics
    /// If `create` panics. The next waiter then calls its own.
    pub async fn get_or_init<F>(&self, create: impl FnOnce() -> F) -> &T
    where
        F: Future<Output = T>,
    {
        let created = self.get_or_try_init(async move || Ok::<T, Infallible>(create().await));
        match created.await {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// Returns the value. If there is none, creates it by the future of `create`, or waits for the
    /// task that does.
    ///
    /// Cancel safe: if the future is dropped while it creates the value, the next waiter calls its
    /// `create`. It borrows the cell; clone the cell into a task of its own.
    ///
    /// A `create` that needs the value of its own cell waits for itself, which `green::run` reports
    /// as a deadlock.
    ///
    /// # Errors
    /// The error of `create`. The next waiter then calls its own.
    ///
    /// # Panics
    /// If `create` panics. The next waiter then calls its own.
    pub async fn get_or_try_init<E, F>(&self, create: impl FnOnce() -> F) -> Result<&T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let _permit = self.state.creating.acquire().await;
        if let Some(value) = self.get() {
            return Ok(value); // another task has created it meanwhile
        }
        let value = create().await?;
        Ok(self.state.value.get_or_init(|| value))
    }

    /// Returns the number of tasks that wait for the value that another task creates.
    pub fn waiting(&self) -> usize {
        self.state.creating.waiting()
    }

    /// Borrows the value to change it. `None` without a value, and if there is another handle, as
    /// with [`Rc::get_mut`].
    pub fn get_mut(&mut self) -> Option<&mut T> {
        Rc::get_mut(&mut self.state)?.value.get_mut()
    }

    /// Returns the value, if it is there.
    ///
    /// # Errors
    /// Returns the cell if there is another handle, as with [`Rc::try_unwrap`].
    pub fn into_inner(self) -> Result<Option<T>, Self> {
        let state = Rc::try_unwrap(self.state).map_err(|state| OnceCell { state })?;
        Ok(state.value.into_inner())
    }
}

impl<T> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        OnceCell {
            state: Rc::clone(&self.state),
        }
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        OnceCell::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        OnceCell::of(cell::OnceCell::from(value))
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceCell")
            .field("value", &self.get())
            .field("waiting", &self.waiting())
            .finish()
    }
}

/// Why [`OnceCell::set`] stored nothing. The error returns the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SetError<T> {
    /// A value is there.
    AlreadySet(T),
    /// A task creates a value.
    Creating(T),
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetError::AlreadySet(_) => "AlreadySet(..)",
            SetError::Creating(_) => "Creating(..)",
        })
    }
}
impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SetError::AlreadySet(_) => "the cell has a value",
            SetError::Creating(_) => "a task creates the cell's value",
        })
    }
}
impl<T> std::error::Error for SetError<T> {}

//! Task-locals: a value for the code that runs inside of a future.

use crate::context::{self, Layer};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{self, Poll};

/// A key under which a future hands a value to the code that runs inside of it: tokio's
/// `task::LocalKey`. See [`task_local!`](crate::task_local).
#[doc(alias("contextvars", "ContextVar", "AsyncLocalStorage"))]
pub struct LocalKey<T: 'static> {
    /// Without a byte of its own, two keys could have one address.
    _place: u8,
    value: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey")
    }
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new() -> Self {
        LocalKey {
            _place: 0,
            value: PhantomData,
        }
    }

    // A `static` never moves, so its address is a unique key.
    pub(crate) fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Gives `value` to the code that runs inside of this future, its drop included. Inside of it,
    /// another `scope` of the same key hides the value. Cancel safe if the future is.
    ///
    /// The value is dropped with the last future that has it.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> LocalScope<F> {
        LocalScope {
            future: Some(future),
            layer: Layer::of(self.key(), value),
        }
    }

    /// Calls a function with `value` as the value of this key: [`LocalKey::scope`] for code that
    /// does not wait.
    pub fn sync_scope<R>(&'static self, value: T, function: impl FnOnce() -> R) -> R {
        let _entered = Layer::of(self.key(), value).enter();
        function()
    }

    /// Calls a function with the value.
    ///
    /// # Panics
    /// Outside of each scope of this key. Tasks that are spawned inside of a scope are outside,
    /// unless they [inherit](inherit_locals) it.
    #[track_caller]
    pub fn with<R>(&'static self, with: impl FnOnce(&T) -> R) -> R {
        let called = self.try_with(with);
        called.expect(
            "no future around this code has a value for this task-local: use `KEY.scope(value, \
             future)`, and `inherit_locals(future)` for a task that is spawned inside of it",
        )
    }

    /// Calls a function with the value; returns `None` outside of each scope of this key.
    pub fn try_with<R>(&'static self, with: impl FnOnce(&T) -> R) -> Option<R> {
        // Shared, so that nothing is borrowed while `with` runs: it may enter and leave scopes.
        let local = context::innermost(self.key())?;
        let value = local.value();
        Some(with(
            value.expect("an address names one key, and a key has one type"),
        ))
    }

    /// Returns a clone of the value.
    ///
    /// # Panics
    /// As [`LocalKey::with`].
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Returns a clone of the value; `None` outside of each scope of this key.
    pub fn try_get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }
}

/// Runs a future with the task-locals of the code that calls this, the nearest
/// [deadline](crate::deadline) among them: for a task that belongs to its spawner. Cancel safe if
/// the future is.
///
/// A task has no task-locals of its own accord, as in tokio: it may outlive the request that
/// started it, and would keep the values of that request. It sees the same values as its spawner,
/// which are shared and not copied.
///
/// ```
/// use oneloop::aio::{block_on, inherit_locals, spawn, task_local};
/// task_local! {
///     static REQUEST: u32;
/// }
/// block_on(REQUEST.scope(7, async {
///     let (alone, related) = (
///         spawn(async { REQUEST.try_get() }),
///         spawn(inherit_locals(async { REQUEST.try_get() })),
///     );
///     assert_eq!(alone.await.unwrap(), None);
///     assert_eq!(related.await.unwrap(), Some(7));
/// }));
/// ```
#[doc(alias("copy_context", "Instrument", "in_current_span"))]
pub fn inherit_locals<F: Future>(future: F) -> LocalScope<F> {
    LocalScope {
        future: Some(future),
        layer: Layer::inherited(),
    }
}

pin_project! {
    /// The future of [`LocalKey::scope`], [`inherit_locals`] and [`deadline`](crate::deadline). Cancel
    /// safe if its future is.
    ///
    /// # Panics
    /// If it is polled again after it was ready.
    #[must_use = "futures do nothing unless awaited"]
    #[doc(alias = "TaskLocalFuture")]
    pub struct LocalScope<F> {
        // `None` once it is done.
        #[pin]
        future: Option<F>,
        layer: Layer,
    }

    impl<F> PinnedDrop for LocalScope<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _entered = this.layer.enter();
                this.future.set(None);
            }
        }
    }
}

impl<F: Future> Future for LocalScope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let _entered = this.layer.enter();
        let future = this.future.as_mut().as_pin_mut();
        let polled = future
            .expect("a scope was polled after it was done")
            .poll(cx);
        if polled.is_ready() {
            this.future.set(None); // within the scope, as its destructors may need the value
        }
        polled
    }
}

impl<F> fmt::Debug for LocalScope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalScope").finish_non_exhaustive()
    }
}

/// Declares task-locals: values that a future hands to all code that runs inside of it, without a
/// parameter in each function.
///
/// ```
/// use oneloop::aio::{block_on, sleep, task_local};
/// use std::time::Duration;
///
/// task_local! {
///     /// The number of the request that is being answered.
///     static REQUEST: u32;
/// }
///
/// async fn look_up(name: &str) -> String {
///     sleep(Duration::from_millis(1)).await;
///     format!("request {}: {name} is found", REQUEST.get())
/// }
///
/// block_on(async {
///     let (a, b) = oneloop::aio::join(
///         REQUEST.scope(1, look_up("tea")),
///         REQUEST.scope(2, look_up("toast")),
///     )
///     .await;
///     assert_eq!(a, "request 1: tea is found");
///     assert_eq!(b, "request 2: toast is found");
/// });
/// ```
///
/// A value exists inside of [`LocalKey::scope`](crate::LocalKey::scope) only, and for as long as
/// that future runs. A task that is spawned there inherits it [on request](crate::inherit_locals).
/// The green style has `oneloop::green::green_local!`, a value for each green thread.
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty);+ $(;)?) => {
        $(
            $(#[$attribute])*
            $visibility static $name: $crate::LocalKey<$type> = $crate::LocalKey::new();
        )+
    };
}

//! What threads share: the types of the standard library, or those of loom in a model.
//!
//! loom runs a model under each schedule of its threads, but sees only its own types. So the code
//! that threads share takes its types from here. A build with `--cfg loom` (`make models`) replaces
//! them all; in any other build each name is the standard library's.

#[cfg(loom)]
pub use in_models::*;
#[cfg(not(loom))]
pub use in_programs::*;

#[cfg(not(loom))]
mod in_programs {
    pub use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
    pub use std::sync::{Condvar, Mutex, MutexGuard};
    use std::time::Duration;
    pub use std::{thread, thread_local};

    /// True once a thread has ended.
    pub(crate) fn has_ended(thread: &thread::JoinHandle<()>) -> bool {
        thread.is_finished()
    }

    /// The edge of an eventfd: set by a write, cleared by the wait that reports it.
    ///
    /// The kernel keeps it. loom does not see the kernel, so a model keeps another one beside it.
    #[derive(Default)]
    pub(crate) struct Edge;

    impl Edge {
        /// Writes to the eventfd.
        #[inline]
        pub(crate) fn set(&self, write: impl FnOnce()) {
            write();
        }

        /// Waits for events.
        #[inline]
        pub(crate) fn wait<T>(
            &self,
            timeout: Option<Duration>,
            wait: impl FnOnce(Option<Duration>) -> T,
        ) -> T {
            wait(timeout)
        }
    }
}

#[cfg(loom)]
mod in_models {
    pub use loom;
    pub use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
    pub use loom::sync::{Condvar, Mutex, MutexGuard};
    use std::cell::Cell;
    use std::time::Duration;

    /// The threads of a model.
    pub mod thread {
        pub use loom::thread::*;
        pub use std::thread::available_parallelism;
    }

    /// `std::thread_local!`, for a model's threads, which are one thread of the kernel.
    #[macro_export]
    #[doc(hidden)]
    macro_rules! model_local {
        ($($(#[$doc:meta])* static $name:ident: $type:ty = $init:expr;)+) => {$(
            $(#[$doc])*
            static $name: $crate::concurrency::LocalKey<$type> = {
                $crate::concurrency::loom::thread_local! {
                    static KEY: $type = $init
                }
                $crate::concurrency::LocalKey(&KEY)
            };
        )+};
    }

    pub use model_local as thread_local;

    /// A thread-local of a model's thread, with the functions of the standard library's.
    pub struct LocalKey<T: 'static>(pub &'static loom::thread::LocalKey<T>);

    impl<T> LocalKey<T> {
        /// Calls a function with the value.
        pub fn with<R>(&'static self, function: impl FnOnce(&T) -> R) -> R {
            self.0.with(function)
        }

        /// Calls a function with the value, unless that is gone.
        pub fn try_with<R>(
            &'static self,
            function: impl FnOnce(&T) -> R,
        ) -> Result<R, loom::thread::AccessError> {
            self.0.try_with(function)
        }
    }

    impl<T> LocalKey<Cell<T>> {
        /// A copy of the value.
        pub fn get(&'static self) -> T
        where
            T: Copy,
        {
            self.0.with(Cell::get)
        }

        /// Replaces the value.
        pub fn set(&'static self, value: T) {
            self.0.with(|cell| cell.set(value));
        }

        /// Replaces the value, and returns the one before.
        pub fn replace(&'static self, value: T) -> T {
            self.0.with(|cell| cell.replace(value))
        }
    }

    /// loom does not tell, and chaos, which asks, is in no model.
    pub(crate) fn has_ended(_: &thread::JoinHandle<()>) -> bool {
        false
    }

    /// The edge of an eventfd, as loom sees it.
    #[derive(Default)]
    pub(crate) struct Edge {
        is_set: Mutex<bool>,
        changed: Condvar,
    }

    impl Edge {
        /// Writes to the eventfd.
        pub(crate) fn set(&self, write: impl FnOnce()) {
            let mut is_set = self.is_set.lock().expect("loom's locks have no poison");
            write();
            *is_set = true;
            self.changed.notify_one();
        }

        /// Waits for events. Only the edge ends a wait without a timeout, and no model has timers.
        pub(crate) fn wait<T>(
            &self,
            timeout: Option<Duration>,
            wait: impl FnOnce(Option<Duration>) -> T,
        ) -> T {
            let mut is_set = self.is_set.lock().expect("loom's locks have no poison");
            while timeout.is_none() && !*is_set {
                let woken = self.changed.wait(is_set);
                is_set = woken.expect("loom's locks have no poison");
            }
            // Under the lock, so that the kernel's edge and this one are cleared together.
            let waited = wait(Some(Duration::ZERO));
            *is_set = false;
            waited
        }
    }
}

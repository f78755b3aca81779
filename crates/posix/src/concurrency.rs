//! What threads and signal handlers share: the types of the standard library, or those of loom in a
//! model (`make models`). `oneloop_core::concurrency` has the types that only threads share.

#[cfg(loom)]
pub(crate) use in_models::*;
#[cfg(not(loom))]
pub(crate) use in_programs::*;

#[cfg(not(loom))]
mod in_programs {
    pub(crate) use std::sync::OnceLock;
    pub(crate) use std::sync::atomic::{AtomicI32, AtomicU32};
    pub(crate) use std::thread::sleep;
}

#[cfg(loom)]
mod in_models {
    use std::sync;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    /// Makes an operation sequentially consistent. loom takes `SeqCst` for `AcqRel`, but knows the
    /// fence.
    fn ordered<T>(order: Ordering, operation: impl FnOnce() -> T) -> T {
        let fence = || {
            if order == Ordering::SeqCst {
                loom::sync::atomic::fence(order);
            }
        };
        fence();
        let result = operation();
        fence();
        result
    }

    /// loom's atomics have no `const fn new`, which a static needs, so one that is created by that
    /// begins with its first use. A model creates its own by `from`.
    macro_rules! atomics {
        ($($name:ident: $value:ty),*) => {$(
            #[derive(Debug)]
            pub(crate) struct $name {
                first: $value,
                begun: sync::OnceLock<loom::sync::atomic::$name>,
            }

            impl From<$value> for $name {
                fn from(first: $value) -> Self {
                    let created = $name::new(first);
                    created.begun();
                    created
                }
            }

            impl $name {
                pub(crate) const fn new(first: $value) -> Self {
                    $name { first, begun: sync::OnceLock::new() }
                }

                fn begun(&self) -> &loom::sync::atomic::$name {
                    self.begun.get_or_init(|| loom::sync::atomic::$name::new(self.first))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    ordered(order, || self.begun().load(order))
                }

                #[allow(dead_code)]
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    ordered(order, || self.begun().store(value, order));
                }

                #[allow(dead_code)]
                pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                    ordered(order, || self.begun().fetch_add(value, order))
                }

                #[allow(dead_code)]
                pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                    ordered(order, || self.begun().fetch_sub(value, order))
                }
            }
        )*};
    }
    atomics!(AtomicI32: i32, AtomicU32: u32);

    /// `std::sync::OnceLock`, as loom sees it.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        value: sync::OnceLock<T>,
        is_set: AtomicU32,
    }

    impl<T> Default for OnceLock<T> {
        fn default() -> Self {
            OnceLock {
                value: sync::OnceLock::new(),
                is_set: AtomicU32::from(0),
            }
        }
    }

    impl<T> OnceLock<T> {
        pub(crate) const fn new() -> Self {
            OnceLock {
                value: sync::OnceLock::new(),
                is_set: AtomicU32::new(0),
            }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            let is_set = self.is_set.load(Ordering::Acquire) == 1;
            is_set.then(|| self.value.get()).flatten()
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.is_set.store(1, Ordering::Release);
            Ok(())
        }
    }

    /// Yields to the other threads: a model has no time.
    pub(crate) fn sleep(_: Duration) {
        loom::thread::yield_now();
    }
}

//! Green-locals: a value for each green thread.

use crate::wait::current;
use std::any::Any;
use std::fmt;
use std::rc::Rc;

/// A key under which each green thread has its own value, which is made at its first use and
/// dropped when the thread ends: gevent's `local`, eventlet's `corolocal`. See
/// [`green_local!`](crate::green_local).
#[doc(alias("corolocal", "thread_local", "contextvars"))]
pub struct LocalKey<T: 'static> {
    make: fn() -> T,
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey")
    }
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    pub const fn new(make: fn() -> T) -> Self {
        LocalKey { make }
    }

    /// Calls `with` with the value of the green thread that runs this code.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn with<R>(&'static self, with: impl FnOnce(&T) -> R) -> R {
        // A `static` never moves, so its address is a unique key.
        let key = std::ptr::from_ref(self).addr();
        // Shared, so that nothing is borrowed while `with` runs: it may use other green-locals.
        let value = current().local(key, || Rc::new((self.make)()) as Rc<dyn Any>);
        let value = value.downcast_ref::<T>();
        with(value.expect("an address names one key, and a key has one type"))
    }
}

/// Declares green-locals, as `thread_local!` declares thread-locals.
///
/// ```
/// use oneloop::green::{green_local, run, spawn};
/// use std::cell::Cell;
/// green_local! {
///     static COUNT: Cell<u32> = Cell::new(1);
/// }
/// let counts = run(|| {
///     COUNT.with(|count| count.set(7));
///     let other = spawn(|| COUNT.with(Cell::get)).join().unwrap();
///     (COUNT.with(Cell::get), other)
/// })?;
/// assert_eq!(counts, (7, 1));
/// # Ok::<(), std::io::Error>(())
/// ```
#[macro_export]
macro_rules! green_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $make:expr;)+) => {
        $($(#[$attribute])* $visibility static $name: $crate::LocalKey<$type> =
            $crate::LocalKey::new(|| $make);)+
    };
}

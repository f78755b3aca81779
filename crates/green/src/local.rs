//! Values that each green thread has for itself.

use crate::wait::current;
use std::any::Any;
use std::fmt;
use std::rc::Rc;

/// A name under which each green thread has its own value, made when it first asks and dropped when the
/// thread ends: gevent's `local`, eventlet's `corolocal`. See [`green_local!`](crate::green_local).
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

    /// Uses the value of the green thread that runs this code.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn with<R>(&'static self, with: impl FnOnce(&T) -> R) -> R {
        let key = std::ptr::from_ref(self).addr();
        let value = current().local(key, || Rc::new((self.make)()) as Rc<dyn Any>);
        let value = value.downcast_ref::<T>();
        with(value.expect("an address names one key, and a key has one type"))
    }
}

/// Declares values that each green thread has for itself, as `thread_local!` does for threads.
///
/// ```
/// use oneloop_green::{green_local, run, spawn};
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

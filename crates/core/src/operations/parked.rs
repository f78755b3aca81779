//! Values that stay on their loop while a name for them, which is `Send`, goes anywhere.

use crate::mechanisms::guard::drop_each;
use crate::mechanisms::slots::Key;
use crate::state::{Handle, LoopState, ParkedValue, on_loop};
use crate::tasks::waker::LoopInbox;
use std::any::type_name;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, Thread};

/// What a [`ParkedValue`] is, with its type. A `RefCell`, because a value that is used from within its own use would be borrowed twice. Boxed,
/// because a pinned value cannot move out of a `RefCell` that is not pinned itself.
type Pinned<T> = RefCell<Pin<Box<T>>>;

impl Handle {
    /// Parks a value on this loop and returns a name for it, which is `Send` and `Sync`.
    ///
    /// Once the loop is dropped, so are its parked values; from then on this function drops the
    /// value at once.
    ///
    /// ```
    /// use std::{future::Future, time::Duration};
    /// fn assert_send(_: &(impl Send + Sync)) {}
    ///
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let sleep = handle.park(handle.sleep(Duration::from_millis(1)));
    /// assert_send(&sleep);
    /// event_loop.block_on(std::future::poll_fn(|cx| sleep.with(|sleep| sleep.poll(cx))));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn park<T: 'static>(&self, value: T) -> Parked<T> {
        let value: Rc<Pinned<T>> = Rc::new(RefCell::new(Box::pin(value)));
        Parked {
            key: self.state.park(value),
            inbox: Arc::clone(&self.state.inbox),
            of: PhantomData,
        }
    }
}

impl LoopState {
    fn park(&self, value: ParkedValue) -> Key<ParkedValue> {
        if self.closed.get() {
            return GONE;
        }
        self.parked.borrow_mut().insert(value)
    }

    fn unpark(&self, key: Key<ParkedValue>) -> Option<ParkedValue> {
        self.parked.borrow_mut().remove(key)
    }

    /// Drops all parked values, at the end of the loop.
    pub(crate) fn drop_parked(&self) {
        let parked = self.parked.take();
        drop_each(parked.into_values()); // foreign code, so after the borrow (rule 1)
    }
}

/// The key of a value that was parked on a loop that has ended. No slot has this index.
const GONE: Key<ParkedValue> = Key::from_u64(u32::MAX as u64);

/// The name of a value that stays on its loop: `Send` and `Sync`, even if the value is not.
///
/// It can go to any thread. The value does not: [`Parked::with`] finds it by a look at the loop
/// that runs there, and panics in code that another loop runs, or none. A name that is dropped in
/// such code sends a job home, which drops the value in the next turn of its loop. It does not keep
/// the loop alive; what the value waits for does.
///
/// ```text
///  Parked { inbox, key } ── with, in its loop ──▶ the loop's slots ──▶ the value
///                        ── with, elsewhere ────▶ panic
///                        ── drop, elsewhere ────▶ inbox ──▶ a task drops the value
/// ```
///
/// `oneloop::aio::Local` is this name with the traits of futures and streams.
pub struct Parked<T: 'static> {
    key: Key<ParkedValue>,
    inbox: Arc<LoopInbox>,
    /// Takes and returns a `T`, so that the compiler does not turn this name into one of another
    /// type, such as one with a shorter lifetime.
    of: PhantomData<fn(T) -> T>,
}

impl<T> Parked<T> {
    /// Calls a function with the value.
    ///
    /// # Panics
    /// In code that the value's loop does not run: on other threads, outside of the loop, after its
    /// end. Also inside of another call of this function with the same value.
    #[track_caller]
    #[inline]
    pub fn with<R>(&self, function: impl FnOnce(Pin<&mut T>) -> R) -> R {
        let found = on_loop(&self.inbox, |state| {
            state.parked.borrow().get(self.key).map(Rc::clone)
        });
        // A clone of the `Rc`, so that the function may park and drop values, this one too (rule 1).
        let Some(value) = found.flatten() else {
            self.refuse();
        };
        match self.pinned(&value).try_borrow_mut() {
            Ok(mut pinned) => function(pinned.as_mut()),
            Err(_) => panic!("a `{}` was used within its own use", type_name::<T>()),
        }
    }

    /// Returns the value.
    ///
    /// # Panics
    /// As [`Parked::with`].
    #[track_caller]
    pub fn into_inner(self) -> T
    where
        T: Unpin,
    {
        let found = on_loop(&self.inbox, |state| state.unpark(self.key));
        let Some(value) = found.flatten() else {
            self.refuse();
        };
        let pinned = value.downcast::<Pinned<T>>().ok().and_then(Rc::into_inner);
        let Some(pinned) = pinned else {
            panic!("a `{}` was taken within its own use", type_name::<T>());
        };
        *Pin::into_inner(pinned.into_inner())
    }

    #[inline]
    fn pinned<'v>(&self, value: &'v ParkedValue) -> &'v Pinned<T> {
        value
            .downcast_ref()
            .expect("a key of one type names values of that type")
    }

    #[track_caller]
    fn refuse(&self) -> ! {
        refuse(type_name::<T>(), &self.inbox, self.key == GONE);
    }
}

/// Panics, and says why a value of this type cannot be used in this code.
#[cold]
#[track_caller]
pub(crate) fn refuse(value: &str, inbox: &LoopInbox, is_gone: bool) -> ! {
    panic!("{}", refusal(value, inbox, is_gone, &thread::current()));
}

fn refusal(value: &str, inbox: &LoopInbox, is_gone: bool, here: &Thread) -> String {
    let home = inbox.home();
    let at_home = named(home);
    if inbox.is_closed() || is_gone {
        return format!(
            "a `{value}` was used on {}, but its loop on {at_home} has ended, and dropped it",
            named(here)
        );
    }
    if home.id() == here.id() {
        return format!(
            "a `{value}` was used outside of its loop: another loop, or none, runs this code on \
             {at_home}"
        );
    }
    format!(
        "a `{value}` was used on {}, but it lives on the loop of {at_home}: poll it in a task of \
         that loop; `oneloop::core::Remote` and `oneloop::sync::Distant` reach that loop from here",
        named(here)
    )
}

/// Names a thread in a message.
fn named(thread: &Thread) -> String {
    match thread.name() {
        Some(name) => format!("the thread `{name}` ({:?})", thread.id()),
        None => format!("a thread without a name ({:?})", thread.id()),
    }
}

impl<T> Drop for Parked<T> {
    fn drop(&mut self) {
        let key = self.key;
        if let Some(value) = on_loop(&self.inbox, |state| state.unpark(key)) {
            drop(value);
            return;
        }
        let remove = move || {
            let state = Handle::current().state;
            drop(state.unpark(key)); // as a task: the drop may take time, or panic
        };
        // Refused when the loop is gone, and with it the value.
        self.inbox
            .send(|arrivals| arrivals.jobs.push(Box::new(remove)));
    }
}

impl<T> fmt::Debug for Parked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parked({})", type_name::<T>())
    }
}

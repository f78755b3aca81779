//! `AbortController` and `AbortSignal`: one way to give up whatever is under way.

use crate::continuation::once;
use crate::error::Error;
use crate::runtime::{Runtime, current, try_current};
use crate::thrown::{Outcome, Thrown};
use crate::timers::Timeout;
use oneloop_core::report;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

type Aborted = Rc<dyn Fn() -> Result<(), Thrown>>;

#[derive(Default)]
struct State {
    reason: RefCell<Option<Error>>,
    listeners: RefCell<Vec<(u64, Aborted)>>,
    next_id: Cell<u64>,
    /// Signals made of this one, which are aborted with it.
    dependents: RefCell<Vec<Weak<State>>>,
    /// What keeps the signals alive of which this one is made.
    sources: RefCell<Vec<Rc<State>>>,
    timeout: Cell<Option<(Weak<Runtime>, Timeout)>>,
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some((runtime, timeout)) = self.timeout.take()
            && let Some(runtime) = runtime.upgrade()
        {
            runtime.timers.clear(timeout);
        }
    }
}

/// Aborts its signal, and with it all that was given the signal.
///
/// ```
/// use oneloop_callback::{AbortController, run, timers};
///
/// run(|| {
///     let controller = AbortController::new();
///     controller.signal().on_abort(|reason| println!("{reason}"));
///     let late = timers::promises::set_timeout(1000, controller.signal());
///     drop(oneloop_callback::spawn_micro(async move {
///         assert_eq!(late.await.unwrap_err().code(), Some("ABORT_ERR"));
///     }));
///     controller.abort();
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AbortController {
    signal: AbortSignal,
}

impl AbortController {
    /// One that has not aborted anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// What to give to those who are to be aborted.
    pub fn signal(&self) -> &AbortSignal {
        &self.signal
    }

    /// Aborts, for the default reason: `AbortError`, "This operation was aborted".
    pub fn abort(&self) {
        self.abort_with(default_reason());
    }

    /// Aborts for a reason. Without effect if it has aborted before.
    pub fn abort_with(&self, reason: impl Into<Error>) {
        self.signal.state.abort(&reason.into());
    }
}

/// Tells that something is to be given up. Clones are the same signal.
#[derive(Clone, Default)]
pub struct AbortSignal {
    state: Rc<State>,
}

/// Names a listener of an [`AbortSignal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortListenerId(u64);

impl fmt::Debug for AbortSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AbortSignal(aborted: {})", self.is_aborted())
    }
}

impl AbortSignal {
    /// One that is aborted already.
    pub fn aborted() -> Self {
        let signal = AbortSignal::default();
        signal.state.abort(&default_reason());
        signal
    }

    /// One that is aborted after so many milliseconds, which does not keep the program alive.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn timeout(ms: impl Into<f64>) -> Self {
        let signal = AbortSignal::default();
        let state = Rc::downgrade(&signal.state);
        let abort = move || {
            if let Some(state) = state.upgrade() {
                let message = "The operation was aborted due to timeout";
                state.abort(&Error::new("TimeoutError", message));
            }
        };
        let runtime = current();
        let timeout = runtime.timers.start_once(once(abort), ms.into());
        runtime.timers.set_referenced(timeout, false);
        let timeout = (Rc::downgrade(&runtime), timeout);
        signal.state.timeout.set(Some(timeout));
        signal
    }

    /// One that is aborted with the first of these.
    pub fn any<'a>(signals: impl IntoIterator<Item = &'a AbortSignal>) -> Self {
        let any = AbortSignal::default();
        for signal in signals {
            if let Some(reason) = signal.reason() {
                any.state.abort(&reason);
                return any;
            }
            let dependent = Rc::downgrade(&any.state);
            let mut dependents = signal.state.dependents.borrow_mut();
            dependents.retain(|dependent| dependent.strong_count() > 0);
            dependents.push(dependent);
            drop(dependents);
            any.state
                .sources
                .borrow_mut()
                .push(Rc::clone(&signal.state));
        }
        any
    }

    /// True once it is aborted.
    pub fn is_aborted(&self) -> bool {
        self.state.reason.borrow().is_some()
    }

    /// Why it was aborted.
    pub fn reason(&self) -> Option<Error> {
        self.state.reason.borrow().clone()
    }

    /// Gives the reason as an error, once it is aborted: `throwIfAborted`.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<(), Error> {
        self.reason().map_or(Ok(()), Err)
    }

    /// Hears of the abort, on the stack of whoever aborts. What a listener throws does not keep the
    /// others from hearing: it is uncaught, in the next tick. Without effect on a signal that is
    /// aborted already.
    pub fn on_abort<O: Outcome>(&self, hear: impl Fn(Error) -> O + 'static) -> AbortListenerId {
        let state = Rc::downgrade(&self.state);
        self.state.add(Rc::new(move || {
            let reason = state
                .upgrade()
                .and_then(|state| state.reason.borrow().clone());
            reason.map_or(Ok(()), |reason| hear(reason).into_result())
        }))
    }

    /// Takes a listener off.
    pub fn off(&self, id: AbortListenerId) {
        self.state.remove(id.0);
    }

    /// Calls a function when it is aborted; at once, if it is already: then there is no listener.
    pub(crate) fn call_when_aborted(&self, f: impl Fn() + 'static) -> Option<AbortListenerId> {
        if self.is_aborted() {
            f();
            return None;
        }
        let f = move || {
            f();
            Ok(())
        };
        Some(self.state.add(Rc::new(f)))
    }
}

impl State {
    fn add(&self, aborted: Aborted) -> AbortListenerId {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        self.listeners.borrow_mut().push((id, aborted));
        AbortListenerId(id)
    }

    fn remove(&self, id: u64) {
        let mut listeners = self.listeners.borrow_mut();
        let index = listeners.iter().position(|(other, _)| *other == id);
        let gone = index.map(|index| listeners.remove(index));
        drop(listeners);
        drop(gone);
    }

    fn is_listening(&self, id: u64) -> bool {
        self.listeners
            .borrow()
            .iter()
            .any(|(other, _)| *other == id)
    }

    fn abort(&self, reason: &Error) {
        if self.reason.borrow().is_some() {
            return;
        }
        self.reason.replace(Some(reason.clone()));
        let listeners = self.listeners.borrow().clone();
        for (id, aborted) in listeners {
            // As with an EventTarget, who is taken off meanwhile does not hear.
            if self.is_listening(id)
                && let Err(thrown) = aborted()
            {
                throw_soon(thrown);
            }
        }
        self.listeners.take();
        for dependent in self.dependents.take() {
            if let Some(dependent) = dependent.upgrade() {
                dependent.abort(reason);
            }
        }
    }
}

fn throw_soon(thrown: Thrown) {
    match try_current() {
        Some(runtime) => runtime.next_tick(|| Err(thrown)),
        None => report(format_args!("Uncaught {thrown}")),
    }
}

fn default_reason() -> Error {
    Error::new("AbortError", "This operation was aborted")
}

//! `AbortController` and `AbortSignal`: one way to cancel any operation.

use crate::continuation::once;
use crate::error::Error;
use crate::milliseconds::Milliseconds;
use crate::runtime::{Runtime, Timeout, current, try_current};
use crate::thrown::{IntoResult, Thrown, callback_of};
use oneloop_core::{drop_each, report};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

/// A listener; the reason is in its signal.
type AbortListener = Rc<dyn Fn() -> Result<(), Thrown>>;

/// What clones of a signal share.
///
/// ```text
///                 abort, timeout, or the abort of a signal it was made of
/// not aborted ───────────────────────────────────────────────────────────▶ aborted(reason)
///                 1. the listeners, in order; then they are dropped
///                 2. the signals made of this one
/// ```
#[derive(Default)]
struct SignalState {
    /// None until it is aborted.
    reason: RefCell<Option<Error>>,
    listeners: RefCell<Vec<(u64, AbortListener)>>,
    next_id: Cell<u64>,
    /// Signals made of this one, which are aborted with it.
    dependents: RefCell<Vec<Weak<SignalState>>>,
    /// Keeps alive the signals of which this one is made: they only know it weakly.
    sources: RefCell<Vec<Rc<SignalState>>>,
    timeout: Cell<Option<(Weak<Runtime>, Timeout)>>,
    /// Nothing is left that could abort it, so no listener is kept.
    has_ended: Cell<bool>,
}

impl Drop for SignalState {
    fn drop(&mut self) {
        if let Some((runtime, timeout)) = self.timeout.take()
            && let Some(runtime) = runtime.upgrade()
        {
            runtime.timers.clear(timeout);
        }
    }
}

/// Aborts its signal, and with it all operations that the signal was passed to.
///
/// ```
/// use oneloop::callback::{AbortController, run, timers};
///
/// run(|| {
///     let controller = AbortController::new();
///     controller.signal().on_abort(|reason| println!("{reason}"));
///     let late = timers::promises::set_timeout(1000, controller.signal());
///     drop(oneloop::callback::spawn_micro(async move {
///         assert_eq!(late.await.unwrap_err().code(), Some("ABORT_ERR"));
///     }));
///     controller.abort();
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Once all clones of a controller are dropped, nothing can abort its signal any more: the signal
/// drops its listeners then. A listener that captures the controller of its own signal keeps both
/// until the abort.
#[derive(Clone, Debug)]
#[doc(alias = "CancellationToken")]
pub struct AbortController {
    signal: AbortSignal,
    _aborter: Rc<Aborter>,
}

/// What can abort a signal. Its drop ends the signal.
#[derive(Debug)]
struct Aborter(Weak<SignalState>);

impl Drop for Aborter {
    fn drop(&mut self) {
        if let Some(state) = self.0.upgrade() {
            state.end();
        }
    }
}

impl Default for AbortController {
    fn default() -> Self {
        let signal = AbortSignal::default();
        let _aborter = Rc::new(Aborter(Rc::downgrade(&signal.state)));
        AbortController { signal, _aborter }
    }
}

impl AbortController {
    /// A controller that has not aborted its signal.
    pub fn new() -> Self {
        Self::default()
    }

    /// The signal, to be passed to operations.
    pub fn signal(&self) -> &AbortSignal {
        &self.signal
    }

    /// Aborts, for the default reason: `AbortError`, "This operation was aborted".
    pub fn abort(&self) {
        self.abort_with(default_reason());
    }

    /// Aborts for a reason. Does nothing if the signal was aborted before.
    pub fn abort_with(&self, reason: impl Into<Error>) {
        self.signal.state.abort(&reason.into());
    }
}

/// Cancels the operations that it was passed to, once it is aborted. Clones are the same signal.
#[derive(Clone, Default)]
#[doc(alias = "CancellationToken")]
pub struct AbortSignal {
    state: Rc<SignalState>,
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
    /// A signal that is aborted already.
    pub fn aborted() -> Self {
        let signal = AbortSignal::default();
        signal.state.abort(&default_reason());
        signal
    }

    /// A signal that is aborted after `ms` milliseconds. It does not keep the program alive.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn timeout(ms: impl Milliseconds) -> Self {
        let signal = AbortSignal::default();
        // The timer knows the signal only weakly: a signal that is dropped clears its timer.
        let aborter = Aborter(Rc::downgrade(&signal.state));
        let abort = move || {
            if let Some(state) = aborter.0.upgrade() {
                let message = "The operation was aborted due to timeout";
                state.abort(&Error::new("TimeoutError", message));
            }
        };
        let runtime = current();
        let timeout = runtime.timers.start_once(once(abort), ms.to_ms());
        runtime.timers.set_referenced(timeout, false);
        let timeout = (Rc::downgrade(&runtime), timeout);
        signal.state.timeout.set(Some(timeout));
        signal
    }

    /// A signal that is aborted as soon as one of these is.
    pub fn any<'a>(signals: impl IntoIterator<Item = &'a AbortSignal>) -> Self {
        let any = AbortSignal::default();
        for signal in signals {
            if let Some(reason) = signal.reason() {
                any.state.abort(&reason);
                return any;
            }
            // Weak: a signal keeps none of those alive that are made of it, as in Node's
            // `AbortSignal.any`.
            let dependent = Rc::downgrade(&any.state);
            let mut dependents = signal.state.dependents.borrow_mut();
            // One signal of a whole program may outlive many that are made of it.
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

    /// The reason of the abort.
    pub fn reason(&self) -> Option<Error> {
        self.state.reason.borrow().clone()
    }

    /// Fails once the signal is aborted: `throwIfAborted`.
    ///
    /// # Errors
    /// The reason of the abort.
    #[doc(alias = "throwIfAborted")]
    pub fn check(&self) -> Result<(), Error> {
        self.reason().map_or(Ok(()), Err)
    }

    /// Calls `f` with the reason when the signal is aborted, on the stack of the code that aborts.
    /// What a listener throws does not keep the others from being called: it is uncaught, in the
    /// next tick. Does nothing if the signal is aborted already.
    pub fn on_abort<O: IntoResult>(&self, f: impl Fn(Error) -> O + 'static) -> AbortListenerId {
        // A listener may capture its own signal, which keeps both until the signal ends.
        let state = Rc::downgrade(&self.state);
        let of = callback_of(&f);
        self.state.add(Rc::new(move || {
            let reason = state
                .upgrade()
                .and_then(|state| state.reason.borrow().clone());
            reason.map_or(Ok(()), |reason| of.result(f(reason)))
        }))
    }

    /// Removes a listener.
    pub fn off(&self, id: AbortListenerId) {
        self.state.remove(id.0);
    }

    /// Calls a function when the signal is aborted. If it is aborted already, the call is made at
    /// once, and there is no listener.
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

impl SignalState {
    fn add(&self, listener: AbortListener) -> AbortListenerId {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        // A listener that can never be called is dropped at once, with what it captures.
        if !self.has_ended.get() {
            self.listeners.borrow_mut().push((id, listener));
        }
        AbortListenerId(id)
    }

    /// Nothing can abort it any more: drops the listeners, and ends the signals that are made of
    /// ended ones only.
    fn end(&self) {
        if self.has_ended.replace(true) {
            return;
        }
        let listeners = self.listeners.take();
        drop_each(listeners);
        for dependent in self.dependents.take() {
            if let Some(dependent) = dependent.upgrade()
                && dependent.is_made_of_ended()
            {
                dependent.end();
            }
        }
    }

    fn is_made_of_ended(&self) -> bool {
        let sources = self.sources.borrow();
        sources.iter().all(|source| source.has_ended.get())
    }

    fn remove(&self, id: u64) {
        let mut listeners = self.listeners.borrow_mut();
        let index = listeners.iter().position(|(other, _)| *other == id);
        let removed = index.map(|index| listeners.remove(index));
        drop(listeners);
        drop(removed);
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
        // First, so that the listeners see an aborted signal.
        self.reason.replace(Some(reason.clone()));
        // A clone, as a listener may remove itself and others.
        let listeners = self.listeners.borrow().clone();
        for (id, listener) in listeners {
            // A listener of an EventTarget that is removed during the dispatch is not called,
            // unlike one of an EventEmitter.
            if self.is_listening(id)
                && let Err(thrown) = listener()
            {
                throw_soon(thrown);
            }
        }
        // Listeners own what they cancel, and no second abort comes.
        self.has_ended.set(true);
        let listeners = self.listeners.take();
        drop_each(listeners);
        // After this signal's own listeners: `abortSignal` of Node's `abort_controller.js`.
        for dependent in self.dependents.take() {
            if let Some(dependent) = dependent.upgrade() {
                dependent.abort(reason);
            }
        }
    }
}

/// Throws the error of a listener in the next tick, so that `abort()` returns: Node's EventTarget
/// (`event_target.js`) does the same.
fn throw_soon(thrown: Thrown) {
    match try_current() {
        Some(runtime) => runtime.next_tick(|| Err(thrown)),
        // No program is left that could handle it.
        None => report(format_args!("Uncaught {}", thrown.stack())),
    }
}

fn default_reason() -> Error {
    Error::new("AbortError", "This operation was aborted")
}

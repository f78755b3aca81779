//! A request to end, for a whole program or a part of it.

use crate::event::{Event, UntilSet};
use oneloop_core::{CancelHandle, Handle, Key, Signals, Slots, Unless};
use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

/// A request to end that any number of tasks see: tokio-util's `CancellationToken`.
///
/// One side calls [`trigger`](ShutdownToken::trigger). The others check
/// [`is_requested`](ShutdownToken::is_requested), wait for
/// [`requested`](ShutdownToken::requested), or limit a wait by [`run`](ShutdownToken::run). A
/// request stays: it cannot be taken back.
///
/// A clone is a handle to the same token and costs one reference count. A
/// [`child`](ShutdownToken::child) is a token of its own, which is triggered with its parent, and
/// alone without effect on its parent: for a part of a program that may end before the rest.
///
/// ```text
///  program ──trigger──▶ listener ──▶ client 1
///                  │            └──▶ client 2 ──▶ its timers
///                  └──▶ metrics
/// ```
///
/// A server that ends gracefully: it stops accepting, its clients finish their answers, and after
/// ten seconds the rest are canceled.
///
/// ```no_run
/// use oneloop::aio::{TaskTracker, TcpListener, TcpStream, block_on, timeout};
/// use oneloop::signal::{SIGINT, SIGTERM};
/// use oneloop::sync::ShutdownToken;
/// use std::{io, time::Duration};
///
/// async fn serve(stream: TcpStream, shutdown: ShutdownToken) -> io::Result<()> {
///     // A message that came in is answered; the wait for the next one ends.
///     while let Some(received) = shutdown.run(stream.read_chunk()).await {
///         let Some(chunk) = received? else { break };
///         stream.write_all(&chunk).await?;
///     }
///     Ok(())
/// }
///
/// fn main() -> io::Result<()> {
///     block_on(async {
///         let shutdown = ShutdownToken::on_signals(&[SIGINT, SIGTERM])?;
///         let listener = TcpListener::bind("127.0.0.1:8080")?;
///         let clients = TaskTracker::new();
///         while let Some(accepted) = shutdown.run(listener.accept()).await {
///             let (stream, _peer) = accepted?;
///             clients.spawn(serve(stream, shutdown.clone()));
///         }
///         drop(listener);
///         clients.close();
///         let _ = timeout(Duration::from_secs(10), clients.wait()).await;
///         Ok(())
///     })
/// }
/// ```
///
/// **Waiting for a token does not keep the loop alive**, as with every primitive of this module:
/// what can trigger the token does. So a program whose work is done ends, although a task still
/// waits for the request to end. Signals do not keep the loop alive either.
///
/// Every style waits for a token: async code by `requested().await`, a green thread by
/// `requested().wait()`, a callback by `spawn_micro(async move { token.requested().await; … })`.
/// Other threads trigger a token by [`ShutdownToken::remote`].
#[doc(alias = "CancellationToken")]
#[doc(alias = "AbortController")]
#[doc(alias = "graceful shutdown")]
#[derive(Clone)]
pub struct ShutdownToken {
    state: Rc<TokenState>,
}

struct TokenState {
    requested: Event,
    /// The parent, and this token's key there.
    // A child keeps its parent alive, and not the other way round: children come and go while a
    // program runs, one for each connection for instance.
    parent: Option<(Rc<TokenState>, ChildKey)>,
    children: RefCell<Slots<Weak<TokenState>>>,
    /// The task that listens for signals. It does not own the token, which ends it.
    listening: OnceCell<CancelHandle>,
}

impl TokenState {
    /// Gives the signals back at once.
    fn stop_listening(&self) {
        if let Some(listening) = self.listening.get() {
            listening.cancel();
        }
    }
}

type ChildKey = Key<Weak<TokenState>>;

impl Drop for TokenState {
    fn drop(&mut self) {
        self.stop_listening();
        let mut parent = self.parent.take();
        // A loop, and no recursion: a long chain of children must not overflow the stack.
        while let Some((state, key)) = parent {
            let child = state.children.borrow_mut().remove(key);
            drop(child);
            parent = Rc::into_inner(state).and_then(|mut state| state.parent.take());
        }
    }
}

impl ShutdownToken {
    /// Creates a token that is not triggered.
    pub fn new() -> Self {
        ShutdownToken::of(None)
    }

    fn of(parent: Option<(Rc<TokenState>, ChildKey)>) -> Self {
        ShutdownToken {
            state: Rc::new(TokenState {
                requested: Event::new(),
                parent,
                children: RefCell::default(),
                listening: OnceCell::new(),
            }),
        }
    }

    /// Creates a token that the first of these signals triggers
    /// ([`number`](oneloop_core::signal::number)).
    ///
    /// Listening ends with the request, from wherever it comes, and with the last handle to the
    /// token. Then the signals have their previous actions again: a second Ctrl-C ends a program
    /// that hangs while it shuts down. Listening does not keep the loop alive.
    ///
    /// # Errors
    /// As [`Signals::new`].
    ///
    /// # Panics
    /// Outside a loop.
    #[doc(alias = "ctrl_c")]
    #[track_caller]
    pub fn on_signals(numbers: &[i32]) -> io::Result<Self> {
        let handle = Handle::current();
        let signals = Signals::new(&handle, numbers)?;
        let token = ShutdownToken::new();
        let triggers = Rc::downgrade(&token.state);
        let listening = handle.spawn(async move {
            // Whatever ends the listening also asks the program to end: after an error no signal
            // would arrive any more.
            let _ = signals.recv().await;
            drop(signals);
            if let Some(state) = triggers.upgrade() {
                ShutdownToken { state }.trigger();
            }
        });
        let _ = token.state.listening.set(listening.cancel_handle());
        Ok(token)
    }

    /// Requests the end: wakes all waiters of this token and of its children. Repeated calls have
    /// no effect.
    #[doc(alias = "cancel")]
    #[doc(alias = "abort")]
    pub fn trigger(&self) {
        let mut found = vec![Rc::clone(&self.state)];
        let mut next = 0;
        // Found first and triggered later: waking runs foreign code, which may add children.
        while let Some(state) = found.get(next).cloned() {
            next += 1;
            let children = state.children.borrow();
            found.extend(children.iter().filter_map(|(_, child)| child.upgrade()));
        }
        for state in found {
            state.stop_listening();
            state.requested.set();
        }
    }

    /// True once this token or a parent of it was triggered.
    #[doc(alias = "is_cancelled")]
    #[doc(alias = "aborted")]
    pub fn is_requested(&self) -> bool {
        self.state.requested.is_set()
    }

    /// Waits until the token is triggered. Completes at once if it was triggered before. Cancel
    /// safe.
    #[doc(alias = "cancelled")]
    #[doc(alias = "cancelled_owned")]
    pub fn requested(&self) -> Requested {
        Requested {
            set: self.state.requested.until_set(),
            token: self.clone(),
        }
    }

    /// Waits for a future, unless the token is triggered first: then drops the future and returns
    /// `None`.
    ///
    /// If the token is triggered already, the future is never polled, so a loop around `run` ends
    /// even if its future is always ready. Later, if both complete in the same poll, the future
    /// wins, so its result is not lost. These are the rules of tokio-util's `run_until_cancelled`.
    /// Cancel safe if the future is; allocates nothing.
    ///
    /// ```
    /// use oneloop::aio::{block_on, spawn, yield_now};
    /// use oneloop::sync::{Queue, ShutdownToken};
    ///
    /// block_on(async {
    ///     let (jobs, shutdown) = (Queue::unbounded(), ShutdownToken::new());
    ///     let worker = spawn({
    ///         let (jobs, shutdown) = (jobs.clone(), shutdown.clone());
    ///         async move {
    ///             let mut done = 0;
    ///             while let Some(job) = shutdown.run(jobs.get()).await {
    ///                 done += job;
    ///             }
    ///             done
    ///         }
    ///     });
    ///     jobs.put(3).await;
    ///     yield_now().await; // the worker takes the job, and waits for the next one
    ///     shutdown.trigger();
    ///     assert_eq!(worker.await.unwrap(), 3);
    /// });
    /// ```
    #[doc(alias = "run_until_cancelled")]
    pub fn run<F: Future>(&self, future: F) -> Unless<F, Requested> {
        let future = (!self.is_requested()).then_some(future);
        Unless::new(future, self.requested())
    }

    /// Creates a token that is triggered with this one. It is triggered from the start if this one
    /// is.
    #[doc(alias = "child_token")]
    #[doc(alias = "AbortSignal::any")]
    pub fn child(&self) -> ShutdownToken {
        let parent = &self.state;
        let key = parent.children.borrow_mut().insert(Weak::new());
        let child = ShutdownToken::of(Some((Rc::clone(parent), key)));
        let known = Rc::downgrade(&child.state);
        if let Some(unknown) = parent.children.borrow_mut().get_mut(key) {
            *unknown = known;
        }
        if self.is_requested() {
            child.trigger();
        }
        child
    }

    /// Returns a guard that triggers the token when it is dropped, by a panic or a cancel as well:
    /// for a task without which the others shall not continue.
    #[doc(alias = "drop_guard")]
    pub fn trigger_on_drop(&self) -> TriggerOnDrop {
        TriggerOnDrop {
            token: Some(self.clone()),
        }
    }
}

impl Default for ShutdownToken {
    fn default() -> Self {
        ShutdownToken::new()
    }
}

impl fmt::Debug for ShutdownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownToken")
            .field("is_requested", &self.is_requested())
            .field("waiting", &self.state.requested.waiting())
            .field("children", &self.state.children.borrow().len())
            .finish()
    }
}

/// The future of [`ShutdownToken::requested`]; it takes its ticket when it is first polled.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Requested {
    set: UntilSet,
    /// Keeps a child's place under its parent, which triggers it.
    token: ShutdownToken,
}

impl Requested {
    /// The token that this future waits for.
    pub fn token(&self) -> &ShutdownToken {
        &self.token
    }
}

impl Future for Requested {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.set).poll(cx)
    }
}

/// Triggers a token when it is dropped: see [`ShutdownToken::trigger_on_drop`].
#[derive(Debug)]
#[must_use = "a guard that is dropped at once triggers the token at once"]
pub struct TriggerOnDrop {
    /// `None` once it was disarmed.
    token: Option<ShutdownToken>,
}

impl TriggerOnDrop {
    /// Drops the guard without triggering the token.
    pub fn disarm(mut self) {
        self.token = None;
    }
}

impl Drop for TriggerOnDrop {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.trigger();
        }
    }
}

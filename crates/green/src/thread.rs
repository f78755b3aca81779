//! Green threads as their users see them: spawning, joining, killing.

use crate::name::Name;
use crate::outcome::{Call, Inside, Kill, Link, LinkId, Outcome, Place, error_of};
use crate::stack::{GreenStack, STACK_BYTES};
use crate::state::{Closed, State, Until, notify};
use crate::switch::{self, Body};
use crate::wait::{current as current_state, wait_or_closed};
use oneloop_core::{Elapsed, Handle, JoinError, Key, Task};
use std::any::Any;
use std::borrow::Borrow;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A green thread; clones name the same one. See [`JoinHandle`] for its result.
#[derive(Clone)]
pub struct Thread {
    state: Rc<State>,
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thread({})", self.state)
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.state, &other.state)
    }
}
impl Eq for Thread {}

/// The green thread that runs this code.
///
/// # Panics
/// Outside of a green thread: see [`try_current`].
#[track_caller]
pub fn current() -> Thread {
    Thread::new(current_state())
}

/// The green thread that runs this code, if one does.
pub fn try_current() -> Option<Thread> {
    switch::current().map(Thread::new)
}

impl Thread {
    pub(crate) fn new(state: Rc<State>) -> Self {
        Thread { state }
    }

    /// The name that it was given: see [`Builder::name`].
    pub fn name(&self) -> Option<&str> {
        self.state.name.get()
    }

    /// Its task, as [`Handle::dump_tasks`] names it.
    pub fn id(&self) -> Key<Task> {
        self.state.key.get()
    }

    /// Where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.state.spawned_at
    }

    /// True once it has begun to run, or never will.
    pub fn has_begun(&self) -> bool {
        self.state.has_begun()
    }

    /// True once it has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        self.state.has_ended()
    }

    /// How its function ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.state.outcome()
    }

    /// Waits for its end, and leaves the result where it is: any number of threads and tasks can.
    /// Cancel safe.
    pub fn finished(&self) -> Finished {
        self.until(Until::End)
    }

    pub(crate) fn until(&self, until: Until) -> Finished {
        Finished {
            thread: self.clone(),
            until,
            link: None,
        }
    }

    /// Ends it, and waits until it has ended. What it waits for, or waits for next, unwinds: drops run,
    /// and may wait; its result is [`JoinError::Killed`]. One that has not begun never will. It may
    /// swallow the kill with `catch_unwind`; then this goes on waiting for its end.
    ///
    /// As `Greenlet.kill()` of gevent: the victim unwinds when its turn comes, and if it does so without
    /// waiting, the caller goes on before anybody else hears of the end.
    ///
    /// # Panics
    /// Outside of a green thread: see [`Thread::kill_soon`]. A thread that kills itself unwinds at once.
    #[track_caller]
    pub fn kill(&self) {
        if self.state.is_current() {
            return self.state.kill_itself();
        }
        self.kill_soon();
        self.wait_killed(Location::caller());
    }

    /// Waits for the end of who was killed.
    pub(crate) fn wait_killed(&self, at: &'static Location<'static>) {
        let _ = wait_or_closed(self.until(Until::Killed), at);
    }

    /// Ends it like [`Thread::kill`], without waiting: `kill(block=False)` of gevent. From anywhere.
    pub fn kill_soon(&self) {
        self.state.interrupt(Box::new(Kill));
    }

    /// Ends it like [`Thread::kill`], but before anything else runs, and without waiting for a cleanup
    /// that waits. The caller goes on behind whatever is ready. [`eventlet::kill`](crate::eventlet::kill)
    /// is this, and calls the links of one that has not begun.
    ///
    /// # Panics
    /// As [`Thread::kill`].
    #[track_caller]
    pub fn kill_now(&self) {
        if self.state.is_current() {
            return self.state.kill_itself();
        }
        self.state.kill_first();
        let _ = wait_or_closed(oneloop_core::yield_now(), Location::caller());
    }

    /// Throws this into the thread: what it waits for, or waits for next, unwinds with it, as if it
    /// had panicked there. It can be caught with `catch_unwind`; uncaught, it is the thread's
    /// [`JoinError::Panicked`]. As `kill(exception)` of gevent, without waiting.
    pub fn throw(&self, payload: Box<dyn Any + Send>) {
        self.state.interrupt(payload);
    }

    /// Ends it if it has not begun; true if so. See also [`eventlet::cancel`](crate::eventlet::cancel).
    pub fn cancel(&self) -> bool {
        let cancels = !self.state.has_begun();
        if cancels {
            self.state.handle.cancel_task(self.id());
        }
        cancels
    }

    /// Has the function called behind what is ready when it ends, on no green thread: it must not wait.
    /// Those who hear of an end, join it or spawn at it do so one after the other, in the order in
    /// which they asked. Late, too, it is called behind what is ready. `rawlink` of gevent.
    pub fn on_exit(&self, hear: impl FnOnce(&Thread) + 'static) -> ExitLink {
        self.link(Box::new(move |thread: &Thread| {
            hear(thread);
            None
        }))
    }

    pub(crate) fn link(&self, call: Call) -> ExitLink {
        let link = self.state.link(Link::Call(call));
        let id = link
            .map_err(|late| notify(self.clone(), VecDeque::from([late])))
            .ok();
        ExitLink {
            thread: self.clone(),
            id,
        }
    }

    /// Has the function run on a green thread of its own when it ends: `link` of gevent.
    #[track_caller]
    pub fn on_exit_spawn(&self, hear: impl FnOnce(&Thread) + 'static) -> ExitLink {
        self.link(on_a_thread(Box::new(hear), Location::caller()))
    }

    /// As [`eventlet::link`](crate::eventlet::link), but gives it back when that comes late.
    pub(crate) fn link_inside(&self, call: Inside) -> Result<ExitLink, Inside> {
        let thread = self.clone();
        if self.state.has_result() {
            return Err(call);
        }
        match self.state.link(Link::Inside(call)) {
            Ok(id) => Ok(ExitLink {
                thread,
                id: Some(id),
            }),
            Err(Link::Inside(call)) => Err(call),
            Err(_) => unreachable!("what comes back is what was given"),
        }
    }

    pub(crate) fn tell(&self, call: Call) -> Option<Key<Task>> {
        self.state.guarded(|| call(self)).flatten()
    }

    /// True if both are on one loop.
    pub(crate) fn is_beside(&self, other: &Thread) -> bool {
        self.state.handle == other.state.handle
    }

    pub(crate) fn state(&self) -> &Rc<State> {
        &self.state
    }
}

/// A call that runs on a green thread of its own.
pub(crate) fn on_a_thread(hear: Inside, spawned_at: &'static Location<'static>) -> Call {
    Box::new(move |thread: &Thread| {
        let thread = thread.clone();
        let spawned = Builder::new().start_at(move || hear(&thread), spawned_at);
        Some(spawned.id())
    })
}

/// What [`Thread::on_exit`] and [`Thread::on_exit_spawn`] have called, and can be taken back. Dropping
/// this changes nothing.
#[derive(Debug)]
pub struct ExitLink {
    thread: Thread,
    /// None if it came late.
    id: Option<LinkId>,
}

impl ExitLink {
    pub(crate) fn late(thread: &Thread) -> Self {
        let thread = thread.clone();
        ExitLink { thread, id: None }
    }

    /// Has it not called; false if the thread has ended, and it is too late: `unlink` of gevent and
    /// eventlet.
    pub fn remove(self) -> bool {
        self.id.is_some_and(|id| self.thread.state.unlink(id))
    }
}

/// The future of [`Thread::finished`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Finished {
    thread: Thread,
    until: Until,
    link: Option<LinkId>,
}

impl Future for Finished {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Finished {
            thread,
            until,
            link,
        } = &mut *self;
        thread.state.poll_until(*until, link, cx.waker())
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        if let Some(link) = self.link {
            self.thread.state.unlink(link);
        }
    }
}

const NO_STACK: &str = "no memory for another green stack: Builder::spawn gives that as an error";

/// Starts a green thread. It never runs before `spawn` returns: it goes behind what is ready already.
///
/// ```
/// use oneloop_green::{run, spawn};
/// let sum = run(|| {
///     let (a, b) = (spawn(|| 1), spawn(|| 2));
///     a.join().unwrap() + b.join().unwrap()
/// })?;
/// assert_eq!(sum, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of a loop, and when there is no memory for its stack: see [`Builder::spawn`].
#[track_caller]
pub fn spawn<T: 'static>(function: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    Builder::new().start_at(function, Location::caller())
}

/// Starts a green thread that begins after that long. As in gevent, even zero is behind what is
/// ready already and what it spawns; those with equal deadlines begin in the order of their calls.
/// (eventlet's order is that of [`eventlet::spawn_after`](crate::eventlet::spawn_after).)
///
/// # Panics
/// As [`spawn`].
#[track_caller]
pub fn spawn_after<T: 'static>(
    delay: Duration,
    function: impl FnOnce() -> T + 'static,
) -> JoinHandle<T> {
    Builder::new()
        .delay(delay)
        .start_at(function, Location::caller())
}

/// Like [`spawn_after`], but it never begins once the green thread that called this has ended:
/// `eventlet.greenthread.spawn_after_local`.
///
/// # Panics
/// As [`spawn`], and outside of a green thread.
#[track_caller]
pub fn spawn_after_local<T: 'static>(
    delay: Duration,
    function: impl FnOnce() -> T + 'static,
) -> JoinHandle<T> {
    let spawned = spawn_after(delay, function);
    let child = spawned.thread.clone();
    current().on_exit(move |_| {
        child.cancel();
    });
    spawned
}

/// What a green thread is made with.
///
/// ```
/// use oneloop_green::{run, Builder};
/// let name = run(|| {
///     let thread = Builder::new().name("worker").stack_bytes(64 * 1024);
///     let thread = thread.spawn(|| oneloop_green::current().name().map(str::to_owned))?;
///     Ok::<_, std::io::Error>(thread.join().unwrap())
/// })??;
/// assert_eq!(name.as_deref(), Some("worker"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder starts nothing by itself"]
pub struct Builder {
    name: Option<Box<str>>,
    stack_bytes: usize,
    delay: Option<Duration>,
    /// The function refers to what is there now, and may be gone when the thread runs.
    borrows: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            name: None,
            stack_bytes: STACK_BYTES,
            delay: None,
            borrows: false,
        }
    }
}

impl Builder {
    /// A nameless thread with a stack of [`STACK_BYTES`](crate::STACK_BYTES).
    pub fn new() -> Self {
        Builder::default()
    }

    /// What it is called in dumps and reports.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into_boxed_str());
        self
    }

    /// The size of its stack, guard page included; rounded up to whole pages, and to
    /// [`STACK_BYTES_MIN`](crate::STACK_BYTES_MIN). Memory is committed only as it is touched.
    pub fn stack_bytes(mut self, bytes: usize) -> Self {
        self.stack_bytes = bytes;
        self
    }

    /// Has it begin only after that long: see [`spawn_after`].
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// For a function whose lifetime was made longer than it is: that of a scope.
    pub(crate) fn borrows(mut self) -> Self {
        self.borrows = true;
        self
    }

    /// Starts it, on the loop that runs: see [`spawn`].
    ///
    /// # Errors
    /// `ENOMEM` when there is no memory for its stack, or the process has as many mappings as it may
    /// (`vm.max_map_count`, on kernels before 6.13).
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn spawn<T: 'static>(
        self,
        function: impl FnOnce() -> T + 'static,
    ) -> io::Result<JoinHandle<T>> {
        self.spawn_at(function, Location::caller())
    }

    /// As [`Builder::spawn`], where a lack of memory is a panic.
    #[track_caller]
    pub(crate) fn start_at<T: 'static>(
        self,
        function: impl FnOnce() -> T + 'static,
        spawned_at: &'static Location<'static>,
    ) -> JoinHandle<T> {
        self.spawn_at(function, spawned_at).expect(NO_STACK)
    }

    #[track_caller]
    pub(crate) fn spawn_at<T: 'static>(
        self,
        function: impl FnOnce() -> T + 'static,
        spawned_at: &'static Location<'static>,
    ) -> io::Result<JoinHandle<T>> {
        let handle = Handle::current();
        let stack = GreenStack::new(self.stack_bytes)?;
        let state = Rc::new(State::new(
            handle.clone(),
            Name::new(self.name),
            spawned_at,
            stack.range(),
            Place::default(),
        ));
        let shared: Rc<State> = Rc::clone(&state) as _;
        if let Some(delay) = self.delay {
            shared.delay(delay);
        }
        let inside = Rc::clone(&state);
        let body = Body::new(stack, Rc::clone(&shared), self.borrows, move || {
            let result = catch_unwind(AssertUnwindSafe(function));
            inside.place.leave(result.map_err(error_of));
            let inside: Rc<State> = inside;
            inside.call_inside();
        });
        state.key.set(handle.spawn_described(body, spawned_at));
        Ok(JoinHandle {
            thread: Thread::new(shared),
            state,
            link: None,
        })
    }
}

/// Waits for a green thread's result, or kills it. Dropping the handle lets it go on by itself.
///
/// It is a future, too: an async task can await it, and `wait_timeout` works on `&mut handle`. It has
/// all that [`Thread`] has, by dereferencing.
pub struct JoinHandle<T> {
    thread: Thread,
    state: Rc<State<Place<T>>>,
    link: Option<LinkId>,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle({})", self.thread.state)
    }
}

impl<T> Deref for JoinHandle<T> {
    type Target = Thread;

    fn deref(&self) -> &Thread {
        &self.thread
    }
}

impl<T> Borrow<Thread> for JoinHandle<T> {
    fn borrow(&self) -> &Thread {
        &self.thread
    }
}

impl<T> Borrow<Thread> for &JoinHandle<T> {
    fn borrow(&self) -> &Thread {
        &self.thread
    }
}

impl<T: 'static> JoinHandle<T> {
    /// Waits for its end, and gives its result.
    ///
    /// # Errors
    /// Why it has none: it panicked, or was killed or cancelled.
    ///
    /// # Panics
    /// Outside of a green thread.
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        match wait_or_closed(self, Location::caller()) {
            Ok(result) => result,
            Err(Closed) => Err(JoinError::Cancelled),
        }
    }

    /// Waits for its end, but not longer than that. After [`Elapsed`] it can be joined again.
    ///
    /// # Errors
    /// [`Elapsed`], if it did not end in time.
    ///
    /// # Panics
    /// As [`JoinHandle::join`], and when the result was taken before.
    #[track_caller]
    pub fn join_timeout(&mut self, duration: Duration) -> Result<Result<T, JoinError>, Elapsed> {
        let ended = self.thread.until(Until::Result);
        let joined = self.state.handle.timeout(duration, ended);
        crate::wait::wait_at(joined, Location::caller())?;
        Ok(self.take_result())
    }

    /// Waits for its end, and gives a clone of its result, which stays: as often as one likes, and from
    /// as many green threads. `Greenlet.get` of gevent.
    ///
    /// ```
    /// use oneloop_green::{run, spawn, Outcome};
    /// let results = run(|| {
    ///     let thread = spawn(|| 6 * 7);
    ///     let killed = spawn(|| 0);
    ///     killed.kill();
    ///     [thread.get(), thread.get(), killed.get()]
    /// })?;
    /// assert_eq!(results, [Ok(42), Ok(42), Err(Outcome::Killed)]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// How it ended, if it has no result. What it panicked with is there for [`JoinHandle::join`] and
    /// [`JoinHandle::peek`].
    ///
    /// # Panics
    /// Outside of a green thread, and when the handle was polled as a future, which took the result.
    #[track_caller]
    pub fn get(&self) -> Result<T, Outcome>
    where
        T: Clone,
    {
        let at = Location::caller();
        let _ = wait_or_closed(self.finished(), at);
        let clone = |result: &Result<T, JoinError>| match result {
            Ok(value) => Ok(value.clone()),
            Err(_) => Err(Outcome::of(result)),
        };
        match self.peek(clone) {
            Some(result) => result,
            None if self.is_finished() => panic!("a result that was taken cannot be had again"),
            None => Err(Outcome::Cancelled), // the loop is being dropped
        }
    }

    /// Looks at the result, if there is one, and leaves it where it is.
    pub fn peek<R>(&self, look: impl FnOnce(&Result<T, JoinError>) -> R) -> Option<R> {
        if self.outcome().is_some() {
            self.state.place.peek(look)
        } else {
            None
        }
    }

    /// The thread without its result.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    pub(crate) fn take_result(&self) -> Result<T, JoinError> {
        let result = self.state.place.take();
        result.expect("a green thread's result can be taken once")
    }
}

impl<T: 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// When polled again after it gave its result.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let JoinHandle { thread, link, .. } = &mut *self;
        ready!(thread.state.poll_until(Until::Result, link, cx.waker()));
        Poll::Ready(self.take_result())
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(link) = self.link {
            self.thread.state.unlink(link);
        }
        self.state.observed.set(false);
        self.thread.state.report_unobserved();
    }
}

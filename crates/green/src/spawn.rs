//! Starting a green thread.

use crate::body::Body;
use crate::join_handle::JoinHandle;
use crate::name::Name;
use crate::outcome::ResultSlot;
use crate::queued::QueuedBody;
use crate::record::ThreadRecord;
use crate::stack::{GreenStack, STACK_BYTES};
use crate::token::error_of;
use oneloop_core::Handle;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

const NO_STACK: &str = "no memory for another green stack; Builder::spawn returns this error";

/// Starts a green thread. It never runs before `spawn` returns: it runs behind what is ready
/// already, as in gevent and eventlet.
///
/// ```
/// use oneloop::green::{run, spawn};
/// let sum = run(|| {
///     let (a, b) = (spawn(|| 1), spawn(|| 2));
///     a.join().unwrap() + b.join().unwrap()
/// })?;
/// assert_eq!(sum, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of a loop, and without memory for its stack: see [`Builder::spawn`].
#[track_caller]
#[doc(alias("start_new_thread", "spawn_raw"))]
pub fn spawn<T: 'static>(function: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    Builder::new().start_at(function, Location::caller())
}

/// Starts a green thread that begins after `delay`. As in gevent, even a delay of zero puts it
/// behind what is ready already and what that spawns; threads with equal deadlines begin in the
/// order of their calls. ([`eventlet::spawn_after`](crate::eventlet::spawn_after) has eventlet's
/// order.)
///
/// # Panics
/// As [`spawn`].
#[track_caller]
#[doc(alias = "spawn_later")]
pub fn spawn_after<T: 'static>(
    delay: Duration,
    function: impl FnOnce() -> T + 'static,
) -> JoinHandle<T> {
    Builder::new()
        .delay(delay)
        .start_at(function, Location::caller())
}

/// Options of a green thread.
///
/// ```
/// use oneloop::green::{run, Builder};
/// let name = run(|| {
///     let thread = Builder::new().name("worker").stack_bytes(64 * 1024);
///     let thread = thread.spawn(|| oneloop::green::current().name().map(str::to_owned))?;
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
    /// The function borrows, so it must not run once its OS thread has begun to end.
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
    /// A thread without a name, with a stack of [`STACK_BYTES`](crate::STACK_BYTES).
    pub fn new() -> Self {
        Builder::default()
    }

    /// Sets its name in dumps and reports.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().into_boxed_str());
        self
    }

    /// Sets the size of its stack in bytes, guard page included; rounded up to whole pages, and to
    /// [`STACK_BYTES_MIN`](crate::STACK_BYTES_MIN). Memory is committed only as it is touched.
    pub fn stack_bytes(mut self, bytes: usize) -> Self {
        self.stack_bytes = bytes;
        self
    }

    /// Delays its start: see [`spawn_after`].
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// For a function whose lifetime a scope has extended.
    pub(crate) fn borrows(mut self) -> Self {
        self.borrows = true;
        self
    }

    /// Starts the thread on the loop that runs: see [`spawn`].
    ///
    /// # Errors
    /// `ENOMEM` without memory for its stack, or when the process has as many mappings as it may
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

    /// As [`Builder::spawn`], but a lack of memory panics.
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
        // First, as it may fail: then there is nothing to undo.
        let stack = GreenStack::new(self.stack_bytes)?;
        let record = ThreadRecord::new(handle, Name::new(self.name), spawned_at);
        let record = Rc::new(record);
        // One allocation, known by two types: only the handle and the function need the result's.
        let untyped: Rc<ThreadRecord> = Rc::clone(&record) as _;
        if let Some(delay) = self.delay {
            untyped.delay(delay);
        }
        let body = Body::new(stack, untyped, self.borrows, main_of(&record, function));
        Ok(start(record, body))
    }

    /// Starts a thread that begins, and gets its stack, once its permit is there.
    #[track_caller]
    pub(crate) fn queue_at<T: 'static>(
        self,
        permit: impl Future<Output = ()> + Unpin + 'static,
        function: impl FnOnce() -> T + 'static,
        spawned_at: &'static Location<'static>,
    ) -> JoinHandle<T> {
        let record = ThreadRecord::new(Handle::current(), Name::new(self.name), spawned_at);
        let record = Rc::new(record);
        let untyped: Rc<ThreadRecord> = Rc::clone(&record) as _;
        let function = main_of(&record, function);
        let body = QueuedBody::new(permit, self.stack_bytes, untyped, function);
        start(record, body)
    }
}

/// The function that runs on a thread's stack.
fn main_of<T: 'static>(
    record: &Rc<ThreadRecord<ResultSlot<T>>>,
    function: impl FnOnce() -> T + 'static,
) -> impl FnOnce() + 'static {
    let inside = Rc::clone(record);
    move || {
        // Caught here, and not at the base of the stack, as eventlet's links run on it afterward.
        let result = catch_unwind(AssertUnwindSafe(function));
        inside.slot.store(result.map_err(error_of));
        let inside: Rc<ThreadRecord> = inside;
        inside.call_inside();
    }
}

fn start<T: 'static>(
    record: Rc<ThreadRecord<ResultSlot<T>>>,
    body: impl Future<Output = ()> + fmt::Display + 'static,
) -> JoinHandle<T> {
    let task = record.handle.spawn_described(body, record.spawned_at);
    // Known only now: the task needs the body, and the body needs the record.
    record.key.set(task);
    JoinHandle::new(Rc::clone(&record) as _, record)
}

//! Operations on a green thread: killing it, throwing into it, linking to its end.

use crate::current as running;
use crate::finished::Until;
use crate::join_handle::JoinHandle;
use crate::links::{Call, InsideCall, Link, LinkId};
use crate::outcome::Outcome;
use crate::record::Thread;
use crate::record::ending::notify;
use crate::spawn::{Builder, spawn_after};
use crate::token::Kill;
use crate::wait::{current as current_record, wait_or_closed};
use oneloop_core::{Key, Task};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::Location;
use std::time::Duration;

/// The green thread that runs this code.
///
/// # Panics
/// Outside of a green thread: see [`try_current`].
#[track_caller]
#[doc(alias = "getcurrent")]
pub fn current() -> Thread {
    Thread::new(current_record())
}

/// The green thread that runs this code, if one does.
pub fn try_current() -> Option<Thread> {
    running::current().map(Thread::new)
}

/// Starts a green thread as [`spawn_after`] does, but it never begins once the green thread that
/// called this has ended: `eventlet.greenthread.spawn_after_local`.
///
/// # Panics
/// As [`spawn`](crate::spawn), and outside of a green thread.
#[track_caller]
pub fn spawn_after_local<T: 'static>(
    delay: Duration,
    function: impl FnOnce() -> T + 'static,
) -> JoinHandle<T> {
    let spawned = spawn_after(delay, function);
    let child = spawned.thread().clone();
    // A link, and not a scope: the caller must not wait for the delay.
    current().on_exit(move |_| {
        child.cancel();
    });
    spawned
}

/// Inspecting a thread.
impl Thread {
    /// Its name: see [`Builder::name`].
    pub fn name(&self) -> Option<&str> {
        self.record().name.get()
    }

    /// Its task, as in [`Handle::dump_tasks`](oneloop_core::Handle::dump_tasks).
    pub fn id(&self) -> Key<Task> {
        self.record().key.get()
    }

    /// Where it was spawned.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.record().spawned_at
    }

    /// True once it has begun to run, or can no longer begin.
    pub fn has_begun(&self) -> bool {
        self.record().has_begun()
    }

    /// True once it has ended, in any way.
    #[doc(alias("ready", "dead"))]
    pub fn is_finished(&self) -> bool {
        self.record().has_ended()
    }

    /// How its function ended, if it has.
    #[doc(alias("successful", "exception"))]
    pub fn outcome(&self) -> Option<Outcome> {
        self.record().outcome()
    }

    /// True if both are on one loop.
    pub(crate) fn is_beside(&self, other: &Thread) -> bool {
        // The key of a task means nothing to another loop.
        self.record().handle == other.record().handle
    }
}

/// Ending a thread.
impl Thread {
    /// Ends the thread, and waits until it has ended. Its current wait, or its next one, unwinds:
    /// drops run, and may wait; its result is [`JoinError::Killed`](crate::JoinError::Killed). If
    /// it has not begun, it never will. The thread may swallow the kill with `catch_unwind`; then
    /// this continues to wait for its end.
    ///
    /// As `Greenlet.kill()` of gevent: the thread unwinds when its turn comes, and if it does not
    /// wait meanwhile, the caller continues before any other waiter.
    ///
    /// # Panics
    /// Outside of a green thread: see [`Thread::kill_soon`]. A thread that kills itself unwinds at
    /// once.
    #[track_caller]
    #[doc(alias = "GreenletExit")]
    pub fn kill(&self) {
        if running::is_current(self.record()) {
            // It would wait for its own end.
            return self.record().kill_itself();
        }
        self.kill_soon();
        self.wait_killed(Location::caller());
    }

    /// Waits for the end of a thread that was killed.
    #[track_caller]
    pub(crate) fn wait_killed(&self, at: &'static Location<'static>) {
        let _ = wait_or_closed(self.until(Until::Killed), at);
    }

    /// Ends the thread as [`Thread::kill`] does, without waiting: `kill(block=False)` of gevent.
    /// From anywhere.
    pub fn kill_soon(&self) {
        self.record().interrupt(Box::new(Kill));
    }

    /// Ends the thread as [`Thread::kill`] does, but before any other task runs, and without
    /// waiting for drops that wait. The caller continues behind what is ready. This is what
    /// [`eventlet::kill`](crate::eventlet::kill) does with a thread that has begun.
    ///
    /// # Panics
    /// As [`Thread::kill`].
    #[track_caller]
    pub fn kill_now(&self) {
        if running::is_current(self.record()) {
            return self.record().kill_itself();
        }
        // eventlet's hub schedules the killer, and switches to the victim.
        self.record().kill_first();
        let _ = wait_or_closed(oneloop_core::yield_now(), Location::caller());
    }

    /// Throws a payload into the thread: its current wait, or its next one, unwinds as if it had
    /// panicked with that. The payload can be caught with `catch_unwind`; if it is not, the
    /// thread's result is [`JoinError::Panicked`](crate::JoinError::Panicked).
    /// `kill(exception, block=False)` of gevent.
    pub fn throw(&self, payload: Box<dyn Any + Send>) {
        self.record().interrupt(payload);
    }

    /// Ends the thread if it has not begun; true if so. See also
    /// [`eventlet::cancel`](crate::eventlet::cancel).
    pub fn cancel(&self) -> bool {
        let cancels = !self.record().has_begun();
        if cancels {
            // The task's drop drops the function, on the thread's own stack.
            self.record().handle.cancel_task(self.id());
        }
        cancels
    }
}

/// Calling a function at a thread's end.
impl Thread {
    /// Calls the function when the thread has ended, behind what is ready: `rawlink` of gevent. It
    /// runs on no green thread, so it must not wait. All links, joiners and calls of one thread are
    /// notified one after the other, in the order of their registration. If the thread has ended
    /// already, the function is called behind what is ready, too.
    #[doc(alias = "rawlink")]
    pub fn on_exit(&self, call: impl FnOnce(&Thread) + 'static) -> ExitLink {
        self.link(Box::new(move |thread: &Thread| {
            call(thread);
            None
        }))
    }

    /// Runs the function on its own green thread when the thread has ended: `link` of gevent.
    #[track_caller]
    #[doc(alias = "link")]
    pub fn on_exit_spawn(&self, call: impl FnOnce(&Thread) + 'static) -> ExitLink {
        self.link(on_its_own_thread(call, Location::caller()))
    }

    pub(crate) fn link(&self, call: Call<Thread>) -> ExitLink {
        let link = self.record().link(Link::Call(call));
        let id = link
            // Late: still behind what is ready, so that a caller need not expect it within this
            // call.
            .map_err(|late| notify(self.clone(), VecDeque::from([late])))
            .ok();
        ExitLink {
            thread: self.clone(),
            id,
        }
    }

    /// See [`eventlet::link`](crate::eventlet::link).
    pub(crate) fn link_inside(&self, call: impl FnOnce(&Thread) + 'static) -> ExitLink {
        let (thread, call) = (self.clone(), Box::new(Inside(call)));
        if self.record().has_result() {
            call.call(self); // late: eventlet calls it at once, too
            return ExitLink { thread, id: None };
        }
        let linked = self.record().link(Link::Inside(call)).ok();
        let id = Some(linked.expect("a thread that has ended has a result"));
        ExitLink { thread, id }
    }
}

/// A call that runs on its own green thread.
fn on_its_own_thread(
    call: impl FnOnce(&Thread) + 'static,
    spawned_at: &'static Location<'static>,
) -> Call<Thread> {
    Box::new(move |thread: &Thread| {
        let thread = thread.clone();
        let spawned = Builder::new().start_at(move || call(&thread), spawned_at);
        Some(spawned.id())
    })
}

/// A function that is called on the stack that ends.
struct Inside<F>(F);

impl<F: FnOnce(&Thread) + 'static> InsideCall<Thread> for Inside<F> {
    fn call(self: Box<Self>, thread: &Thread) {
        self.0(thread);
    }

    fn on_its_own_thread(self: Box<Self>, spawned_at: &'static Location<'static>) -> Call<Thread> {
        on_its_own_thread(self.0, spawned_at)
    }
}

/// A function that [`Thread::on_exit`], [`Thread::on_exit_spawn`] or
/// [`eventlet::link`](crate::eventlet::link) calls at the end of a thread. Dropping this changes
/// nothing.
#[derive(Debug)]
pub struct ExitLink {
    thread: Thread,
    /// `None` if it was called already when it was linked.
    id: Option<LinkId>,
}

impl ExitLink {
    /// Removes the link, so that the function is not called; false if the thread has ended, and it
    /// is too late: `unlink` of gevent and eventlet.
    pub fn remove(self) -> bool {
        self.id.is_some_and(|id| self.thread.record().unlink(id))
    }
}

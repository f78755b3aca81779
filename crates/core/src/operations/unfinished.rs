//! The report of tasks that still wait when their loop ends, or can do no more.

use crate::mechanisms::guard::{drop_guarded, guarded, report};
use crate::state::{Handle, LoopState};
use crate::tasks::info::{Unfinished, UnfinishedCause};
use std::env;
use std::rc::Rc;

/// The variable that switches the reports on where there is no hook.
const VARIABLE: &str = "ONELOOP_DEBUG";

impl Handle {
    /// Calls `hook` when tasks are left at an end: when the loop is dropped, with all tasks
    /// that still wait; and when a [`block_on`](crate::EventLoop::block_on) waits although no
    /// source, timer, phase, job, [`Remote`](crate::Remote) or [`KeepAlive`](crate::KeepAlive)
    /// could wake a task, which each call reports at most one time.
    ///
    /// Neither is an error: a program may end while tasks wait, and a waker may be in the hands of
    /// another thread. So without a hook nothing is printed, unless the variable `ONELOOP_DEBUG` is
    /// set to something other than `0`: then each report goes to stderr. One case is always
    /// reported, as it cannot be meant: a `block_on` whose future has kept no waker, on a loop
    /// without tasks. gevent's `LoopExit` and Node's exit code 13 are reports of this kind.
    ///
    /// The hook costs nothing until an end. A panic in it is caught.
    ///
    /// ```
    /// use std::{cell::RefCell, rc::Rc};
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let reports = Rc::new(RefCell::new(Vec::new()));
    /// handle.on_unfinished({
    ///     let reports = Rc::clone(&reports);
    ///     move |unfinished| reports.borrow_mut().push(unfinished.to_string())
    /// });
    /// let queue = oneloop::sync::Queue::<u32>::unbounded();
    /// handle.spawn(async move { queue.get().await });
    /// event_loop.run()?; // returns, as nothing can put into the queue any more
    /// drop(event_loop);
    /// assert!(reports.borrow()[0].starts_with("the loop ends while tasks still wait\n  task "));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_unfinished(&self, hook: impl Fn(&Unfinished) + 'static) {
        let before = self.state.unfinished.replace(Some(Rc::new(hook)));
        drop(before); // foreign code, so after the borrow (rule 1)
    }
}

impl LoopState {
    /// Reports the tasks that are left when the loop is dropped.
    pub(crate) fn report_dropped(self: &Rc<Self>) {
        // In a forked child, the tasks are the parent's, and go on there.
        let is_ours = self.reactor.borrow().check_process().is_ok();
        if is_ours && self.tasks.borrow().len() > 0 {
            self.report_unfinished(UnfinishedCause::LoopDropped);
        }
    }

    /// Reports tasks to the hook; without one, to stderr, if that is switched on.
    pub(crate) fn report_unfinished(self: &Rc<Self>, cause: UnfinishedCause) {
        // Cloned, because the hook may replace itself, and the borrow must not last while it runs.
        let hook = self.unfinished.borrow().clone();
        let is_certain = matches!(cause, UnfinishedCause::Lost(_));
        if hook.is_none() && !is_certain && !is_debugging() {
            return;
        }
        let handle = Handle {
            state: Rc::clone(self),
        };
        let tasks = handle.dump_tasks();
        let unfinished = Unfinished { cause, tasks };
        match &hook {
            Some(hook) => drop(guarded(|| hook(&unfinished))),
            None => report(format_args!("oneloop: {unfinished}")),
        }
        drop_guarded(hook); // it may have been replaced while it ran
    }
}

/// Whether the variable asks for reports. Read at each end: a loop ends rarely.
fn is_debugging() -> bool {
    env::var_os(VARIABLE).is_some_and(|value| !value.is_empty() && value != "0")
}

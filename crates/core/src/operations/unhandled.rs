//! Panics in tasks that are not joined.

use crate::mechanisms::guard::{advised, drop_guarded, guarded, report};
use crate::state::Handle;
use crate::tasks::join_error::{JoinError, Unhandled};
use crate::tasks::stats::add;
use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

impl Handle {
    /// Calls `hook` for each panic in a task that is not joined. Without a hook, a line on stderr
    /// reports the panic.
    #[doc(alias("set_exception_handler", "handle_error", "unhandledRejection"))]
    pub fn on_unhandled(&self, hook: impl Fn(&Unhandled) + 'static) {
        let before = self.state.unhandled.replace(Some(Rc::new(hook)));
        drop(before); // foreign code, so after the borrow (rule 1)
    }

    /// Reports a panic that would go unnoticed otherwise: for a style whose tasks have their own
    /// results. See [`Handle::on_unhandled`]. The payload may panic in its drop; nothing unwinds
    /// from here.
    pub fn report_unhandled(unhandled: Unhandled) {
        if unhandled.is_exit() {
            return;
        }
        let current = Handle::try_current();
        if let Some(handle) = &current {
            add(&handle.state.counters.tasks_unhandled, 1);
        }
        // Cloned, because the hook may replace itself, and the borrow must not last while it runs.
        let hook = current.and_then(|handle| handle.state.unhandled.borrow().clone());
        let called = hook.as_ref().and_then(|hook| guarded(|| hook(&unhandled)));
        if called.is_none() {
            report(&unhandled);
        }
        drop_guarded(hook); // it may have been replaced while it ran
        drop_guarded(unhandled);
    }
}

/// Drops a body, or a job, that will not run again. A panic in its drop is reported and ends
/// nothing else.
pub(crate) fn drop_body<T>(body: T, spawned_at: &'static Location<'static>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(body))) {
        report_panic(payload, spawned_at);
    }
}

pub(crate) fn report_panic(payload: Box<dyn Any + Send>, spawned_at: &'static Location<'static>) {
    Handle::report_unhandled(Unhandled {
        error: JoinError::Panicked(advised(payload)),
        spawned_at,
    });
}

//! A handle that can only cancel a task.

use crate::mechanisms::slots::Key;
use crate::state::Handle;
use crate::tasks::key::Task;
use std::fmt;

/// Cancels a task: tokio's `AbortHandle`. Any number of clones may exist; dropping them has no
/// effect on the task.
///
/// ```
/// # let mut event_loop = oneloop::EventLoop::new()?;
/// let handle = event_loop.handle();
/// let endless = handle.spawn(std::future::pending::<()>());
/// let cancels = endless.cancel_handle();
/// handle.spawn(async move { cancels.cancel() });
/// assert_eq!(event_loop.block_on(endless).unwrap_err().to_string(), "the task was canceled");
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "AbortHandle")]
#[derive(Clone)]
pub struct CancelHandle {
    handle: Handle,
    key: Key<Task>,
}

impl CancelHandle {
    /// Creates a handle for the task with this key on this loop.
    pub fn new(handle: Handle, key: Key<Task>) -> Self {
        CancelHandle { handle, key }
    }

    /// Ends the task, as [`JoinHandle::cancel`](crate::JoinHandle::cancel) does.
    #[doc(alias = "abort")]
    pub fn cancel(&self) {
        self.handle.cancel_task(self.key);
    }

    /// True once the task has ended, in whatever way.
    pub fn is_finished(&self) -> bool {
        self.handle.state.tasks.borrow().get(self.key).is_none()
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelHandle(task {})", self.key)
    }
}

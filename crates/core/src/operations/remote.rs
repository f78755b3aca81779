//! Reaching a loop from other threads.

use crate::state::Handle;
use crate::tasks::waker::LoopInbox;
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;

impl Handle {
    /// A way into the loop for other threads. It keeps the loop alive until it is dropped.
    pub fn remote(&self) -> Remote {
        let inbox = Arc::clone(&self.state.inbox);
        inbox.add_sender();
        let referenced = true;
        Remote { inbox, referenced }
    }
}

/// Reaches a loop from any thread: the only part of a loop that is `Send + Sync`.
///
/// A `Remote` keeps [`EventLoop::run`](crate::EventLoop::run) running for as long as it lives,
/// because work may still come from it; [`Remote::set_referenced`] changes that. Any number of
/// sends while the loop is busy costs one `write(2)`.
///
/// ```
/// let mut event_loop = oneloop::EventLoop::new()?;
/// let remote = event_loop.handle().remote();
/// let thread = std::thread::spawn(move || {
///     remote.run(|handle| {
///         handle.spawn(async { println!("on the loop's thread") });
///     })
/// });
/// event_loop.run()?; // until the thread has dropped its `Remote` and the task has ended
/// thread.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias("uv_async_t", "thread_safe"))]
pub struct Remote {
    inbox: Arc<LoopInbox>,
    referenced: bool,
}

impl Remote {
    /// Runs a function on the loop's thread, as its own task.
    ///
    /// # Errors
    /// [`LoopGone`] if the loop was dropped; the function is dropped then.
    #[doc(alias("uv_async_send", "call_soon_threadsafe"))]
    #[doc(alias = "run_callback_threadsafe")]
    #[track_caller]
    pub fn run(&self, job: impl FnOnce(&Handle) + Send + 'static) -> Result<(), LoopGone> {
        // A `Handle` is not `Send`, so the job looks up the loop that runs it.
        let job = Box::new(move || job(&Handle::current()));
        if self.inbox.send(|arrivals| arrivals.jobs.push(job)) {
            Ok(())
        } else {
            Err(LoopGone)
        }
    }

    /// Stops the loop, as [`Handle::stop`] does.
    pub fn stop(&self) {
        self.inbox.send(|arrivals| arrivals.stop = true);
    }

    /// Sets whether this `Remote` keeps the loop alive. A new one does.
    pub fn set_referenced(&mut self, referenced: bool) {
        match (mem::replace(&mut self.referenced, referenced), referenced) {
            (false, true) => self.inbox.add_sender(),
            (true, false) => self.inbox.remove_sender(),
            _ => {}
        }
    }
}

impl Clone for Remote {
    /// A clone is referenced if the original is.
    fn clone(&self) -> Self {
        let mut clone = Remote {
            inbox: Arc::clone(&self.inbox),
            referenced: false,
        };
        clone.set_referenced(self.referenced);
        clone
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.set_referenced(false);
    }
}

/// The loop was dropped before it could take the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopGone;

impl fmt::Display for LoopGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop is gone")
    }
}
impl std::error::Error for LoopGone {}
impl From<LoopGone> for io::Error {
    fn from(gone: LoopGone) -> Self {
        io::Error::new(io::ErrorKind::BrokenPipe, gone)
    }
}

//! Any fd on the loop: libuv's `uv_poll_t`, which Node does not expose.

use crate::error::Error;
use crate::runtime::current;
use crate::thrown::{IntoResult, callback_of};
use oneloop_core::{Direction, JoinHandle, Phase};
use std::cell::OnceCell;
use std::os::fd::AsFd;
use std::rc::Rc;

/// Calls a function while an fd is ready: see [`watch_fd`]. Clones are the same watch.
#[derive(Clone, Debug)]
pub struct FdWatch {
    // Set after `spawn`: the task itself holds a clone of the watch, to pass it to `f`.
    task: Rc<OnceCell<JoinHandle<()>>>,
}

impl FdWatch {
    /// Stops the calls: `uv_poll_stop`.
    #[doc(alias = "uv_poll_stop")]
    pub fn stop(&self) {
        if let Some(task) = self.task.get() {
            task.cancel();
        }
    }
}

/// Calls a function in each turn in which an fd can be read, or written, without blocking, or is at
/// its end. The watch keeps the program alive until it is [stopped](FdWatch::stop), or until the fd
/// cannot be watched: then the last call gets the error.
///
/// ```
/// use oneloop::callback::{run, watch_fd};
/// use oneloop::core::Direction;
/// use std::{io::{Read, Write}, os::unix::net::UnixStream};
/// let (mut here, there) = UnixStream::pair()?;
/// let reader = there.try_clone()?;
/// here.write_all(b"x")?;
/// run(move || {
///     watch_fd(there, Direction::Read, move |watch, ready| {
///         ready?;
///         (&reader).read_exact(&mut [0]).expect("there is a byte");
///         watch.stop();
///         Ok::<_, oneloop::callback::Error>(())
///     });
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[doc(alias("uv_poll_t", "uv_poll_start", "poll"))]
#[track_caller]
pub fn watch_fd<O: IntoResult>(
    fd: impl AsFd + 'static,
    direction: Direction,
    f: impl Fn(&FdWatch, Result<(), Error>) -> O + 'static,
) -> FdWatch {
    let runtime = current();
    let handle = runtime.handle.clone();
    let watch = FdWatch {
        task: Rc::default(),
    };
    let inside = watch.clone();
    let task = runtime.handle.clone().spawn(async move {
        loop {
            let ready = runtime.until_over(handle.wait_ready(&fd, direction)).await;
            let Some(ready) = ready else { return };
            let has_failed = ready.is_err();
            let ready = ready.map_err(|error| Error::system("poll", error));
            let of = callback_of(&f);
            runtime.make_callback(|| of.result(f(&inside, ready)));
            if has_failed {
                return;
            }
            // One call a turn, as with libuv's level-triggered epoll. Without it, a regular file,
            // which is always ready, would keep the loop from its other phases.
            handle.phase(Phase::Pending).await;
        }
    });
    let _ = watch.task.set(task); // a task never runs before `spawn` returns
    watch
}

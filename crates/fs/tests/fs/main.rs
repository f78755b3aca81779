//! What files and watchers promise, without loss when a future is dropped.

mod files;
mod watching;

use oneloop_core::{Class, EventLoop, Handle, Options};
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::Poll;

/// Runs a future on a loop with virtual time. The future gets an empty directory.
pub(crate) fn block_on<F: Future>(test: impl FnOnce(PathBuf) -> F) -> F::Output {
    let dir = tempfile::tempdir().unwrap();
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    event_loop.block_on(test(dir.path().to_owned()))
}

/// Polls a future once, and asserts that it is pending.
pub(crate) async fn begin<F: Future>(future: Pin<&mut F>) {
    assert!(poll_once(future).await.is_none(), "the future is ready");
}

/// Polls a future once, and returns its output if it is ready.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Polls a future once, asserts that it is pending, and drops it.
pub(crate) async fn begin_and_drop<F: Future>(future: F) {
    begin(pin!(future)).await;
}

/// Keeps all file threads of the pool busy while it lives.
pub(crate) struct BusyPool {
    // A thread continues when its sender is dropped.
    _go: Vec<mpsc::Sender<()>>,
}

impl BusyPool {
    pub(crate) async fn new() -> Self {
        let mut go = Vec::new();
        let (began, begins) = mpsc::channel();
        for _ in 0..THREADS {
            let (sender, wait) = mpsc::channel::<()>();
            let began = began.clone();
            let job = Handle::current().offload_to(Class::Fs, move || {
                let _ = began.send(());
                let _ = wait.recv();
            });
            Handle::current().spawn_detached(async move { drop(job.await) });
            go.push(sender);
        }
        for _ in 0..THREADS {
            begins.recv().unwrap();
        }
        BusyPool { _go: go }
    }
}

/// The default of `PoolOptions::fs_threads_max`.
const THREADS: usize = 4;

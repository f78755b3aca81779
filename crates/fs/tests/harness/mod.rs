//! What the tests of files share.
#![allow(dead_code)] // each of them uses a part

use oneloop_core::{Class, EventLoop, Handle, Options};
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::Poll;

/// Runs a future on a loop with virtual time, with a directory of its own.
pub(crate) fn block_on<F: Future>(test: impl FnOnce(PathBuf) -> F) -> F::Output {
    let dir = tempfile::tempdir().unwrap();
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    event_loop.block_on(test(dir.path().to_owned()))
}

/// Polls a future once. It is not ready then.
pub(crate) async fn begin<F: Future>(future: Pin<&mut F>) {
    assert!(poll_once(future).await.is_none(), "it has to wait");
}

/// What a future gives when it is polled once; mostly nothing.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Polls a future once, and drops it. It is not ready then.
pub(crate) async fn begin_and_drop<F: Future>(future: F) {
    begin(pin!(future)).await;
}

/// Keeps all threads that do files busy while it lives.
pub(crate) struct BusyPool {
    go: Vec<mpsc::Sender<()>>,
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
        BusyPool { go }
    }
}

/// As many as there are: see `PoolOptions::fs_threads_max`.
const THREADS: usize = 4;

//! The threads of all loops but the first.

use crate::cluster::Cluster;
use crate::member::Member;
use oneloop_core::EventLoop;
use std::fmt;
use std::future::Future;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Why [`Cluster::start`] started no threads.
#[derive(Debug)]
pub enum StartError<P> {
    /// The thread of that loop could not be started.
    Thread(usize, io::Error),
    /// The loop of that number could not be made or set up.
    Loop(usize, P),
}

/// The threads of all loops of a cluster but the first. Dropping it lets them run.
#[derive(Debug)]
pub struct ClusterThreads<T> {
    threads: Vec<thread::JoinHandle<Option<T>>>,
}

impl Cluster {
    /// Starts a thread for each loop but the first, which is the caller's, and returns once all of
    /// them are set up. It is what [`cluster`](crate::cluster()) is made of, for programs that make
    /// their loops themselves.
    ///
    /// Each thread makes its loop, calls `setup` inside of it, and runs the future that `setup`
    /// returns, as [`Member::run`] does. Its name is `loop-1`, `loop-2`, …
    ///
    /// # Errors
    /// That of the first thread that fails. The others are stopped, and joined.
    pub fn start<T, P, F>(
        &self,
        new_loop: impl Fn(usize) -> Result<EventLoop, P> + Send + Sync + 'static,
        setup: impl Fn(&Member) -> Result<F, P> + Send + Sync + 'static,
    ) -> Result<ClusterThreads<T>, StartError<P>>
    where
        T: Send + 'static,
        P: Send + 'static,
        F: Future<Output = T>,
    {
        let (started, starts) = mpsc::channel();
        let code = Arc::new((new_loop, setup));
        let mut threads = Vec::new();
        let mut problem = None;
        for id in 1..self.loops() {
            let (cluster, code, started) = (self.clone(), Arc::clone(&code), started.clone());
            let body = move || {
                let (new_loop, setup) = &*code;
                run_loop(&cluster, id, new_loop, setup, started)
            };
            let thread = thread::Builder::new().name(format!("loop-{id}"));
            match thread.spawn(body) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    problem = Some(StartError::Thread(id, error));
                    break;
                }
            }
        }
        drop(started); // or the loop below would wait for a last message forever
        // All of them, although one problem is enough: none may still start after this.
        for (id, start) in starts {
            if let Err(failed) = start {
                problem.get_or_insert(StartError::Loop(id, failed));
            }
        }
        let threads = ClusterThreads { threads };
        let Some(problem) = problem else {
            return Ok(threads);
        };
        self.stop(Duration::ZERO);
        threads.join();
        Err(problem)
    }
}

/// The life of one loop, on its thread.
fn run_loop<T, P, F: Future<Output = T>>(
    cluster: &Cluster,
    id: usize,
    new_loop: impl Fn(usize) -> Result<EventLoop, P>,
    setup: impl Fn(&Member) -> Result<F, P>,
    started: mpsc::Sender<(usize, Result<(), P>)>,
) -> Option<T> {
    let start = new_loop(id).and_then(|event_loop| {
        let member = Member::join(cluster, id, &event_loop.handle());
        let future = event_loop.enter(|| setup(&member))?;
        Ok((event_loop, member, future))
    });
    let (mut event_loop, member, future) = match start {
        Ok(start) => start,
        Err(problem) => {
            let _ = started.send((id, Err(problem)));
            return None;
        }
    };
    let _ = started.send((id, Ok(())));
    drop(started);
    member.run(&mut event_loop, future)
}

impl<T> ClusterThreads<T> {
    /// Waits for the threads to end. Returns how each loop ended: with its result, with `None` if
    /// it was cut off when the drain was over, or with the payload of a panic.
    ///
    /// It blocks: call it once the caller's own loop has ended.
    pub fn join(self) -> Vec<thread::Result<Option<T>>> {
        let threads = self.threads.into_iter();
        threads.map(thread::JoinHandle::join).collect()
    }
}

impl<P: fmt::Display> fmt::Display for StartError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Thread(id, error) => write!(f, "cannot start thread {id}: {error}"),
            StartError::Loop(id, problem) => write!(f, "cannot start loop {id}: {problem}"),
        }
    }
}

impl<P: fmt::Debug + fmt::Display> std::error::Error for StartError<P> {}

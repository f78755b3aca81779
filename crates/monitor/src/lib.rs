#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! A thread that watches a loop: when one task keeps it from all others for too long, it tells which one,
//! and what that was doing. gevent's monitor thread.
//!
//! `sample` is the part that needs unsafe code: it has a signal handler walk the stack of the thread that
//! is blocked.

mod sample;

use oneloop_core::{Handle, Heartbeat, Running, guarded};
use sample::Sampler;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How to watch.
#[derive(Clone, Debug)]
pub struct MonitorOptions {
    /// A run of a task that takes longer than this is told of, once. gevent's `max_blocking_time` is
    /// 100 ms, as it is here.
    pub threshold: Duration,
    /// Says where the task is: it is interrupted for that by a signal (`SIGURG`), so system calls that
    /// cannot be restarted may fail with `EINTR`.
    pub backtrace: bool,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        MonitorOptions {
            threshold: Duration::from_millis(100),
            backtrace: true,
        }
    }
}

/// A loop that is blocked. Printed, it says by which task, and the calls that it is at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Blocked {
    /// For how long it has been, at least. It still is when this is told.
    pub at_least: Duration,
    /// By whom.
    pub running: Running,
    /// What it is doing, a line for each call, the innermost first: empty without
    /// [`MonitorOptions::backtrace`], or when the task did not react in time.
    pub backtrace: Vec<String>,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the loop is blocked since {:.1?} by ", self.at_least)?;
        match (self.running.task, self.running.spawned_at) {
            (None, _) => f.write_str("its main future")?,
            (Some(task), None) => write!(f, "task {task}")?,
            (Some(task), Some(at)) => {
                write!(f, "task {task}, spawned at {}:{}", at.file(), at.line())?;
            }
        }
        for line in &self.backtrace {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// Looks in one threshold: a block is told of after one threshold and a quarter at most.
const LOOKS: u32 = 4;

/// Watches a loop until it is dropped.
///
/// ```
/// use oneloop_core::EventLoop;
/// use oneloop_monitor::{Monitor, MonitorOptions};
/// use std::{sync::mpsc, thread, time::Duration};
///
/// let mut event_loop = EventLoop::new()?;
/// let (tell, hear) = mpsc::channel();
/// let options = MonitorOptions {
///     threshold: Duration::from_millis(10),
///     ..MonitorOptions::default()
/// };
/// let _monitor = Monitor::start(&event_loop.handle(), options, move |blocked| {
///     let _ = tell.send(blocked.to_string());
/// })?;
/// event_loop.handle().spawn(async move {
///     let told = hear.recv(); // blocks all others, until somebody complains
///     assert!(told.unwrap().starts_with("the loop is blocked since"));
/// });
/// event_loop.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Monitor {
    stop: Arc<Stop>,
    thread: Option<thread::JoinHandle<()>>,
    /// Dropped after the thread has ended.
    sampler: Option<Sampler>,
}

#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// Waits that long; true once it is to stop.
    fn wait(&self, duration: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(stopped, duration, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

impl Monitor {
    /// Watches a loop, which is to run on the thread that calls this. The function is called on the
    /// monitor's thread, once for each run of a task that blocks.
    ///
    /// # Errors
    /// `EAGAIN` when there cannot be another thread; `AlreadyExists` for a backtrace when `SIGURG` is
    /// handled by somebody else.
    pub fn start(
        handle: &Handle,
        options: MonitorOptions,
        report: impl FnMut(&Blocked) + Send + 'static,
    ) -> io::Result<Self> {
        let sampler = options
            .backtrace
            .then(Sampler::of_this_thread)
            .transpose()?;
        let watch = Watch {
            heartbeat: handle.heartbeat(),
            threshold: options.threshold,
            target: sampler.as_ref().map(Sampler::target),
            report,
        };
        let stop = Arc::<Stop>::default();
        let until = Arc::clone(&stop);
        let thread = thread::Builder::new().name("monitor".to_owned());
        Ok(Monitor {
            thread: Some(thread.spawn(move || watch.run(&until))?),
            stop,
            sampler,
        })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic of the report's has been told already
        }
        drop(self.sampler.take());
    }
}

/// What the monitor's thread has.
struct Watch<F> {
    heartbeat: Arc<Heartbeat>,
    threshold: Duration,
    target: Option<sample::Target>,
    report: F,
}

impl<F: FnMut(&Blocked)> Watch<F> {
    fn run(mut self, stop: &Stop) {
        let look = (self.threshold / LOOKS).max(Duration::from_millis(1));
        let (mut beats, mut at_least) = (self.heartbeat.beats(), Duration::ZERO);
        let mut told = false;
        while !stop.wait(look) {
            let now = self.heartbeat.beats();
            if now != std::mem::replace(&mut beats, now) {
                (at_least, told) = (Duration::ZERO, false);
                continue;
            }
            at_least += look;
            if !told && at_least >= self.threshold {
                told = self.tell(beats, at_least);
            }
        }
    }

    /// Tells of the task that runs; false if none does, or no longer that one.
    fn tell(&mut self, beats: u64, at_least: Duration) -> bool {
        let Some(running) = self.heartbeat.running() else {
            return false; // the loop waits
        };
        let backtrace = self.target.as_ref().map(sample::Target::backtrace);
        if self.heartbeat.beats() != beats {
            return false; // it was about to end: what was seen may be another's
        }
        let blocked = Blocked {
            at_least,
            running,
            backtrace: backtrace.unwrap_or_default(),
        };
        // Mostly it prints, and `eprintln!` panics when stderr is full: the next one is reported still.
        guarded(|| (self.report)(&blocked));
        true
    }
}

#![warn(clippy::print_stdout, clippy::print_stderr)] // both panic: `oneloop_core::report` does not
//! A thread that watches a loop: when one task blocks all others for too long, it reports which
//! task, and where it is. This is gevent's monitor thread.
//!
//! `sample` needs unsafe code: its signal handler walks the stack of the blocked thread.

mod sample;

use oneloop_core::{Handle, Heartbeat, Running, guarded};
use sample::Sampler;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How to watch a loop.
#[derive(Clone, Debug)]
#[doc(alias = "slow_callback_duration")]
pub struct MonitorOptions {
    /// Reports a run of a task that takes longer than this, once. The default is 100 ms, as that of
    /// gevent's `max_blocking_time`.
    pub threshold: Duration,
    /// Takes a backtrace of the task. A signal (`SIGURG`) interrupts it for that, so system calls
    /// that the kernel cannot restart may fail with `EINTR` (signal(7)).
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

/// The report of a blocked loop. Its `Display` names the task and lists the calls that it is in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Blocked {
    /// How long the loop has been blocked, at least. It still is at the time of the report.
    pub at_least: Duration,
    /// The task that blocks it.
    pub running: Running,
    /// The calls of the task, one per line, innermost first. Empty without
    /// [`MonitorOptions::backtrace`], or if the thread did not react in time.
    pub backtrace: Vec<String>,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the loop has been blocked for {:.1?} by ", self.at_least)?;
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

/// How many times per threshold the monitor looks. So it reports a block after 1.25 thresholds at
/// the latest.
const LOOKS: u32 = 4;

/// Watches a loop until it is dropped.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::monitor::{Monitor, MonitorOptions};
/// use std::{sync::mpsc, thread, time::Duration};
///
/// let mut event_loop = EventLoop::new()?;
/// let (sender, receiver) = mpsc::channel();
/// let options = MonitorOptions {
///     threshold: Duration::from_millis(10),
///     ..MonitorOptions::default()
/// };
/// let _monitor = Monitor::start(&event_loop.handle(), options, move |blocked| {
///     let _ = sender.send(blocked.to_string());
/// })?;
/// event_loop.handle().spawn(async move {
///     let report = receiver.recv(); // blocks the loop until the monitor reports it
///     assert!(report.unwrap().starts_with("the loop has been blocked for"));
/// });
/// event_loop.run()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias("max_blocking_time", "monitor_thread", "debug", "blockhub"))]
pub struct Monitor {
    stop: Arc<StopFlag>,
    thread: Option<thread::JoinHandle<()>>,
    /// Dropped after the thread has ended, which uses it.
    sampler: Option<Sampler>,
}

/// A flag that the monitor's thread waits for.
#[derive(Debug, Default)]
struct StopFlag {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl StopFlag {
    /// Waits for `duration`, or until the flag is set. True if it is set.
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
    /// Watches a loop, which must run on the calling thread. Calls `report` on the monitor's
    /// thread, once for each run of a task that blocks.
    ///
    /// # Errors
    /// `EAGAIN` if no thread can be started; `AlreadyExists` if a backtrace is wanted, and other
    /// code handles `SIGURG`.
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
        let stop = Arc::<StopFlag>::default();
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
            let _ = thread.join(); // `guarded` has reported a panic of `report`
        }
        drop(self.sampler.take());
    }
}

/// The state of the monitor's thread.
struct Watch<F> {
    heartbeat: Arc<Heartbeat>,
    threshold: Duration,
    target: Option<sample::Target>,
    report: F,
}

impl<F: FnMut(&Blocked)> Watch<F> {
    fn run(mut self, stop: &StopFlag) {
        let look = (self.threshold / LOOKS).max(Duration::from_millis(1));
        let (mut beats, mut at_least) = (self.heartbeat.beats(), Duration::ZERO);
        let mut reported = false;
        while !stop.wait(look) {
            // The count changes whenever a run begins or ends. Unchanged, it is one run, or a wait
            // in epoll.
            let now = self.heartbeat.beats();
            if now != std::mem::replace(&mut beats, now) {
                (at_least, reported) = (Duration::ZERO, false);
                continue;
            }
            at_least += look;
            if !reported && at_least >= self.threshold {
                reported = self.report_block(beats, at_least);
            }
        }
    }

    /// Reports the task that runs. False if no task runs, or another one by now.
    fn report_block(&mut self, beats: u64, at_least: Duration) -> bool {
        let Some(running) = self.heartbeat.running() else {
            return false; // the loop waits in epoll
        };
        let backtrace = self.target.as_ref().map(sample::Target::backtrace);
        if self.heartbeat.beats() != beats {
            return false; // the run has ended, so the backtrace may be that of another task
        }
        let blocked = Blocked {
            at_least,
            running,
            backtrace: backtrace.unwrap_or_default(),
        };
        // Most reports print, and `eprintln!` panics when stderr is full. The thread must survive
        // that.
        guarded(|| (self.report)(&blocked));
        true
    }
}

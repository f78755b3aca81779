//! Log lines on stderr, as text or JSON.

use crate::options::ProcessOptions;
use crate::options::process::{LogFormat, LogLevel};
use oneloop::core::drop_guarded;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::{panic, thread};
use tracing::level_filters::LevelFilter;
use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

/// The target of the lines that `--trace` adds.
pub(crate) const TURN: &str = "turn";

/// The target of the lines that SIGUSR1 requests. They are logged at every `--log-level`.
pub(crate) const TASKS: &str = "tasks";

/// How many lines may wait to be written.
const LINES_MAX: usize = 8192;

/// Counts the lines that were dropped because too many waited.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines were dropped so far.
pub(crate) fn lost_lines() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Writes the last lines when it is dropped, and logs how many were lost.
pub(crate) struct Log {
    lost: ErrorCounter,
    writer: Option<WorkerGuard>,
}

/// Starts to log. A separate thread writes, so that a terminal or a pipe that is full cannot block
/// the loop; lines for which there is no room are lost, and counted.
///
/// # Errors
/// A sentence that says why there is no thread: `EAGAIN`, or a sandbox refuses `clone3(2)`.
pub(crate) fn start(options: &ProcessOptions) -> Result<Log, String> {
    let (writer, guard) =
        start_writer().map_err(|error| format!("cannot start the thread that logs: {error}"))?;
    let (filter, handle) = reload::Layer::new(filter(options.log_level, options.trace));
    let trace = options.trace;
    let _ = FILTER.set(Filter { handle, trace }); // this function is called once
    // tracing-appender drops lines when its queue is full (`lossy`), which is what keeps the loop
    // running.
    let lost = writer.error_counter();
    let _ = LOST.set(lost.clone()); // this function is called once
    let layer = fmt::layer()
        .with_writer(writer)
        .log_internal_errors(false) // it would report them with eprintln!, which panics when stderr is full
        .with_ansi(io::stderr().is_terminal())
        .with_thread_names(options.threads > 1);
    match options.log {
        LogFormat::Text => tracing_subscriber::registry()
            .with(layer.with_filter(filter))
            .init(),
        LogFormat::Json => {
            tracing_subscriber::registry()
                .with(layer.json().with_filter(filter))
                .init();
        }
    }
    Ok(Log {
        lost,
        writer: Some(guard),
    })
}

/// What is logged. A reload replaces it.
struct Filter {
    handle: reload::Handle<Targets, Registry>,
    trace: bool,
}

static FILTER: OnceLock<Filter> = OnceLock::new();

/// Changes the least important events to log.
///
/// # Errors
/// The log has not started, or a thread has panicked while it logged.
pub(crate) fn set_level(level: LogLevel) -> Result<(), String> {
    let Filter { handle, trace } = FILTER.get().ok_or("the log has not started")?;
    let reloaded = handle.reload(filter(level, *trace));
    reloaded.map_err(|error| error.to_string())
}

fn filter(least: LogLevel, trace: bool) -> Targets {
    // The trace has its own target, so that --log-level does not have to be lowered for it.
    let turns = if trace {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    };
    Targets::new()
        .with_default(level(least))
        .with_target(TURN, turns)
        .with_target(TASKS, LevelFilter::INFO)
}

/// tracing-appender panics if its thread cannot be started. So a first thread is started to learn
/// why; if that was the last one that the system had, the panic is caught, and reported like other
/// errors.
fn start_writer() -> io::Result<(NonBlocking, WorkerGuard)> {
    let _ = thread::Builder::new().spawn(|| ())?.join();
    // The default hook would print the panic's message and a backtrace, where one sentence says
    // it all.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let started = panic::catch_unwind(|| {
        NonBlockingBuilder::default()
            .buffered_lines_limit(LINES_MAX)
            .finish(io::stderr())
    });
    panic::set_hook(hook);
    started.map_err(|_| io::Error::other("the system has no more threads"))
}

impl Drop for Log {
    fn drop(&mut self) {
        let lost = self.lost.dropped_lines();
        if lost > 0 {
            warn!(lost, "log lines were lost: stderr took them too slowly");
        }
        let writer = self.writer.take();
        if self.lost.dropped_lines() > lost {
            // Stderr is still blocked. The drop of the writer would wait for it, and report that on
            // stdout.
            std::mem::forget(writer);
        } else {
            drop_guarded(writer); // with a full queue, it prints to stdout, and that may panic
        }
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

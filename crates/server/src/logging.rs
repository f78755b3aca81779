//! Log lines on stderr, as text or JSON.

use crate::line_writer::{LineSink, LineWriter};
use crate::options::ProcessOptions;
use crate::options::process::{LogFormat, LogLevel};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use tracing::level_filters::LevelFilter;
use tracing::warn;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

/// The target of the lines that `--trace` adds.
pub(crate) const TURN: &str = "turn";

/// The target of the lines that SIGUSR1 requests. They are logged at every `--log-level`.
pub(crate) const TASKS: &str = "tasks";

/// Where the lines go; counts those that are lost.
static SINK: OnceLock<LineSink> = OnceLock::new();

/// How many lines were lost so far.
pub(crate) fn lost_lines() -> u64 {
    SINK.get().map_or(0, LineSink::lost)
}

/// Writes the last lines when it is dropped, and logs how many were lost.
pub(crate) struct Log(LineWriter);

/// Starts to log. A separate thread writes, so that a terminal or a pipe that is full cannot block
/// the loop; lines for which there is no room are lost, and counted.
///
/// # Errors
/// A sentence that says why there is no thread: `EAGAIN`, or a sandbox refuses `clone3(2)`.
pub(crate) fn start(options: &ProcessOptions) -> Result<Log, String> {
    let writer = LineWriter::start("log", |lines: &[u8]| io::stderr().write(lines))
        .map_err(|error| format!("cannot start the thread that logs: {error}"))?;
    let (filter, handle) = reload::Layer::new(filter(options.log_level, options.trace));
    let trace = options.trace;
    let _ = FILTER.set(Filter { handle, trace }); // this function is called once
    let _ = SINK.set(writer.sink().clone()); // as above
    let layer = fmt::layer()
        .with_writer(writer.sink().clone())
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
    Ok(Log(writer))
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

impl Drop for Log {
    fn drop(&mut self) {
        let lost = self.0.sink().lost();
        if lost > 0 {
            warn!(lost, "log lines were lost: stderr took them too slowly");
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

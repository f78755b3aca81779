//! Log lines on stderr, in tracing's format.

use crate::options::{LogFormat, LogLevel, Options};
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// The target of the lines that `--trace` adds.
pub(crate) const TURN: &str = "turn";

pub(crate) fn start(options: &Options) {
    let turns = if options.trace {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    };
    let filter = Targets::new()
        .with_default(level(options.log_level))
        .with_target(TURN, turns);
    let layer = fmt::layer()
        .with_writer(io::stderr)
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

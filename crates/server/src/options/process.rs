//! The options of the whole process, which all services share.

#[cfg(feature = "admin")]
use crate::options::AdminOptions;
#[cfg(feature = "access")]
use crate::options::PrivilegeOptions;
pub(crate) use crate::options::log_format::LogFormat;
#[cfg(feature = "systemd")]
use crate::values::nonzero_time;
use crate::values::{bytes, count, switch, time};
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use humantime::Duration;
#[cfg(feature = "config")]
use std::path::PathBuf;

// A doc comment would become the text of `--help`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of the process")]
pub(crate) struct ProcessOptions {
    /// Read options from this file, too: TOML, with the names of the flags as keys, and a table
    /// [service.NAME] for each service. Flags and variables override it; SIGHUP reads it again
    #[cfg(feature = "config")]
    #[arg(long, value_name = "FILE", env = "ONELOOP_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// How many connections may be open at once on all threads [default: as many as there are fds
    /// for]
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_MAX_CONNS",
        value_parser = |text: &str| count(text, 1..=u32::MAX)
    )]
    pub(crate) max_conns: Option<u32>,

    /// Close the client with the longest queue while more than this many bytes wait for all clients
    #[arg(
        long,
        value_name = "BYTES",
        env = "ONELOOP_OUT_TOTAL",
        default_value = "64MiB",
        value_parser = bytes
    )]
    pub(crate) out_total: ByteSize,

    /// How long open connections may take to finish after a signal to stop
    #[arg(
        long,
        value_name = "TIME",
        env = "ONELOOP_DRAIN",
        default_value = "10s",
        value_parser = time
    )]
    pub(crate) drain: Duration,

    /// How long the new process of a restart (SIGUSR2) may take until it is ready; then it is ended,
    /// and this one serves on
    #[cfg(feature = "systemd")]
    #[arg(
        long,
        value_name = "TIME",
        env = "ONELOOP_RESTART_TIMEOUT",
        default_value = "30s",
        value_parser = nonzero_time
    )]
    pub(crate) restart_timeout: Duration,

    #[cfg(feature = "access")]
    #[command(flatten)]
    pub(crate) privileges: PrivilegeOptions,

    /// How many threads serve, each with its own loop
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_THREADS",
        default_value_t = 1,
        value_parser = |text: &str| count(text, 1..=1024_u16)
    )]
    pub(crate) threads: u16,

    /// The format of the log lines on stderr
    #[arg(
        long,
        value_name = "FORMAT",
        env = "ONELOOP_LOG",
        default_value = "text"
    )]
    pub(crate) log: LogFormat,

    /// The least important events to log
    #[arg(
        long,
        value_name = "LEVEL",
        env = "ONELOOP_LOG_LEVEL",
        default_value = "info"
    )]
    pub(crate) log_level: LogLevel,

    /// Log every phase of every turn of the loop: what woke, what ran, how long it took
    #[arg(long, env = "ONELOOP_TRACE", value_parser = switch)]
    pub(crate) trace: bool,

    #[cfg(feature = "admin")]
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
}

impl ProcessOptions {
    /// True if the options come from a file, too.
    pub(crate) fn has_file(&self) -> bool {
        #[cfg(feature = "config")]
        return self.config.is_some();
        #[cfg(not(feature = "config"))]
        false
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

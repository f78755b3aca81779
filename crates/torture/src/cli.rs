//! The command line.

use clap::Parser;
use std::path::PathBuf;

/// The server that `make torture` builds.
pub(crate) const MAIN: &str = "./main";

/// Fails each system call of the server and of the examples in turn, by `strace -e inject`.
///
/// Each case fails one call of the main thread, once or from then on. A failed case prints the
/// command that reproduces it. Exits with 1 if a case fails.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// Run these scenarios only
    #[arg(long = "scenario", value_name = "NAME")]
    pub(crate) scenarios: Vec<String>,

    /// Fail this system call only, by strace's name
    #[arg(long, value_name = "CALL")]
    pub(crate) call: Option<String>,

    /// Fail only the call with this number, counted from 1 since the program began to load
    #[arg(long, value_name = "K", requires = "call")]
    pub(crate) at: Option<u32>,

    /// Fail with this error only
    #[arg(long, value_name = "ERRNO")]
    pub(crate) errno: Option<String>,

    /// Fail the call once, and not also from then on
    #[arg(long, conflicts_with = "persistent")]
    pub(crate) once: bool,

    /// Fail the call and all later ones of its name, and not also once
    #[arg(long)]
    pub(crate) persistent: bool,

    /// Run only this many cases, which the seed selects
    #[arg(long, value_name = "COUNT")]
    pub(crate) sample: Option<usize>,

    /// The seed of --sample
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many cases run at the same time
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    pub(crate) jobs: usize,

    /// The server
    #[arg(long, value_name = "PATH", default_value = MAIN)]
    pub(crate) main: PathBuf,

    /// The directory of the examples
    #[arg(long, value_name = "PATH", default_value = "target/debug/examples")]
    pub(crate) examples: PathBuf,

    /// Print the scenarios and the injections that no kernel can produce, and run nothing
    #[arg(long)]
    pub(crate) list: bool,

    /// Print the log of strace and the stderr of each failed case
    #[arg(long)]
    pub(crate) verbose: bool,
}

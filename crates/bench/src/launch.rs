//! Prepares the process of a server: pins it, ties its life to the benchmark, and becomes the
//! server.
//!
//! A process between the benchmark and the server does this, because safe Rust cannot run code
//! between `fork` and `exec`, and after `exec` the server may already have threads. The affinity
//! and the death signal survive `exec`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Result, ensure};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::cores::pin_to;

/// The hidden subcommand's name.
pub(crate) const LAUNCH: &str = "launch";

/// Returns a command that starts `program` on `core`. The kernel kills it when this thread ends.
pub(crate) fn command(bench: &Path, core: usize, program: &[OsString]) -> Command {
    let mut command = Command::new(bench);
    command
        .arg(LAUNCH)
        .arg(core.to_string())
        .arg(process::id().to_string())
        .arg("--");
    command.args(program);
    command
}

/// The other side of [`command`]. Returns only if `program` cannot be started.
pub(crate) fn launch(core: usize, parent: u32, program: &[OsString]) -> Result<()> {
    ensure!(!program.is_empty(), "launch needs a program");
    pin_to(core)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // If the parent died before the line above, the kernel will not send the signal (prctl(2)).
    let adopted = getppid().is_none_or(|pid| pid.as_raw_nonzero().get() as u32 != parent);
    ensure!(!adopted, "the benchmark ended before its server started");
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    Err(anyhow::Error::new(error).context(format!("cannot start {}", program[0].display())))
}

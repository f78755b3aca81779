//! The first thing in a server's process: pin it, tie its life to the benchmark's, become it.
//!
//! Done here and not in the parent, because between `fork` and `exec` nothing safe can run, and
//! after `exec` the server may already have threads. Affinity and death signal survive `exec`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Result, ensure};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::cores::pin_to;

/// The hidden subcommand's name.
pub(crate) const LAUNCH: &str = "launch";

/// A command that starts `program` on `core`, to be killed when this thread ends for any reason.
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

/// The other end of `command`: returns only when `program` cannot be started.
pub(crate) fn launch(core: usize, parent: u32, program: &[OsString]) -> Result<()> {
    ensure!(!program.is_empty(), "launch needs a program");
    pin_to(core)?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the line above: then nobody would send the signal.
    let adopted = getppid().is_none_or(|pid| pid.as_raw_nonzero().get() as u32 != parent);
    ensure!(!adopted, "the benchmark ended before its server started");
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    Err(anyhow::Error::new(error).context(format!("cannot start {}", program[0].display())))
}

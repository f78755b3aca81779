//! Builds the C comparator, whose source travels inside this binary.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const SOURCE: &str = include_str!("../../c/echo_epoll.c");

/// Compiles the C echo server to `program` with `$CC` or `cc`; false when there is no compiler.
pub(crate) fn build(program: &Path) -> Result<bool> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| OsString::from("cc"));
    let spawned = Command::new(&compiler)
        .args(["-O2", "-std=gnu11", "-x", "c", "-", "-o"])
        .arg(program)
        .stdin(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(|| format!("cannot run {compiler:?}")),
    };
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |mut pipe| pipe.write_all(SOURCE.as_bytes()));
    let status = child.wait().context("cannot wait for the C compiler")?;
    if !status.success() {
        bail!("{compiler:?} could not build the C echo server ({status})");
    }
    written.context("cannot hand the source to the C compiler")?;
    Ok(true)
}

//! Builds the Go comparator, whose source travels inside this binary.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::program::{Found, bench};

const SOURCE: &str = include_str!("../../comparators/green.go");

/// Builds the program beside this binary: how to start it, or why it cannot run here.
pub(crate) fn find() -> Result<Found> {
    let program = bench()?.with_file_name("oneloop-bench-green-go");
    let source = program.with_extension("go");
    fs::write(&source, SOURCE).with_context(|| format!("cannot write {}", source.display()))?;
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, &source])
        .status();
    match built {
        Ok(status) if status.success() => Ok(Found::Command(vec![program.into()])),
        Ok(status) => bail!("go could not build {} ({status})", source.display()),
        Err(_) => Ok(Found::Missing("Go is not installed (`go`)".into())),
    }
}

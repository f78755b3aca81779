//! Finds gevent and eventlet; the script for both travels inside this binary.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::program::Found;

const SOURCE: &str = include_str!("../../comparators/green.py");

/// How to start the script with `library`, by `$ONELOOP_PYTHON` or `python3`; or why it cannot be.
pub(crate) fn find(library: &str) -> Found {
    let python = std::env::var_os("ONELOOP_PYTHON").unwrap_or_else(|| OsString::from("python3"));
    // eventlet warns at each start that it is deprecated.
    let command = |code: &str| [python.clone(), "-Wignore".into(), "-c".into(), code.into()];
    let import = command(&format!("import {library}"));
    let imported = Command::new(&import[0])
        .args(&import[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if imported.is_ok_and(|status| status.success()) {
        let start = command(SOURCE).into_iter().chain([library.into()]);
        Found::Command(start.collect())
    } else {
        let python = python.display();
        Found::Missing(format!(
            "{python} cannot import {library} (ONELOOP_PYTHON names another one)"
        ))
    }
}

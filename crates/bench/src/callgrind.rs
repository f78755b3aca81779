//! Counts instructions outside of the kernel by callgrind.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::listening::Listening;

/// Why callgrind counts nothing here, if so.
pub(crate) fn why_not() -> Option<&'static str> {
    let mut valgrind = Command::new("valgrind");
    let version = valgrind.arg("--version").stdout(Stdio::null()).status();
    version.is_err().then_some("there is no valgrind")
}

/// The instructions of one server's life, which `live` starts under the tracer that it gets, and
/// drives.
pub(crate) fn counted(live: impl FnOnce(&[OsString]) -> Result<Listening>) -> Result<f64> {
    let name = format!("oneloop-bench-{}.callgrind", std::process::id());
    let file = Profile(std::env::temp_dir().join(name));
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(&file.0);
    let tracer = ["valgrind", "--tool=callgrind", "-q"].map(OsString::from);
    let server = live(&[&tracer[..], &[out]].concat())?;
    server.terminate()?; // valgrind writes its file when the server ends
    let path = file.0.display();
    let text = fs::read_to_string(&file.0).with_context(|| format!("no {path}"))?;
    parse_total(&text).context("callgrind wrote no total")
}

fn parse_total(text: &str) -> Option<f64> {
    let total = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    total.trim().parse().ok()
}

/// The file that callgrind writes; removed when dropped.
struct Profile(PathBuf);

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // a file left in the temporary folder does no harm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callgrind_writes_the_total_at_the_end() {
        let text = "events: Ir\n\nfn=(1) main\n12 34\n\ntotals: 68205\n";
        assert_eq!(parse_total(text), Some(68205.0));
        assert_eq!(parse_total("events: Ir\n"), None);
    }
}

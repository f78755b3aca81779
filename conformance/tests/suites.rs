//! Every program prints in Rust what its twin prints in Node, gevent or eventlet. `expected.txt`
//! beside the twins has the lines.
//!
//! `make conformance` records them again with the runtimes of this machine.
//!
//! The lines tell in which turn the kernel reported something, and in which pieces bytes came. No
//! runtime promises either, and `ONELOOP_CHAOS` changes both, so it does not reach the programs.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// Returns the recorded lines of each program, by name.
fn recorded(suite: &str, extension: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(suite)
        .join("expected.txt");
    let text = fs::read_to_string(path).expect("expected.txt is part of the project");
    let programs = text.split("== ").filter(|program| !program.is_empty());
    let split = |program: &str| {
        let (name, lines) = program
            .split_once(&format!(".{extension}\n"))
            .expect("== NAME.EXTENSION, then its lines");
        (name.to_owned(), lines.to_owned())
    };
    programs.map(split).collect()
}

fn run(suite: &str, name: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_oneloop-conformance"))
        .args([suite, name])
        .env_remove("ONELOOP_CHAOS")
        .output()
        .expect("the binary was built");
    // The record has the exit code as the shell reports it: 128 + the number of the signal.
    let signal = output.status.signal().map(|signal| 128 + signal);
    let code = output.status.code().or(signal).unwrap_or_default();
    format!(
        "{}(exit code {code})\n",
        String::from_utf8_lossy(&output.stdout)
    )
}

/// Runs all programs of a folder and compares their lines; fails below `programs_min` programs, so
/// that an empty record does not pass.
fn conforms(suite: &str, extension: &str, programs_min: usize) {
    if env::var_os("ONELOOP_CHAOS").is_some() {
        println!("skipped: ONELOOP_CHAOS for the programs of {suite}");
    }
    let recorded = recorded(suite, extension);
    assert!(
        recorded.len() >= programs_min,
        "only {} programs were found",
        recorded.len()
    );
    every_twin_is_recorded(suite, extension, &recorded);
    let differ = recorded.iter().filter_map(|(name, expected)| {
        let printed = run(suite, name);
        (printed != *expected)
            .then(|| format!("== {name}\nrecorded:\n{expected}\nprinted:\n{printed}"))
    });
    let differ: Vec<_> = differ.collect();
    assert!(
        differ.is_empty(),
        "{} programs differ:\n{}",
        differ.len(),
        differ.join("\n")
    );
}

fn every_twin_is_recorded(suite: &str, extension: &str, recorded: &[(String, String)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(suite);
    let files = fs::read_dir(folder).expect("the folder is part of the project");
    let paths = files.map(|file| file.expect("it can be read").path());
    let twins = paths.filter(|path| path.extension().is_some_and(|other| other == extension));
    let name = |path: &Path| {
        path.file_stem()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let twins: BTreeSet<_> = twins.filter_map(|path| name(&path)).collect();
    let recorded: BTreeSet<_> = recorded.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(twins, recorded, "run `make conformance`");
}

#[test]
fn every_program_prints_what_node_prints() {
    conforms("node", "js", 100);
}

#[test]
fn every_program_prints_what_gevent_prints() {
    conforms("gevent", "py", 40);
}

#[test]
fn every_program_prints_what_eventlet_prints() {
    conforms("eventlet", "py", 37);
}

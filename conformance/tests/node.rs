//! Every program prints in Rust what its twin prints in Node: `node/expected.txt` has the lines.
//!
//! `make conformance` records them again with the `node` on the machine.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

/// The recorded lines of each program, by name.
fn recorded() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/expected.txt");
    let text = fs::read_to_string(path).expect("node/expected.txt is part of the project");
    let programs = text.split("== ").filter(|program| !program.is_empty());
    let split = |program: &str| {
        let (name, lines) = program
            .split_once(".js\n")
            .expect("== NAME.js, then its lines");
        (name.to_owned(), lines.to_owned())
    };
    programs.map(split).collect()
}

fn run(name: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_oneloop-conformance"))
        .arg(name)
        .output()
        .expect("the binary was built");
    // As the shell counts: 128 and the number of the signal.
    let signal = output.status.signal().map(|signal| 128 + signal);
    let code = output.status.code().or(signal).unwrap_or_default();
    format!(
        "{}(exit code {code})\n",
        String::from_utf8_lossy(&output.stdout)
    )
}

#[test]
fn every_program_prints_what_node_prints() {
    let recorded = recorded();
    assert!(
        recorded.len() >= 100,
        "only {} programs were found",
        recorded.len()
    );
    let differ = recorded.iter().filter_map(|(name, expected)| {
        let printed = run(name);
        (printed != *expected).then(|| format!("== {name}\nnode:\n{expected}\nhere:\n{printed}"))
    });
    let differ: Vec<_> = differ.collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn every_program_has_its_lines_recorded() {
    let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let recorded: Vec<_> = recorded().into_iter().map(|(name, _)| name).collect();
    for file in fs::read_dir(node).expect("node/ is part of the project") {
        let path = file.expect("it can be read").path();
        if path.extension().is_some_and(|extension| extension == "js") {
            let name = path
                .file_stem()
                .expect("it has a name")
                .to_string_lossy()
                .into_owned();
            assert!(
                recorded.contains(&name),
                "{name}.js: run `make conformance`"
            );
        }
    }
}

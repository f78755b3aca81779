//! What the compiler says about the mistakes of newcomers: what to write instead, in paths that
//! exist.
//!
//! Each file of `programs` is a small program with one mistake. It begins with the sentences that
//! the messages about it must contain, a `//!` line for each. A file without such lines compiles.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program, by the name of its file.
struct Program {
    name: String,
    path: PathBuf,
    sentences: Vec<String>,
}

fn programs() -> Vec<Program> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compiler/programs");
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut programs: Vec<_> = paths.map(program).collect();
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    programs
}

fn program(path: PathBuf) -> Program {
    let text = fs::read_to_string(&path).unwrap();
    let sentences = text.lines().filter_map(|line| line.strip_prefix("//! "));
    Program {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        sentences: sentences.map(str::to_owned).collect(),
        path,
    }
}

/// The manifest of a package outside of the workspace, as a newcomer has it.
fn manifest(programs: &[Program]) -> String {
    let facade = env!("CARGO_MANIFEST_DIR");
    let mut manifest = format!(
        "[package]\nname = \"newcomer\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\noneloop = {{ path = {facade:?} }}\n"
    );
    for Program { name, path, .. } in programs {
        write!(manifest, "\n[[bin]]\nname = {name:?}\npath = {path:?}\n").unwrap();
    }
    manifest
}

/// Compiles all programs at once, and returns what the compiler says: a message in each item.
fn messages(programs: &[Program]) -> Vec<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("newcomer");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest(programs)).unwrap();
    // The versions of the workspace are on this machine, so nothing has to be downloaded.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo runs this test"));
    cargo.current_dir(&folder).env("CARGO_TERM_COLOR", "never");
    cargo.args([
        "check",
        "--bins",
        "--keep-going",
        "--offline",
        "--target-dir",
        "target",
    ]);
    let output = cargo.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("could not compile `newcomer`"), "{text}");
    text.split("\n\n").map(str::to_owned).collect()
}

/// The messages about a program.
fn about<'a>(program: &Program, messages: &'a [String]) -> Vec<&'a str> {
    let file = format!("/programs/{}.rs:", program.name);
    let messages = messages.iter().map(String::as_str);
    messages.filter(|message| message.contains(&file)).collect()
}

/// What a message says in paths that only the crates of Oneloop can write.
fn internal_paths(message: &str) -> impl Iterator<Item = &str> {
    let words = message.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    words.filter(|word| word.starts_with("oneloop_") && word.contains("::"))
}

#[test]
fn the_compiler_tells_newcomers_what_to_write_instead() {
    let programs = programs();
    let messages = messages(&programs);
    let mut faults = String::new();
    for program in &programs {
        let about = about(program, &messages);
        let name = &program.name;
        if program.sentences.is_empty() && !about.is_empty() {
            writeln!(faults, "{name} does not compile:\n{}", about.join("\n\n")).unwrap();
        }
        for sentence in &program.sentences {
            if !about.iter().any(|message| message.contains(sentence)) {
                let said = about.join("\n\n");
                writeln!(faults, "{name}: no message says “{sentence}”:\n{said}\n").unwrap();
            }
        }
        for path in about.iter().flat_map(|message| internal_paths(message)) {
            writeln!(faults, "{name}: a user cannot write `{path}`").unwrap();
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

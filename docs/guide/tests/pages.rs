//! The guide quotes its programs to the letter, names every page, and tells the truth about what
//! its programs do.

mod documents;

use documents::{documents, guide, read};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The pages in `src`, by their path there.
fn pages() -> Vec<(String, String)> {
    let src = guide().join("src");
    let name = |path: &PathBuf| {
        path.strip_prefix(&src)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let paths = documents(&src).into_iter();
    paths.map(|path| (name(&path), read(path))).collect()
}

/// The programs that a page quotes: a comment with the path of the program, then a code block.
fn quotes(page: &str) -> Vec<(String, String)> {
    let blocks = page.split("<!-- programs/").skip(1);
    let quote = |block: &str| {
        let (path, rest) = block.split_once(" -->\n```rust,no_run\n").unwrap();
        let (code, _) = rest.split_once("```\n").unwrap();
        (format!("programs/{path}"), code.to_owned())
    };
    blocks.map(quote).collect()
}

/// The code of a program, without the `//!` lines at its top.
fn code(path: &str) -> String {
    let text = read(path);
    let lines = text.lines().skip_while(|line| line.starts_with("//!"));
    lines.skip(1).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_pages_quote_their_programs_to_the_letter() {
    let mut quoted = 0;
    for (name, page) in pages() {
        for (path, quote) in quotes(&page) {
            assert_eq!(quote, code(&path), "{name} quotes {path}");
            quoted += 1;
        }
    }
    assert_eq!(
        quoted,
        fs::read_dir(guide().join("programs")).unwrap().count()
    );
}

#[test]
fn the_summary_and_the_doctests_name_every_page() {
    let (summary, tests) = (read("src/SUMMARY.md"), read("lib.rs"));
    for (name, _) in pages() {
        if name != "SUMMARY.md" {
            assert!(
                summary.contains(&format!("({name})")),
                "SUMMARY.md lacks {name}"
            );
            // `tests/programs` compares these pages with files that are compiled.
            let is_quote = name.starts_with("programs/");
            let is_tested = tests.contains(&format!("\"src/{name}\""));
            assert!(is_quote || is_tested, "lib.rs lacks {name}");
        }
    }
}

#[test]
fn links_between_documents_and_files_lead_somewhere() {
    let documents = documents(&guide().join("../.."));
    assert!(documents.len() > 30, "{documents:?}");
    for document in documents {
        for link in read(&document).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            let path = document.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {target}", document.display());
        }
    }
}

/// The text of every source file of a folder.
fn sources(folder: &Path) -> String {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let text = |path: PathBuf| {
        if path.is_dir() {
            sources(&path)
        } else {
            read(path)
        }
    };
    paths.map(text).collect()
}

#[test]
fn the_page_on_operating_names_every_flag() {
    let source = sources(&guide().join("../../crates/server/src"));
    let variables = source.split("env = \"ONELOOP_").skip(1);
    let flag = |rest: &str| {
        let name = rest.split('"').next().unwrap();
        format!("--{}", name.to_lowercase().replace('_', "-"))
    };
    let flags: BTreeSet<_> = variables.map(flag).collect();
    assert!(flags.len() > 15, "{flags:?}");
    let page = read("src/operating.md");
    let is_in_table = |flag: &String| page.contains(&format!("| `{flag}"));
    let missing: Vec<_> = flags.iter().filter(|flag| !is_in_table(flag)).collect();
    // `--to` is described with the mode that needs it.
    assert_eq!(missing, ["--to"]);
}

/// The words of the map in ARCHITECTURE.md, by crate; a folder is a word that ends in a slash.
fn map() -> Vec<(String, BTreeSet<String>)> {
    let page = read("../../ARCHITECTURE.md");
    let start = page.find("crates/posix ").unwrap();
    let map = page[start..].split("```").next().unwrap();
    let is_name = |c: char| c.is_alphanumeric() || "_/".contains(c);
    let section = |section: &str| {
        let (name, rest) = section.split_once(' ').unwrap();
        let words = rest.split(|c| !is_name(c)).flat_map(|word| {
            // `net/socket` names a file of a folder, `net/` a whole folder.
            let file = word.rsplit('/').next().unwrap();
            [word.to_owned(), file.to_owned()]
        });
        (name.to_owned(), words.collect())
    };
    map.split("crates/").skip(1).map(section).collect()
}

/// The source files below a folder that the map does not name.
fn unnamed(folder: &Path, words: &BTreeSet<String>) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let unnamed = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_root = ["lib", "main", "mod", "tests"].contains(&&*name);
        // `chat/` names the folder, and `chat.rs` beside it.
        if words.contains(&format!("{name}/")) {
            Vec::new()
        } else if path.is_dir() {
            unnamed(&path, words)
        } else if is_root || words.contains(&name) {
            Vec::new()
        } else {
            vec![path]
        }
    };
    paths.flat_map(unnamed).collect()
}

#[test]
fn the_map_names_every_file_or_its_folder() {
    let map = map();
    let crates = fs::read_dir(guide().join("../../crates")).unwrap();
    assert_eq!(map.len(), crates.count() - 1, "all crates but the facade");
    for (name, words) in map {
        if name == "bench" {
            continue; // its README has a map of its own
        }
        let folder = guide().join("../../crates").join(&name).join("src");
        let unnamed = unnamed(&folder, &words);
        assert!(unnamed.is_empty(), "ARCHITECTURE.md lacks {unnamed:?}");
    }
}

#[test]
fn the_index_of_examples_names_each_one() {
    let folder = guide().join("../../crates/oneloop/examples");
    let index = read(folder.join("README.md"));
    let rows = index.lines().filter_map(|line| line.strip_prefix("| `"));
    let named: BTreeSet<_> = rows
        .map(|row| row.split('`').next().unwrap().to_owned())
        .collect();
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let programs = files.filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    let names = programs.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned());
    assert_eq!(named, names.collect());
}

/// A program of the guide, killed when it is dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a reminder server and talks to it as the page does, a hundred times as fast.
fn the_later_reminder_comes_second(program: &str) {
    let mut command = Command::new(program);
    let command = command.arg("127.0.0.1:0").stdout(Stdio::piped());
    let mut server = Program(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let addr = line.trim().strip_prefix("listening on ").unwrap();

    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(b"0.2 tea\n0.05 to").unwrap();
    client.write_all(b"ast\nnonsense\n").unwrap();
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(
        [next(), next(), next()],
        ["send SECONDS TEXT", "toast", "tea"]
    );

    // A client that closes its side receives no more, and its connection ends at once.
    client.write_all(b"60 late\n").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn the_async_program_reminds() {
    the_later_reminder_comes_second(env!("CARGO_BIN_EXE_reminders_async"));
}

#[test]
fn the_callback_program_reminds() {
    the_later_reminder_comes_second(env!("CARGO_BIN_EXE_reminders_callback"));
}

#[test]
fn the_green_program_reminds() {
    the_later_reminder_comes_second(env!("CARGO_BIN_EXE_reminders_green"));
}

//! C programs, which print on this library what they print on libuv.
//!
//! `tests/c/NAME.out` is what libuv 1.44 prints. Where a libuv of the system is there, each program
//! runs on that as well, so the recorded output stays true. `ONELOOP_LIBUV` names a folder with
//! `include` and `lib` for it; without it, pkg-config is asked. With `ONELOOP_RECORD=1` the output
//! of libuv is recorded, and with `ONELOOP_VALGRIND=1` valgrind runs the programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// Far more than any of the programs takes.
const LONG: Duration = Duration::from_secs(60);

/// Programs for which libuv 1.44 is no model: it loses handles and requests there, or lacks the
/// functions.
const OWN: [&str; 5] = ["again", "jumps", "metrics", "names", "stream_jumps"];

/// Programs that valgrind slows down too much for what they measure, or has not run yet.
const NOT_UNDER_VALGRIND: [&str; 4] = ["metrics", "names", "shortage", "udps"];

pub(crate) fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The library, which Cargo builds beside the tests.
pub(crate) fn library() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.with_file_name("libuv.so")
}

pub(crate) fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a command. Returns what it has printed.
///
/// # Panics
/// If it fails, or runs for too long.
pub(crate) fn output(command: &mut Command) -> String {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap());
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() > LONG => child.kill().unwrap(),
            None => thread::sleep(Duration::from_millis(5)), // there is no event for both
        }
    };
    let printed = reader.join().unwrap();
    assert!(status.success(), "{command:?}: {status}\n{printed}");
    printed
}

/// A libuv to build and run with.
struct Libuv {
    name: &'static str,
    include: PathBuf,
    folder: PathBuf,
}

impl Libuv {
    fn ours(target: &Path) -> Self {
        let folder = target.join("ours");
        fs::create_dir_all(&folder).unwrap();
        // The name that is in programs, and that the dynamic linker looks for.
        fs::copy(library(), folder.join("libuv.so.1")).unwrap();
        Libuv {
            name: "ours",
            include: manifest().join("include"),
            folder,
        }
    }

    /// The libuv of the system, if it is there.
    fn system() -> Option<Self> {
        let (include, folder) = match env::var_os("ONELOOP_LIBUV") {
            Some(prefix) => (
                Path::new(&prefix).join("include"),
                Path::new(&prefix).join("lib"),
            ),
            None => {
                let asked = |variable| {
                    let mut command = Command::new("pkg-config");
                    command
                        .args(["--variable", variable, "libuv"])
                        .stderr(Stdio::null());
                    let output = command
                        .output()
                        .ok()
                        .filter(|output| output.status.success())?;
                    let text = String::from_utf8(output.stdout).ok()?;
                    Some(PathBuf::from(text.trim())).filter(|path| path.is_dir())
                };
                (asked("includedir")?, asked("libdir")?)
            }
        };
        let is_there = include.join("uv.h").exists() && folder.join("libuv.so.1").exists();
        is_there.then_some(Libuv {
            name: "system",
            include,
            folder,
        })
    }

    /// Builds a program, and returns what it prints.
    fn run(&self, source: &Path, target: &Path) -> String {
        let name = source.file_stem().unwrap().to_str().unwrap();
        let program = target.join(format!("{name}-{}", self.name));
        let is_cpp = source
            .extension()
            .is_some_and(|extension| extension == "cc");
        let mut compiler = Command::new(if is_cpp { "c++" } else { "cc" });
        compiler.args(["-D_GNU_SOURCE", "-g", "-Wall", "-Wextra", "-Werror", "-I"]);
        compiler
            .arg(&self.include)
            .arg(source)
            .arg("-L")
            .arg(&self.folder);
        output(
            compiler
                .args(["-l:libuv.so.1", "-lpthread", "-o"])
                .arg(&program),
        );
        let mut run = if env::var_os("ONELOOP_VALGRIND").is_some() {
            let mut valgrind = Command::new("valgrind");
            valgrind.args(["-q", "--error-exitcode=9"]).arg(program);
            valgrind
        } else {
            Command::new(program)
        };
        run.env("LD_LIBRARY_PATH", &self.folder)
            .env("LD_BIND_NOW", "1")
            .current_dir("/tmp");
        output(&mut run)
    }
}

#[test]
fn each_program_prints_the_same_on_libuv_and_on_this_library() {
    if !is_there("cc") || !is_there("c++") {
        return println!("skipped: there is no C or C++ compiler");
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (ours, system) = (Libuv::ours(target), Libuv::system());
    if system.is_none() {
        println!("skipped: libuv is not installed, so its recorded output is not checked");
    }
    let mut sources: Vec<PathBuf> = fs::read_dir(manifest().join("tests/c"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "c" || extension == "cc")
        })
        .collect();
    sources.sort();
    assert!(sources.len() > 10);
    for source in sources {
        let name = source.file_stem().unwrap().to_str().unwrap();
        if env::var_os("ONELOOP_VALGRIND").is_some() && NOT_UNDER_VALGRIND.contains(&name) {
            println!("skipped under valgrind: {name}");
            continue;
        }
        println!("{}", source.display());
        let recorded = source.with_extension("out");
        let is_own = OWN.contains(&name);
        let model = if is_own { Some(&ours) } else { system.as_ref() };
        if let Some(model) = model {
            let printed = model.run(&source, target);
            if env::var_os("ONELOOP_RECORD").is_some() {
                fs::write(&recorded, &printed).unwrap();
            }
            assert_eq!(
                printed,
                fs::read_to_string(&recorded).unwrap(),
                "{}",
                model.name
            );
        }
        let printed = ours.run(&source, target);
        assert_eq!(
            printed,
            fs::read_to_string(&recorded).unwrap(),
            "{}",
            source.display()
        );
    }
}

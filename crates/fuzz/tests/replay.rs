//! Replays the targets without libFuzzer: their seeds, a few thousand changes of these, or one
//! input that failed.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Names a file, and replays only that.
const INPUT: &str = "ONELOOP_FUZZ_INPUT";
/// How many inputs each target gets, beside its seeds. Without it, a target gets as many of the
/// same inputs as fit into a second.
const COUNT: &str = "ONELOOP_FUZZ_COUNT";
const COUNT_MAX: u32 = 5000;
const TIME_MAX: Duration = Duration::from_secs(1);

const BYTES_MAX: usize = 512;

macro_rules! replays {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), oneloop_fuzz::$name::run);
            }
        )*

        #[test]
        fn each_target_has_a_program_and_seeds() {
            let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
            let names = [$(stringify!($name)),*];
            assert_eq!(manifest.matches("path = \"fuzz_targets/").count(), names.len());
            for name in names {
                let path = format!("fuzz_targets/{name}.rs");
                assert!(manifest.contains(&format!("path = \"{path}\"")), "Cargo.toml: {name}");
                let program = fs::read_to_string(folder().join(&path)).expect(&path);
                assert!(program.contains(&format!("oneloop_fuzz::{name}::run")), "{path}");
                assert!(!seeds(name).is_empty(), "seeds/{name} is empty");
            }
        }
    };
}
replays! { addresses, arguments, chat, config, frames, lines, proxy_header, streams, sync, watcher, wtf8 }

/// `fuzz/` at the root of the repository.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The inputs that were written by hand, each with its path.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(files) = fs::read_dir(folder().join("seeds").join(name)) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    paths.into_iter().map(read).collect()
}

fn replay(name: &str, run: fn(&[u8])) {
    if let Some(path) = env::var_os(INPUT) {
        run(&fs::read(path).unwrap());
        return;
    }
    let mut seeds = seeds(name);
    for (path, seed) in &seeds {
        attempt(name, run, seed, || path.clone());
    }
    seeds.retain(|(path, _)| !path.file_name().is_some_and(is_slow));
    let count = env::var(COUNT).map(|count| count.parse().unwrap()).ok();
    let begun = Instant::now();
    let mut random = fastrand::Rng::with_seed(0);
    for number in 0..count.unwrap_or(COUNT_MAX) {
        if count.is_none() && begun.elapsed() > TIME_MAX {
            break;
        }
        let input = change(&mut random, &seeds);
        attempt(name, run, &input, || {
            let path = folder().join("artifacts").join(name);
            fs::create_dir_all(&path).unwrap();
            let path = path.join(format!("replay-{number}"));
            fs::write(&path, &input).unwrap();
            path
        });
    }
}

fn is_slow(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"slow")
}

/// Runs a target, and prints the command that reproduces a failure.
fn attempt(name: &str, run: fn(&[u8]), input: &[u8], path: impl FnOnce() -> PathBuf) {
    if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| run(input))) {
        let path = path();
        let path = path.strip_prefix(folder()).unwrap();
        eprintln!(
            "reproduce with: make fuzz TARGET={name} INPUT=fuzz/{}",
            path.display()
        );
        panic::resume_unwind(panic);
    }
}

/// A seed with a few changes, a mixture of two seeds, or any bytes.
fn change(random: &mut fastrand::Rng, seeds: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
    let any = |random: &mut fastrand::Rng| {
        let length = random.usize(..BYTES_MAX);
        std::iter::repeat_with(|| random.u8(..))
            .take(length)
            .collect()
    };
    let seed = |random: &mut fastrand::Rng| random.choice(seeds).map(|(_, seed)| seed.clone());
    let mut input: Vec<u8> = match random.u8(..4) {
        0 => any(random),
        1 => {
            let (mut first, second) = (
                seed(random).unwrap_or_default(),
                seed(random).unwrap_or_default(),
            );
            first.truncate(random.usize(..=first.len()));
            first.extend_from_slice(&second[random.usize(..=second.len())..]);
            first
        }
        _ => seed(random).unwrap_or_else(|| any(random)),
    };
    for _ in 0..random.usize(..4) {
        let at = random.usize(..=input.len());
        match random.u8(..3) {
            0 => input.insert(at, random.u8(..)),
            1 if at < input.len() => drop(input.remove(at)),
            2 if at < input.len() => input[at] = random.u8(..),
            _ => {}
        }
    }
    input
}

//! `docs/ecosystem.md` is true: what it names exists, and what exists is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The rows of the tables with this number of columns, without their heads.
fn rows(text: &str, columns: usize) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let rows = rows.map(|line| line.trim_matches('|').split('|').collect::<Vec<_>>());
    let rows = rows.filter(|cells| cells.len() == columns);
    rows.skip(1).collect()
}

/// The words in backticks, each with what follows it.
fn spans(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts: Vec<_> = cell.split('`').collect();
    let pairs: Vec<_> = parts[1..]
        .chunks(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    pairs.into_iter()
}

/// The names of the Rust files in a folder of this crate, without `.rs`.
fn files(folder: &str) -> BTreeSet<String> {
    let files = fs::read_dir(root().join("crates/ecosystem").join(folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .filter_map(|name| Some(name.strip_suffix(".rs")?.to_owned()))
        .collect()
}

/// The file of a test: of this crate, or by its path from the root of the repository.
fn test_file(name: &str) -> PathBuf {
    let folder = match name.contains('/') {
        true => "",
        false => "crates/ecosystem/tests/ecosystem",
    };
    root().join(folder).join(name)
}

/// The files of a row's tests.
fn test_files<'a>(row: &[&'a str]) -> impl Iterator<Item = &'a str> {
    spans(row[3])
        .map(|(name, _)| name)
        .filter(|name| name.ends_with(".rs"))
}

/// The lock file of a row's test, which has the versions of its crates.
fn lock(row: &[&str]) -> String {
    let test = test_file(test_files(row).next().unwrap());
    let locks = test.ancestors().map(|folder| folder.join("Cargo.lock"));
    let lock = locks.into_iter().find(|lock| lock.exists());
    fs::read_to_string(lock.unwrap()).unwrap()
}

#[test]
fn the_table_names_each_example_and_each_test_and_no_others() {
    let text = read("docs/ecosystem.md");
    let (mut examples, mut tests) = (BTreeSet::new(), BTreeSet::new());
    for row in rows(&text, 4) {
        assert!(test_files(&row).next().is_some(), "{row:?} has no test");
        for name in test_files(&row) {
            assert!(test_file(name).exists(), "there is no {name}");
        }
        let names = test_files(&row).filter(|name| !name.contains('/'));
        let names: Vec<_> = names
            .map(|name| name.strip_suffix(".rs").unwrap().to_owned())
            .collect();
        // A row whose tests are in another crate has its example there.
        let test = test_file(test_files(&row).next().unwrap());
        let folders = test.ancestors().map(|folder| folder.join("examples"));
        let folder = folders.into_iter().find(|folder| folder.exists());
        for (name, _) in spans(row[2]) {
            let example = folder.as_ref().unwrap().join(name).with_extension("rs");
            let own_workspace = root()
                .join("crates/ecosystem")
                .join(name)
                .join("Cargo.toml");
            let exists = example.exists() || own_workspace.exists();
            assert!(exists, "there is no {}", example.display());
            if !names.is_empty() {
                examples.insert(name.to_owned());
            }
        }
        tests.extend(names);
    }
    assert_eq!(examples, files("examples"));
    let mut existing = files("tests/ecosystem");
    let others = [
        "allocations",
        "chaos",
        "examples",
        "harness",
        "main",
        "programs",
        "servers",
        "table",
    ];
    for other in others {
        existing.remove(other);
    }
    assert_eq!(tests, existing);
}

#[test]
fn the_versions_in_the_table_are_those_that_the_tests_use() {
    for row in rows(&read("docs/ecosystem.md"), 4) {
        let lock = lock(&row);
        let mut versions = spans(row[0]).filter_map(|(name, rest)| {
            let version = rest.trim_start().split([':', ',', ' ']).next()?;
            let is_version = version.starts_with(|c: char| c.is_ascii_digit());
            is_version.then(|| format!("name = \"{name}\"\nversion = \"{version}."))
        });
        let is_used = |version: String| lock.contains(&version);
        assert!(
            versions.next().is_some_and(is_used) && versions.all(is_used),
            "{row:?}"
        );
    }
}

#[test]
fn the_tests_that_the_table_names_exist() {
    let text = read("docs/ecosystem.md");
    let tests = files("tests/ecosystem").into_iter().map(|name| {
        let path = format!("crates/ecosystem/tests/ecosystem/{name}.rs");
        read(&path)
    });
    let tests: String = tests.collect();
    let has = |tests: &str, name: &str| {
        let start = format!("\nfn {}", name.trim_end_matches('…'));
        assert!(tests.contains(&start), "there is no test {name}");
    };
    for row in rows(&text, 3) {
        spans(row[2]).for_each(|(name, _)| has(&tests, name));
    }
    for (index, _) in text.match_indices("…` in `") {
        let (before, after) = (&text[..index], &text[index + "…` in `".len()..]);
        let name = before.rsplit('`').next().unwrap();
        let file = test_file(after.split('`').next().unwrap());
        has(&fs::read_to_string(file).unwrap(), name);
    }
    for row in rows(&text, 4) {
        let files = test_files(&row).map(|name| fs::read_to_string(test_file(name)).unwrap());
        let tests: String = files.collect();
        let names = spans(row[3]).filter(|(name, _)| !name.ends_with(".rs"));
        names.for_each(|(name, _)| has(&tests, name));
    }
}

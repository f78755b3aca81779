//! Every path that the documentation names exists.

mod documents;

use documents::{documents, guide, read};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The text outside of code blocks, which doctests compile.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// The words in backticks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The path at the start of a span.
fn path(span: &str) -> &str {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = span.find(|c| !is_path(c)).unwrap_or(span.len());
    &span[..end]
}

/// `oneloop::module::item`, and `oneloop::module::{one, two}`.
fn whole_paths(prose: &str) -> Vec<String> {
    let paths = |span: &str| {
        let path = path(span);
        let rest = &span[path.len()..];
        match rest.strip_prefix('{') {
            Some(names) => {
                let names = names.trim_end_matches('}').split(", ");
                names.map(|name| format!("{path}{name}")).collect()
            }
            None => {
                // A macro and a function may have the same name.
                let kind = ["!", "()"].into_iter().find(|kind| rest.starts_with(kind));
                vec![path.trim_end_matches(':').to_owned() + kind.unwrap_or("")]
            }
        }
    };
    let spans = spans(prose).filter(|span| span.starts_with("oneloop::"));
    spans.flat_map(paths).collect()
}

/// The paths in the tables whose heads name the module of a column.
fn paths_of_columns(prose: &str) -> Vec<String> {
    let mut modules = Vec::new();
    let mut paths = Vec::new();
    for line in prose.lines() {
        let cells = line.split('|').skip(1);
        if !line.starts_with('|') {
            modules.clear();
        } else if modules.is_empty() {
            let is_module = |span: &&str| span.starts_with("oneloop::");
            modules = cells.map(|cell| spans(cell).find(is_module)).collect();
        } else {
            for (module, cell) in modules.iter().zip(cells) {
                let Some(module) = module else { continue };
                let is_whole = |name: &&str| name.contains("std::") || name.contains("oneloop::");
                let names = spans(cell).filter(|span| path(span) == *span && !is_whole(span));
                paths.extend(names.map(|name| format!("{module}::{name}")));
            }
        }
    }
    paths
}

/// The paths that the project's documents name, each with one of the documents.
fn named_paths() -> BTreeMap<String, PathBuf> {
    let mut named = BTreeMap::new();
    for document in documents(&guide().join("../..")) {
        // It names what older versions had.
        if document.ends_with("CHANGELOG.md") {
            continue;
        }
        let prose = prose(&read(&document));
        let paths = [whole_paths(&prose), paths_of_columns(&prose)];
        named.extend(
            paths
                .concat()
                .into_iter()
                .map(|path| (path, document.clone())),
        );
    }
    named
}

/// The compiled `oneloop`, for rustdoc.
fn metadata() -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo runs this test"));
    let check = cargo.args(["check", "--offline", "--message-format=json", "-p"]);
    let output = check.arg(env!("CARGO_PKG_NAME")).output().unwrap();
    let messages = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let paths = messages.split('"').filter(|text| text.ends_with(".rmeta"));
    let mut of_facade = paths.filter(|path| path.contains("/liboneloop-"));
    PathBuf::from(of_facade.next().expect("the guide depends on the facade"))
}

/// Those of the paths that do not exist. rustdoc resolves a link to any item, method, field or
/// variant, which `use` does not.
fn missing<'a>(paths: &[&'a str], file: &str) -> Vec<&'a str> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
    fs::create_dir_all(&folder).unwrap();
    let links = paths.iter().map(|path| format!("//! [`{path}`]\n"));
    let links: String = links.chain(["extern crate oneloop;\n".into()]).collect();
    fs::write(folder.join("paths.rs"), links).unwrap();

    let metadata = metadata();
    let dependencies = metadata.parent().unwrap();
    let mut rustdoc = Command::new(env::var_os("RUSTDOC").unwrap_or("rustdoc".into()));
    let rustdoc = rustdoc
        .current_dir(&folder)
        .arg("paths.rs")
        .arg("-Dwarnings");
    let rustdoc = rustdoc
        .arg("--extern")
        .arg(format!("oneloop={}", metadata.display()));
    let rustdoc = rustdoc.arg("-L").arg(dependencies).output().unwrap();
    let errors = String::from_utf8_lossy(&rustdoc.stderr);
    let is_missing = |path: &&&str| errors.contains(&format!("`{path}`"));
    let missing: Vec<&str> = paths.iter().filter(is_missing).copied().collect();
    assert!(rustdoc.status.success() || !missing.is_empty(), "{errors}");
    missing
}

#[test]
fn every_path_of_the_documentation_exists() {
    let named = named_paths();
    assert!(named.len() > 200, "{named:?}");
    let paths: Vec<&str> = named.keys().map(String::as_str).collect();
    let missing = missing(&paths, "paths");
    let missing: Vec<_> = missing.iter().map(|path| (path, &named[*path])).collect();
    assert!(missing.is_empty(), "these paths do not exist: {missing:#?}");
}

/// Where the table of operations leaves the path of a name to its reader.
const MODULES: [&str; 18] = [
    "std::io",
    "oneloop",
    "oneloop::core",
    "oneloop::sync",
    "oneloop::net",
    "oneloop::aio",
    "oneloop::aio::fs",
    "oneloop::aio::process",
    "oneloop::green",
    "oneloop::green::net",
    "oneloop::green::fs",
    "oneloop::green::process",
    "oneloop::callback",
    "oneloop::callback::child_process",
    "oneloop::callback::fs",
    "oneloop::callback::net",
    "oneloop::callback::dgram",
    "oneloop::callback::stream",
];

/// A name without `::` is skipped: most are methods, whose type the cell does not name.
#[test]
fn every_qualified_name_of_the_table_of_operations_exists_in_a_module() {
    let text = read("../operations.md");
    let cells = text.lines().filter(|line| line.starts_with('|'));
    let is_qualified = |name: &&str| {
        let is_whole = ["oneloop::", "std::"]
            .iter()
            .any(|root| name.starts_with(root));
        name.contains("::") && !is_whole
    };
    let names: BTreeSet<&str> = cells
        .flat_map(spans)
        .map(path)
        .filter(is_qualified)
        .collect();
    assert!(names.len() > 50, "{names:?}");
    let within = |name: &&str| MODULES.map(|module| format!("{module}::{name}"));
    let paths: Vec<String> = names.iter().flat_map(within).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let missing: BTreeSet<&str> = missing(&paths, "operations").into_iter().collect();
    let exists = |name: &&&str| {
        within(name)
            .iter()
            .any(|path| !missing.contains(path.as_str()))
    };
    let wrong: Vec<_> = names.iter().filter(|name| !exists(name)).collect();
    assert!(
        wrong.is_empty(),
        "these names exist in no module: {wrong:?}"
    );
}

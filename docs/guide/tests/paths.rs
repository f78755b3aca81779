//! Every path that the documentation names exists.

mod documents;

use documents::{documents, guide, read};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The paths of `oneloop` in a text. Code blocks are left out: doctests compile them.
fn paths(text: &str) -> BTreeSet<String> {
    let prose = text.split("```").step_by(2);
    let spans = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let path = |span: &str| {
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let end = span.find(|c| !is_path(c)).unwrap_or(span.len());
        let path = span[..end].trim_end_matches(':');
        path.starts_with("oneloop::").then(|| path.to_owned())
    };
    spans.filter_map(path).collect()
}

/// The paths that the project's documents name, each with one of the documents.
fn named_paths() -> BTreeMap<String, PathBuf> {
    let mut named = BTreeMap::new();
    for document in documents(&guide().join("../..")) {
        // It names what older versions had.
        if document.ends_with("CHANGELOG.md") {
            continue;
        }
        for path in paths(&read(&document)) {
            named.insert(path, document.clone());
        }
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

/// rustdoc resolves a link to any item, method, field or variant, which `use` does not.
#[test]
fn every_path_of_the_documentation_exists() {
    let named = named_paths();
    assert!(named.len() > 200, "{named:?}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("paths");
    fs::create_dir_all(&folder).unwrap();
    let links = named.keys().map(|path| format!("//! [`{path}`]\n"));
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
    let wrong: Vec<_> = named
        .iter()
        .filter(|(path, _)| errors.contains(&format!("`{path}`")))
        .collect();
    assert!(wrong.is_empty(), "these paths do not exist: {wrong:#?}");
    assert!(rustdoc.status.success(), "{errors}");
}

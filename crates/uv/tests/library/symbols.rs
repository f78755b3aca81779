//! What the library exports, and how it is loaded.

use crate::programs::{is_there, library, manifest, output};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(manifest().join("include/uv.h")).unwrap();
    let statements = header.split("UV_EXTERN ").skip(2); // the first is its definition
    let names = statements.map(|statement| {
        let (before, _) = statement.split_once('(').unwrap();
        before.rsplit([' ', '*']).next().unwrap().to_owned()
    });
    names.collect()
}

#[test]
fn it_exports_exactly_the_functions_of_libuv() {
    assert_eq!(declared().len(), 318);
    if !is_there("nm") {
        return println!("skipped: nm is not installed");
    }
    let listed = output(
        Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(library()),
    );
    let symbols = listed
        .lines()
        .map(|line| line.split(' ').skip(1).collect::<Vec<_>>());
    let symbols: Vec<_> = symbols.collect();
    assert!(
        symbols.iter().all(|symbol| symbol[0] == "T"),
        "functions only"
    );
    let exported: BTreeSet<_> = symbols.iter().map(|symbol| symbol[1].to_owned()).collect();
    assert_eq!(exported, declared());
}

#[test]
fn programs_find_it_by_its_name_and_it_stays_loaded() {
    if !is_there("readelf") {
        return println!("skipped: readelf is not installed");
    }
    let dynamic = output(Command::new("readelf").arg("-dW").arg(library()));
    assert!(dynamic.contains("soname: [libuv.so.1]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

//! Every crate that can be published has what its package needs, and the figures count packages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders of the crates that can be published.
fn published() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("crates")).unwrap();
    let crates = folders.map(|folder| folder.unwrap().path());
    let published = crates.filter(|path| {
        let manifest = read(path.join("Cargo.toml"));
        !manifest.lines().any(|line| line == "publish = false")
    });
    published.collect()
}

/// Copies rather than symlinks: a checkout on some systems makes text files of symlinks.
#[test]
fn each_package_has_the_licenses_of_the_project() {
    for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let original = read(root().join(license));
        for path in published() {
            let copy = path.join(license);
            assert!(!copy.is_symlink(), "{}", copy.display());
            assert!(read(copy) == original, "{} differs", path.display());
        }
    }
}

#[test]
fn each_package_has_a_readme_and_describes_itself() {
    let keys = [
        "description",
        "keywords",
        "categories",
        "documentation",
        "repository",
        "license",
    ];
    assert_eq!(published().len(), 19);
    for path in published() {
        assert!(!read(path.join("README.md")).is_empty());
        let manifest = read(path.join("Cargo.toml"));
        for key in keys {
            let states = |line: &str| line.starts_with(key);
            assert!(manifest.lines().any(states), "{}: {key}", path.display());
        }
    }
}

/// The number of packages that a user of these features builds.
fn packages(features: &str) -> usize {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--package=oneloop"])
        .args(["--no-default-features", "--features", features])
        .args(["--edges=normal,build", "--prefix=none"])
        .current_dir(root())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "cargo tree: {errors}");
    let text = String::from_utf8(tree.stdout).unwrap();
    let packages = text.lines().map(|line| line.trim_end_matches(" (*)"));
    packages.collect::<BTreeSet<_>>().len()
}

#[test]
fn the_figures_count_the_packages_of_each_style() {
    let figures = read(root().join("docs/figures.md"));
    for (row, features) in [
        ("| `--no-default-features --features aio` |", "aio"),
        ("| the same with `callback` |", "callback"),
        ("| the same with `green` |", "green"),
        ("| default: all styles |", "default"),
    ] {
        let expected = format!("{row} {} |", packages(features));
        assert!(figures.contains(&expected), "there is no row {expected}");
    }
}

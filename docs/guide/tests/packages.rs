//! Every crate that can be published carries what its package needs.

use std::fs;
use std::path::{Path, PathBuf};

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
    assert_eq!(published().len(), 17);
    for path in published() {
        assert!(!read(path.join("README.md")).is_empty());
        let manifest = read(path.join("Cargo.toml"));
        for key in keys {
            let states = |line: &str| line.starts_with(key);
            assert!(manifest.lines().any(states), "{}: {key}", path.display());
        }
    }
}

//! The Markdown files of the project.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the guide.
pub(crate) fn guide() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, whose path is relative to the guide.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = guide().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file below a folder.
pub(crate) fn documents(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let is_ours = |path: &PathBuf| !path.ends_with("target") && !path.ends_with(".git");
    let documents = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => documents(&path),
        Some(kind) if kind == "md" => vec![path],
        _ => Vec::new(),
    };
    paths.filter(is_ours).flat_map(documents).collect()
}

//! The file of `--config`.

use super::command;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A file for `--config`, in a directory of its own.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    _dir: TempDir,
    pub(crate) path: PathBuf,
}

impl ConfigFile {
    pub(crate) fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.toml");
        let file = ConfigFile { _dir: dir, path };
        file.write(text);
        file
    }

    /// Replaces its text at once, as editors do.
    pub(crate) fn write(&self, text: &str) {
        let new = self.path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.path).unwrap();
    }

    /// The server, or its command `check`, with this file and these arguments.
    pub(crate) fn main(&self, args: &[&str]) -> Command {
        let (first, rest) = match args {
            ["check", rest @ ..] => (&["check"][..], rest),
            args => (&[][..], args),
        };
        let config = ["--config", self.path.to_str().unwrap()];
        command::main(&[first, &config, rest].concat())
    }
}

//! What the file of `--config` sets for one service.

use std::collections::BTreeMap;

/// What a file sets for one service: its own keys, and those of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    /// `None` for the only service of a file without tables.
    pub(crate) name: Option<String>,
    /// By the ids of the options.
    pub(crate) values: BTreeMap<String, FileValue>,
}

/// The value of a key.
#[derive(Clone, Debug)]
pub(crate) struct FileValue {
    /// The file and the line: `server.toml:7`.
    pub(crate) at: String,
    pub(crate) key: String,
    /// As on the command line; several for a list.
    pub(crate) values: Vec<String>,
    /// It stands above the tables, and so is the default of all services.
    pub(crate) is_shared: bool,
}

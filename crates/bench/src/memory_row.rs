//! One line of a table of memory.

use serde::Serialize;

use crate::process::Memory;
use crate::report::Row;

/// The memory of a server for each of its connections.
#[derive(Serialize)]
pub(crate) struct MemoryRow {
    server: &'static str,
    connections: usize,
    anonymous_bytes_per_connection: f64,
    resident_bytes_per_connection: f64,
    anonymous_bytes_before: u64,
    anonymous_bytes_after: u64,
}

impl MemoryRow {
    /// What `connections` cost that were opened between two readings.
    pub(crate) fn new(
        server: &'static str,
        connections: usize,
        before: Memory,
        after: Memory,
    ) -> MemoryRow {
        let each = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
        MemoryRow {
            server,
            connections,
            anonymous_bytes_per_connection: each(before.anonymous_bytes, after.anonymous_bytes),
            resident_bytes_per_connection: each(before.resident_bytes, after.resident_bytes),
            anonymous_bytes_before: before.anonymous_bytes,
            anonymous_bytes_after: after.anonymous_bytes,
        }
    }
}

impl Row for MemoryRow {
    const COLUMNS: &'static [&'static str] = &[
        "server",
        "connections",
        "anonymous bytes/connection",
        "RSS bytes/connection",
        "KiB before",
        "KiB after",
    ];
    const TEXT_COLUMNS: usize = 1;

    fn cells(&self) -> Vec<String> {
        vec![
            self.server.into(),
            self.connections.to_string(),
            format!("{:.0}", self.anonymous_bytes_per_connection),
            format!("{:.0}", self.resident_bytes_per_connection),
            (self.anonymous_bytes_before / 1024).to_string(),
            (self.anonymous_bytes_after / 1024).to_string(),
        ]
    }
}

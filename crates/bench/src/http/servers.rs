//! The two servers of a comparison.

use std::ffi::OsString;

use anyhow::Result;

use crate::contenders::{HttpRuntime, Protocol};
use crate::program;

/// The first is measured against the second.
pub(super) const RUNTIMES: [HttpRuntime; 2] = [HttpRuntime::Oneloop, HttpRuntime::Tokio];

/// How to start a server.
pub(super) fn command(runtime: HttpRuntime, protocol: Protocol) -> Result<Vec<OsString>> {
    let arguments = ["serve-http", runtime.name(), "--protocol", protocol.name()];
    let mut command = vec![program::bench()?.into()];
    command.extend(arguments.map(OsString::from));
    Ok(command)
}

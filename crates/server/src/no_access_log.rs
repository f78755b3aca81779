//! The access log of a build without it: there is none.

use crate::close_reason::End;
use crate::counters::Moved;
use crate::options::Options;
use oneloop::net::Addr;
use std::fmt;

/// No file is open.
#[derive(Debug)]
pub(crate) enum AccessLogFile {}

impl AccessLogFile {
    pub(crate) fn open(_: &Options) -> Result<Option<Self>, String> {
        Ok(None)
    }

    pub(crate) fn start(self) -> Result<AccessLogWriter, String> {
        match self {}
    }
}

/// No thread writes.
#[derive(Debug)]
pub(crate) enum AccessLogWriter {}

/// Its end matters where there is one.
impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        match *self {}
    }
}

/// No connection is noted.
#[derive(Debug)]
pub(crate) enum AccessLog {}

impl AccessLog {
    pub(crate) fn of(_: &str, _: impl fmt::Display) -> Option<Self> {
        None
    }

    pub(crate) fn begin(&self, _: u64, _: Addr) {
        match *self {}
    }

    pub(crate) fn end(&self, _: u64, _: End, _: Option<Moved>) {
        match *self {}
    }
}

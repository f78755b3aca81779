//! The kinds of log lines that are limited to one a second.

use crate::notice::Notice;
use oneloop::net::Addr;
use oneloop::process::ExitStatus;
use std::io;
use tracing::{info, warn};

/// One notice of each kind, shared by all threads.
#[derive(Debug)]
pub(crate) struct News {
    /// A client waits for a place; how many connections there are.
    pub(crate) full: Notice<usize>,
    /// A client was refused; how many were so far, and which one.
    pub(crate) refused: Notice<(u64, Addr)>,
    /// The same, for want of a stack.
    pub(crate) without_stack: Notice<(u64, Addr, io::Error)>,
    /// There was no peer for a client.
    pub(crate) without_peer: Notice<io::Error>,
    /// The program of the client with this number failed by itself.
    pub(crate) program_failed: Notice<(u64, ExitStatus)>,
    /// Accepting failed, and goes on; how often one listener's has so far, and why.
    pub(crate) accept_failed: Notice<(u64, io::Error)>,
    /// Accepting sheds clients or pauses; how many connections were shed so far.
    pub(crate) shortage: Notice<u64>,
    /// A sandbox refuses what the client with this number takes, and this is how.
    pub(crate) forbidden: Notice<(u64, String)>,
    /// `--idle-timeout` passed for a client: its number and address.
    pub(crate) idle: Notice<(u64, String)>,
    /// The same of `--write-timeout`.
    pub(crate) write: Notice<(u64, String)>,
    /// More than `--out-hard` waited for a client.
    pub(crate) too_slow: Notice<(u64, String)>,
    /// More than `--out-total` waited for all clients, the most of it for this one; how many have had to
    /// go so far, and which one.
    pub(crate) crowded: Notice<(u64, (u64, String))>,
}

impl Default for News {
    fn default() -> Self {
        News {
            full: Notice::new(|connections, more| {
                info!(connections, more, "full: others wait for one to end");
            }),
            refused: Notice::new(|(refused, peer), more| {
                info!(refused, %peer, more, "refused: as many as may be are connected");
            }),
            without_stack: Notice::new(|(refused, peer, error), more| {
                warn!(refused, %peer, %error, more, "refused: no stack for its green thread");
            }),
            without_peer: Notice::new(|error, more| {
                warn!(%error, more, "closed a client: there is no peer for it");
            }),
            program_failed: Notice::new(|(number, status), more| {
                warn!(number, more, "its program has failed: {status}");
            }),
            accept_failed: Notice::new(|(failed, error), more| {
                warn!(failed, %error, more, "accepting failed, and goes on");
            }),
            shortage: Notice::new(|shed, more| {
                warn!(
                    shed,
                    more, "out of open files or memory: accepting pauses and sheds clients"
                );
            }),
            forbidden: Notice::new(|(number, error), more| {
                warn!(
                    number,
                    error, more, "closed: a sandbox refuses a system call"
                );
            }),
            idle: Notice::new(|(number, peer), more| {
                info!(number, %peer, more, "closed: --idle-timeout passed");
            }),
            write: Notice::new(|(number, peer), more| {
                info!(number, %peer, more, "closed: --write-timeout passed");
            }),
            too_slow: Notice::new(|(number, peer), more| {
                info!(number, %peer, more, "closed: more than --out-hard waited for it");
            }),
            crowded: Notice::new(|(times, (number, peer)), more| {
                warn!(
                    times,
                    number,
                    %peer,
                    more,
                    "closed: more than --out-total waited for all clients, most of it for this one"
                );
            }),
        }
    }
}

impl News {
    /// Tells of everything that waits for its line: the server ends.
    pub(crate) fn flush(&self) {
        self.full.flush();
        self.refused.flush();
        self.without_stack.flush();
        self.without_peer.flush();
        self.program_failed.flush();
        self.accept_failed.flush();
        self.shortage.flush();
        self.forbidden.flush();
        self.idle.flush();
        self.write.flush();
        self.too_slow.flush();
        self.crowded.flush();
    }
}

//! The kinds of log lines that are limited to one per second.

use crate::notice::Notice;
use crate::refusals::RefusalReason;
use oneloop::net::Addr;
use oneloop::process::ExitStatus;
use std::io;
use tracing::{info, warn};

/// One notice of each kind, shared by all threads.
#[derive(Debug)]
pub(crate) struct Notices {
    /// A client waits for a permit. Holds how many connections are open.
    pub(crate) full: Notice<usize>,
    /// A client was refused, for each reason. Holds it, how many were so far, and the address.
    pub(crate) refused: [Notice<(RefusalReason, u64, Addr)>; RefusalReason::ALL.len()],
    /// A client was refused because there was no stack for its thread.
    pub(crate) without_stack: Notice<(u64, Addr, io::Error)>,
    /// A client got no peer.
    pub(crate) without_peer: Notice<io::Error>,
    /// The program of the client with this number failed, and the server is not the cause.
    pub(crate) program_failed: Notice<(u64, ExitStatus)>,
    /// Accepting failed, and continues. Holds how often it has failed on one listener, and why.
    pub(crate) accept_failed: Notice<(u64, io::Error)>,
    /// Accepting sheds clients or pauses. Holds how many connections were shed so far.
    pub(crate) shortage: Notice<u64>,
    /// A sandbox refuses a system call that the client with this number needs. Holds the error.
    pub(crate) forbidden: Notice<(u64, String)>,
    /// `--idle-timeout` passed for a client. Holds its number and address.
    pub(crate) idle: Notice<(u64, String)>,
    /// `--write-timeout` passed for a client.
    pub(crate) write: Notice<(u64, String)>,
    /// More than `--out-hard` bytes waited for a client.
    pub(crate) too_slow: Notice<(u64, String)>,
    /// More than `--out-total` bytes waited for all clients, and this one had the longest queue.
    /// Holds how many were closed for that so far, and which one.
    pub(crate) over_budget: Notice<(u64, (u64, String))>,
}

impl Default for Notices {
    fn default() -> Self {
        Notices {
            full: Notice::new(|connections, more| {
                info!(
                    connections,
                    more, "full: others wait until a connection ends"
                );
            }),
            refused: RefusalReason::ALL.map(|_| {
                Notice::new(
                    |(reason, refused, peer): &(RefusalReason, u64, Addr), more| {
                        info!(refused, %peer, more, "refused: {}", reason.in_words());
                    },
                )
            }),
            without_stack: Notice::new(|(refused, peer, error), more| {
                warn!(refused, %peer, %error, more, "refused: there is no memory for its stack");
            }),
            without_peer: Notice::new(|error, more| {
                warn!(%error, more, "closed a client: there is no peer for it");
            }),
            program_failed: Notice::new(|(number, status), more| {
                warn!(number, more, "its program has failed: {status}");
            }),
            accept_failed: Notice::new(|(failed, error), more| {
                warn!(failed, %error, more, "accepting failed, and continues");
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
                info!(number, %peer, more, "closed: more than --out-hard bytes waited for it");
            }),
            over_budget: Notice::new(|(times, (number, peer)), more| {
                warn!(
                    times,
                    number,
                    %peer,
                    more,
                    "closed: more than --out-total bytes waited for all clients, and most of them for this one"
                );
            }),
        }
    }
}

impl Notices {
    /// Logs all pending events: the server ends.
    pub(crate) fn flush(&self) {
        self.full.flush();
        self.refused.iter().for_each(Notice::flush);
        self.without_stack.flush();
        self.without_peer.flush();
        self.program_failed.flush();
        self.accept_failed.flush();
        self.shortage.flush();
        self.forbidden.flush();
        self.idle.flush();
        self.write.flush();
        self.too_slow.flush();
        self.over_budget.flush();
    }
}

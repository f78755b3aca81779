//! The connections of a program, as it reports them to the page, and what the page asks of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// The connections of a program, for [`Inspector::set_connections`](crate::Inspector).
///
/// Its functions are called on the admin thread, on its loop, and must not block: a list that is
/// spread over other loops is asked for by [`Remote`](oneloop_core::Remote). They are called only
/// while a page watches.
pub trait Connections: Send {
    /// Lists the connections, the most interesting ones first, and at most `shown_max` of them. An
    /// answer that takes more than a second is not waited for.
    fn list(&self, shown_max: usize) -> Pin<Box<dyn Future<Output = ConnectionList>>>;

    /// Pauses, continues or closes the connection with that number, if it is still there.
    fn act(&self, number: u64, action: ConnectionAction);
}

/// What a page asks of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionAction {
    /// Reads nothing more from it.
    Pause,
    /// Reads from it again.
    Resume,
    /// Closes it.
    Close,
}

impl ConnectionAction {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "pause" => ConnectionAction::Pause,
            "resume" => ConnectionAction::Resume,
            "close" => ConnectionAction::Close,
            _ => return None,
        })
    }
}

impl fmt::Display for ConnectionAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConnectionAction::Pause => "pause",
            ConnectionAction::Resume => "resume",
            ConnectionAction::Close => "close",
        })
    }
}

/// Some connections of a program, and how many there are.
#[derive(Clone, Debug, Default)]
pub struct ConnectionList {
    /// The number of all connections.
    pub total: usize,
    /// The connections to show.
    pub shown: Vec<ConnectionInfo>,
}

/// One connection at one moment.
#[derive(Clone, Debug, Default)]
pub struct ConnectionInfo {
    /// Its number, by which the page names it.
    pub number: u64,
    /// The name of its loop.
    pub on_loop: String,
    /// The address of its other end.
    pub peer: String,
    /// The time since it was accepted.
    pub age: Duration,
    /// Bytes received from it.
    pub received: u64,
    /// Bytes sent to it.
    pub sent: u64,
    /// Bytes that wait to be sent.
    pub queued: u64,
    /// What it waits for, in a few words.
    pub state: String,
    /// It was paused by [`ConnectionAction::Pause`].
    pub is_paused: bool,
}

//! One client, served by a green thread: `--style green`. The code reads as if each wait blocked.

use crate::client::Served;
use crate::close_reason::CloseReason;
use crate::connection::Connection;
use crate::relayed::Relayed;
use oneloop::green::{Builder, Wait};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The size of a client's stack, guard page included: four times what a debug build needs to log,
/// or to print the backtrace of a panic (28 KiB). It is address space, and costs memory only where
/// it is touched: in a release build, a client that waits holds one page.
const STACK_BYTES: usize = 128 * 1024;

/// Serves a client that the server itself talks to.
///
/// # Errors
/// There is no memory for the thread's stack; the connection is closed then.
pub(crate) fn spawn(mut connection: Connection) -> io::Result<()> {
    let number = connection.client().conversation.number();
    start(number, move || {
        let end = serve(&mut connection);
        connection.finish(&end);
    })
}

/// Serves a client that is connected to a peer.
///
/// # Errors
/// As [`spawn`].
pub(crate) fn spawn_relay(mut relayed: Relayed) -> io::Result<()> {
    let number = relayed.client().conversation.number();
    start(number, move || {
        let end = wait(&mut relayed, Relayed::poll_life);
        if let Some(ending) = relayed.close(end) {
            ending.0.wait();
        }
    })
}

fn start(number: u64, life: impl FnOnce() + 'static) -> io::Result<()> {
    // The name is for the dump of tasks and for the message of a stack overflow.
    let client = Builder::new()
        .name(format!("client {number}"))
        .stack_bytes(STACK_BYTES);
    client.spawn(life)?;
    Ok(())
}

fn serve(connection: &mut Connection) -> Result<(), CloseReason> {
    while let Some(input) = wait(connection, Connection::poll_next)? {
        connection.answer(&input)?;
    }
    Ok(())
}

/// Waits for an operation on a client, but no longer than its deadlines.
#[track_caller]
fn wait<S, T, P>(served: &mut S, poll: P) -> Result<T, CloseReason>
where
    S: Served,
    P: FnMut(&mut S, &mut Context<'_>) -> Poll<Result<T, CloseReason>> + Unpin,
{
    InTime { served, poll }.wait()
}

/// A future with a name, for the dump of tasks: `InTime<Connection, poll_next>`.
struct InTime<'a, S, P> {
    served: &'a mut S,
    poll: P,
}

impl<S, T, P> Future for InTime<'_, S, P>
where
    S: Served,
    P: FnMut(&mut S, &mut Context<'_>) -> Poll<Result<T, CloseReason>> + Unpin,
{
    type Output = Result<T, CloseReason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let InTime { served, poll } = &mut *self;
        served.poll_in_time(cx, poll)
    }
}

//! One client, served by a green thread: `--style green`. It reads as if each wait blocked.

use crate::client::{Broken, Served};
use crate::connection::{Connection, Next};
use crate::relayed::Relayed;
use oneloop::green::{Builder, Wait};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a client's stack may grow to, guard page included: four times what debug builds need, be it to
/// log or to print the backtrace of a panic (28 KiB). It is address space, which costs no memory until it
/// is touched: a client that waits in a release build holds one page.
const STACK_BYTES: usize = 128 * 1024;

/// Serves a client that the server itself talks to.
///
/// # Errors
/// There is no memory for its stack; the connection is closed then.
pub(crate) fn spawn(mut connection: Connection) -> io::Result<()> {
    let number = connection.client().number();
    start(number, move || {
        let end = serve(&mut connection);
        connection.client().log_end(&end);
    })
}

/// Serves a client that is wired to a peer.
///
/// # Errors
/// As [`spawn`].
pub(crate) fn spawn_relay(mut relayed: Relayed) -> io::Result<()> {
    start(relayed.number(), move || {
        let end = pass(&mut relayed);
        relayed.close(end).wait();
    })
}

fn start(number: u64, life: impl FnOnce() + 'static) -> io::Result<()> {
    let client = Builder::new()
        .name(format!("client {number}"))
        .stack_bytes(STACK_BYTES);
    client.spawn(life)?;
    Ok(())
}

/// From the first byte to the close.
fn serve(connection: &mut Connection) -> Result<(), Broken> {
    loop {
        match wait(connection, Connection::poll_next)? {
            Next::Input(input) => connection.answer(&input)?,
            Next::End => return wait(connection, Connection::poll_flush),
            Next::Enough => break,
        }
    }
    wait(connection, Connection::poll_last_output)?;
    connection.begin_lingering()?;
    wait(connection, Connection::poll_lingering)
}

/// From the connect to the last byte.
fn pass(relayed: &mut Relayed) -> Result<(), Broken> {
    wait(relayed, Relayed::poll_open)?;
    wait(relayed, Relayed::poll_relay)?;
    relayed.begin_lingering()?;
    wait(relayed, Relayed::poll_lingering)
}

/// Waits for one of the operations on a client, but no longer than it has time.
#[track_caller]
fn wait<S, T, P>(served: &mut S, poll: P) -> Result<T, Broken>
where
    S: Served,
    P: FnMut(&mut S, &mut Context<'_>) -> Poll<Result<T, Broken>> + Unpin,
{
    InTime { served, poll }.wait()
}

/// A dump of tasks names it with its operation: `InTime<Connection, poll_next>`.
struct InTime<'a, S, P> {
    served: &'a mut S,
    poll: P,
}

impl<S, T, P> Future for InTime<'_, S, P>
where
    S: Served,
    P: FnMut(&mut S, &mut Context<'_>) -> Poll<Result<T, Broken>> + Unpin,
{
    type Output = Result<T, Broken>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let InTime { served, poll } = &mut *self;
        served.poll_in_time(cx, poll)
    }
}

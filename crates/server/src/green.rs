//! One client, served by a green thread: `--style green`. It reads as if each wait blocked.

use crate::connection::{Broken, Connection, Next};
use oneloop::green::{Builder, Wait};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a client's stack may grow to, guard page included: four times what debug builds need, be it to
/// log or to print the backtrace of a panic (28 KiB). It is address space, which costs no memory until it
/// is touched: a client that waits in a release build holds one page.
const STACK_BYTES: usize = 128 * 1024;

/// Serves a connection.
///
/// # Errors
/// There is no memory for its stack; the connection is closed then.
pub(crate) fn spawn(mut connection: Connection) -> io::Result<()> {
    let client = Builder::new()
        .name(format!("client {}", connection.number()))
        .stack_bytes(STACK_BYTES);
    client.spawn(move || {
        let end = serve(&mut connection);
        connection.log_end(&end);
    })?;
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

/// Waits for one of a connection's operations, but no longer than the client has time.
#[track_caller]
fn wait<T, P>(connection: &mut Connection, poll: P) -> Result<T, Broken>
where
    P: FnMut(&mut Connection, &mut Context<'_>) -> Poll<Result<T, Broken>> + Unpin,
{
    InTime { connection, poll }.wait()
}

/// A dump of tasks names it with its operation: `InTime<poll_next>`.
struct InTime<'a, P> {
    connection: &'a mut Connection,
    poll: P,
}

impl<T, P> Future for InTime<'_, P>
where
    P: FnMut(&mut Connection, &mut Context<'_>) -> Poll<Result<T, Broken>> + Unpin,
{
    type Output = Result<T, Broken>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let InTime { connection, poll } = &mut *self;
        connection.poll_in_time(cx, poll)
    }
}

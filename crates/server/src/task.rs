//! One client, served by an async task: `--style async`. The task is a state machine by hand, as that
//! holds less than the one that the compiler would make.

use crate::client::{Broken, Served};
use crate::connection::{Connection, Next};
use crate::relayed::Relayed;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How far a connection is.
///
/// ```text
/// Open ──client ended──▶ Flushing ──all sent──▶ (closed)
///   └──we end──▶ Ending ──all sent, our end closed──▶ Lingering ──client ended──▶ (closed)
/// ```
#[derive(Clone, Copy, Debug)]
enum State {
    /// Reads, answers, sends.
    Open,
    /// The client has sent its last; what waits for it goes out.
    Flushing,
    /// The server wants no more input; what waits goes out.
    Ending,
    /// Everything is sent, and the client knows. Its input is dropped until it closes, too.
    Lingering,
}

/// A task: ready when the connection is closed.
#[derive(Debug)]
pub(crate) struct Serve {
    connection: Connection,
    state: State,
}

impl Serve {
    pub(crate) fn new(connection: Connection) -> Self {
        Serve {
            connection,
            state: State::Open,
        }
    }
}

impl Future for Serve {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Serve { connection, state } = &mut *self;
        let end =
            ready!(connection.poll_in_time(cx, |connection, cx| state.poll_life(connection, cx)));
        connection.client().log_end(&end);
        Poll::Ready(())
    }
}

impl State {
    fn poll_life(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            *self = match self {
                State::Open => match ready!(connection.poll_next(cx))? {
                    Next::Input(input) => {
                        connection.answer(&input)?;
                        State::Open
                    }
                    Next::End => State::Flushing,
                    Next::Enough => State::Ending,
                },
                State::Flushing => return connection.poll_flush(cx),
                State::Ending => {
                    ready!(connection.poll_last_output(cx))?;
                    connection.begin_lingering()?;
                    State::Lingering
                }
                State::Lingering => return connection.poll_lingering(cx),
            };
        }
    }
}

/// Serves a client that is wired to a peer.
pub(crate) async fn relay(mut relayed: Relayed) {
    let end = pass(&mut relayed).await;
    relayed.close(end).await;
}

/// From the connect to the last byte. The compiler makes the state machine: bytes that pass between two
/// sockets cost more than the task that passes them.
async fn pass(relayed: &mut Relayed) -> Result<(), Broken> {
    in_time(relayed, Relayed::poll_open).await?;
    in_time(relayed, Relayed::poll_relay).await?;
    relayed.begin_lingering()?;
    in_time(relayed, Relayed::poll_lingering).await
}

/// Waits for one of its operations, but no longer than the client has time.
async fn in_time<P>(relayed: &mut Relayed, mut poll: P) -> Result<(), Broken>
where
    P: FnMut(&mut Relayed, &mut Context<'_>) -> Poll<Result<(), Broken>>,
{
    poll_fn(|cx| relayed.poll_in_time(cx, &mut poll)).await
}

//! One client, served by an async task: `--style async`. The task is a state machine by hand, as that
//! holds less than the one that the compiler would make.

use crate::connection::{Broken, Connection, Next};
use std::future::Future;
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
        connection.log_end(&end);
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

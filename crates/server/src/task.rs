//! One client, served by an async task: `--style async`.

use crate::client::Served;
use crate::connection::Connection;
use crate::peer::Ending;
use crate::relayed::Relayed;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Serves a client that the server itself talks to. A future by hand: the compiler's would hold the
/// input across its waits as well, and an idle connection would cost more memory.
#[derive(Debug)]
pub(crate) struct Serve(pub(crate) Connection);

impl Future for Serve {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The connection stays in this future until the end is logged: its address is part of the
        // line.
        let end = ready!(self.0.poll_in_time(cx, |connection, cx| {
            while let Some(input) = ready!(connection.poll_next(cx))? {
                connection.answer(&input)?;
            }
            Poll::Ready(Ok(()))
        }));
        self.0.finish(&end);
        Poll::Ready(())
    }
}

/// Serves a client that is connected to a peer.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all of a relay's time is spent in the large one"
)]
pub(crate) enum Relay {
    Passing(Relayed),
    Ending(Ending),
    Ended,
}

impl Future for Relay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Relay::Passing(relayed) = &mut *self {
            let end = ready!(relayed.poll_in_time(cx, Relayed::poll_life));
            if let Relay::Passing(relayed) = mem::replace(&mut *self, Relay::Ended) {
                *self = relayed.close(end).map_or(Relay::Ended, Relay::Ending);
            }
        }
        match &mut *self {
            Relay::Ending(ending) => ending.0.as_mut().poll(cx),
            _ => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Relay;

    #[test]
    fn a_relayed_connection_takes_little_memory() {
        assert!(size_of::<Relay>() <= 400, "{}", size_of::<Relay>());
    }
}

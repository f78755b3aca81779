//! One client, served by an async task: `--style async`.

use crate::client::Served;
use crate::connection::Connection;
use crate::relayed::Relayed;
use std::future::{Future, poll_fn};
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
        self.0.client().finish(&end);
        Poll::Ready(())
    }
}

/// Serves a client that is connected to a peer. Here the compiler's future is good enough: the
/// bytes between two sockets cost more memory than the task that passes them on.
pub(crate) async fn relay(mut relayed: Relayed) {
    // `close` may wait for a program's end, long after the bytes; hence an async fn.
    let end = poll_fn(|cx| relayed.poll_in_time(cx, Relayed::poll_life)).await;
    relayed.close(end).await;
}

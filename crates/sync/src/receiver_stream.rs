//! The values of a channel as a stream.

use crate::channel::{Receiver, Receiving};
use oneloop_core::Stream;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

impl<T> Receiver<T> {
    /// Makes a stream of the values. It ends when no value is left and all senders are gone.
    ///
    /// ```
    /// use futures_util::StreamExt as _;
    /// use oneloop::aio::{block_on, spawn};
    /// use oneloop::sync::channel;
    ///
    /// block_on(async {
    ///     let (sender, receiver) = channel(Some(1));
    ///     spawn(async move {
    ///         for number in 1..=3 {
    ///             sender.send(number).await.unwrap();
    ///         }
    ///     });
    ///     let doubled: Vec<_> = receiver.into_stream().map(|number| number * 2).collect().await;
    ///     assert_eq!(doubled, [2, 4, 6]);
    /// });
    /// ```
    #[doc(alias("ReceiverStream", "UnboundedReceiverStream"))]
    pub fn into_stream(self) -> ReceiverStream<T> {
        ReceiverStream {
            receiving: None,
            receiver: self,
        }
    }
}

/// The stream of [`Receiver::into_stream`].
///
/// Once a poll of it was pending, it is in line for the next value, until it takes that or is
/// dropped. So other receivers of the channel wait for a stream that is never polled again.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct ReceiverStream<T> {
    /// The receive that is in line.
    receiving: Option<Receiving<T>>,
    receiver: Receiver<T>,
}

impl<T> ReceiverStream<T> {
    /// The receiver.
    pub fn receiver(&self) -> &Receiver<T> {
        &self.receiver
    }
}

impl<T> Stream for ReceiverStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        let receiving = this
            .receiving
            .get_or_insert_with(|| this.receiver.receive());
        let value = ready!(Pin::new(receiving).poll(cx));
        this.receiving = None;
        Poll::Ready(value)
    }
}

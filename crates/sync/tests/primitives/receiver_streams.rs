use crate::*;
use oneloop_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

fn poll<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_stream_has_the_values_and_ends_with_the_senders() {
    let (sender, receiver) = channel(Some(2));
    let mut stream = receiver.into_stream();
    assert_eq!(poll(&mut stream), Poll::Pending);
    sender.try_send(1).unwrap();
    drop(sender);
    assert_eq!(poll(&mut stream), Poll::Ready(Some(1)));
    assert_eq!(poll(&mut stream), Poll::Ready(None));
    assert_eq!(poll(&mut stream), Poll::Ready(None));
}

#[test]
fn a_stream_that_was_pending_is_in_line_until_it_is_dropped() {
    let (sender, receiver) = channel(None);
    let mut stream = receiver.clone().into_stream();
    assert_eq!(poll(&mut stream), Poll::Pending);
    sender.try_send(1).unwrap();
    assert_eq!(receiver.try_receive(), Err(TryReceiveError::Empty));
    drop(stream);
    assert_eq!(receiver.try_receive(), Ok(1));
}

#[test]
fn a_stream_is_a_receiver() {
    let (sender, receiver) = channel::<u32>(None);
    let stream = receiver.into_stream();
    assert_eq!(stream.receiver().len(), 0);
    assert!(!sender.is_closed());
    drop(stream);
    assert!(sender.is_closed());
}

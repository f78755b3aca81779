//! Channels between all pairs of loops.

use oneloop::cluster::{Mesh, cluster};
use oneloop::core::Stream;
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

#[test]
fn each_loop_of_a_mesh_receives_from_each_other() {
    let mesh = Arc::new(Mesh::new(4, 1));
    cluster(4, move |member| {
        let peers = mesh.join(&member);
        async move {
            let (senders, mut inbox) = peers.into_parts();
            // In a task of its own: with room for one value, all would wait for each other.
            let id = member.id();
            let sending = oneloop::aio::spawn(async move {
                for sender in senders.into_iter().flatten() {
                    for number in 0..10 {
                        sender.send((id, number)).await.unwrap();
                    }
                }
            });
            let mut received = BTreeSet::new();
            while let Some(value) = inbox.receive().await {
                received.insert(value); // ends once the others have dropped their senders
            }
            assert_eq!(received.len(), 30);
            assert!(received.iter().all(|(peer, _)| *peer != id));
            sending.await.unwrap();
            io::Result::Ok(())
        }
    })
    .unwrap();
}

#[test]
fn a_send_to_a_loop_that_has_ended_returns_the_value() {
    let mesh = Arc::new(Mesh::new(2, 1));
    cluster(2, move |member| {
        let peers = mesh.join(&member);
        async move {
            if member.id() == 0 {
                while peers.send(1, "hello").await.is_ok() {}
            }
            io::Result::Ok(())
        }
    })
    .unwrap();
}

#[test]
fn an_end_of_a_mesh_is_a_stream() {
    fn next<S: Stream + Unpin>(stream: &mut S) -> impl Future<Output = Option<S::Item>> {
        poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx))
    }
    let mesh = Arc::new(Mesh::new(2, 1));
    cluster(2, move |member| {
        let mut peers = mesh.join(&member);
        async move {
            if member.id() == 0 {
                peers.send(1, "hello").await.unwrap();
                return io::Result::Ok(()); // which drops this end
            }
            assert_eq!(next(&mut peers).await, Some("hello"));
            assert_eq!(next(&mut peers).await, None);
            Ok(())
        }
    })
    .unwrap();
}

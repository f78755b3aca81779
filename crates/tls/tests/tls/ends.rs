//! How a stream ends, and what it holds back.

use crate::harness::{BYTES_MAX, block_on, bytes, echo, pair, shaken, tcp};
use oneloop::aio::{copy, spawn, timeout};
use oneloop::net::{HalfClose, LengthPrefix, ReadHalf, Shutdown, WriteHalf};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn an_end_with_close_notify_is_the_end_and_the_peer_may_still_answer() {
    block_on(async {
        let (client, server) = pair().await;
        client.write_all(b"tea?").await.unwrap();
        client.shutdown().await.unwrap();
        client.shutdown().await.unwrap(); // the second is none
        assert_eq!(server.read_text(80).await.unwrap(), "tea?");
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        server.write_all(b"tea!").await.unwrap();
        server.shutdown().await.unwrap();
        assert_eq!(client.read_text(80).await.unwrap(), "tea!");
        let error = client.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    });
}

#[test]
fn an_end_without_close_notify_is_an_error() {
    block_on(async {
        let (client, server) = pair().await;
        let mut buf = [0; 8];
        server.write_all(b"tea?").await.unwrap();
        client.read_exact(&mut buf[..4]).await.unwrap(); // unread bytes would make it a reset
        client.write_all(b"tea").await.unwrap();
        drop(client);
        assert_eq!(server.read(&mut buf).await.unwrap(), 3);
        for _ in 0..2 {
            let error = server.read(&mut buf).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
        // An attacker that ends the connection below.
        let (client, server) = shaken(tcp().await).await;
        client.write_all(b"tea").await.unwrap();
        client.stream().shutdown(Shutdown::Write).unwrap();
        let error = server.read_all(80).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_task_that_is_canceled_in_its_answer_does_not_look_as_if_it_had_finished() {
    block_on(async {
        let (client, server) = pair().await;
        let answering = spawn(async move { server.write_all(&bytes(8 << 20)).await });
        client.read_exact(&mut [0; 1000]).await.unwrap();
        answering.cancel();
        let error = client.read_all(BYTES_MAX).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn what_a_write_leaves_in_the_session_is_sent_by_a_read_of_the_same_task() {
    block_on(async {
        let (client, server) = pair().await;
        let sent = bytes(1 << 20);
        let count = client.write(&sent).await.unwrap(); // more than the kernel takes
        assert!(
            client.inspect(|state| state.wants_write()),
            "a rest is left"
        );
        let answered = spawn(async move {
            let mut received = vec![0; count];
            server.read_exact(&mut received).await.unwrap();
            server.write_all(b"thanks").await.unwrap();
            received
        });
        let mut answer = [0; 6];
        timeout(Duration::from_secs(60), client.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answered.await.unwrap() == sent[..count]);
    });
}

#[test]
fn a_reader_does_not_take_the_wait_of_a_writer() {
    block_on(async {
        let (client, server) = pair().await;
        let client = Rc::new(client);
        let sent = bytes(2 << 20);
        let writer = spawn({
            let (client, sent) = (Rc::clone(&client), sent.clone());
            async move { client.write_all(&sent).await }
        });
        oneloop::aio::sleep(Duration::from_secs(1)).await; // the writer waits for room
        let reader = spawn({
            let client = Rc::clone(&client);
            async move { client.read(&mut [0; 8]).await }
        });
        oneloop::aio::sleep(Duration::from_secs(1)).await;
        let mut received = vec![0; sent.len()];
        server.read_exact(&mut received).await.unwrap();
        assert!(received == sent);
        timeout(Duration::from_secs(60), writer)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        server.write_all(b"done").await.unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), 4);
    });
}

#[test]
fn copy_takes_a_stream_at_both_ends() {
    block_on(async {
        let (client, server) = pair().await;
        let echoing = spawn(async move {
            let count = copy(&server, &server).await.unwrap();
            server.shutdown().await.unwrap();
            count
        });
        let sent = bytes(4 << 20);
        let client = Rc::new(client);
        let echoed = spawn({
            let (client, count) = (Rc::clone(&client), sent.len());
            async move {
                let mut echoed = vec![0; count];
                client.read_exact(&mut echoed).await.unwrap();
                echoed
            }
        });
        // The copy waits for more, so nothing but its own flush sends what it has left.
        client.write_all(&sent).await.unwrap();
        let echoed = timeout(Duration::from_secs(60), echoed).await;
        assert!(echoed.unwrap().unwrap() == sent);
        client.shutdown().await.unwrap();
        assert_eq!(echoing.await.unwrap(), sent.len() as u64);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn lines_and_frames_are_those_of_every_stream() {
    block_on(async {
        let (client, server) = pair().await;
        client.write_all(b"tea\ntoast\n").await.unwrap();
        let mut lines = server.lines(80);
        assert_eq!(lines.next().await.unwrap().unwrap(), "tea");
        assert_eq!(lines.next().await.unwrap().unwrap(), "toast");
        drop(lines);

        let large = bytes(1 << 20);
        let writing = spawn({
            let large = large.clone();
            async move {
                let mut frames = server.frame_writer(LengthPrefix::U32Be, BYTES_MAX);
                frames.write(&large).await.unwrap();
                drop(frames);
                server.read(&mut [0; 8]).await // which ends with the client
            }
        });
        let mut frames = client.frames(LengthPrefix::U32Be, BYTES_MAX);
        let frame = timeout(Duration::from_secs(60), frames.next()).await;
        assert!(frame.unwrap().unwrap().unwrap() == large);
        drop(frames);
        client.shutdown().await.unwrap();
        assert_eq!(writing.await.unwrap().unwrap(), 0);
    });
}

#[test]
fn calls_that_do_not_wait_say_so() {
    block_on(async {
        let (client, server) = pair().await;
        let mut buf = [0; 8];
        let error = server.try_read(&mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(server.try_read_chunk(80).is_pending());
        assert_eq!(client.try_write(b"tea").unwrap(), 3);
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut buf[..2]).unwrap(), 2);
        server.readable().await.unwrap(); // the rest is decrypted already
        assert_eq!(server.try_read(&mut buf).unwrap(), 1);
        assert_eq!(server.read(&mut []).await.unwrap(), 0);

        while client.try_write(&[0; 1000]).is_ok() {}
        let error = HalfClose::shutdown(&client, Shutdown::Write).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        spawn(async move { server.read_all(BYTES_MAX).await });
        WriteHalf::flush(&client).await.unwrap();
        client.shutdown().await.unwrap();
    });
}

#[test]
fn a_stream_ends_while_an_echo_is_under_way() {
    block_on(async {
        let (client, server) = pair().await;
        let echoing = spawn(echo(server));
        client.write_all(b"tea").await.unwrap();
        client.read_exact(&mut [0; 3]).await.unwrap();
        drop(client);
        let error = echoing.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

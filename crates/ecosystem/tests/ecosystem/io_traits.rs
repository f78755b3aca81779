//! The traits by which tokio's and hyper's users read and write a byte stream.

use crate::harness::{block_on, connection};
use bytes::BytesMut;
use hyper::rt::ReadBuf;
use oneloop::EventLoop;
use oneloop::aio::{PipeReader, PipeWriter, TcpStream, Tty, local, pipe, spawn};
use oneloop::net::{Input, Output, OwnedReadHalf, OwnedWriteHalf, Shutdown, Socket, UnixStream};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::Poll;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, copy_bidirectional, split,
};

/// More bytes than the kernel holds for a connection, so that writing waits for reading.
const MANY: usize = 8 << 20;

/// A stream of which only the traits are known: its own methods of these names would win.
fn foreign<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> impl AsyncRead + AsyncWrite + Unpin {
    stream
}

#[test]
fn every_stream_and_its_reference_have_the_traits() {
    trait Reads: AsyncRead + hyper::rt::Read + Unpin {}
    impl<S: AsyncRead + hyper::rt::Read + Unpin> Reads for S {}
    trait Writes: AsyncWrite + hyper::rt::Write + Unpin {}
    impl<S: AsyncWrite + hyper::rt::Write + Unpin> Writes for S {}
    fn reads<S: Reads>()
    where
        for<'a> &'a S: Reads,
    {
    }
    fn writes<S: Writes>()
    where
        for<'a> &'a S: Writes,
    {
    }
    reads::<Socket>();
    reads::<TcpStream>();
    reads::<UnixStream>();
    reads::<PipeReader>();
    reads::<Input>();
    reads::<Tty>();
    reads::<OwnedReadHalf<Socket>>();
    reads::<OwnedReadHalf<TcpStream>>();
    reads::<OwnedReadHalf<UnixStream>>();
    writes::<Socket>();
    writes::<TcpStream>();
    writes::<UnixStream>();
    writes::<PipeWriter>();
    writes::<Output>();
    writes::<Tty>();
    writes::<OwnedWriteHalf<Socket>>();
    writes::<OwnedWriteHalf<TcpStream>>();
    writes::<OwnedWriteHalf<UnixStream>>();
}

#[test]
fn one_task_reads_a_stream_while_another_writes_it() {
    block_on(async {
        let (client, server) = connection().await;
        let echo = spawn(async move {
            let (mut from, mut to) = (&server, &server);
            let count = copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
            count
        });
        let sent: Vec<u8> = (0..MANY).map(|index| (index % 251) as u8).collect();
        let (mut reader, mut writer) = split(client);
        let expected = sent.clone();
        let writing = spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        // A `Vec` grows in memory that is not initialized.
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == expected);
        writing.await.unwrap();
        assert_eq!(echo.await.unwrap(), MANY as u64);
    });
}

#[test]
fn bytes_arrive_in_memory_that_is_initialized_or_not() {
    block_on(async {
        let (client, server) = connection().await;
        let mut server = foreign(server);
        client.write_all(b"teatoast").await.unwrap();
        let mut slice = [0; 3];
        assert_eq!(server.read(&mut slice).await.unwrap(), 3);
        assert_eq!(&slice, b"tea");
        let mut fresh = BytesMut::with_capacity(80);
        assert_eq!(server.read_buf(&mut fresh).await.unwrap(), 5);
        assert_eq!(&fresh[..], b"toast");

        client.write_all(b"more").await.unwrap();
        assert_eq!(server.read(&mut []).await.unwrap(), 0, "no end, no room");
        assert_eq!(server.read(&mut slice).await.unwrap(), 3);
        drop(client);
        assert_eq!(server.read_buf(&mut fresh).await.unwrap(), 1);
        assert_eq!(server.read_buf(&mut fresh).await.unwrap(), 0);
        assert_eq!(&fresh[..], b"toaste");
    });
}

#[test]
fn a_read_for_hyper_takes_no_more_than_there_is_room() {
    block_on(async {
        let (client, server) = connection().await;
        let mut server = &server;
        client.write_all(b"teatoast").await.unwrap();
        for (room, expected) in [(3, "tea"), (0, ""), (9, "toast")] {
            let mut memory = vec![0; room];
            let mut buf = ReadBuf::new(&mut memory);
            let read =
                poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut server), cx, buf.unfilled()));
            read.await.unwrap();
            assert_eq!(buf.filled(), expected.as_bytes());
        }
    });
}

#[test]
fn several_buffers_are_written_in_one_call() {
    block_on(async {
        let (client, server) = connection().await;
        let (mut by_tokio, mut by_hyper) = (&client, &client);
        assert!(AsyncWrite::is_write_vectored(&by_tokio));
        assert!(hyper::rt::Write::is_write_vectored(&by_hyper));
        let bufs = [IoSlice::new(b"tea"), IoSlice::new(b"toast")];
        assert_eq!(
            AsyncWriteExt::write_vectored(&mut by_tokio, &bufs)
                .await
                .unwrap(),
            8
        );
        let write =
            poll_fn(|cx| hyper::rt::Write::poll_write_vectored(Pin::new(&mut by_hyper), cx, &bufs));
        assert_eq!(write.await.unwrap(), 8);
        drop(client);
        assert_eq!(server.read_text(80).await.unwrap(), "teatoastteatoast");
    });
}

#[test]
fn halves_pipes_and_fds_of_any_kind_have_the_traits() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let (reader, mut writer) = server.into_split();
        let mut client = foreign(client);
        AsyncWriteExt::write_all(&mut writer, b"half")
            .await
            .unwrap();
        AsyncWriteExt::shutdown(&mut writer).await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        drop(reader.reunite(writer).unwrap());

        let (mut reader, mut writer) = pipe().unwrap();
        let (input, output) = std::io::pipe().unwrap();
        let mut input = Input::from_fd(input.into()).unwrap();
        let mut output = Output::from_fd(output.into()).unwrap();
        AsyncWriteExt::write_all(&mut writer, b", pipe")
            .await
            .unwrap();
        AsyncWriteExt::write_all(&mut output, b", fd")
            .await
            .unwrap();
        drop((writer, output));
        reader.read_to_string(&mut text).await.unwrap();
        input.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "half, pipe, fd");
    });
}

#[test]
fn a_connection_that_the_peer_has_reset_can_be_shut_down() {
    block_on(async {
        let (client, server) = connection().await;
        client.reset_on_close().unwrap();
        drop(client);
        let mut server = foreign(server);
        let error = server.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        server.shutdown().await.unwrap();
    });
}

#[test]
fn a_proxy_copies_in_both_directions() {
    block_on(async {
        let (client, mut inside) = connection().await;
        let (mut outside, server) = connection().await;
        let proxy = spawn(async move { copy_bidirectional(&mut inside, &mut outside).await });
        client.write_all(b"question").await.unwrap();
        (*client).shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read_text(80).await.unwrap(), "question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        assert_eq!(client.read_text(80).await.unwrap(), "answer");
        assert_eq!(proxy.await.unwrap().unwrap(), (8, 6));
    });
}

#[test]
fn a_poll_that_is_given_up_keeps_the_loop_alive_until_the_stream_is_dropped() {
    let mut event_loop = EventLoop::new().unwrap();
    let (_client, server) = event_loop.block_on(async {
        let (client, mut server) = connection().await;
        let read = poll_fn(|cx| {
            let mut buf = [0];
            let mut buf = tokio::io::ReadBuf::new(&mut buf);
            Poll::Ready(AsyncRead::poll_read(Pin::new(&mut server), cx, &mut buf))
        });
        assert!(read.await.is_pending());
        (client, server)
    });
    assert_eq!(
        event_loop.backend_timeout(),
        None,
        "it waits without a limit"
    );
    drop(server);
    event_loop.run().unwrap(); // nothing is left
}

#[test]
fn a_read_and_a_write_allocate_nothing() {
    let mut event_loop = EventLoop::new().unwrap();
    let (mut client, mut server) = event_loop.block_on(connection());
    let (mut sender, mut receiver) = event_loop.block_on(async {
        let (sender, receiver) = connection().await;
        (local(sender), local(receiver))
    });
    let mut buf = BytesMut::with_capacity(1024);
    let mut allocations = |messages: usize| {
        let measured = allocation_counter::measure(|| {
            event_loop.block_on(async {
                for _ in 0..messages {
                    AsyncWriteExt::write_all(&mut client, b"hello")
                        .await
                        .unwrap();
                    server.read_buf(&mut buf).await.unwrap();
                    buf.clear();
                    hyper_echo(&server, &client).await;
                    // By the names of streams, for crates that demand `Send`.
                    AsyncWriteExt::write_all(&mut sender, b"hello")
                        .await
                        .unwrap();
                    receiver.read_buf(&mut buf).await.unwrap();
                    buf.clear();
                }
            });
        });
        measured.count_total
    };
    allocations(10); // fills the pools and queues
    assert_eq!(
        allocations(1_000),
        allocations(1),
        "block_on's own, and none a message"
    );
}

/// Passes a message on by hyper's traits.
async fn hyper_echo(mut from: &TcpStream, mut to: &TcpStream) {
    let (head, body) = (IoSlice::new(b"head"), IoSlice::new(b"body"));
    let written =
        poll_fn(|cx| hyper::rt::Write::poll_write_vectored(Pin::new(&mut from), cx, &[head, body]));
    assert_eq!(written.await.unwrap(), 8);
    let mut memory = [0; 80];
    let mut buf = ReadBuf::new(&mut memory);
    let read = poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut to), cx, buf.unfilled()));
    read.await.unwrap();
    assert_eq!(buf.filled(), b"headbody");
}

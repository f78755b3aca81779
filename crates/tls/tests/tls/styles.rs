//! The other styles, over the same streams.

use crate::harness::{acceptor, block_on, connector, pair};
use oneloop::aio::{UnixStream, copy, spawn, try_join};
use oneloop::callback;
use oneloop::callback::net::{Socket, SocketOptions};
use oneloop::green::net::Stream;
use oneloop::green::{self, Wait};
use oneloop::net::WriteHalf;
use oneloop::{EventLoop, Handle};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::time::Duration;

#[test]
fn a_green_thread_does_the_handshake_and_reads_and_writes_by_stds_traits() {
    green::run(|| {
        let (client, server) = UnixStream::pair().unwrap();
        let serving = green::spawn(move || {
            let stream = Stream::from(acceptor().accept(server).wait().unwrap());
            let mut reader = BufReader::new(stream.clone());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            write!(&stream, "you said {line}").unwrap();
            (&stream).flush().unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let connecting = connector();
        let client = connecting.connect("localhost", client).wait().unwrap();
        let mut client = Stream::from(client);
        client.set_read_timeout(Some(Duration::from_millis(1)));
        assert_eq!(
            client.read(&mut [0; 8]).unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        client.set_read_timeout(None);
        client.write_all(b"tea\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "you said tea\n");
        serving.join().unwrap();
    })
    .unwrap();
}

#[test]
fn tasks_of_one_loop_share_a_stream() {
    block_on(async {
        let (client, server) = pair().await;
        let server = Stream::from(server);
        let serving = green::spawn(move || {
            let mut text = String::new();
            (&server).read_to_string(&mut text).unwrap();
            text
        });
        client.write_all(b"from an async task").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(serving.await.unwrap(), "from an async task");
    });
}

#[test]
fn a_socket_of_the_callback_style_talks_through_a_task_that_encrypts() {
    EventLoop::new().unwrap().block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let (plain, inner) = UnixStream::pair().unwrap();
        let relaying = spawn(async move {
            let stream = acceptor().accept(server).await?;
            let there = async {
                copy(&stream, &inner).await?;
                inner.end()
            };
            let back = async {
                copy(&inner, &stream).await?;
                stream.shutdown().await
            };
            try_join(there, back).await.map(drop)
        });
        let _callbacks = callback::enter(&Handle::current());
        let socket = Socket::from_connected(plain.into(), SocketOptions::default());
        socket.on_data(|socket, chunk| {
            socket.write(chunk.to_ascii_uppercase());
        });
        let client = connector().connect("localhost", client).await.unwrap();
        client.write_all(b"tea").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(client.read_text(80).await.unwrap(), "TEA");
        relaying.await.unwrap().unwrap();
    });
}

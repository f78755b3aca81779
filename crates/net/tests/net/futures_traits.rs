//! The traits of futures-io, as the functions of futures-lite use them.

use crate::harness::block_on;
use futures_lite::future::zip;
use futures_lite::io::{BufReader, split};
use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use oneloop::aio::{TcpListener, TcpStream, spawn};
use oneloop::net::{Input, Output, Shutdown, UnixStream, pipe};
use std::rc::Rc;

/// Writes all bytes, as a library does that knows only the trait.
async fn write(mut to: impl AsyncWrite + Unpin, bytes: &[u8]) {
    to.write_all(bytes).await.unwrap();
    to.flush().await.unwrap();
}

/// More bytes than the kernel holds for a connection, so that writing waits for reading.
const MANY: usize = 8 << 20;

#[test]
fn one_task_reads_a_stream_while_another_writes_it() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let client = Rc::new(client.unwrap());
        let (server, _) = listener.accept().await.unwrap();

        // Both wait in both directions: neither wait replaces the other.
        let reader = Rc::clone(&client);
        let reading = spawn(async move {
            let mut bytes = Vec::new();
            let count = (&*reader).read_to_end(&mut bytes).await.unwrap();
            assert!(bytes.iter().all(|byte| *byte == b's'));
            count
        });
        let writing = spawn(async move {
            write(&*client, &vec![b'c'; MANY]).await;
            (&*client).close().await.unwrap();
        });
        let (mut bytes, mut from) = (Vec::new(), &server);
        let read = from.read_to_end(&mut bytes);
        let write = async {
            write(&server, &vec![b's'; MANY]).await;
            server.shutdown(Shutdown::Write).unwrap();
        };
        let (count, ()) = zip(read, write).await;
        assert_eq!((count.unwrap(), bytes.len()), (MANY, MANY));
        assert_eq!(reading.await.unwrap(), MANY);
        writing.await.unwrap();
    });
}

#[test]
fn a_reader_with_a_buffer_and_a_writer_share_a_stream_by_reference() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let serve = async {
            let mut lines = BufReader::new(&server).lines();
            while let Some(line) = lines.next().await {
                let answer = line.unwrap().to_uppercase() + "\n";
                write(&server, answer.as_bytes()).await;
            }
            (&server).close().await.unwrap();
        };
        let ask = async {
            write(&client, b"tea\ntoast").await;
            (&client).close().await.unwrap();
            let mut answers = String::new();
            (&client).read_to_string(&mut answers).await.unwrap();
            answers
        };
        assert_eq!(zip(serve, ask).await.1, "TEA\nTOAST\n");
    });
}

#[test]
fn pipes_and_fds_of_any_kind_have_the_traits_by_reference() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        let (input, output) = std::io::pipe().unwrap();
        let input = Input::from_fd(input.into()).unwrap();
        let output = Output::from_fd(output.into()).unwrap();
        let write = async {
            write(&writer, b"one ").await;
            write(&output, b"two").await;
            drop((writer, output));
        };
        let read = async {
            let [mut one, mut two] = [String::new(), String::new()];
            (&reader).read_to_string(&mut one).await.unwrap();
            (&input).read_to_string(&mut two).await.unwrap();
            one + &two
        };
        assert_eq!(zip(write, read).await.1, "one two");
    });
}

#[test]
fn a_stream_is_split_as_with_any_other_runtime() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = split(server);
        let (from, to) = (&mut reader, &mut writer);
        write(&client, b"hello").await;
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(futures_lite::io::copy(from, to).await.unwrap(), 5);
        drop((reader, writer));
        let mut text = String::new();
        (&client).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
    });
}

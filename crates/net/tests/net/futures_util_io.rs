//! The combinators of futures-util, on streams by reference and by value.

use crate::harness::block_on;
use futures_util::future::{join, try_join};
use futures_util::io::{AllowStdIo, BufReader, BufWriter, copy, copy_buf};
use futures_util::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, TryStreamExt,
};
use oneloop::aio::{TcpListener, TcpStream};
use oneloop::net::{Input, Output, Shutdown, UnixStream, pipe};

/// The two ends of a TCP connection.
async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = try_join(connect, listener.accept()).await.unwrap();
    (client, accepted.0)
}

/// A stream of which only the traits are known: its own methods of these names would win.
fn foreign<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> impl AsyncRead + AsyncWrite + Unpin {
    stream
}

/// More bytes than the kernel holds for a connection, so that writing waits for reading.
const MANY: usize = 8 << 20;

#[test]
fn copy_echoes_to_a_client_that_writes_and_reads_at_once() {
    block_on(async {
        let (client, server) = connection().await;
        let echo = async {
            let copied = copy(&server, &mut &server).await.unwrap();
            foreign(&server).close().await.unwrap();
            copied
        };
        let sent: Vec<u8> = (0..MANY).map(|index| (index % 251) as u8).collect();
        let write = async {
            foreign(&client).write_all(&sent).await.unwrap();
            foreign(&client).close().await.unwrap();
        };
        let mut received = vec![0; MANY];
        let read = async {
            foreign(&client).read_exact(&mut received).await.unwrap();
            foreign(&client).read(&mut [0]).await.unwrap()
        };
        let (copied, (after_the_end, ())) = join(echo, join(read, write)).await;
        assert_eq!((copied, after_the_end), (MANY as u64, 0));
        assert!(received == sent);
    });
}

#[test]
fn a_buffered_reader_yields_lines_while_a_buffered_writer_answers_on_the_same_stream() {
    block_on(async {
        let (client, server) = connection().await;
        let serve = async {
            let mut lines = BufReader::new(&server).lines();
            let mut answers = BufWriter::new(&server);
            while let Some(line) = lines.try_next().await? {
                answers.write_all(line.to_uppercase().as_bytes()).await?;
                answers.write_all(b"\n").await?;
                answers.flush().await?;
            }
            answers.close().await
        };
        let ask = async {
            let mut answers = BufReader::new(&client);
            let mut answer = String::new();
            for question in ["tea\n", "toast"] {
                foreign(&client).write_all(question.as_bytes()).await?;
                if question == "toast" {
                    client.shutdown(Shutdown::Write)?;
                }
                answers.read_line(&mut answer).await?;
            }
            assert_eq!(answers.read_line(&mut answer).await?, 0);
            Ok(answer)
        };
        let ((), answers) = try_join(serve, ask).await.unwrap();
        assert_eq!(answers, "TEA\nTOAST\n");
    });
}

#[test]
fn a_head_is_read_exactly_and_the_body_up_to_its_length() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        foreign(&client)
            .write_all(b"\x05hello and more")
            .await
            .unwrap();
        let mut length = [0];
        foreign(&server).read_exact(&mut length).await.unwrap();
        let mut body = String::new();
        let mut limited = foreign(&server).take(length[0].into());
        limited.read_to_string(&mut body).await.unwrap();
        assert_eq!(body, "hello");
        // What was not taken is still in the stream.
        let mut rest = [0; 9];
        foreign(&server).read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b" and more");
        drop(client);
        let error = foreign(&server).read_exact(&mut rest).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_stream_by_value_is_split_into_halves() {
    block_on(async {
        let (client, server) = connection().await;
        let (reader, mut writer) = server.split();
        foreign(&client).write_all(b"ping").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(copy(reader, &mut writer).await.unwrap(), 4);
        writer.close().await.unwrap();
        let mut echoed = String::new();
        foreign(&client).read_to_string(&mut echoed).await.unwrap();
        assert_eq!(echoed, "ping");
    });
}

#[test]
fn vectored_and_chained_input_passes_pipes_and_other_fds() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        let (input, output) = std::io::pipe().unwrap();
        let input = Input::from_fd(input.into()).unwrap();
        let output = Output::from_fd(output.into()).unwrap();
        let write = async {
            let mut parts = [b"one ", b"two "].map(|part| std::io::IoSlice::new(part));
            let mut parts = &mut parts[..];
            while !parts.is_empty() {
                let count = AsyncWriteExt::write_vectored(&mut &writer, parts)
                    .await
                    .unwrap();
                std::io::IoSlice::advance_slices(&mut parts, count);
            }
            let mut bytes = BufReader::new(&b"three"[..]);
            assert_eq!(copy_buf(&mut bytes, &mut &output).await.unwrap(), 5);
            drop((writer, output));
        };
        let read = async {
            let mut text = AllowStdIo::new(Vec::new());
            let copied = copy((&reader).chain(&input), &mut text).await.unwrap();
            (copied, text.into_inner())
        };
        let ((), (copied, text)) = join(write, read).await;
        assert_eq!((copied, text.as_slice()), (13, &b"one two three"[..]));
    });
}

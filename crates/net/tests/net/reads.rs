//! Reading a number of bytes, everything, or nothing yet; a connection as two values.

use crate::harness::{MS, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use oneloop::aio::{TcpListener, TcpStream, sleep, spawn, timeout};
use oneloop::net::{Shutdown, UnixStream, pipe};
use std::io::{ErrorKind, IoSlice};
use std::string::FromUtf8Error;

#[test]
fn a_buffer_is_filled_from_parts_unless_the_stream_ends() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let mut buf = [0; 6];
        let reading = spawn(async move {
            server.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"abcdef");
            let error = server.read_exact(&mut buf).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            server.read_exact(&mut []).await.unwrap();
        });
        for part in ["ab", "cdef", "gh"] {
            client.write_all(part.as_bytes()).await.unwrap();
            sleep(MS).await;
        }
        client.shutdown(Shutdown::Write).unwrap();
        reading.await.unwrap();
    });
}

#[test]
fn a_stream_is_read_to_its_end_within_a_limit() {
    block_on(async {
        for (bytes_max, expected) in [(10, Some(10)), (11, Some(10)), (9, None), (0, None)] {
            let (reader, writer) = pipe().unwrap();
            writer.write_all(b"0123456789").await.unwrap();
            drop(writer);
            match reader.read_all(bytes_max).await {
                Ok(bytes) => assert_eq!(Some(bytes.len()), expected),
                Err(error) => {
                    assert_eq!((error.kind(), expected), (ErrorKind::InvalidData, None));
                    let text = format!("the stream has more than {bytes_max} bytes");
                    assert_eq!(error.to_string(), text);
                }
            }
        }
    });
}

#[test]
fn text_that_is_not_utf8_is_in_its_error() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        client.write_all(b"caf\xe9").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let error = server.read_text(80).await.unwrap_err();
        let error = error.into_inner().unwrap().downcast::<FromUtf8Error>();
        assert_eq!(error.unwrap().into_bytes(), b"caf\xe9");
    });
}

#[test]
fn a_peek_waits_for_bytes_and_leaves_them_there() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (client, (server, _)) = (client.unwrap(), listener.accept().await.unwrap());
        let mut buf = [0; 2];
        assert!(timeout(MS, server.peek(&mut buf)).await.is_err());
        client.write_all(b"hello").await.unwrap();
        for _ in 0..2 {
            assert_eq!(server.peek(&mut buf).await.unwrap(), 2);
            assert_eq!(&buf, b"he");
        }
        // Neither hides what follows: the next wait still ends.
        assert_eq!(server.peek(&mut [0; 80]).await.unwrap(), 5);
        assert_eq!(&*server.read_chunk().await.unwrap().unwrap(), b"hello");
        assert!(timeout(MS, server.peek(&mut buf)).await.is_err());
        drop(client);
        assert_eq!(server.peek(&mut buf).await.unwrap(), 0);
        assert!(server.read_chunk().await.unwrap().is_none());
    });
}

#[test]
fn the_directions_of_a_connection_are_values() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let (reader, writer) = server.into_split();
        let echo = spawn(async move {
            let mut lines = reader.lines(80);
            while let Some(line) = lines.next().await.unwrap() {
                writer.write_all(line.as_bytes()).await.unwrap();
            }
            drop(writer); // the end of the stream
            reader
        });
        client.write_all(b"tea\ntoast").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read_text(80).await.unwrap(), "teatoast");
        let reader = echo.await.unwrap();
        assert!(reader.stream().peer_addr().is_ok());
    });
}

#[test]
fn halves_have_the_traits_of_futures_io_and_can_be_reunited() {
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = one.into_split();
        let (mut far_reader, mut far_writer) = other.into_split();
        AsyncWriteExt::write_all(&mut writer, b"hello\n")
            .await
            .unwrap();
        let mut buf = [0; 6];
        AsyncReadExt::read_exact(&mut far_reader, &mut buf)
            .await
            .unwrap();
        assert_eq!(&buf, b"hello\n");

        (reader, far_writer) = reader.reunite(far_writer).unwrap_err();
        let one = reader.reunite(writer).unwrap();
        far_writer.close().await.unwrap();
        assert!(one.read_chunk().await.unwrap().is_none());
        // The drop of a half that was reunited sent no end.
        one.write_all(b"still open\n").await.unwrap();
        let mut lines = far_reader.lines(80);
        assert_eq!(lines.next().await.unwrap().unwrap(), "still open");
    });
}

#[test]
fn a_writing_half_can_be_dropped_without_sending_the_end() {
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let (reader, writer) = one.into_split();
        writer.forget();
        assert!(timeout(MS, other.read_chunk()).await.is_err());
        drop(reader);
        assert!(other.read_chunk().await.unwrap().is_none());
    });
}

#[test]
fn a_stream_is_read_and_written_in_parts_as_it_becomes_ready() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let mut buf = [0; 80];
        let error = server.try_read(&mut buf).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(timeout(MS, server.readable()).await.is_err());

        client.writable().await.unwrap();
        assert_eq!(client.try_write(b"tea").unwrap(), 3);
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut buf).unwrap(), 3);

        let mut taken = 0;
        let error = loop {
            match client.try_write(&[b'x'; 4096]) {
                Ok(count) => taken += count,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(timeout(MS, client.writable()).await.is_err());
        let reading = spawn(async move {
            while taken > 0 {
                server.readable().await.unwrap();
                match server.try_read(&mut [0; 4096]) {
                    Ok(count) => taken -= count,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            server
        });
        client.writable().await.unwrap();
        let server = reading.await.unwrap();
        drop(client);
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn several_buffers_are_written_in_one_call() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let bufs = [IoSlice::new(b"tea"), IoSlice::new(b"toast")];
        assert_eq!(client.write_vectored(&bufs).await.unwrap(), 8);
        assert_eq!(client.write_vectored(&bufs[..1]).await.unwrap(), 3);
        drop(client);
        assert_eq!(server.read_text(80).await.unwrap(), "teatoasttea");
    });
}

//! Frames of byte streams: whole, bounded, in every style, whatever is canceled.

use crate::harness::{MS, block_on};
use oneloop::aio::{TcpListener, TcpStream, spawn, timeout};
use oneloop::callback::{self, net as callback_net};
use oneloop::green;
use oneloop::net::LengthPrefix::{self, *};
use oneloop::net::{FrameError, Frames, Shutdown, UnixStream};
use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;

fn frame_error(error: std::io::Error) -> FrameError {
    let inner = error.into_inner().expect("a frame error");
    *inner.downcast::<FrameError>().expect("a frame error")
}

#[test]
fn frames_of_every_prefix_arrive_as_they_were_written() {
    block_on(async {
        for prefix in [U8, U16Be, U16Le, U32Be, U32Le, U64Be, U64Le, Varint] {
            let bytes_max = if prefix == U8 { 255 } else { 60_000 };
            let (client, server) = UnixStream::pair().unwrap();
            let frames = [0, 1, 200, bytes_max].map(|bytes| vec![b'x'; bytes]);
            let sent = frames.clone();
            let writes = spawn(async move {
                let mut writer = client.frame_writer(prefix, bytes_max);
                for frame in &sent {
                    writer.write(frame).await.unwrap();
                }
            });
            let mut reader = server.frames(prefix, bytes_max);
            for frame in frames {
                assert_eq!(reader.next().await.unwrap(), Some(frame), "{prefix:?}");
            }
            assert_eq!(reader.next().await.unwrap(), None);
            writes.await.unwrap();
        }
    });
}

#[test]
fn a_frame_that_arrives_in_parts_survives_lost_races() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let mut frames = server.frames(U16Be, 80);
        for part in ["\0", "\u{3}", "te", "a\0\u{5}to"] {
            assert!(timeout(MS, frames.next()).await.is_err());
            client.write_all(part.as_bytes()).await.unwrap();
        }
        assert_eq!(frames.next().await.unwrap().unwrap(), b"tea");
        assert!(timeout(MS, frames.next()).await.is_err());
        client.write_all(b"ast").await.unwrap();
        assert_eq!(frames.next().await.unwrap().unwrap(), b"toast");
    });
}

#[test]
fn a_write_that_is_canceled_halfway_leaves_the_frames_whole() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let mut writer = client.frame_writer(U32Be, 1 << 24);
        let big = vec![b'b'; 1 << 22];
        // The kernel has room for a part of it.
        assert!(timeout(MS, writer.write(&big)).await.is_err());
        assert!(writer.waiting_bytes() > 0);
        // It has none for another frame, of which nothing is written.
        assert!(timeout(MS, writer.write(b"never")).await.is_err());
        let reads = spawn(async move {
            let mut frames = server.frames(U32Be, 1 << 24);
            let mut lengths = Vec::new();
            while let Some(frame) = frames.next().await.unwrap() {
                lengths.push(frame.len());
            }
            lengths
        });
        writer.write(b"tea").await.unwrap();
        assert_eq!(writer.waiting_bytes(), 0);
        writer.flush().await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(reads.await.unwrap(), [1 << 22, 3]);
    });
}

#[test]
fn a_frame_that_exceeds_a_limit_is_an_error_on_either_side() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let mut writer = client.frame_writer(U8, 1000);
        for (bytes, bytes_max) in [(1001, 1000), (256, 255)] {
            let error = writer.write(&vec![0; bytes]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let bytes = bytes as u64;
            assert_eq!(frame_error(error), FrameError::TooLong { bytes, bytes_max });
        }
        writer.write(b"toast").await.unwrap();
        writer.write(b"tea").await.unwrap();
        let mut frames = server.frames(U8, 3);
        let error = frames.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(
            frame_error(error),
            FrameError::TooLong {
                bytes: 5,
                bytes_max: 3
            }
        );
        assert_eq!(frames.next().await.unwrap().unwrap(), b"tea");
    });
}

#[test]
fn a_stream_that_ends_within_a_frame_is_an_error() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        client.write_all(b"\x05to").await.unwrap();
        drop(client);
        let mut frames = server.frames(U8, 80);
        let error = frames.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let text = "the stream ended within a frame: 2 of its 5 bytes arrived";
        assert_eq!(error.to_string(), text);
        assert_eq!(frames.next().await.unwrap(), None);
    });
}

#[test]
fn a_task_that_shares_its_stream_reads_and_writes_frames() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let echo = spawn(async move {
            let server = Rc::new(server);
            let mut frames = Frames::new(Rc::clone(&server), Varint, 1000);
            let mut writer = server.frame_writer(Varint, 1000);
            while let Some(frame) = frames.next().await.unwrap() {
                writer.write(&frame).await.unwrap();
            }
        });
        let mut writer = client.frame_writer(Varint, 1000);
        let mut frames = client.frames(Varint, 1000);
        for bytes in [1, 127, 128, 1000] {
            writer.write(&vec![7; bytes]).await.unwrap();
            assert_eq!(frames.next().await.unwrap().unwrap().len(), bytes);
        }
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(frames.next().await.unwrap(), None);
        echo.await.unwrap();
    });
}

#[test]
fn green_threads_exchange_frames_and_a_timeout_loses_no_part_of_one() {
    green::run(|| {
        let (client, server) = green::net::UnixStream::pair().unwrap();
        let reader = server.clone();
        let reads = green::spawn(move || {
            let mut frames = reader.frames(U32Le, 80);
            let timed_out = green::timeout(MS, || frames.next());
            assert!(timed_out.is_err());
            frames.collect::<Result<Vec<_>, _>>().unwrap()
        });
        std::io::Write::write_all(&mut &client, &[3, 0]).unwrap();
        green::sleep(MS * 3);
        std::io::Write::write_all(&mut &client, b"\0\0tea").unwrap();
        let mut writer = client.frame_writer(U32Le, 80);
        writer.write(b"toast").unwrap();
        writer.flush().unwrap();
        client.close();
        assert_eq!(reads.join().unwrap(), [&b"tea"[..], b"toast"]);
    })
    .unwrap();
}

#[test]
fn sockets_of_the_callback_style_exchange_frames() {
    let received = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&received);
    let code = callback::run(move || {
        let server = callback_net::create_server(move |socket| {
            socket.on_frames(U16Be, 80, |socket, frame| {
                socket.write_frame(U16Be, frame.to_ascii_uppercase());
            });
            socket.on_end(|socket| {
                socket.end();
            });
        });
        let listening = server.listen_then("127.0.0.1:0", move |server| {
            let port = server.port().expect("it listens");
            let client = callback_net::connect(("127.0.0.1", port)).unwrap();
            for frame in ["tea", "", "toast"] {
                client.write_frame(U16Be, frame);
            }
            client.end();
            let log = Rc::clone(&log);
            client.on_frames(U16Be, 80, move |_, frame| {
                log.borrow_mut().push(frame.to_vec());
            });
            client.on_close(move |_, _| {
                server.close();
            });
        });
        listening.unwrap();
    });
    assert_eq!(code.unwrap(), 0);
    assert_eq!(*received.borrow(), [&b"TEA"[..], b"", b"TOAST"]);
}

#[test]
fn a_frame_of_the_callback_style_that_is_bad_destroys_its_stream() {
    let cases: [(LengthPrefix, &[u8], &str); 3] = [
        (U8, b"\x05toast", "ERR_FRAME_TOO_LONG"),
        (U8, b"\x03te", "ERR_FRAME_CUT_OFF"),
        (Varint, &[0xff; 11], "ERR_FRAME_BAD_VARINT"),
    ];
    for (prefix, bytes, expected) in cases {
        let code = callback::run(move || {
            let (reader, writer) = std::io::pipe().unwrap();
            let writer = callback::stream::WriteStream::from_fd(writer).unwrap();
            writer.end_with(bytes);
            let reader = callback::stream::ReadStream::from_fd(reader).unwrap();
            reader.on_frames(prefix, 4, |_, _| unreachable!());
            reader.on_error(move |_, error| assert_eq!(error.code(), Some(expected)));
        });
        assert_eq!(code.unwrap(), 0);
    }
}

//! Lines of byte streams: bounded, in every style, and never lost.

use crate::harness::{MS, block_on};
use oneloop::aio::process::Command;
use oneloop::aio::{TcpListener, TcpStream, sleep, spawn, timeout};
use oneloop::green::{self, Wait};
use oneloop::net::{Input, LineTooLong, Lines, Shutdown, UnixStream, pipe};
use std::io::{self, ErrorKind, Seek, Write};
use std::process::Stdio;
use std::rc::Rc;
use std::string::FromUtf8Error;

/// All lines, the errors as text.
async fn all(mut lines: Lines<&UnixStream>) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match lines.next().await {
            Ok(Some(line)) => all.push(line),
            Ok(None) => return all,
            Err(error) => all.push(format!("error: {error}")),
        }
    }
}

/// A stream from which these bytes can be read, and then the end.
async fn with(bytes: &[u8]) -> UnixStream {
    let (client, server) = UnixStream::pair().unwrap();
    client.write_all(bytes).await.unwrap();
    server
}

#[test]
fn a_line_that_arrives_in_parts_survives_lost_races() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        let mut lines = server.lines(80);
        for part in ["GET", " a", "\r", "\nGET b\nGE"] {
            assert!(timeout(MS, lines.next()).await.is_err());
            client.write_all(part.as_bytes()).await.unwrap();
        }
        assert_eq!(lines.next().await.unwrap().unwrap(), "GET a");
        assert_eq!(lines.next().await.unwrap().unwrap(), "GET b");
        assert!(timeout(MS, lines.next_bytes()).await.is_err());
        client.write_all(b"T c\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), "GET c");
    });
}

#[test]
fn a_line_ends_as_in_std_and_the_last_one_needs_no_end() {
    block_on(async {
        for text in [
            "", "\n", "a", "a\n", "a\r\nb", "\r\n\n", "a\rb\r", "a\r\r\n",
        ] {
            let expected: Vec<_> = io::BufRead::lines(text.as_bytes())
                .map(Result::unwrap)
                .collect();
            let stream = with(text.as_bytes()).await;
            assert_eq!(all(stream.lines(80)).await, expected, "{text:?}");
        }
    });
}

#[test]
fn a_line_that_is_too_long_is_an_error_and_the_next_one_is_read() {
    block_on(async {
        let stream = with(b"12345\n123456\n\n1234567\r\n12\n1234567").await;
        let error = "error: a line is longer than 5 bytes";
        let expected = ["12345", error, "", error, "12", error];
        assert_eq!(all(stream.lines(5)).await, expected);

        // The error comes as soon as the limit is exceeded, and the memory stays bounded.
        let (client, server) = UnixStream::pair().unwrap();
        let mut lines = server.lines(100);
        let endless = spawn(async move {
            for _ in 0..100 {
                client.write_all(&[b'a'; 100_000]).await.unwrap();
            }
            client.write_all(b"\nshort\n").await.unwrap();
        });
        let error = lines.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let reason = error.get_ref().and_then(|error| error.downcast_ref());
        assert_eq!(reason, Some(&LineTooLong { bytes_max: 100 }));
        assert_eq!(lines.next().await.unwrap().unwrap(), "short");
        endless.await.unwrap();
    });
}

#[test]
fn a_line_that_is_not_utf8_is_in_its_error() {
    block_on(async {
        let stream = with(b"caf\xe9\ntea\nna\xefve").await;
        let mut lines = stream.lines(80);
        let error = lines.next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let error = error.into_inner().unwrap().downcast::<FromUtf8Error>();
        assert_eq!(error.unwrap().into_bytes(), b"caf\xe9");
        assert_eq!(lines.next().await.unwrap().unwrap(), "tea");
        assert_eq!(lines.next_bytes().await.unwrap().unwrap(), b"na\xefve");
        assert_eq!(lines.next_bytes().await.unwrap(), None);
    });
}

#[test]
fn other_tasks_write_while_one_waits_for_a_line() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (client, (server, _)) = (client.unwrap(), listener.accept().await.unwrap());
        let server = Rc::new(server);
        let mut lines = Lines::new(Rc::clone(&server), 80);
        let reader = spawn(async move { lines.next().await.unwrap().unwrap() });
        sleep(MS).await; // until it waits
        server.write_all(b"hello\n").await.unwrap();

        // A socket can be moved into its lines.
        let mut replies = Lines::new(client, 80);
        assert_eq!(replies.next().await.unwrap().unwrap(), "hello");
        replies.stream().write_all(b"good bye\n").await.unwrap();
        assert_eq!(reader.await.unwrap(), "good bye");
    });
}

#[test]
fn a_body_begins_where_the_lines_of_its_header_end() {
    block_on(async {
        let (client, server) = UnixStream::pair().unwrap();
        client.write_all(b"header\n\nbo\xffdy").await.unwrap();
        let mut lines = server.lines(80);
        assert_eq!(lines.next().await.unwrap().unwrap(), "header");
        assert_eq!(lines.next().await.unwrap().unwrap(), "");
        let mut body = Vec::new();
        while body.len() < 5 {
            body.extend_from_slice(&lines.read_chunk().await.unwrap().unwrap());
        }
        assert_eq!(body, b"bo\xffdy");

        // The beginning of a line for which a caller no longer waits is part of the body.
        client.write_all(b"body").await.unwrap();
        assert!(timeout(MS, lines.next()).await.is_err());
        client.write_all(b" and\nmore").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        while let Some(chunk) = lines.read_chunk().await.unwrap() {
            rest.extend_from_slice(&chunk);
        }
        assert_eq!(rest, b"body and\nmore");
    });
}

#[test]
fn pipes_files_and_the_output_of_children_have_lines() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        writer.write_all(b"a pipe\n").await.unwrap();
        assert_eq!(reader.lines(80).next().await.unwrap().unwrap(), "a pipe");

        let mut file = tempfile::tempfile().unwrap();
        writeln!(file, "a file\nof two lines").unwrap();
        file.rewind().unwrap();
        let input = Input::from_fd(file.into()).unwrap();
        let mut lines = input.lines(80);
        assert_eq!(lines.next().await.unwrap().unwrap(), "a file");
        assert_eq!(lines.next().await.unwrap().unwrap(), "of two lines");
        assert_eq!(lines.next().await.unwrap(), None);

        let mut command = Command::new("printf");
        let command = command.arg("a child\nends").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut lines = stdout.lines(80);
        assert_eq!(lines.next().await.unwrap().unwrap(), "a child");
        assert_eq!(lines.next().await.unwrap().unwrap(), "ends");
        assert_eq!(lines.next().await.unwrap(), None);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn a_green_thread_waits_for_lines() {
    let lines = green::run(|| {
        let (client, server) = UnixStream::pair().unwrap();
        let mut lines = server.lines(80);
        client.write_all(b"first\nsec").wait().unwrap();
        let first = lines.next().wait().unwrap();
        assert!(lines.next().wait_timeout(MS).is_err());
        client.write_all(b"ond\n").wait().unwrap();
        [first, lines.next().wait().unwrap()]
    });
    assert_eq!(lines.unwrap().map(Option::unwrap), ["first", "second"]);
}

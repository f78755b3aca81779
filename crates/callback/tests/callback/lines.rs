//! `on_lines`: what the program of `conformance/node` does not show.

use oneloop::callback::child_process;
use oneloop::callback::fs::{self, ReadStreamOptions};
use oneloop::callback::net::{self, Socket};
use oneloop::callback::stream::{ReadStream, WriteStream, event};
use oneloop::callback::{self, process, set_timeout};
use oneloop::{EventLoop, Options};
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

fn run<E: Into<callback::Thrown>>(main: impl FnOnce() -> Result<(), E> + 'static) {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    assert_eq!(callback::run_on(&mut event_loop, main).unwrap(), 0);
}

/// What listeners were called with, in their order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    /// Takes all that was added.
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// A pipe that holds this text, and then ends.
fn stream_of(text: &[u8]) -> io::Result<ReadStream> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(text)?;
    ReadStream::from_fd(reader)
}

/// Serves one client, whose end is `talk`.
fn with_client(
    serve: impl Fn(Socket) + 'static,
    talk: impl Fn(Socket) + 'static,
) -> Result<(), net::Error> {
    let server = net::create_server(move |socket| {
        socket.server().expect("it accepted").close();
        serve(socket);
    });
    server
        .listen(("127.0.0.1", 0))?
        .on_listening(move |server| {
            talk(net::connect(("127.0.0.1", server.port().unwrap()))?);
            Ok::<_, net::Error>(())
        });
    Ok(())
}

#[test]
fn a_paused_stream_emits_no_line_that_has_already_arrived() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let input = stream_of(b"one\ntwo\nthree\nlast")?;
        let ends = lines.clone();
        input.on_end(move |_| ends.add("end"));
        input.on_lines(80, move |input, line| {
            lines.add(line);
            input.pause();
            let lines = lines.clone();
            set_timeout(
                move || {
                    lines.add("resume");
                    input.resume();
                },
                10,
            );
        });
        io::Result::Ok(())
    });
    let expected = [
        "one", "resume", "two", "resume", "three", "resume", "last", "end", "resume",
    ];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_paused_socket_ends_only_after_the_lines_that_have_arrived() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let serve = move |socket: Socket| {
            let ends = lines.clone();
            socket.on_end(move |_| ends.add("end"));
            let lines = lines.clone();
            socket.on_lines(80, move |socket, line| {
                lines.add(line);
                socket.pause();
                set_timeout(move || _ = socket.resume(), 1000);
            });
        };
        with_client(serve, |client| {
            client.end_with("one\ntwo").resume();
        })
    });
    assert_eq!(log.take(), ["one", "two", "end"]);
}

#[test]
fn a_destroyed_stream_emits_no_further_line() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        stream_of(b"one\nquit\nthree\n")?.on_lines(80, move |input, line| {
            lines.add(line);
            if line == "quit" {
                input.destroy();
            }
        });
        io::Result::Ok(())
    });
    assert_eq!(log.take(), ["one", "quit"]);
}

#[test]
fn a_line_that_is_too_long_destroys_the_stream_with_a_clear_error() {
    for text in [
        &b"12345\n123456\n"[..],
        b"12345\n1234567",
        b"12345\n123456789\r\n1\n",
    ] {
        let log = Log::default();
        let lines = log.clone();
        run(move || {
            let input = stream_of(text)?;
            let errors = lines.clone();
            input.on_error(move |_, error| {
                assert_eq!(error.code(), Some("ERR_LINE_TOO_LONG"));
                errors.add(error.message());
            });
            input.on_lines(5, move |_, line| lines.add(line));
            io::Result::Ok(())
        });
        assert_eq!(log.take(), ["12345", "a line is longer than 5 bytes"]);
    }
}

#[test]
fn an_endless_line_of_a_client_is_refused_at_the_limit() {
    let log = Log::default();
    let (errors, read) = (log.clone(), Rc::new(Cell::new(0)));
    let bytes = Rc::clone(&read);
    run(move || {
        let serve = move |socket: Socket| {
            socket.on_lines(1 << 20, |_, _| unreachable!("no line ends"));
            let errors = errors.clone();
            socket.on_error(move |_, error| errors.add(error.message()));
            let bytes = Rc::clone(&bytes);
            socket.on_close(move |socket, _| bytes.set(socket.bytes_read()));
        };
        with_client(serve, |client| {
            client.on_error(|_, _| ()); // it is reset
            let send = |client: Socket| while client.write([b'a'; 65536]) {};
            client.on_connect(send).on_drain(send);
        })
    });
    assert_eq!(log.take(), ["a line is longer than 1048576 bytes"]);
    assert!(read.get() <= (1 << 20) + 65536, "{} bytes", read.get());
}

#[test]
fn a_listener_that_throws_loses_only_its_line() {
    let log = Log::default();
    let (lines, thrown) = (log.clone(), log.clone());
    run(move || {
        process::on_uncaught_exception(move |error, _| thrown.add(error.message()));
        stream_of(b"one\ntwo\nthree\nfour\n")?.on_lines(80, move |_, line| {
            match line {
                "two" => return Err(io::Error::other("returned")),
                "three" => panic!("panicked"),
                _ => lines.add(line),
            }
            Ok(())
        });
        io::Result::Ok(())
    });
    assert_eq!(log.take(), ["one", "returned", "panicked", "four"]);
}

#[test]
fn a_listener_that_reads_does_not_disturb_the_order_of_lines() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let (reader, mut writer) = io::pipe()?;
        let input = ReadStream::from_fd(reader)?;
        input.pause();
        input.on_lines(80, move |input, line| {
            lines.add(line);
            input.read();
        });
        writer.write_all(b"one\ntwo\nth")?;
        let asked = input.clone();
        set_timeout(move || assert_eq!(asked.read(), None), 1);
        set_timeout(
            move || {
                writer.write_all(b"ree\nfour\n")?;
                input.resume();
                io::Result::Ok(())
            },
            2,
        );
        io::Result::Ok(())
    });
    assert_eq!(log.take(), ["one", "two", "three", "four"]);
}

#[test]
fn bytes_behind_a_head_of_lines_are_for_the_next_listener() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let input = stream_of(b"head\r\n\r\nbody\nof bytes")?;
        input.on_byte_lines(80, move |input, line| {
            lines.add(String::from_utf8_lossy(line));
            if line.is_empty() {
                input.remove_all_listeners(event::Data);
                let body = lines.clone();
                input.on_data(move |_, bytes| body.add(String::from_utf8_lossy(bytes)));
            }
        });
        io::Result::Ok(())
    });
    assert_eq!(log.take(), ["head", "", "body\nof bytes"]);
}

#[test]
fn lines_need_not_be_utf_8() {
    let log = Log::default();
    let (lines, texts) = (log.clone(), log.clone());
    run(move || {
        let bytes = b"a\xff\r\xfe\nb\n";
        stream_of(bytes)?.on_byte_lines(80, move |_, line| lines.add(format!("{line:?}")));
        let later = move || {
            stream_of(bytes)?.on_lines(80, move |_, line| texts.add(line));
            io::Result::Ok(())
        };
        set_timeout(later, 1000);
        io::Result::Ok(())
    });
    assert_eq!(
        log.take(),
        ["[97, 255, 13, 254]", "[98]", "a\u{fffd}", "\u{fffd}", "b"]
    );
}

#[test]
fn the_lines_of_a_child_arrive() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let child = child_process::spawn("printf", ["one\\ntwo\\r\\nlast"])?;
        let stdout = child.stdout().expect("a pipe");
        stdout.on_lines(80, move |_, line| lines.add(line));
        Ok::<_, child_process::Error>(())
    });
    assert_eq!(log.take(), ["one", "two", "last"]);
}

#[test]
fn lines_of_a_client_of_any_speed_are_the_same() {
    let text = "one\r\ntwo\r\rthree\nfour\r\n";
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let (reader, writer) = io::pipe()?;
        let writer = WriteStream::from_fd(writer)?;
        let mut bytes = text.bytes();
        callback::set_interval(
            move || match bytes.next() {
                Some(byte) => drop(writer.write([byte])),
                None => drop(writer.end()),
            },
            500,
        )
        .unref();
        ReadStream::from_fd(reader)?.on_lines(80, move |_, line| lines.add(line));
        io::Result::Ok(())
    });
    assert_eq!(log.take(), ["one", "two", "", "three", "four"]);
}

/// A file with a name of its own, removed at the end.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> io::Result<Self> {
        let name = format!("oneloop-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text)?;
        Ok(TempFile(path))
    }

    fn append(&self, text: &str) -> io::Result<()> {
        let mut file = std::fs::File::options().append(true).open(&self.0)?;
        file.write_all(text.as_bytes())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn follow(path: &Path, start: u64) -> ReadStream {
    let options = ReadStreamOptions {
        start: Some(start),
        follow: true,
        ..Default::default()
    };
    fs::create_read_stream_with(path, options)
}

#[test]
fn a_followed_file_emits_what_is_appended_and_no_end() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let file = TempFile::new("followed", "old\nnew\nhal")?;
        let stream = follow(&file.0, 4);
        let events = lines.clone();
        stream.on_end(|_| panic!("it has no end"));
        stream.on_close(move |_| events.add("close"));
        stream.on_lines(80, move |stream, line| {
            lines.add(line);
            match line {
                "new" => file.append("f\nmore\n")?,
                "more" => file.append("last\nnot any more\n")?,
                "last" => drop(stream.destroy().clone()),
                _ => (),
            }
            io::Result::Ok(())
        });
        Ok::<_, fs::Error>(())
    });
    assert_eq!(log.take(), ["new", "half", "more", "last", "close"]);
}

#[test]
fn a_followed_file_is_followed_when_it_is_renamed_and_removed() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let file = TempFile::new("renamed", "first\n")?;
        let writer = std::fs::File::options().append(true).open(&file.0)?;
        let rotated = file.0.with_extension("1");
        let stream = follow(&file.0, 0);
        stream.on_lines(80, move |stream, line| {
            lines.add(line);
            let append = |text: &str| (&writer).write_all(text.as_bytes());
            match line {
                "first" => {
                    // Once it waits.
                    let (from, to) = (file.0.clone(), rotated.clone());
                    set_timeout(move || std::fs::rename(&from, &to), 1000);
                    let same = writer.try_clone()?;
                    set_timeout(move || (&same).write_all(b"renamed\n"), 2000);
                }
                "renamed" => {
                    std::fs::write(&file.0, "of another file\n")?;
                    std::fs::rename(&rotated, rotated.with_extension("2"))?;
                    append("twice\n")?;
                }
                "twice" => {
                    std::fs::remove_file(rotated.with_extension("2"))?;
                    append("removed\n")?;
                }
                _ => _ = stream.destroy(),
            }
            io::Result::Ok(())
        });
        Ok::<_, fs::Error>(())
    });
    assert_eq!(log.take(), ["first", "renamed", "twice", "removed"]);
}

#[test]
fn a_followed_file_that_is_truncated_is_read_from_its_beginning() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let file = TempFile::new("truncated", "not read\nlong first line\n")?;
        let stream = follow(&file.0, 9);
        stream.on_lines(80, move |stream, line| {
            lines.add(line);
            match line {
                "long first line" => std::fs::write(&file.0, "again\n")?,
                "again" => file.append("appended\n")?,
                "appended" => std::fs::write(&file.0, "")?,
                _ => (),
            }
            if line == "appended" {
                let path = file.0.clone();
                set_timeout(move || std::fs::write(&path, "end\n"), 1000);
            }
            if line == "end" {
                stream.destroy();
            }
            io::Result::Ok(())
        });
        Ok::<_, fs::Error>(())
    });
    let expected = ["long first line", "again", "appended", "end"];
    assert_eq!(log.take(), expected);
}

#[test]
fn a_followed_file_may_be_shorter_than_its_start() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let file = TempFile::new("shorter", "one\n")?;
        let stream = follow(&file.0, 8);
        set_timeout(move || file.append("two\nthree\n"), 1000);
        stream.on_lines(80, move |stream, line| {
            lines.add(line);
            stream.destroy();
        });
        Ok::<_, fs::Error>(())
    });
    assert_eq!(log.take(), ["three"]);
}

#[test]
fn a_followed_file_keeps_the_program_alive_only_while_its_stream_flows() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let file = TempFile::new("paused", "one\ntwo\n")?;
        let stream = follow(&file.0, 0);
        stream.on_lines(80, move |stream, line| {
            lines.add(line);
            let _keep = &file;
            if line == "two" {
                // Once it waits for what is appended.
                set_timeout(move || _ = stream.pause(), 1000);
            }
        });
        Ok::<_, fs::Error>(())
    });
    assert_eq!(log.take(), ["one", "two"]);
}

#[test]
fn an_unreferenced_stream_of_a_followed_file_does_not_keep_the_program_alive() {
    let log = Log::default();
    let lines = log.clone();
    run(move || {
        let file = TempFile::new("unreferenced", "one\n")?;
        let stream = follow(&file.0, 0);
        stream.on_lines(80, move |stream, line| {
            lines.add(line);
            let _keep = &file;
            stream.unref();
        });
        Ok::<_, fs::Error>(())
    });
    assert_eq!(log.take(), ["one"]);
}

#[test]
fn a_followed_file_that_does_not_exist_is_an_error() {
    let log = Log::default();
    let errors = log.clone();
    run(move || {
        let stream = follow(Path::new("/no/such/file"), 0);
        stream.on_error(move |_, error| errors.add(error.message()));
        Ok::<_, fs::Error>(())
    });
    let expected = "ENOENT: no such file or directory, open '/no/such/file'";
    assert_eq!(log.take(), [expected]);
}

//! Pipes and FIFOs on the loop never block, lose nothing when canceled, and change no shared fd.

use crate::harness::{MS, block_on, errno};
use oneloop::aio::{self, PipeReader, PipeWriter, pipe, spawn, timeout, yield_now};
use oneloop::callback::stream::{ReadStream, WriteStream, event};
use oneloop::callback::{self, IntoResult, fs};
use oneloop::{EventLoop, Options, green, net};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;

/// A FIFO in a temporary directory.
struct Fifo {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Fifo {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap();
        Fifo { _dir: dir, path }
    }

    fn reader(&self) -> PipeReader {
        PipeReader::open(&self.path).unwrap()
    }

    fn writer(&self) -> io::Result<PipeWriter> {
        PipeWriter::open(&self.path)
    }
}

async fn read_all(reader: &PipeReader) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(chunk) = reader.read_chunk().await.unwrap() {
        all.extend_from_slice(&chunk);
    }
    all
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Runs a program in the callback style until it ends.
fn callbacks<O: IntoResult>(main: impl FnOnce() -> O + 'static) {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    assert_eq!(callback::run_on(&mut event_loop, main).unwrap(), 0);
}

/// A pipe of the standard library, whose fds are blocking, as callback streams.
fn streams() -> (ReadStream, WriteStream) {
    let (reader, writer) = io::pipe().unwrap();
    let reader = ReadStream::from_fd(reader).unwrap();
    (reader, WriteStream::from_fd(writer).unwrap())
}

/// The lines that a program logs.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn say(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn lines(&self) -> String {
        self.0.borrow().join(", ")
    }

    /// Logs the events of a stream.
    fn log_reading(&self, stream: &ReadStream) {
        let [data, end, error, close] = [(); 4].map(|()| self.clone());
        // Logged at the end: how many reads bring the bytes is up to the kernel.
        let text = Rc::new(RefCell::new(Vec::new()));
        let all = Rc::clone(&text);
        stream.on_data(move |_, bytes| text.borrow_mut().extend_from_slice(bytes));
        stream.on_end(move |_| {
            let all = all.take();
            if !all.is_empty() {
                data.say(String::from_utf8_lossy(&all));
            }
            end.say("end");
        });
        stream.on_error(move |_, problem| error.say(problem.message()));
        stream.on_close(move |_| close.say("close"));
    }

    fn log_writing(&self, stream: &WriteStream) {
        let [open, finish, drain, error, close] = [(); 5].map(|()| self.clone());
        stream.on_open(move |_| open.say("open"));
        stream.on_finish(move |_| finish.say("finish"));
        stream.on_drain(move |_| drain.say("drain"));
        stream.on_error(move |_, problem| error.say(problem.message()));
        stream.on_close(move |_| close.say("close"));
    }
}

#[test]
fn more_bytes_than_a_pipe_holds_pass_whole_in_each_style() {
    let sent = pattern(1 << 20);
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        let bytes = sent.clone();
        spawn(async move { writer.write_all(&bytes).await.unwrap() });
        assert!(read_all(&reader).await == sent);
    });
    let (got, bytes) = (Rc::new(RefCell::new(Vec::new())), sent.clone());
    let all = Rc::clone(&got);
    callbacks(move || {
        let (reader, writer) = streams();
        assert!(!writer.write(&bytes), "it is more than a pipe holds");
        writer.end();
        reader.on_data(move |_, bytes| all.borrow_mut().extend_from_slice(bytes));
    });
    assert!(*got.borrow() == sent);
    let bytes = sent.clone();
    let got = green::run(move || {
        let (mut reader, mut writer) = green::net::pipe().unwrap();
        green::spawn(move || writer.write_all(&bytes).unwrap());
        let mut got = Vec::new();
        reader.read_to_end(&mut got).unwrap();
        got
    });
    assert!(got.unwrap() == sent);
}

#[test]
fn a_full_pipe_makes_its_writer_wait_for_the_reader() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        let capacity = writer.capacity().unwrap();
        writer.write_all(&vec![1; capacity]).await.unwrap();
        assert_eq!(reader.unread_bytes().unwrap(), capacity as u64);
        for _ in 0..3 {
            timeout(MS, writer.write(b"more")).await.unwrap_err();
        }
        let writing = spawn(async move { writer.write_all(b"more").await });
        yield_now().await;
        assert!(!writing.is_finished());
        let mut first = vec![0; capacity];
        reader.read_exact(&mut first).await.unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!(read_all(&reader).await, b"more");
    });
}

#[test]
fn a_write_without_a_reader_fails_without_a_signal() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let error = writer.write(b"question").await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::PIPE));

        let (reader, writer) = pipe().unwrap();
        writer
            .write_all(&vec![1; writer.capacity().unwrap()])
            .await
            .unwrap();
        let waiting = spawn(async move { writer.write(b"more").await });
        yield_now().await;
        drop(reader);
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(errno(&error), Some(Errno::PIPE));
    });
}

#[test]
fn a_canceled_read_has_read_nothing() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        for round in 0..50 {
            timeout(MS, reader.read(&mut [0; 8])).await.unwrap_err();
            writer.write(&[round]).await.unwrap();
            let mut buf = [0; 8];
            assert_eq!(reader.read(&mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], round);
        }
    });
}

#[test]
fn a_canceled_read_does_not_keep_the_loop_alive() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    event_loop.handle().spawn(async {
        let (reader, _writer) = pipe().unwrap();
        timeout(MS, reader.read_chunk()).await.unwrap_err();
        spawn(async move {
            let _keep = (reader, _writer);
            std::future::pending::<()>().await
        });
    });
    event_loop.run().unwrap(); // returns at once
}

#[test]
fn packets_of_a_pipe_stay_separate_and_none_is_left_behind() {
    block_on(async {
        let flags = PipeFlags::DIRECT | PipeFlags::NONBLOCK | PipeFlags::CLOEXEC;
        let (reader, writer) = pipe_with(flags).unwrap();
        let reader = PipeReader::from_fd(reader).unwrap();
        let writer = PipeWriter::from_fd(writer).unwrap();
        for packet in ["one", "two", "three"] {
            writer.write(packet.as_bytes()).await.unwrap();
        }
        // One edge for all packets, and each read is short.
        for packet in ["one", "two", "three"] {
            let chunk = reader.read_chunk().await.unwrap().unwrap();
            assert_eq!(&*chunk, packet.as_bytes());
        }
        timeout(MS, reader.read_chunk()).await.unwrap_err();
    });
}

#[test]
fn a_shared_fd_stays_blocking_while_it_is_read_and_written() {
    block_on(async {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let ours = PipeReader::from_shared_fd(&reader).unwrap();
        let to_it = PipeWriter::from_shared_fd(&writer).unwrap();
        for fd in [&reader, &writer] {
            assert!(!fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK));
        }
        timeout(MS, ours.read_chunk()).await.unwrap_err();
        to_it.write_all(b"one").await.unwrap();
        assert_eq!(&*ours.read_chunk().await.unwrap().unwrap(), b"one");
        drop(to_it);
        timeout(MS, ours.read_chunk()).await.unwrap_err(); // the original writer is still open
        drop(writer);
        assert!(ours.read_chunk().await.unwrap().is_none());
    });
}

#[test]
fn from_fd_takes_only_pipes_and_pollable_devices() {
    block_on(async {
        let take_on = |fd| PipeReader::from_fd(fd).unwrap_err();
        let file = take_on(tempfile::tempfile().unwrap().into());
        assert_eq!(file.kind(), ErrorKind::InvalidInput);
        let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(take_on(socket.into()).kind(), ErrorKind::InvalidInput);
        let null = take_on(File::open("/dev/null").unwrap().into());
        assert_eq!(errno(&null), Some(Errno::PERM));
    });
}

#[test]
fn a_pipe_can_be_made_larger() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        let larger = 4 * reader.capacity().unwrap();
        assert_eq!(reader.set_capacity(larger).unwrap(), larger);
        assert_eq!(writer.write(&vec![1; 1 << 20]).await.unwrap(), larger);
        let error = writer.set_capacity(1).unwrap_err();
        assert_eq!(errno(&error), Some(Errno::BUSY));
    });
}

#[test]
fn a_fifo_opens_at_once_and_its_reader_waits_for_the_first_writer() {
    block_on(async {
        let fifo = Fifo::new();
        assert_eq!(errno(&fifo.writer().unwrap_err()), Some(Errno::NXIO));
        let reader = Rc::new(fifo.reader());
        let waiting = Rc::clone(&reader);
        let waiting = spawn(async move { read_all(&waiting).await });
        yield_now().await;
        let writer = fifo.writer().unwrap();
        writer.write_all(b"first").await.unwrap();
        drop(writer); // the last writer
        assert_eq!(waiting.await.unwrap(), b"first");
        assert!(reader.read_chunk().await.unwrap().is_none());

        let writer = fifo.writer().unwrap();
        timeout(MS, reader.read_chunk()).await.unwrap_err(); // no end while a writer is open
        writer.write_all(b"second").await.unwrap();
        drop(writer);
        assert_eq!(read_all(&reader).await, b"second");
    });
}

#[test]
fn open_when_read_waits_for_the_reader_of_a_fifo() {
    block_on(async {
        let fifo = Fifo::new();
        let wait = timeout(MS, PipeWriter::open_when_read(&fifo.path));
        assert!(wait.await.is_err(), "the FIFO has no reader");
        let opening = spawn(PipeWriter::open_when_read(fifo.path.clone()));
        yield_now().await;
        // A reader that has closed does not count.
        drop(
            File::options()
                .read(true)
                .write(true)
                .open(&fifo.path)
                .unwrap(),
        );
        for _ in 0..3 {
            yield_now().await;
        }
        assert!(!opening.is_finished());
        // A reader whose open blocks until there is a writer, as in cat(1).
        let path = fifo.path.clone();
        let reader = std::thread::spawn(move || std::fs::read(path).unwrap());
        let writer = opening.await.unwrap().unwrap();
        writer.write_all(b"at last").await.unwrap();
        drop(writer);
        assert_eq!(reader.join().unwrap(), b"at last");
        // With an open reader it does not wait.
        let _reader = fifo.reader();
        PipeWriter::open_when_read(&fifo.path).await.unwrap();
    });
}

#[test]
fn green_threads_open_both_ends_of_a_fifo_in_any_order() {
    let text = green::run(|| {
        let fifo = Fifo::new();
        let path = fifo.path.clone();
        let writing = green::spawn(move || {
            let mut writer = green::net::PipeWriter::open(path).unwrap();
            writer.write_all(b"green").unwrap();
        });
        green::yield_now();
        let mut text = String::new();
        let mut reader = green::net::PipeReader::open(&fifo.path).unwrap();
        reader.read_to_string(&mut text).unwrap();
        writing.join().unwrap();
        text
    });
    assert_eq!(text.unwrap(), "green");
}

#[test]
fn closing_a_pipe_wakes_the_green_thread_that_reads_it() {
    let error = green::run(|| {
        let (mut reader, _writer) = green::net::pipe().unwrap();
        let same = reader.clone();
        let reading = green::spawn(move || reader.read(&mut [0; 8]));
        green::yield_now();
        same.close();
        reading.join().unwrap().unwrap_err()
    });
    assert_eq!(errno(&error.unwrap()), Some(Errno::BADF));
}

#[test]
fn pipes_implement_the_traits_of_futures_io() {
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    block_on(async {
        let (mut reader, mut writer) = aio::pipe().unwrap();
        AsyncWriteExt::write_all(&mut writer, b"hello")
            .await
            .unwrap();
        writer.close().await.unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
    });
}

#[test]
fn a_paused_stream_keeps_its_writer_waiting_until_it_resumes() {
    let log = Log::default();
    let said = log.clone();
    callbacks(move || {
        let (reader, writer) = streams();
        log.log_writing(&writer);
        let got = Rc::new(Cell::new(0));
        let sum = Rc::clone(&got);
        reader.on_data(move |reader, bytes| {
            sum.set(sum.get() + bytes.len());
            reader.pause();
        });
        writer.write(pattern(1 << 18));
        let later = move || {
            log.say(format!("{} waiting", writer.writable_length() > 0));
            assert!(got.get() <= 1 << 16, "one chunk");
            let flowing = reader.clone();
            reader.on(event::Pause, move |_| {
                flowing.resume();
            });
            reader.resume();
            let ended = writer.clone();
            writer.on_drain(move |_| {
                ended.end();
            });
            reader.on_end(move |_| log.say(got.get().to_string()));
        };
        callback::set_timeout(later, 10);
    });
    let expected = "true waiting, drain, finish, close, 262144";
    assert_eq!(said.lines(), expected);
}

#[test]
fn the_end_of_a_write_stream_reaches_the_reader() {
    let log = Log::default();
    let said = log.clone();
    callbacks(move || {
        let (reader, writer) = streams();
        log.log_reading(&reader);
        let [written, finished] = [(); 2].map(|()| log.clone());
        writer.write_then("hello", move |result| written.say(format!("{result:?}")));
        writer.end_then(move |result| finished.say(format!("finished {result:?}")));
    });
    assert_eq!(said.lines(), "Ok(()), finished Ok(()), hello, end, close");
}

#[test]
fn a_write_stream_without_a_reader_fails_with_nodes_message() {
    let log = Log::default();
    let said = log.clone();
    callbacks(move || {
        let (reader, writer) = streams();
        reader.destroy();
        log.log_writing(&writer);
        let [now, later] = [(); 2].map(|()| log.clone());
        writer.write_then("question", move |result| {
            now.say(result.unwrap_err().code().unwrap());
        });
        writer.write_then("x", move |result| {
            later.say(result.unwrap_err().code().unwrap())
        });
    });
    let expected = "EPIPE, ERR_STREAM_DESTROYED, write EPIPE, close";
    assert_eq!(said.lines(), expected);
}

#[test]
fn a_reader_that_closes_fails_all_queued_writes() {
    let log = Log::default();
    let said = log.clone();
    callbacks(move || {
        let (reader, writer) = streams();
        log.log_writing(&writer);
        let waits = log.clone();
        writer.write_then(pattern(1 << 20), move |result| {
            waits.say(result.unwrap_err().message());
        });
        reader.on_data(|reader, _| {
            reader.destroy();
        });
    });
    assert_eq!(said.lines(), "write EPIPE, write EPIPE, close");
}

#[test]
fn a_write_after_the_end_is_an_error() {
    let log = Log::default();
    let said = log.clone();
    callbacks(move || {
        let (reader, writer) = streams();
        reader.resume();
        log.log_writing(&writer);
        writer.end();
        let refused = log.clone();
        writer.write_then("more", move |result| {
            refused.say(result.unwrap_err().code().unwrap());
        });
    });
    let expected = "ERR_STREAM_WRITE_AFTER_END, write after end, close";
    assert_eq!(said.lines(), expected);
}

#[test]
fn a_destroyed_stream_emits_only_close() {
    let log = Log::default();
    let said = log.clone();
    callbacks(move || {
        let (reader, writer) = streams();
        log.log_reading(&reader);
        log.log_writing(&writer);
        writer.write("never delivered");
        reader.destroy();
        writer.destroy();
        assert!(reader.is_destroyed() && writer.is_destroyed());
    });
    assert_eq!(said.lines(), "close, close");
}

#[test]
fn a_stream_keeps_the_program_alive_only_while_it_flows_and_is_referenced() {
    let (reader, writer) = io::pipe().unwrap();
    let copy = reader.try_clone().unwrap();
    callbacks(move || {
        let unreferenced = ReadStream::from_fd(reader).unwrap();
        unreferenced.on_data(|_, _| ()).unref();
        let paused = ReadStream::from_fd(copy).unwrap();
        paused.on_data(|_, _| ()).pause();
    }); // returns at once
    drop(writer);
}

#[test]
fn a_shared_fd_stays_blocking_while_it_is_streamed() {
    let (reader, writer) = io::pipe().unwrap();
    let (ours, to_it) = (reader.try_clone().unwrap(), writer.try_clone().unwrap());
    callbacks(move || {
        let writing = WriteStream::from_fd(to_it).unwrap();
        writing.write("one");
        let reading = ReadStream::from_fd(ours).unwrap();
        reading.on_data(move |reading, bytes| {
            assert_eq!(bytes, b"one");
            reading.destroy();
            writing.end();
        });
    });
    for flags in [fcntl_getfl(&reader), fcntl_getfl(&writer)] {
        assert!(!flags.unwrap().contains(OFlags::NONBLOCK));
    }
}

#[test]
fn streams_open_both_ends_of_a_fifo_in_any_order() {
    for writer_first in [true, false] {
        let log = Log::default();
        let said = log.clone();
        callbacks(move || {
            let fifo = Rc::new(Fifo::new());
            let [to_read, to_write] = [(); 2].map(|()| Rc::clone(&fifo));
            let read = move || {
                let reader = fs::create_read_stream(&to_read.path);
                log.log_reading(&reader);
                reader.on_close(move |_| drop(Rc::clone(&to_read)));
            };
            let write = move || {
                fs::create_write_stream(&to_write.path).end_with("through");
            };
            if writer_first {
                write();
                callback::set_timeout(read, 5);
            } else {
                read();
                callback::set_timeout(write, 5);
            }
        });
        assert_eq!(said.lines(), "through, end, close", "{writer_first}");
    }
}

#[test]
fn streams_without_an_owner_continue_and_end_with_the_program() {
    let (reader, writer) = io::pipe().unwrap();
    let (unread, mut kept) = io::pipe().unwrap();
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    callbacks(move || {
        let paused = ReadStream::from_fd(unread).unwrap();
        paused.pause().on_end(move |_| drop(Rc::clone(&held)));
        WriteStream::from_fd(writer).unwrap().write("hello");
    });
    assert_eq!(Rc::strong_count(&alive), 1);
    assert_eq!(io::read_to_string(reader).unwrap(), "hello");
    let error = kept.write(b"question").unwrap_err();
    assert_eq!(errno(&error), Some(Errno::PIPE));
}

#[test]
fn a_write_stream_waits_for_the_reader_of_a_fifo_until_it_is_destroyed() {
    let log = Log::default();
    let said = log.clone();
    callbacks(move || {
        let fifo = Fifo::new();
        let writer = fs::create_write_stream(&fifo.path);
        log.log_writing(&writer);
        writer.write("never");
        let give_up = move || {
            log.say("given up");
            writer.destroy();
            drop(fifo);
        };
        callback::set_timeout(give_up, 20);
    }); // no thread of the pool still waits for the reader
    assert_eq!(said.lines(), "given up, close");
}

#[test]
fn a_socket_is_piped_into_a_pipe_and_a_pipe_into_a_socket() {
    let sent = pattern(1 << 20);
    let got = Rc::new(RefCell::new(Vec::new()));
    let (bytes, all) = (sent.clone(), Rc::clone(&got));
    callbacks(move || {
        let server = callback::net::create_server(|socket| {
            socket.pipe(&socket);
        });
        server
            .listen(("127.0.0.1", 0))?
            .on_listening(move |server| {
                let client = callback::net::connect(("127.0.0.1", server.port().unwrap()))?;
                let (into_socket, source) = streams();
                let (drain, from_socket) = streams();
                into_socket.pipe(&client).pipe(&from_socket);
                source.end_with(&bytes);
                let all = Rc::clone(&all);
                drain.on_data(move |_, bytes| all.borrow_mut().extend_from_slice(bytes));
                drain.on_end(move |_| {
                    server.close();
                });
                Ok::<_, callback::Error>(())
            });
        Ok::<_, callback::Error>(())
    });
    assert!(*got.borrow() == sent);
}

#[test]
fn the_end_of_a_write_stream_on_a_socket_reaches_the_peer() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let kept = ours.try_clone().unwrap();
    let log = Log::default();
    let said = log.clone();
    callbacks(move || {
        log.log_reading(&ReadStream::from_fd(theirs).unwrap());
        WriteStream::from_fd(ours).unwrap().end_with("hello");
    });
    drop(kept);
    assert_eq!(said.lines(), "hello, end, close");
}

#[test]
fn inputs_and_outputs_of_any_fd_do_not_mix_their_bytes() {
    let mut files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
    for (file, text) in files.iter_mut().zip(["first", "second"]) {
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
    }
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let [first, second] = files;
    let more = first.try_clone().unwrap();
    block_on(async {
        let input = |fd| net::Input::from_fd(fd).unwrap();
        let output = |fd| net::Output::from_fd(fd).unwrap();
        let (one, other) = (input(first.into()), input(second.into()));
        // Both jobs start before either input is polled again.
        let (one, other) = futures_lite::future::zip(one.read_all(10), other.read_all(10)).await;
        assert_eq!(one.unwrap(), b"first");
        assert_eq!(other.unwrap(), b"second");

        let to_socket = output(socket.into());
        to_socket.write_all(b"to the peer").await.unwrap();
        let to_file = output(more.try_clone().unwrap().into());
        to_file.write_all(b" and more").await.unwrap();
        to_file.flush().await.unwrap();
    });
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "to the peer");
    let mut more = more;
    more.rewind().unwrap();
    assert_eq!(io::read_to_string(more).unwrap(), "first and more");
}

//! Pipes and FIFOs on the loop: nothing blocks, nothing is lost by giving up, nobody else's fd changes.

use oneloop::aio::{self, PipeReader, PipeWriter, pipe, spawn, timeout, yield_now};
use oneloop::{EventLoop, Handle, Options, green, net};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    EventLoop::with(Options::virtual_time())
        .unwrap()
        .block_on(future)
}

fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

/// A FIFO in a directory of its own.
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

#[test]
fn more_than_the_pipe_holds_goes_through_whole_and_then_ends() {
    let sent = pattern(1 << 20);
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        let bytes = sent.clone();
        spawn(async move { writer.write_all(&bytes).await.unwrap() });
        assert!(read_all(&reader).await == sent);
    });
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
        assert_eq!(writer.write(&vec![1; 1 << 20]).await.unwrap(), capacity);
        assert_eq!(reader.unread_bytes().unwrap(), capacity as u64);
        for _ in 0..3 {
            timeout(MS, writer.write(b"more")).await.unwrap_err();
        }
        let writing = spawn(async move { writer.write(b"more").await });
        yield_now().await;
        assert!(!writing.is_finished());
        let first = reader.read_chunk().await.unwrap().unwrap();
        assert_eq!(first.len(), capacity);
        assert_eq!(writing.await.unwrap().unwrap(), 4);
        assert_eq!(read_all(&reader).await, b"more");
    });
}

#[test]
fn a_pipe_nobody_reads_is_an_error_and_no_signal() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let error = writer.write(b"anybody?").await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::PIPE));

        let (reader, writer) = pipe().unwrap();
        writer.write(&vec![1; 1 << 20]).await.unwrap();
        let waiting = spawn(async move { writer.write(b"more").await });
        yield_now().await;
        drop(reader);
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(errno(&error), Some(Errno::PIPE));
    });
}

#[test]
fn a_read_that_gives_up_has_read_nothing() {
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
fn a_read_that_gave_up_does_not_keep_the_loop_alive() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    event_loop.handle().spawn(async {
        let (reader, _writer) = pipe().unwrap();
        timeout(MS, reader.read_chunk()).await.unwrap_err();
        spawn(async move {
            let _keep = (reader, _writer);
            std::future::pending::<()>().await
        });
    });
    event_loop.run().unwrap(); // would wait for ever
}

#[test]
fn packets_stay_apart_and_none_is_left_behind() {
    block_on(async {
        let flags = PipeFlags::DIRECT | PipeFlags::NONBLOCK | PipeFlags::CLOEXEC;
        let (reader, writer) = pipe_with(flags).unwrap();
        let handle = Handle::current();
        let reader: PipeReader = net::PipeReader::from_fd(&handle, reader).unwrap().into();
        let writer: PipeWriter = net::PipeWriter::from_fd(&handle, writer).unwrap().into();
        for packet in ["one", "two", "three"] {
            writer.write(packet.as_bytes()).await.unwrap();
        }
        // One edge for all of them; each read is short.
        for packet in ["one", "two", "three"] {
            let chunk = reader.read_chunk().await.unwrap().unwrap();
            assert_eq!(&*chunk, packet.as_bytes());
        }
        timeout(MS, reader.read_chunk()).await.unwrap_err();
    });
}

#[test]
fn a_shared_fd_is_read_and_written_without_being_made_non_blocking() {
    block_on(async {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let handle = Handle::current();
        let ours = net::PipeReader::from_shared_fd(&handle, &reader).unwrap();
        let to_it = net::PipeWriter::from_shared_fd(&handle, &writer).unwrap();
        let (ours, to_it) = (PipeReader::from(ours), PipeWriter::from(to_it));
        for fd in [&reader, &writer] {
            assert!(!fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK));
        }
        timeout(MS, ours.read_chunk()).await.unwrap_err();
        to_it.write_all(b"one").await.unwrap();
        assert_eq!(&*ours.read_chunk().await.unwrap().unwrap(), b"one");
        drop(to_it);
        timeout(MS, ours.read_chunk()).await.unwrap_err(); // the original is there
        drop(writer);
        assert!(ours.read_chunk().await.unwrap().is_none());
    });
}

#[test]
fn only_ends_of_pipes_and_devices_that_wait_are_taken_on() {
    block_on(async {
        let handle = Handle::current();
        let take_on = |fd| net::PipeReader::from_fd(&handle, fd).unwrap_err();
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
        drop(writer); // and with it all writers
        assert_eq!(waiting.await.unwrap(), b"first");
        assert!(reader.read_chunk().await.unwrap().is_none());

        let writer = fifo.writer().unwrap();
        timeout(MS, reader.read_chunk()).await.unwrap_err(); // no end while there is a writer
        writer.write_all(b"second").await.unwrap();
        assert_eq!(&*reader.read_chunk().await.unwrap().unwrap(), b"second");
    });
}

#[test]
fn a_fifo_that_nobody_reads_yet_is_waited_for() {
    block_on(async {
        let fifo = Fifo::new();
        let wait = timeout(MS, PipeWriter::open_when_read(&fifo.path));
        assert!(wait.await.is_err(), "nobody reads");
        let opening = spawn(PipeWriter::open_when_read(fifo.path.clone()));
        yield_now().await;
        // One who has gone again does not read.
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
        // A reader that blocks until there is a writer, as cat(1) does.
        let path = fifo.path.clone();
        let reader = std::thread::spawn(move || std::fs::read(path).unwrap());
        let writer = opening.await.unwrap().unwrap();
        writer.write_all(b"at last").await.unwrap();
        drop(writer);
        assert_eq!(reader.join().unwrap(), b"at last");
        // One who is there already is not waited for.
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
fn libraries_that_speak_futures_io_read_and_write_pipes() {
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

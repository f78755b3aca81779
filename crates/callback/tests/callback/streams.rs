//! Streams of fds: what is read by calls, and what stays in the kernel.

use oneloop::callback::stream::{ReadStream, WriteStream, event};
use oneloop::callback::{self, set_timeout};
use oneloop::{EventLoop, Options};
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::rc::Rc;

fn run(main: impl FnOnce() -> io::Result<()> + 'static) {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    assert_eq!(callback::run_on(&mut event_loop, main).unwrap(), 0);
}

/// Bytes that a listener has read, and a listener that adds to them.
#[derive(Clone, Default)]
struct Read(Rc<RefCell<Vec<u8>>>);

impl Read {
    fn add(&self, bytes: &[u8]) {
        self.0.borrow_mut().extend_from_slice(bytes);
    }
}

#[test]
fn a_pipe_is_read_by_calls_in_pieces_and_with_a_rest_at_the_end() {
    let sizes = Rc::new(RefCell::new(Vec::new()));
    let (inside, read) = (Rc::clone(&sizes), Read::default());
    let all = read.clone();
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
    let sent = bytes.clone();
    run(move || {
        let (reader, writer) = io::pipe()?;
        WriteStream::from_fd(writer)?.end_with(sent);
        ReadStream::from_fd(reader)?.on_readable(move |stream| {
            while let Some(piece) = stream.read_bytes(30_000) {
                inside.borrow_mut().push(piece.len());
                read.add(&piece);
            }
        });
        Ok(())
    });
    assert_eq!(*sizes.borrow(), [30_000, 30_000, 30_000, 10_000]);
    assert!(*all.0.borrow() == bytes);
}

#[test]
fn a_stream_with_readable_reads_ahead_up_to_the_mark_and_no_further() {
    run(|| {
        let large = std::env::current_exe()?;
        let stream = callback::fs::create_read_stream(large);
        stream.on_readable(|_| ());
        let later = move || {
            let mark = stream.readable_high_water_mark();
            assert_eq!(stream.readable_length(), mark);
            assert_eq!(stream.bytes_read(), mark as u64);
            stream.destroy();
        };
        set_timeout(later, 50);
        Ok(())
    });
}

#[test]
fn a_paused_stream_reads_one_chunk_for_each_call() {
    run(|| {
        let (reader, mut writer) = io::pipe()?;
        let stream = ReadStream::from_fd(reader)?;
        stream.pause();
        writer.write_all(b"head")?;
        let paused = stream.clone();
        set_timeout(move || assert_eq!(paused.bytes_read(), 0), 100);
        let asked = stream.clone();
        set_timeout(
            move || assert_eq!(asked.read(), None, "it arrives later"),
            200,
        );
        let read = stream.clone();
        let more = move || {
            assert_eq!(read.read().as_deref(), Some(&b"head"[..]));
            writer.write_all(b"tail")?;
            Ok::<_, io::Error>(writer)
        };
        let rest = stream.clone();
        let keep = move || {
            let writer = more()?;
            set_timeout(
                move || {
                    drop(writer);
                    assert_eq!(rest.readable_length(), 4, "the call has asked for it");
                    assert_eq!(rest.read().as_deref(), Some(&b"tail"[..]));
                    rest.destroy();
                },
                100,
            );
            Ok::<_, io::Error>(())
        };
        set_timeout(keep, 300);
        Ok(())
    });
}

#[test]
fn a_stream_flows_again_once_readable_has_no_listener() {
    let read = Read::default();
    let all = read.clone();
    run(move || {
        let (reader, writer) = io::pipe()?;
        WriteStream::from_fd(writer)?.end_with("by a call, and by 'data'");
        let stream = ReadStream::from_fd(reader)?;
        let by_call = read.clone();
        stream.once(event::Readable, move |stream: ReadStream| {
            by_call.add(&stream.read_bytes(1).unwrap());
            let by_data = by_call.clone();
            stream.on_data(move |_, bytes| by_data.add(bytes));
        });
        Ok(())
    });
    assert_eq!(*all.0.borrow(), b"by a call, and by 'data'");
}

#[test]
fn corked_writes_of_a_write_stream_reach_the_pipe_together() {
    if std::env::var_os("ONELOOP_CHAOS").is_some() {
        return println!("skipped: under ONELOOP_CHAOS, one write may take several calls");
    }
    let chunks = Rc::new(Cell::new(0));
    let counted = Rc::clone(&chunks);
    run(move || {
        let (reader, writer) = io::pipe()?;
        let writer = WriteStream::from_fd(writer)?;
        writer.cork();
        for word in ["one ", "two ", "three"] {
            writer.write(word);
        }
        assert_eq!(writer.writable_length(), 13);
        writer.uncork();
        writer.end();
        ReadStream::from_fd(reader)?.on_data(move |_, bytes| {
            assert_eq!(bytes, b"one two three");
            counted.set(counted.get() + 1);
        });
        Ok(())
    });
    assert_eq!(chunks.get(), 1);
}

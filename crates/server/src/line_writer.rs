//! A thread that writes lines, so that a full pipe or a slow disk blocks no loop.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// How many bytes of lines may wait: some ten thousand lines.
const WAITING_BYTES_MAX: usize = 2 << 20;

/// A buffer that has grown beyond this is freed once it is written.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// The time between two batches of lines. The first line after a silence is written at once; a
/// thread that logs on then finds the writer awake, and need not wake it for each line.
const BATCH_TIME: Duration = Duration::from_millis(2);

/// The time between two attempts where the other end takes nothing, and must not be waited for.
const RETRY_TIME: Duration = Duration::from_millis(10);

/// How long the end of the writer waits for the last lines.
const END_TIME: Duration = Duration::from_secs(1);

/// Writes lines on a thread of its own, until it is dropped.
///
/// ```text
///   push: waiting lines ◀─┬─ room ── copied; the thread is woken if it sleeps
///                         └─ none ── lost, and counted
///   thread: sleep ──woken──▶ take all lines ──▶ write them at once ──▶ BATCH_TIME ──▶ again
/// ```
#[derive(Debug)]
pub(crate) struct LineWriter {
    sink: LineSink,
}

/// Where lines go, from any thread. It never waits for the writer.
#[derive(Clone, Debug)]
pub(crate) struct LineSink(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<QueueState>,
    /// Notified when there are lines for a thread that sleeps, and when the writer shall end.
    has_lines: Condvar,
    /// Notified when the thread has ended.
    has_ended: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct QueueState {
    lines: Vec<u8>,
    /// The thread sleeps until it is notified.
    sleeps: bool,
    /// No line comes any more.
    is_closed: bool,
    has_ended: bool,
}

impl LineWriter {
    /// Starts the thread. `write` is called there with whole lines; it writes all of them, or fails.
    ///
    /// # Errors
    /// `EAGAIN`, or a sandbox refuses `clone3(2)`.
    pub(crate) fn start(
        thread_name: &str,
        write: impl FnMut(&[u8]) -> io::Result<usize> + Send + 'static,
    ) -> io::Result<Self> {
        let sink = LineSink(Arc::default());
        let shared = Arc::clone(&sink.0);
        let thread = thread::Builder::new().name(thread_name.to_owned());
        // Not joined but waited for, with a limit: the other end may block it forever.
        drop(thread.spawn(move || shared.write_on(write))?);
        Ok(LineWriter { sink })
    }

    pub(crate) fn sink(&self) -> &LineSink {
        &self.sink
    }
}

impl Drop for LineWriter {
    /// Waits until all lines are written, for a second at most.
    fn drop(&mut self) {
        let shared = &self.sink.0;
        let mut waiting = shared.lock();
        waiting.is_closed = true;
        shared.has_lines.notify_one();
        let ended = shared
            .has_ended
            .wait_timeout_while(waiting, END_TIME, |waiting| !waiting.has_ended);
        drop(ended); // where the time is over, the other end is stuck, and its lines are lost
    }
}

impl LineSink {
    /// Adds a line, with its end, behind those that wait; if there is no room for it, it is lost.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        if waiting.is_closed || waiting.lines.len() + line.len() > WAITING_BYTES_MAX {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.lines.extend_from_slice(line);
        let sleeps = mem::take(&mut waiting.sleeps);
        drop(waiting);
        // After the unlock, so that the thread does not wake only to wait for the lock.
        if sleeps {
            self.0.has_lines.notify_one();
        }
    }

    /// How many lines were lost so far: there was no room for them, or they could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

/// The formatter of log events writes each line by one call.
impl io::Write for &LineSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineSink {
    type Writer = &'a LineSink;

    fn make_writer(&'a self) -> &'a LineSink {
        self
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // No code that holds the lock can panic half-way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work of the thread.
    fn write_on(&self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) {
        let mut lines = Vec::new();
        // The last bytes that were written are no whole line.
        let mut is_torn = false;
        while self.take(&mut lines) {
            if is_torn {
                lines.insert(0, b'\n');
            }
            let count = write_all(&mut write, &lines);
            let left = &lines[count.max(usize::from(is_torn))..];
            let lost = left.iter().filter(|byte| **byte == b'\n').count();
            self.lost.fetch_add(lost as u64, Ordering::Relaxed);
            is_torn = match count {
                0 => is_torn,
                count => lines[count - 1] != b'\n',
            };
            lines.clear();
            lines.shrink_to(KEPT_BYTES_MAX);
            let waiting = self.lock();
            let batch = self
                .has_lines
                .wait_timeout_while(waiting, BATCH_TIME, |waiting| !waiting.is_closed);
            drop(batch);
        }
        self.lock().has_ended = true;
        self.has_ended.notify_all();
    }

    /// Waits for lines, and takes them. False once there are none, and none will come.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let mut waiting = self.lock();
        while waiting.lines.is_empty() && !waiting.is_closed {
            waiting.sleeps = true;
            waiting = self
                .has_lines
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(&mut waiting.lines, lines);
        !lines.is_empty()
    }
}

/// Writes bytes; returns how many were written before an error.
fn write_all(write: &mut impl FnMut(&[u8]) -> io::Result<usize>, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match write(&bytes[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process has made the shared file description non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_TIME),
            Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn lines_that_come_while_one_is_written_are_written_at_once() {
        let (batches, batch) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let writer = LineWriter::start("lines", move |lines: &[u8]| {
            batches.send(lines.to_vec()).unwrap();
            gone.recv().unwrap();
            Ok(lines.len())
        });
        let writer = writer.unwrap();
        writer.sink().push(b"first\n");
        assert_eq!(batch.recv().unwrap(), b"first\n");
        writer.sink().push(b"second\n");
        writer.sink().push(b"third\n");
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(batch.recv().unwrap(), b"second\nthird\n");
        drop(writer);
        assert!(batch.recv().is_err(), "the thread has ended");
    }

    #[test]
    fn lines_without_room_are_counted_as_lost() {
        let (begin, begun) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let writer = LineWriter::start("lines", move |lines: &[u8]| {
            let _ = begin.send(());
            let _ = gone.recv();
            Ok(lines.len())
        });
        let writer = writer.unwrap();
        writer.sink().push(b"the thread waits with this one\n");
        begun.recv().unwrap();
        let line = [b"x".repeat(WAITING_BYTES_MAX / 2 - 1), b"\n".to_vec()].concat();
        (0..4).for_each(|_| writer.sink().push(&line));
        assert_eq!(writer.sink().lost(), 2);
        drop(go);
        let sink = writer.sink().clone();
        drop(writer);
        assert_eq!(sink.lost(), 2, "the others are written");
        sink.push(b"too late\n");
        assert_eq!(sink.lost(), 3);
    }

    #[test]
    fn after_a_torn_line_the_next_one_begins_a_line() {
        let (batches, batch) = mpsc::channel();
        let mut fails = [Ok(8), Err(io::ErrorKind::StorageFull.into())].into_iter();
        let writer = LineWriter::start("lines", move |lines: &[u8]| {
            batches.send(lines.to_vec()).unwrap();
            fails.next().unwrap_or(Ok(lines.len()))
        });
        let writer = writer.unwrap();
        writer.sink().push(b"first\nsecond\n");
        assert_eq!(batch.recv().unwrap(), b"first\nsecond\n");
        assert_eq!(batch.recv().unwrap(), b"cond\n");
        writer.sink().push(b"third\n");
        assert_eq!(batch.recv().unwrap(), b"\nthird\n");
        assert_eq!(writer.sink().lost(), 1);
    }
}

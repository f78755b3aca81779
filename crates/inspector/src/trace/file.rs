//! A trace that is written to a file while the program runs, by a thread of its own.

use super::TraceFormat;
use super::buffer::TraceBuffer;
use super::slices::TraceWriter;
use oneloop_core::{Handle, Observing, report};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Slices that wait for the disk: some tens of megabytes at the worst.
const WEIGHT_MAX: usize = 200_000;

/// The longest time that a slice waits for the disk.
const PAUSE: Duration = Duration::from_millis(200);

/// A trace in a file: a track for each loop, slices for its phases and for the runs of its tasks, and
/// an arrow from each wake to the run that follows.
///
/// A thread of its own writes it. What a loop does while the disk is too slow for it is lost, and
/// the loop never waits. Its drop completes the file.
///
/// ```
/// use oneloop::inspector::TraceFile;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("trace.json");
/// let mut event_loop = oneloop::EventLoop::new()?;
/// let trace = TraceFile::create(&path)?; // Chrome's format, as its name ends in .json
/// let tracing = trace.trace("main", &event_loop.handle());
/// event_loop.block_on(async { oneloop::aio::yield_now().await });
/// drop((tracing, trace));
/// assert!(std::fs::read_to_string(&path)?.contains("the main future"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the trace ends when this is dropped"]
pub struct TraceFile {
    buffer: TraceBuffer,
    thread: Option<thread::JoinHandle<()>>,
}

impl TraceFile {
    /// Creates the file, or empties it, in the format that its name says: [`TraceFormat::of`].
    ///
    /// # Errors
    /// Those of `open(2)`, and `EAGAIN` if no thread can be started.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let mut file = File::create(path)?;
        let format = TraceFormat::of(path);
        let buffer = TraceBuffer::new(WEIGHT_MAX);
        let (inside, path) = (buffer.clone(), path.to_owned());
        let thread = thread::Builder::new().name("trace-file".to_owned());
        let thread = thread.spawn(move || {
            if let Err(error) = write(&inside, format, &mut file) {
                report(format_args!("cannot write {}: {error}", path.display()));
            }
        })?;
        Ok(TraceFile {
            buffer,
            thread: Some(thread),
        })
    }

    /// Traces a loop under this name until the returned value is dropped. Meanwhile each run of a
    /// task costs some looks at the clock, and each phase that does something an allocation.
    pub fn trace(&self, name: &str, handle: &Handle) -> Observing {
        self.buffer.observe(name, handle)
    }
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        self.buffer.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // its panic has been reported
        }
    }
}

/// Writes what the buffer gets until it is closed.
fn write(buffer: &TraceBuffer, format: TraceFormat, file: &mut File) -> io::Result<()> {
    let mut out = Vec::new();
    let mut writer = TraceWriter::begin(format.writer(), Instant::now(), &mut out);
    let mut lost = 0;
    loop {
        let taken = buffer.take_later(PAUSE);
        taken.write(&mut writer, &mut out);
        file.write_all(&out)?;
        out.clear();
        if taken.lost > lost && lost == 0 {
            report("the disk is too slow for the trace: parts of it are missing");
        }
        lost = taken.lost;
        if taken.closed {
            writer.end(&mut out);
            return file.write_all(&out);
        }
    }
}

//! Files, which are always ready and may still block: threads read and write them, one job at a
//! time.

use crate::buffer::CHUNK_BYTES;
use crate::shared_job::{JobWait, SharedJob, WeakSharedJob, lock};
use oneloop_core::{Class, Direction, Handle, Interest, Ownership, Source};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Weak};

/// An input or output that is a file, read and written by jobs of the pool.
pub(super) struct FileJobs {
    shared: Arc<SharedBuffer>,
    fd: Arc<OwnedFd>,
    done: Rc<Source>,
    /// True while a task waits for the running job.
    is_watched: Rc<Cell<bool>>,
}

impl fmt::Debug for FileJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileJobs({:?})", self.fd)
    }
}

impl AsFd for FileJobs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The buffer of one input or output, for its jobs on all loops. A standard stream has one per
/// process, because all its users share the file's position.
#[derive(Default)]
pub(super) struct SharedBuffer {
    buffer: Mutex<JobBuffer>,
    /// Held by the thread that writes. One thread writes at a time, so that bytes are written in
    /// the order in which they were accepted.
    writing: Mutex<()>,
}

static STANDARD: LazyLock<[Arc<SharedBuffer>; 3]> = LazyLock::new(Default::default);

impl SharedBuffer {
    /// The buffer of the standard input (0), output (1) or error (2).
    pub(super) fn standard(number: usize) -> Arc<SharedBuffer> {
        Arc::clone(&STANDARD[number])
    }
}

/// The bytes between the callers and the jobs of one input or output.
///
/// ```text
///  an input:   job ── read(2) ──▶ bytes ── read_once ──▶ callers
///  an output:  callers ── write_once ──▶ bytes ── write(2) ──▶ job
/// ```
#[derive(Default)]
struct JobBuffer {
    running: Option<WeakSharedJob<()>>,
    /// The fd of the output whose job will look once more for bytes to write. Only that output adds
    /// bytes, because an output's bytes have to be written by the time that its own loop is
    /// dropped.
    writer: Weak<OwnedFd>,
    /// The bytes that were read ahead, or that are to be written.
    bytes: Vec<u8>,
    /// The number of read bytes that a caller has taken.
    taken: usize,
    /// How the last job ended, if it left no bytes: a read at the end of the file, a failed read,
    /// or a failed write.
    ended: Option<io::Result<()>>,
}

impl JobBuffer {
    /// Takes bytes that were read ahead, or the end; `None` if a job has to find out.
    fn take(&mut self, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let left = &self.bytes[self.taken..];
        if left.is_empty() {
            return self.ended.take().map(|ended| ended.map(|()| 0));
        }
        let count = left.len().min(buf.len());
        buf[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        Some(Ok(count))
    }

    /// Takes the memory of bytes that the callers have taken, for the next read.
    fn take_space(&mut self) -> Vec<u8> {
        self.taken = 0;
        mem::take(&mut self.bytes)
    }

    /// Returns the error of the last write, once.
    fn take_failure(&mut self) -> io::Result<()> {
        self.ended.take().unwrap_or(Ok(()))
    }

    /// Takes the bytes to write. With `None` all bytes are written, and the job does not look
    /// again.
    fn take_unwritten(&mut self) -> Option<Vec<u8>> {
        if self.bytes.is_empty() {
            self.writer = Weak::new();
            return None;
        }
        Some(mem::take(&mut self.bytes))
    }

    /// Records that a write failed. The bytes behind it are lost, too.
    fn fail(&mut self, error: io::Error) {
        self.ended = Some(Err(error));
        self.bytes.clear();
    }

    fn running(&self) -> Option<SharedJob<()>> {
        self.running.as_ref().and_then(WeakSharedJob::upgrade)
    }
}

impl FileJobs {
    pub(super) fn new(shared: Arc<SharedBuffer>, fd: OwnedFd) -> io::Result<Self> {
        Ok(FileJobs {
            shared,
            fd: Arc::new(fd),
            done: Rc::new(always_ready()?),
            is_watched: Rc::default(),
        })
    }

    /// A source that is ready while no job runs. epoll(7) refuses files (`EPERM`), so the readiness
    /// is set by hand.
    pub(super) fn done(&self) -> &Source {
        &self.done
    }

    fn buffer(&self) -> MutexGuard<'_, JobBuffer> {
        lock(&self.shared.buffer)
    }

    /// Takes bytes that a job has read ahead. Without any it starts a job, and returns
    /// `WouldBlock`.
    pub(super) fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buffer = self.buffer();
        if let Some(taken) = buffer.take(buf) {
            return taken;
        }
        match buffer.running() {
            Some(job) => self.join(buffer, &job),
            None => {
                let (shared, fd) = (Arc::clone(&self.shared), Arc::clone(&self.fd));
                self.begin(buffer, move || read_ahead(&shared.buffer, &fd));
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Accepts bytes for a job: for a new one, or for the running one of this output up to a chunk.
    /// Otherwise it returns `WouldBlock`.
    pub(super) fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        let mut buffer = self.buffer();
        buffer.take_failure()?;
        let running = buffer.running();
        // While a job runs, only the output that started it may add bytes. Those of an output on
        // another loop might not be written by the time that its loop is dropped.
        let room = match running {
            Some(_) if ptr::eq(buffer.writer.as_ptr(), Arc::as_ptr(&self.fd)) => {
                CHUNK_BYTES.saturating_sub(buffer.bytes.len())
            }
            Some(_) => 0,
            None => CHUNK_BYTES,
        };
        let count = buf.len().min(room);
        buffer.bytes.extend_from_slice(&buf[..count]);
        match running {
            Some(job) => self.join(buffer, &job),
            None => {
                buffer.writer = Arc::downgrade(&self.fd);
                let unwritten = self.unwritten();
                self.begin(buffer, move || drop(unwritten));
            }
        }
        if count == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }

    /// Writes the bytes that no job has written yet, and then these bytes, on the caller's thread.
    pub(super) fn write_all_blocking(&self, bytes: &[u8]) -> io::Result<()> {
        drop(self.unwritten());
        write_all(&self.fd, bytes)
    }

    fn unwritten(&self) -> Unwritten {
        Unwritten {
            shared: Arc::clone(&self.shared),
            fd: Arc::clone(&self.fd),
        }
    }

    /// Returns the error of the last job, and `WouldBlock` while one runs.
    pub(super) fn flush_once(&self) -> io::Result<()> {
        self.check_written().map(drop)
    }

    fn check_written(&self) -> io::Result<MutexGuard<'_, JobBuffer>> {
        let mut buffer = self.buffer();
        if let Some(Err(error)) = buffer.ended.take() {
            return Err(error);
        }
        match buffer.running() {
            None => Ok(buffer),
            Some(job) => {
                self.join(buffer, &job);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    /// Starts a job on a thread, and waits for its end.
    fn begin(
        &self,
        mut buffer: MutexGuard<'_, JobBuffer>,
        function: impl FnOnce() + Send + 'static,
    ) {
        let job = SharedJob::new();
        buffer.running = Some(job.downgrade());
        // The lock ends before: if the pool can start no thread, the job runs here and now, and
        // locks.
        drop(buffer);
        self.watch(job.begin(self.done.handle(), Class::Fs, function, |_| ()));
    }

    /// Waits for a job that was started before, possibly on another loop.
    fn join(&self, buffer: MutexGuard<'_, JobBuffer>, job: &SharedJob<()>) {
        drop(buffer);
        if !self.is_watched.get() {
            self.watch(job.join(self.done.handle()));
        }
    }

    fn watch(&self, mut wait: JobWait<()>) {
        self.is_watched.set(true);
        // Weak: this task must not keep the source of a dropped input or output registered.
        let (done, is_watched) = (Rc::downgrade(&self.done), Rc::clone(&self.is_watched));
        self.done.handle().spawn_detached(async move {
            // If the job never began, the task that wakes next starts another one.
            let _ = poll_fn(|cx| wait.poll_with(cx, |()| ())).await;
            is_watched.set(false);
            if let Some(done) = done.upgrade() {
                done.assume_ready(Direction::Read);
                done.assume_ready(Direction::Write);
                // Readiness that is set by hand makes no edge, so the waiters are woken by hand,
                // too.
                done.wake_waiting();
            }
        });
    }
}

/// Reads the next bytes, on a thread, for the next caller.
fn read_ahead(buffer: &Mutex<JobBuffer>, fd: &OwnedFd) {
    let mut bytes = lock(buffer).take_space();
    // A whole chunk ahead: a reader of lines would otherwise need a job for each line.
    bytes.resize(CHUNK_BYTES, 0);
    let read = rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut bytes[..]));
    bytes.truncate(*read.as_ref().unwrap_or(&0));
    let mut buffer = lock(buffer);
    buffer.ended = match read {
        Ok(0) => Some(Ok(())),
        Ok(_) => None,
        Err(error) => Some(Err(error.into())),
    };
    (buffer.bytes, buffer.taken) = (bytes, 0);
}

/// The accepted bytes of an output. Its drop writes them, unless they are written already: none of
/// them is lost when the loop ends before a thread runs the job.
struct Unwritten {
    shared: Arc<SharedBuffer>,
    fd: Arc<OwnedFd>,
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        let SharedBuffer { buffer, writing } = &*self.shared;
        // Taken before the bytes: a second writer must not overtake the first one.
        let _writing = lock(writing);
        let unwritten = || lock(buffer).take_unwritten();
        while let Some(bytes) = unwritten() {
            if let Err(error) = write_all(&self.fd, &bytes) {
                lock(buffer).fail(error);
            }
        }
    }
}

fn write_all(fd: &OwnedFd, mut left: &[u8]) -> io::Result<()> {
    while !left.is_empty() {
        match rustix::io::write(fd, left) {
            Ok(count) => left = &left[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A source whose readiness is set by hand: an eventfd that is never written.
#[track_caller]
pub(super) fn always_ready() -> io::Result<Source> {
    let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let source = Source::new(&Handle::current(), eventfd, Interest::NONE, Ownership::Sole)?;
    source.assume_ready(Direction::Read);
    source.assume_ready(Direction::Write);
    Ok(source.reads_in_parts()) // a short read of a file must not clear the readiness
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop_core::{Done, EventLoop};
    use rustix::fs::{MemfdFlags, memfd_create};
    use std::fs;
    use std::io::{Read, Seek};

    fn would_block<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[test]
    fn a_write_is_accepted_up_to_a_chunk_while_a_thread_writes() {
        let mut file = fs::File::from(memfd_create("out", MemfdFlags::CLOEXEC).unwrap());
        let mut event_loop = EventLoop::new().unwrap();
        let fd = file.try_clone().unwrap().into();
        let jobs = event_loop.enter(|| FileJobs::new(Arc::default(), fd).unwrap());
        let shared = Arc::clone(&jobs.shared);
        let writing = lock(&shared.writing); // so that no thread writes
        assert_eq!(jobs.write_once(b"hello ").unwrap(), 6);
        assert_eq!(jobs.write_once(b"world ").unwrap(), 6);
        let rest = vec![b'.'; CHUNK_BYTES];
        assert_eq!(jobs.write_once(&rest).unwrap(), CHUNK_BYTES - 12);
        assert!(would_block(jobs.write_once(b"more")));
        drop(writing);
        let flushed = poll_fn(|cx| {
            jobs.done()
                .poll_io(cx, Direction::Write, |_| jobs.flush_once().map(Done::one))
        });
        event_loop.block_on(flushed).unwrap();
        assert_eq!(jobs.write_once(b"more").unwrap(), 4);
        drop((jobs, event_loop));
        let mut written = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut written).unwrap();
        assert_eq!(written.len(), CHUNK_BYTES + 4);
        assert!(written.starts_with("hello world ..") && written.ends_with("..more"));
    }
}

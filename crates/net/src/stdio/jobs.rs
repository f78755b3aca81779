//! What is always ready, and may take its time: threads read and write it, one job at a time.

use crate::buffer::CHUNK_BYTES;
use crate::joint::{Joined, Joint, WeakJoint, lock};
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

/// An input or output that is a file.
pub(super) struct Jobs {
    shared: Arc<Shared>,
    fd: Arc<OwnedFd>,
    done: Rc<Source>,
    /// A task waits for the job that is under way.
    is_watched: Rc<Cell<bool>>,
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jobs({:?})", self.fd)
    }
}

impl AsFd for Jobs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What the jobs of one input or output share, on whatever loop: of a standard one, all of this
/// process.
#[derive(Default)]
pub(super) struct Shared {
    progress: Mutex<Progress>,
    /// One thread writes at a time, so that what was taken first is written first.
    writing: Mutex<()>,
}

static STANDARD: LazyLock<[Arc<Shared>; 3]> = LazyLock::new(Default::default);

impl Shared {
    /// That of the standard input (0), output or error.
    pub(super) fn standard(number: usize) -> Arc<Shared> {
        Arc::clone(&STANDARD[number])
    }
}

/// What jobs have read and written, for whoever comes next.
#[derive(Default)]
struct Progress {
    under_way: Option<WeakJoint<()>>,
    /// Whose job looks once more for bytes to be written. Others' would be lost if its loop
    /// outlived theirs.
    writer: Weak<OwnedFd>,
    /// What was read, and how much of it is taken; or what is to be written.
    bytes: Vec<u8>,
    taken: usize,
    /// How the last job ended, unless there are bytes of it: a read at the end, or not at all; a
    /// write that failed.
    ended: Option<io::Result<()>>,
}

impl Progress {
    /// What there is to read; none if that is still to be seen.
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

    /// The space of bytes that are taken, for others.
    fn take_space(&mut self) -> Vec<u8> {
        self.taken = 0;
        mem::take(&mut self.bytes)
    }

    /// Why the last write failed, once.
    fn take_failure(&mut self) -> io::Result<()> {
        self.ended.take().unwrap_or(Ok(()))
    }

    /// What is to be written; none if that is all, and nobody looks again.
    fn take_unwritten(&mut self) -> Option<Vec<u8>> {
        if self.bytes.is_empty() {
            self.writer = Weak::new();
            return None;
        }
        Some(mem::take(&mut self.bytes))
    }

    /// A write has failed: what was taken behind it is lost, too.
    fn fail(&mut self, error: io::Error) {
        self.ended = Some(Err(error));
        self.bytes.clear();
    }

    fn under_way(&self) -> Option<Joint<()>> {
        self.under_way.as_ref().and_then(WeakJoint::upgrade)
    }
}

impl Jobs {
    pub(super) fn new(shared: Arc<Shared>, fd: OwnedFd) -> io::Result<Self> {
        Ok(Jobs {
            shared,
            fd: Arc::new(fd),
            done: Rc::new(always_ready()?),
            is_watched: Rc::default(),
        })
    }

    /// Ready while no job is under way.
    pub(super) fn done(&self) -> &Source {
        &self.done
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.shared.progress)
    }

    /// What a job has read; while one is under way, that it would block.
    pub(super) fn read_once(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut progress = self.progress();
        if let Some(taken) = progress.take(buf) {
            return taken;
        }
        match progress.under_way() {
            Some(joint) => self.join(progress, &joint),
            None => {
                let (shared, fd) = (Arc::clone(&self.shared), Arc::clone(&self.fd));
                self.begin(progress, move || read_ahead(&shared.progress, &fd));
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Takes bytes for a job: for ours, if it is under way, up to a chunk. Otherwise it would
    /// block.
    pub(super) fn write_once(&self, buf: &[u8]) -> io::Result<usize> {
        let mut progress = self.progress();
        progress.take_failure()?;
        let under_way = progress.under_way();
        let room = match under_way {
            Some(_) if ptr::eq(progress.writer.as_ptr(), Arc::as_ptr(&self.fd)) => {
                CHUNK_BYTES.saturating_sub(progress.bytes.len())
            }
            Some(_) => 0,
            None => CHUNK_BYTES,
        };
        let count = buf.len().min(room);
        progress.bytes.extend_from_slice(&buf[..count]);
        match under_way {
            Some(joint) => self.join(progress, &joint),
            None => {
                progress.writer = Arc::downgrade(&self.fd);
                let unwritten = self.unwritten();
                self.begin(progress, move || drop(unwritten));
            }
        }
        if count == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }

    /// Writes what a job has not come to yet, and then this, on the caller's thread.
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

    /// Fails if the last job did, and while one is under way.
    pub(super) fn flush_once(&self) -> io::Result<()> {
        self.check_written().map(drop)
    }

    fn check_written(&self) -> io::Result<MutexGuard<'_, Progress>> {
        let mut progress = self.progress();
        if let Some(Err(error)) = progress.ended.take() {
            return Err(error);
        }
        match progress.under_way() {
            None => Ok(progress),
            Some(joint) => {
                self.join(progress, &joint);
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
    }

    /// Has a thread do a job, and waits for its end. The lock ends before: if there is no thread to
    /// be had, the job is done here and now.
    fn begin(&self, mut progress: MutexGuard<'_, Progress>, job: impl FnOnce() + Send + 'static) {
        let joint = Joint::new();
        progress.under_way = Some(joint.downgrade());
        drop(progress);
        self.watch(joint.begin(self.done.handle(), Class::Fs, job, |_| ()));
    }

    /// Waits for a job that was begun before, perhaps on another loop.
    fn join(&self, progress: MutexGuard<'_, Progress>, joint: &Joint<()>) {
        drop(progress);
        if !self.is_watched.get() {
            self.watch(joint.join(self.done.handle()));
        }
    }

    fn watch(&self, mut joined: Joined<()>) {
        self.is_watched.set(true);
        let (done, is_watched) = (Rc::downgrade(&self.done), Rc::clone(&self.is_watched));
        self.done.handle().spawn_detached(async move {
            // If it was never begun, whoever is woken begins another one.
            let _ = poll_fn(|cx| joined.poll_with(cx, |()| ())).await;
            is_watched.set(false);
            if let Some(done) = done.upgrade() {
                done.assume_ready(Direction::Read);
                done.assume_ready(Direction::Write);
                done.wake_waiting();
            }
        });
    }
}

/// On a thread: reads what comes next, for whoever asks.
fn read_ahead(progress: &Mutex<Progress>, fd: &OwnedFd) {
    let mut bytes = lock(progress).take_space();
    bytes.resize(CHUNK_BYTES, 0);
    let read = rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut bytes[..]));
    bytes.truncate(*read.as_ref().unwrap_or(&0));
    let mut progress = lock(progress);
    progress.ended = match read {
        Ok(0) => Some(Ok(())),
        Ok(_) => None,
        Err(error) => Some(Err(error.into())),
    };
    (progress.bytes, progress.taken) = (bytes, 0);
}

/// What was taken to be written. Its drop writes it, unless somebody else has: none of it is lost
/// when the loop ends before a thread comes to it.
struct Unwritten {
    shared: Arc<Shared>,
    fd: Arc<OwnedFd>,
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        let Shared { progress, writing } = &*self.shared;
        let _writing = lock(writing);
        let unwritten = || lock(progress).take_unwritten();
        while let Some(bytes) = unwritten() {
            if let Err(error) = write_all(&self.fd, &bytes) {
                lock(progress).fail(error);
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

/// A source whose readiness is what we say: an eventfd to which nobody adds.
pub(super) fn always_ready() -> io::Result<Source> {
    let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let source = Source::new(&Handle::current(), eventfd, Interest::NONE, Ownership::Sole)?;
    source.assume_ready(Direction::Read);
    source.assume_ready(Direction::Write);
    Ok(source.reads_in_parts()) // a short read leaves it as it is
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
    fn what_is_written_while_a_thread_writes_is_taken_for_it_up_to_a_chunk() {
        let mut file = fs::File::from(memfd_create("out", MemfdFlags::CLOEXEC).unwrap());
        let mut event_loop = EventLoop::new().unwrap();
        let fd = file.try_clone().unwrap().into();
        let jobs = event_loop.enter(|| Jobs::new(Arc::default(), fd).unwrap());
        let shared = Arc::clone(&jobs.shared);
        let writing = lock(&shared.writing); // so no thread comes to it
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
        let mut heard = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut heard).unwrap();
        assert_eq!(heard.len(), CHUNK_BYTES + 4);
        assert!(heard.starts_with("hello world ..") && heard.ends_with("..more"));
    }
}

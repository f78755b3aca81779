//! The three ways in which bytes get in and out of an open file: at any offset, when epoll reports
//! readiness, or on a thread that blocks.

use crate::buffer::{self, JOB_BYTES_MAX};
use crate::cached::{self, CacheMiss};
use crate::job::{blocking, drop_blocking};
use crate::opened::Opened;
use oneloop_core::{Direction, Handle, Interest, Ownership, Source};
use oneloop_sync::{Permit, Semaphore};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

/// An open file, shared by the clones of its handle.
pub(crate) struct OpenFile {
    pub(crate) handle: Handle,
    /// Shared with the jobs that use the file; `None` once it is being closed.
    pub(crate) file: Option<Arc<fs::File>>,
    is_writable: bool,
    pub(crate) method: IoMethod,
}

/// How bytes get in and out of a file. The kernel's answers decide, because neither the path nor
/// the file's type does.
///
/// ```text
///  lseek(2) ──works──▶ Seekable
///     │ ESPIPE
///     ▼
///  epoll_ctl(2) ──works──▶ Polled
///     │ EPERM
///     └──▶ Blocking
/// ```
pub(crate) enum IoMethod {
    /// At any offset: a regular file, a block device.
    Seekable(Seekable),
    /// When epoll reports readiness: a FIFO, a terminal.
    Polled {
        source: Source<Arc<fs::File>>,
        /// One permit for the reader and one for the writer, indexed by [`Direction`].
        turns: [Semaphore; 2],
    },
    /// On a thread that blocks: a stream that epoll refuses (epoll_ctl(2), EPERM).
    Blocking(Blocking),
}

pub(crate) struct Seekable {
    /// The offset of the next read or write.
    pub(crate) cursor: Cell<u64>,
    /// One permit: its holder may use the cursor.
    pub(crate) turn: Semaphore,
    pub(crate) is_append: bool,
    /// False once the kernel has refused `RWF_NOWAIT` for this file.
    may_be_cached: Cell<bool>,
}

pub(crate) struct Blocking {
    /// One permit for the reader and one for the writer, indexed by [`Direction`].
    pub(crate) turns: [Semaphore; 2],
    /// Bytes that a job read after its future was dropped.
    pub(crate) left: RefCell<VecDeque<u8>>,
}

fn turn() -> Semaphore {
    Semaphore::new(1)
}

impl OpenFile {
    #[track_caller]
    pub(crate) fn new(opened: Opened) -> io::Result<Rc<Self>> {
        let handle = Handle::current();
        let (flags, is_writable) = (opened.flags, opened.is_writable());
        let file = Arc::new(opened.file);
        let method = match opened.cursor {
            Some(cursor) => IoMethod::Seekable(Seekable {
                cursor: Cell::new(cursor),
                turn: turn(),
                is_append: flags.contains(OFlags::APPEND),
                may_be_cached: Cell::new(true),
            }),
            None => IoMethod::of_stream(&handle, &file, flags)?,
        };
        Ok(Rc::new(OpenFile {
            handle,
            file: Some(file),
            is_writable,
            method,
        }))
    }

    pub(crate) fn file(&self) -> &Arc<fs::File> {
        self.file.as_ref().expect("only its drop takes it")
    }

    /// Waits for the permit of operations on the file as a whole.
    pub(crate) async fn turn(&self) -> Permit {
        match &self.method {
            IoMethod::Seekable(seekable) => seekable.turn.acquire().await,
            // Behind the writers only: `sync_all` and `close` have nothing to wait for in a reader,
            // which may wait for its peer forever.
            IoMethod::Polled { turns, .. } | IoMethod::Blocking(Blocking { turns, .. }) => {
                turns[Direction::Write as usize].acquire().await
            }
        }
    }

    /// Reads at an offset: cached bytes at once, straight into the buffer, and other bytes on the
    /// pool.
    pub(crate) async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let may_be_cached = match &self.method {
            IoMethod::Seekable(seekable) => &seekable.may_be_cached,
            _ => return Err(Errno::SPIPE.into()),
        };
        if may_be_cached.get() {
            let mut missed = None;
            // Through the loop's `poll_io`, although this waits for no fd: the bytes count against
            // the task's I/O budget, or a task that reads a cached file would starve the others
            // (rule 15).
            let read = poll_fn(|cx| {
                self.handle.poll_io(cx, || {
                    let Some(bytes_max) = self.handle.chaos_cached_len(buf.len()) else {
                        missed = Some(CacheMiss::WouldBlock);
                        return Ok(0);
                    };
                    let buf = &mut buf[..bytes_max];
                    cached::read_at(self.file(), buf, offset).or_else(|why| {
                        missed = Some(why);
                        Ok(0) // a miss moved no byte, and is no error of the file
                    })
                })
            });
            let read = read.await?;
            match missed {
                None => return Ok(read),
                Some(CacheMiss::WouldBlock) => {}
                Some(CacheMiss::Unsupported) => may_be_cached.set(false),
                Some(CacheMiss::Failed(error)) => return Err(error),
            }
        }
        let file = Arc::clone(self.file());
        read_job(buf, move |into| file.read_at(into, offset)).await
    }
}

impl IoMethod {
    /// Chooses the method of a stream: a file without a cursor.
    fn of_stream(handle: &Handle, file: &Arc<fs::File>, flags: OFlags) -> io::Result<Self> {
        let own = Arc::clone(file);
        // Another process may share this open file, as the shell shares stdin. Closing our fd would
        // then not remove it from epoll (epoll(7), Q6), so the source removes it first.
        match Source::new(handle, own, Interest::NONE, Ownership::Shared) {
            Ok(source) => {
                if !flags.contains(OFlags::NONBLOCK) {
                    fcntl_setfl(file, flags | OFlags::NONBLOCK)?;
                }
                Ok(IoMethod::Polled {
                    source,
                    turns: [turn(), turn()],
                })
            }
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                // Without O_NONBLOCK, so that the thread waits instead of getting EAGAIN.
                fcntl_setfl(file, flags - OFlags::NONBLOCK)?;
                Ok(IoMethod::Blocking(Blocking {
                    turns: [turn(), turn()],
                    left: RefCell::default(),
                }))
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // Only a writable file: closing one that was merely read is nearly always quick, and a job
        // would cost more.
        if let Some(file) = self.file.take().filter(|_| self.is_writable) {
            drop_blocking(&self.handle, file);
        }
    }
}

/// Reads on the pool, into a buffer that the thread owns: a dropped future takes `buf` away before
/// the thread is done.
async fn read_job(
    buf: &mut [u8],
    read: impl FnOnce(&mut [u8]) -> io::Result<usize> + Send + 'static,
) -> io::Result<usize> {
    let mut own = buffer::take(buf.len().min(JOB_BYTES_MAX));
    let (own, read) = blocking(move || {
        let bytes = read(&mut own)?;
        Ok((own, bytes))
    })
    .await?;
    buf[..read].copy_from_slice(&own[..read]);
    buffer::give_back(own);
    Ok(read)
}

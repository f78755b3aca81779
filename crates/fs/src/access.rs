//! How bytes get in and out of an open file: at any offset, when epoll says so, or by a thread that waits.

use crate::buffer::{self, JOB_BYTES_MAX};
use crate::cached::{self, Missed};
use crate::job::{blocking, drop_blocking};
use crate::open::Opened;
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

/// What the clones of a file share.
pub(crate) struct Open {
    pub(crate) handle: Handle,
    /// Shared with the jobs that are at it; none once it is being closed.
    pub(crate) file: Option<Arc<fs::File>>,
    is_writable: bool,
    pub(crate) access: Access,
}

/// How bytes get in and out.
pub(crate) enum Access {
    /// At any offset.
    Seekable(Seekable),
    /// When epoll says so; one reader at a time, and one writer.
    Polled {
        source: Source<Arc<fs::File>>,
        turns: [Semaphore; 2],
    },
    /// By a thread that waits.
    Blocking(Blocking),
}

pub(crate) struct Seekable {
    pub(crate) cursor: Cell<u64>,
    /// Who has this may use the cursor.
    pub(crate) turn: Semaphore,
    pub(crate) is_append: bool,
    /// False once a read that does not wait was refused.
    may_be_cached: Cell<bool>,
}

pub(crate) struct Blocking {
    pub(crate) turns: [Semaphore; 2],
    /// What a read got for which nobody waited any more.
    pub(crate) left: RefCell<VecDeque<u8>>,
}

fn turn() -> Semaphore {
    Semaphore::new(1)
}

impl Open {
    pub(crate) fn new(opened: Opened) -> io::Result<Rc<Self>> {
        let handle = Handle::current();
        let (flags, is_writable) = (opened.flags, opened.is_writable());
        let file = Arc::new(opened.file);
        let access = match opened.cursor {
            Some(cursor) => Access::Seekable(Seekable {
                cursor: Cell::new(cursor),
                turn: turn(),
                is_append: flags.contains(OFlags::APPEND),
                may_be_cached: Cell::new(true),
            }),
            None => Access::of_stream(&handle, &file, flags)?,
        };
        Ok(Rc::new(Open {
            handle,
            file: Some(file),
            is_writable,
            access,
        }))
    }

    pub(crate) fn file(&self) -> &Arc<fs::File> {
        self.file.as_ref().expect("only its drop takes it")
    }

    /// Has the turn for what concerns the file as a whole.
    pub(crate) async fn turn(&self) -> Permit {
        match &self.access {
            Access::Seekable(seekable) => seekable.turn.acquire().await,
            Access::Polled { turns, .. } | Access::Blocking(Blocking { turns, .. }) => {
                turns[Direction::Write as usize].acquire().await
            }
        }
    }

    /// Reads at an offset: what is cached at once, and straight into the buffer; else on the pool.
    pub(crate) async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let may_be_cached = match &self.access {
            Access::Seekable(seekable) => &seekable.may_be_cached,
            _ => return Err(Errno::SPIPE.into()),
        };
        if may_be_cached.get() {
            let mut missed = None;
            let read = poll_fn(|cx| {
                self.handle.poll_io(cx, || {
                    cached::read_at(self.file(), buf, offset).or_else(|why| {
                        missed = Some(why);
                        Ok(0)
                    })
                })
            });
            let read = read.await?;
            match missed {
                None => return Ok(read),
                Some(Missed::WouldBlock) => {}
                Some(Missed::Unsupported) => may_be_cached.set(false),
                Some(Missed::Failed(error)) => return Err(error),
            }
        }
        let file = Arc::clone(self.file());
        read_job(buf, move |into| file.read_at(into, offset)).await
    }
}

impl Access {
    /// That of a file without a cursor.
    fn of_stream(handle: &Handle, file: &Arc<fs::File>, flags: OFlags) -> io::Result<Self> {
        let own = Arc::clone(file);
        // It may well be shared: stdin is with the shell.
        match Source::new(handle, own, Interest::NONE, Ownership::Shared) {
            Ok(source) => {
                if !flags.contains(OFlags::NONBLOCK) {
                    fcntl_setfl(file, flags | OFlags::NONBLOCK)?;
                }
                Ok(Access::Polled {
                    source,
                    turns: [turn(), turn()],
                })
            }
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
                fcntl_setfl(file, flags - OFlags::NONBLOCK)?;
                Ok(Access::Blocking(Blocking {
                    turns: [turn(), turn()],
                    left: RefCell::default(),
                }))
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(file) = self.file.take().filter(|_| self.is_writable) {
            drop_blocking(&self.handle, file);
        }
    }
}

/// Has a thread read into a buffer of its own.
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

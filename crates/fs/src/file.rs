//! An open file, with a cursor that no cancelled operation moves.

use crate::access::{Access, Blocking, Open, Seekable};
use crate::buffer::{self, JOB_BYTES_MAX};
use crate::job::{blocking, noted};
use crate::open::{OpenOptions, Opened};
use crate::whole::text;
use oneloop_core::{Direction, Done};
use oneloop_sync::Permit;
use rustix::io::Errno;
use std::fmt;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

/// An open file.
///
/// Its operations take `&self`, and may be under way at once. Those that use the cursor ([`File::read`],
/// [`File::write`], [`File::seek`] and what is made of them) and those that look at the file as a whole
/// come one after the other, in the order in which they were first polled; [`File::read_at`] and
/// [`File::write_at`] do not wait for anybody.
///
/// # The cursor
/// It is kept here and not in the kernel, so that it moves only by bytes that were handed over: **a read that
/// is dropped has moved nothing**, and the next one reads the same bytes. A write that is dropped before a
/// thread has begun has written nothing. After that, the bytes are written; the cursor stands behind them
/// then, and the next operation waits until it does. The loop is kept alive for that long.
///
/// Who shares the open file otherwise, such as a child process that inherits it, has the kernel's cursor,
/// which is left where it was: see [`File::into_std`].
///
/// # Streams
/// What has no cursor (a FIFO, a terminal) is opened without waiting (`O_NONBLOCK`), and waited for by the
/// loop, not by a thread: a dropped read or write has moved no byte. Opening a FIFO to read it does not
/// wait for a writer; the first read does. What epoll(7) cannot wait for either is read and written on the
/// pool, for as long as that takes; bytes that a dropped read got are there for the next one.
///
/// # How it is closed
/// With the last of its clones ([`File::try_clone`]) and operations. One that was written is closed by the
/// pool, where closing may block: it may be the end of a large file that has no name any more. Errors of
/// `close(2)` are not told, as in std: [`File::sync_all`] tells them.
///
/// ```
/// # let mut event_loop = oneloop_core::EventLoop::new()?;
/// # event_loop.block_on(async {
/// let dir = oneloop_fs::TempDir::new().await?;
/// let file = oneloop_fs::File::create_new(dir.path().join("numbers")).await?;
/// file.write_all(b"0123456789").await?;
/// let mut three = [0; 3];
/// file.read_exact_at(&mut three, 4).await?;
/// assert_eq!(&three, b"456");
/// # std::io::Result::Ok(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct File {
    open: Rc<Open>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({:?})", self.open.file())
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.file().as_fd()
    }
}

/// Opening.
impl File {
    /// Opens a file to read it: see [`OpenOptions::open`].
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Opens a file to write it, empty: it is made, or what was in it goes.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true);
        options.open(path).await
    }

    /// Makes a file to read and write, which must not be there.
    ///
    /// # Errors
    /// As [`OpenOptions::open`]: `EEXIST`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        options.open(path).await
    }

    pub(crate) fn from_opened(opened: Opened) -> io::Result<Self> {
        Ok(File {
            open: Open::new(opened)?,
        })
    }

    /// Takes over a file; the cursor begins where the kernel's is. A stream that can be waited for, such as a
    /// pipe, is made non-blocking, for all who share it.
    ///
    /// # Errors
    /// Those of `fcntl(2)` and `epoll_ctl(2)`; the file is closed then.
    ///
    /// # Panics
    /// Outside of a loop.
    pub fn from_std(file: fs::File) -> io::Result<Self> {
        File::from_opened(Opened::new(file)?)
    }

    /// A duplicate for the standard library, whose cursor stands where this one does. A stream stays
    /// non-blocking.
    ///
    /// # Errors
    /// Those of `dup(2)` and `lseek(2)`: `EMFILE`.
    pub async fn into_std(self) -> io::Result<fs::File> {
        let _turn = self.open.turn().await;
        let file = Arc::clone(self.open.file());
        let cursor = self.seekable().ok().map(|seekable| seekable.cursor.get());
        blocking(move || {
            let mut file = file.try_clone()?;
            if let Some(cursor) = cursor {
                file.seek(SeekFrom::Start(cursor))?;
            }
            Ok(file)
        })
        .await
    }

    /// The same file again, with the same cursor: nothing is duplicated, so it cannot fail.
    ///
    /// # Errors
    /// None.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(File {
            open: Rc::clone(&self.open),
        })
    }

    fn seekable(&self) -> io::Result<&Seekable> {
        match &self.open.access {
            Access::Seekable(seekable) => Ok(seekable),
            Access::Polled { .. } | Access::Blocking(_) => Err(Errno::SPIPE.into()),
        }
    }
}

/// Reading.
impl File {
    /// Reads from where the cursor is; 0 is the end. What the kernel has cached is read at once, straight into
    /// `buf`, with one system call (`preadv2(2)` with `RWF_NOWAIT`) and up to 128 KiB of it; for the rest a
    /// thread is asked, up to 256 KiB at a time.
    ///
    /// Cancel safe: dropped, it has moved neither a byte nor the cursor.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.open.access {
            Access::Seekable(seekable) => {
                let _turn = seekable.turn.acquire().await;
                let offset = seekable.cursor.get();
                let bytes = self.open.read_at(buf, offset).await?;
                seekable.cursor.set(offset + bytes as u64);
                Ok(bytes)
            }
            Access::Polled { source, turns } => {
                let _turn = turns[Direction::Read as usize].acquire().await;
                let wanted = buf.len();
                let read = |cx: &mut Context<'_>| {
                    source.poll_io(cx, Direction::Read, |fd| {
                        Ok(Done::stream(rustix::io::read(fd, &mut *buf)?, wanted))
                    })
                };
                source.io(Direction::Read, read).await
            }
            Access::Blocking(blocking) => self.read_blocking(blocking, buf).await,
        }
    }

    /// Reads what a thread got, now or for an earlier read that was dropped.
    async fn read_blocking(&self, blocking: &Blocking, buf: &mut [u8]) -> io::Result<usize> {
        let turn = blocking.turns[Direction::Read as usize].acquire().await;
        if blocking.left.borrow().is_empty() {
            let mut own = buffer::take(buf.len().min(JOB_BYTES_MAX));
            let file = Arc::clone(self.open.file());
            let read = move || (file.as_ref().read(&mut own), own);
            let open = Rc::clone(&self.open);
            let note = move |(read, own): (io::Result<usize>, Vec<u8>)| {
                if let (Access::Blocking(blocking), Ok(bytes)) = (&open.access, &read) {
                    blocking.left.borrow_mut().extend(&own[..*bytes]);
                }
                buffer::give_back(own);
                drop(turn);
                read.map(drop)
            };
            noted(&self.open.handle, read, note).await??;
        }
        blocking.left.borrow_mut().read(buf)
    }

    /// Reads until `buf` is full. Dropped, it has read an unknown part, behind which the cursor stands.
    ///
    /// # Errors
    /// As [`File::read`]; `UnexpectedEof` if there is less.
    pub async fn read_exact(&self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read(buf).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => buf = &mut buf[bytes..],
            }
        }
        Ok(())
    }

    /// Reads to the end, behind what is in `buf`, and gives the number of bytes. Dropped, it loses nothing:
    /// what was read by then is in `buf`.
    ///
    /// # Errors
    /// As [`File::read`]; what was read by then is in `buf`.
    pub async fn read_to_end(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let before = buf.len();
        loop {
            let bytes = self.read_more(buf).await?;
            if bytes == 0 {
                return Ok(buf.len() - before);
            }
        }
    }

    /// Reads once, behind what is in `buf`.
    async fn read_more(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let filled = buf.len();
        let mut growing = Growing { buf, filled };
        let room = filled.clamp(ROOM_MIN, JOB_BYTES_MAX);
        growing.buf.resize(filled + room, 0);
        let bytes = self.read(&mut growing.buf[filled..]).await?;
        growing.filled += bytes;
        Ok(bytes)
    }

    /// Reads to the end, as text, behind what is in `buf`.
    ///
    /// # Errors
    /// As [`File::read`]; `InvalidData` for what is not UTF-8. Nothing is added to `buf` then.
    pub async fn read_to_string(&self, buf: &mut String) -> io::Result<usize> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).await?;
        let text = text(bytes)?;
        buf.push_str(&text);
        Ok(text.len())
    }

    /// Reads from an offset, as [`File::read`] does from the cursor, which stays where it is. Cancel safe.
    ///
    /// # Errors
    /// Those of `pread(2)`: `ESPIPE` for a stream, `EINVAL` for an offset beyond 2^63 - 1.
    pub async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.open.read_at(buf, offset).await
    }

    /// Reads from an offset until `buf` is full. Cancel safe.
    ///
    /// # Errors
    /// As [`File::read_at`]; `UnexpectedEof` if there is less.
    pub async fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => {
                    buf = &mut buf[bytes..];
                    offset += bytes as u64;
                }
            }
        }
        Ok(())
    }
}

/// Writing.
impl File {
    /// Writes where the cursor is, or at the end of a file that is opened to append; the cursor stands behind
    /// it then. A thread does it, with a copy of the bytes, of up to 256 KiB.
    ///
    /// Cancel: dropped before a thread has begun, nothing is written. After that the bytes are written, and
    /// the cursor moves: see [`File`]. To a stream that can be waited for, a dropped write has written
    /// nothing.
    ///
    /// # Errors
    /// Those of `write(2)`: `ENOSPC`, `EDQUOT`, `EFBIG`, `EBADF` for a file that was opened to be read.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match &self.open.access {
            Access::Seekable(seekable) => {
                let turn = seekable.turn.acquire().await;
                let (offset, is_append) = (seekable.cursor.get(), seekable.is_append);
                let write = move |file: &fs::File, bytes: &[u8]| {
                    if is_append {
                        append(file, bytes)
                    } else {
                        let written = file.write_at(bytes, offset)?;
                        Ok((written, offset + written as u64))
                    }
                };
                self.write_job(buf, turn, write).await
            }
            Access::Polled { source, turns } => {
                let _turn = turns[Direction::Write as usize].acquire().await;
                let write = |cx: &mut Context<'_>| {
                    source.poll_io(cx, Direction::Write, |fd| {
                        Ok(Done::stream(rustix::io::write(fd, buf)?, buf.len()))
                    })
                };
                source.io(Direction::Write, write).await
            }
            Access::Blocking(blocking) => {
                let turn = blocking.turns[Direction::Write as usize].acquire().await;
                let write = |mut file: &fs::File, bytes: &[u8]| Ok((file.write(bytes)?, 0));
                self.write_job(buf, turn, write).await
            }
        }
    }

    /// Has a thread write a copy of the bytes, which says how many it wrote and where the cursor is then.
    async fn write_job(
        &self,
        buf: &[u8],
        turn: Permit,
        write: impl FnOnce(&fs::File, &[u8]) -> io::Result<(usize, u64)> + Send + 'static,
    ) -> io::Result<usize> {
        let own = buffer::take_with(&buf[..buf.len().min(JOB_BYTES_MAX)]);
        let file = Arc::clone(self.open.file());
        let write = move || (write(&file, &own), own);
        let open = Rc::clone(&self.open);
        let note = move |(written, own): (io::Result<(usize, u64)>, Vec<u8>)| {
            buffer::give_back(own);
            let (bytes, cursor) = written?;
            if let Access::Seekable(seekable) = &open.access {
                seekable.cursor.set(cursor);
            }
            drop(turn);
            Ok(bytes)
        };
        noted(&self.open.handle, write, note).await?
    }

    /// Writes all of it. Dropped, it has written an unknown part, behind which the cursor stands.
    ///
    /// # Errors
    /// As [`File::write`]; `WriteZero` if no more goes in.
    pub async fn write_all(&self, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write(buf).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                bytes => buf = &buf[bytes..],
            }
        }
        Ok(())
    }

    /// Writes at an offset; the cursor stays where it is. A file that is opened to append is written at its end
    /// all the same (`pwrite(2)`, BUGS).
    ///
    /// Cancel: dropped before a thread has begun, nothing is written; after that the bytes are.
    ///
    /// # Errors
    /// Those of `pwrite(2)`: `ESPIPE` for a stream, `EINVAL` for an offset beyond 2^63 - 1.
    pub async fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.seekable()?;
        let own = buffer::take_with(&buf[..buf.len().min(JOB_BYTES_MAX)]);
        let file = Arc::clone(self.open.file());
        let (own, bytes) = blocking(move || {
            let bytes = file.write_at(&own, offset)?;
            Ok((own, bytes))
        })
        .await?;
        buffer::give_back(own);
        Ok(bytes)
    }

    /// Writes all of it at an offset. Dropped, it has written an unknown part.
    ///
    /// # Errors
    /// As [`File::write_at`]; `WriteZero` if no more goes in.
    pub async fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                bytes => {
                    buf = &buf[bytes..];
                    offset += bytes as u64;
                }
            }
        }
        Ok(())
    }
}

/// The file as a whole, and the cursor.
impl File {
    /// Does something that blocks behind the operations that use the cursor.
    async fn in_turn<T: Send + 'static>(
        &self,
        job: impl FnOnce(&fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let _turn = self.open.turn().await;
        let file = Arc::clone(self.open.file());
        blocking(move || job(&file)).await
    }

    /// Moves the cursor, and says where it is now. From the start or from where it is, that is nothing but a
    /// number; for the end a thread is asked. Cancel safe.
    ///
    /// # Errors
    /// `InvalidInput` for a place before the start, or beyond 2^63 - 1; `ESPIPE` for a stream.
    pub async fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        let seekable = self.seekable()?;
        let _turn = seekable.turn.acquire().await;
        let (from, by) = match to {
            SeekFrom::Start(offset) => (offset, 0),
            SeekFrom::Current(by) => (seekable.cursor.get(), by),
            SeekFrom::End(by) => {
                // The kernel's cursor is nobody's, and a device knows its size only in this way.
                let file = Arc::clone(self.open.file());
                let end = blocking(move || file.as_ref().seek(SeekFrom::End(0)));
                (end.await?, by)
            }
        };
        let cursor = from.checked_add_signed(by);
        let cursor = cursor.filter(|cursor| i64::try_from(*cursor).is_ok());
        let cursor = cursor.ok_or_else(|| {
            let problem = "a cursor can be neither before the start of a file nor beyond 2^63 - 1";
            io::Error::new(io::ErrorKind::InvalidInput, problem)
        })?;
        seekable.cursor.set(cursor);
        Ok(cursor)
    }

    /// Moves the cursor to the start.
    ///
    /// # Errors
    /// `ESPIPE` for a stream.
    pub async fn rewind(&self) -> io::Result<()> {
        self.seek(SeekFrom::Start(0)).await.map(drop)
    }

    /// Where the cursor is.
    ///
    /// # Errors
    /// `ESPIPE` for a stream.
    pub async fn stream_position(&self) -> io::Result<u64> {
        self.seek(SeekFrom::Current(0)).await
    }

    /// Waits until all that was written, and what is known of the file, is on the disk (`fsync(2)`). Cancel: it
    /// may be there or not.
    ///
    /// # Errors
    /// Those of `fsync(2)`: `EIO`, `ENOSPC`, of earlier writes, too.
    pub async fn sync_all(&self) -> io::Result<()> {
        self.in_turn(fs::File::sync_all).await
    }

    /// Waits until all that was written is on the disk (`fdatasync(2)`).
    ///
    /// # Errors
    /// As [`File::sync_all`].
    pub async fn sync_data(&self) -> io::Result<()> {
        self.in_turn(fs::File::sync_data).await
    }

    /// Makes the file so long: what is beyond goes, what is missing reads as zeros. Cancel: once a thread has
    /// begun, it is done.
    ///
    /// # Errors
    /// Those of `ftruncate(2)`.
    pub async fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.in_turn(move |file| file.set_len(bytes)).await
    }

    /// What is known of it (`fstat(2)`). Cancel safe.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        self.in_turn(fs::File::metadata).await
    }

    /// Says who may do what with it. Cancel: once a thread has begun, it is done.
    ///
    /// # Errors
    /// Those of `fchmod(2)`: `EPERM`.
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.in_turn(|file| file.set_permissions(permissions)).await
    }

    /// Closes it, and is ready when it is closed: the last of its clones, at any rate. Dropped, it is closed all
    /// the same.
    ///
    /// # Errors
    /// If the pool has no thread for it; it is closed all the same.
    pub async fn close(self) -> io::Result<()> {
        let _turn = self.open.turn().await;
        let open = Rc::try_unwrap(self.open);
        let file = open.ok().and_then(|mut open| open.file.take());
        blocking(move || {
            drop(file);
            Ok(())
        })
        .await
    }
}

/// Writes at the end, wherever that is by now: only the kernel's own cursor tells.
fn append(mut file: &fs::File, bytes: &[u8]) -> io::Result<(usize, u64)> {
    let written = file.write(bytes)?;
    Ok((written, file.stream_position()?))
}

/// The room that a read to the end begins with.
const ROOM_MIN: usize = 32 * 1024;

/// A buffer that is longer, for a while, than what is in it.
struct Growing<'a> {
    buf: &'a mut Vec<u8>,
    filled: usize,
}

impl Drop for Growing<'_> {
    fn drop(&mut self) {
        self.buf.truncate(self.filled);
    }
}

//! An open file with a cursor that a canceled read does not move.

use crate::access::{Blocking, IoMethod, OpenFile, Seekable};
use crate::buffer::{self, JOB_BYTES_MAX};
use crate::job::{blocking, blocking_then};
use crate::opened::Opened;
use oneloop_core::{Direction, Done};
use oneloop_sync::Permit;
use rustix::io::Errno;
use std::fmt;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

/// An open file.
///
/// Its operations take `&self`, and any number of them may be in progress. Operations that use the
/// cursor ([`File::read`], [`File::write`], [`File::seek`] and those built on them) or the file as
/// a whole run one after the other, in the order in which they were first polled. [`File::read_at`]
/// and [`File::write_at`] wait for no other operation.
///
/// # The cursor
/// The `File` keeps the cursor instead of the kernel, so that the cursor moves only when a read has
/// returned its bytes. **A dropped read has moved nothing**, and the next read returns the same
/// bytes. A write that is dropped before a thread has begun has written nothing. After that, the
/// bytes are written: the cursor moves past them, the next operation waits for that, and the loop
/// stays alive until then.
///
/// A child process that inherits the file uses the kernel's cursor, which none of this moves: see
/// [`File::into_std`].
///
/// # Streams
/// A file without a cursor (a FIFO, a terminal) is opened with `O_NONBLOCK`, and the loop waits for
/// it instead of a thread: a dropped read or write has moved no byte. Opening a FIFO for reading
/// does not wait for a writer; the first read does. A stream that epoll(7) does not support is read
/// and written on the pool, for as long as that takes; if such a read is dropped, the next one
/// returns its bytes.
///
/// # Closing
/// The file closes with the last clone ([`File::try_clone`]) or operation. A thread of the pool
/// closes a writable file, because `close(2)` may block: it may delete a large file that has no
/// name left. As in std, errors of `close(2)` are ignored; [`File::sync_all`] returns them.
///
/// ```
/// # let mut event_loop = oneloop::EventLoop::new()?;
/// # event_loop.block_on(async {
/// let dir = oneloop::fs::TempDir::new().await?;
/// let file = oneloop::fs::File::create_new(dir.path().join("numbers")).await?;
/// file.write_all(b"0123456789").await?;
/// let mut three = [0; 3];
/// file.read_exact_at(&mut three, 4).await?;
/// assert_eq!(&three, b"456");
/// # std::io::Result::Ok(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct File {
    open: Rc<OpenFile>,
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

/// Conversions.
impl File {
    pub(crate) fn from_opened(opened: Opened) -> io::Result<Self> {
        Ok(File {
            open: OpenFile::new(opened)?,
        })
    }

    /// Takes over a file. The cursor begins where the kernel's is. A stream that epoll(7) supports,
    /// such as a pipe, becomes non-blocking for every process that shares it.
    ///
    /// # Errors
    /// Those of `fcntl(2)` and `epoll_ctl(2)`. The file is closed then.
    ///
    /// # Panics
    /// Outside of a loop.
    #[track_caller]
    pub fn from_std(file: fs::File) -> io::Result<Self> {
        File::from_opened(Opened::new(file)?)
    }

    /// Returns a duplicate for the standard library, and moves the kernel's cursor to this file's.
    /// A stream stays non-blocking.
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

    /// Returns another handle on the same file and cursor.
    ///
    /// # Errors
    /// None: no fd is duplicated. The function returns a `Result` because the one of std does.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(File {
            open: Rc::clone(&self.open),
        })
    }

    fn seekable(&self) -> io::Result<&Seekable> {
        match &self.open.method {
            IoMethod::Seekable(seekable) => Ok(seekable),
            IoMethod::Polled { .. } | IoMethod::Blocking(_) => Err(Errno::SPIPE.into()),
        }
    }
}

/// Reading.
impl File {
    /// Reads at the cursor. Returns 0 at the end of the file. Reads bytes that the kernel has
    /// cached at once, straight into `buf`, by one system call (`preadv2(2)` with `RWF_NOWAIT`), up
    /// to 128 KiB. A thread of the pool reads other bytes, up to 256 KiB at a time.
    ///
    /// Cancel safe: a dropped read has moved neither a byte nor the cursor.
    ///
    /// # Errors
    /// Those of `read(2)`.
    pub async fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.open.method {
            IoMethod::Seekable(seekable) => {
                let _turn = seekable.turn.acquire().await;
                let offset = seekable.cursor.get();
                let bytes = self.open.read_at(buf, offset).await?;
                seekable.cursor.set(offset + bytes as u64);
                Ok(bytes)
            }
            IoMethod::Polled { source, turns } => {
                let _turn = turns[Direction::Read as usize].acquire().await;
                let read = |cx: &mut Context<'_>| {
                    source.poll_io(cx, Direction::Read, |fd| {
                        let wanted = source.chaos_len(buf.len());
                        let read = rustix::io::read(fd, &mut buf[..wanted])?;
                        Ok(Done::stream(read, wanted))
                    })
                };
                source.io(Direction::Read, read).await
            }
            IoMethod::Blocking(blocking) => self.read_blocking(blocking, buf).await,
        }
    }

    /// Returns bytes that a thread read, for this call or for an earlier one that was dropped.
    async fn read_blocking(&self, blocking: &Blocking, buf: &mut [u8]) -> io::Result<usize> {
        let turn = blocking.turns[Direction::Read as usize].acquire().await;
        if blocking.left.borrow().is_empty() {
            let mut own = buffer::take(buf.len().min(JOB_BYTES_MAX));
            let file = Arc::clone(self.open.file());
            let read = move || (file.as_ref().read(&mut own), own);
            let open = Rc::clone(&self.open);
            // A stream cannot be read twice, so the bytes go into `left` first: if this future is
            // dropped, the next read finds them there.
            let keep = move |(read, own): (io::Result<usize>, Vec<u8>)| {
                if let (IoMethod::Blocking(blocking), Ok(bytes)) = (&open.method, &read) {
                    blocking.left.borrow_mut().extend(&own[..*bytes]);
                }
                buffer::give_back(own);
                drop(turn);
                read.map(drop)
            };
            blocking_then(&self.open.handle, read, keep).await??;
        }
        blocking.left.borrow_mut().read(buf)
    }

    /// Reads until `buf` is full. If the future is dropped, it has read an unknown part, and the
    /// cursor is behind that part.
    ///
    /// # Errors
    /// As [`File::read`]; `UnexpectedEof` if the file ends before.
    pub async fn read_exact(&self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read(buf).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => buf = &mut buf[bytes..],
            }
        }
        Ok(())
    }

    /// Reads to the end of the file, appends the bytes to `buf`, and returns their number. If the
    /// future is dropped, `buf` holds the bytes that were read by then.
    ///
    /// # Errors
    /// As [`File::read`]. `buf` then holds the bytes that were read before the error.
    pub async fn read_to_end(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let before = buf.len();
        loop {
            let bytes = self.read_more(buf).await?;
            if bytes == 0 {
                return Ok(buf.len() - before);
            }
        }
    }

    /// Reads once, and appends to `buf`.
    async fn read_more(&self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let filled = buf.len();
        let mut growing = Growing { buf, filled };
        // Doubles the buffer, so that a file of any size needs few reads; `fstat(2)` would give no
        // size for `/proc` and streams.
        let room = filled.clamp(ROOM_MIN, JOB_BYTES_MAX);
        growing.buf.resize(filled + room, 0);
        let bytes = self.read(&mut growing.buf[filled..]).await?;
        growing.filled += bytes;
        Ok(bytes)
    }

    /// Reads text to the end of the file, appends it to `buf`, and returns its length in bytes.
    ///
    /// # Errors
    /// As [`File::read`]; `InvalidData` if the bytes are not UTF-8. `buf` is unchanged then.
    pub async fn read_to_string(&self, buf: &mut String) -> io::Result<usize> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).await?;
        let text = into_text(bytes)?;
        buf.push_str(&text);
        Ok(text.len())
    }

    /// Reads at an offset, as [`File::read`] does at the cursor, and does not move the cursor.
    /// Cancel safe.
    ///
    /// # Errors
    /// Those of `pread(2)`: `ESPIPE` for a stream, `EINVAL` for an offset beyond 2^63 - 1.
    #[doc(alias = "pread")]
    pub async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.open.read_at(buf, offset).await
    }

    /// Reads at an offset until `buf` is full. Cancel safe.
    ///
    /// # Errors
    /// As [`File::read_at`]; `UnexpectedEof` if the file ends before.
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
    /// Writes at the cursor, or at the end of a file that is opened for appending, and moves the
    /// cursor past the bytes. A thread of the pool writes a copy of up to 256 KiB.
    ///
    /// Cancel: if the future is dropped before a thread has begun, nothing is written. After that
    /// the bytes are written, and the cursor moves: see [`File`]. A dropped write to a stream that
    /// epoll(7) supports has written nothing.
    ///
    /// # Errors
    /// Those of `write(2)`: `ENOSPC`, `EDQUOT`, `EFBIG`; `EBADF` if the file was opened for reading
    /// only.
    pub async fn write(&self, buf: &[u8]) -> io::Result<usize> {
        match &self.open.method {
            IoMethod::Seekable(seekable) => {
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
            IoMethod::Polled { source, turns } => {
                let _turn = turns[Direction::Write as usize].acquire().await;
                let write = |cx: &mut Context<'_>| {
                    source.poll_io(cx, Direction::Write, |fd| {
                        let buf = &buf[..source.chaos_len(buf.len())];
                        Ok(Done::stream(rustix::io::write(fd, buf)?, buf.len()))
                    })
                };
                source.io(Direction::Write, write).await
            }
            IoMethod::Blocking(blocking) => {
                let turn = blocking.turns[Direction::Write as usize].acquire().await;
                let write = |mut file: &fs::File, bytes: &[u8]| Ok((file.write(bytes)?, 0));
                self.write_job(buf, turn, write).await
            }
        }
    }

    /// Writes a copy of the bytes on the pool. `write` returns the number of bytes that it wrote
    /// and the new cursor.
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
        let move_cursor = move |(written, own): (io::Result<(usize, u64)>, Vec<u8>)| {
            buffer::give_back(own);
            let (bytes, cursor) = written?;
            if let IoMethod::Seekable(seekable) = &open.method {
                seekable.cursor.set(cursor);
            }
            drop(turn);
            Ok(bytes)
        };
        blocking_then(&self.open.handle, write, move_cursor).await?
    }

    /// Writes the whole of `buf`. If the future is dropped, it has written an unknown part, and the
    /// cursor is behind that part.
    ///
    /// # Errors
    /// As [`File::write`]; `WriteZero` if the file accepts no more bytes.
    pub async fn write_all(&self, mut buf: &[u8]) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write(buf).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                bytes => buf = &buf[bytes..],
            }
        }
        Ok(())
    }

    /// Writes at an offset, and does not move the cursor. The kernel appends to a file that is
    /// opened for appending, whatever the offset (pwrite(2), BUGS).
    ///
    /// Cancel: if the future is dropped before a thread has begun, nothing is written; after that,
    /// the bytes are.
    ///
    /// # Errors
    /// Those of `pwrite(2)`: `ESPIPE` for a stream, `EINVAL` for an offset beyond 2^63 - 1.
    #[doc(alias = "pwrite")]
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

    /// Writes the whole of `buf` at an offset. If the future is dropped, an unknown part was
    /// written.
    ///
    /// # Errors
    /// As [`File::write_at`]; `WriteZero` if the file accepts no more bytes.
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
    /// Runs a job on the pool after the operations that use the cursor, so that `set_len` and
    /// `metadata` see the writes that were polled before.
    async fn in_turn<T: Send + 'static>(
        &self,
        job: impl FnOnce(&fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let _turn = self.open.turn().await;
        let file = Arc::clone(self.open.file());
        blocking(move || job(&file)).await
    }

    /// Moves the cursor, and returns its new offset. Only a seek from the end needs a thread of the
    /// pool, which looks up the end. Cancel safe.
    ///
    /// # Errors
    /// `InvalidInput` for an offset before the start, or beyond 2^63 - 1; `ESPIPE` for a stream.
    pub async fn seek(&self, to: SeekFrom) -> io::Result<u64> {
        let seekable = self.seekable()?;
        let _turn = seekable.turn.acquire().await;
        let (from, by) = match to {
            SeekFrom::Start(offset) => (offset, 0),
            SeekFrom::Current(by) => (seekable.cursor.get(), by),
            SeekFrom::End(by) => {
                // No operation uses the kernel's cursor, so it may move. fstat(2) would be cheaper,
                // but gives a block device the size 0.
                let file = Arc::clone(self.open.file());
                let end = blocking(move || file.as_ref().seek(SeekFrom::End(0)));
                (end.await?, by)
            }
        };
        let cursor = from.checked_add_signed(by);
        let cursor = cursor.filter(|cursor| i64::try_from(*cursor).is_ok());
        let cursor = cursor.ok_or_else(|| {
            let problem = "the cursor cannot be before the start of the file or beyond 2^63 - 1";
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

    /// Returns the offset of the cursor.
    ///
    /// # Errors
    /// `ESPIPE` for a stream.
    pub async fn stream_position(&self) -> io::Result<u64> {
        self.seek(SeekFrom::Current(0)).await
    }

    /// Waits until all bytes that were written, and the file's metadata, are on the disk
    /// (`fsync(2)`). If the future is dropped, they may or may not be there.
    ///
    /// # Errors
    /// Those of `fsync(2)`: `EIO`, `ENOSPC`, also from earlier writes.
    #[doc(alias = "fsync")]
    pub async fn sync_all(&self) -> io::Result<()> {
        self.in_turn(fs::File::sync_all).await
    }

    /// Waits until all bytes that were written are on the disk (`fdatasync(2)`).
    ///
    /// # Errors
    /// As [`File::sync_all`].
    #[doc(alias = "fdatasync")]
    pub async fn sync_data(&self) -> io::Result<()> {
        self.in_turn(fs::File::sync_data).await
    }

    /// Cuts the file, or extends it with zeros, to a length of `bytes`. Once a thread has begun,
    /// dropping the future does not stop it.
    ///
    /// # Errors
    /// Those of `ftruncate(2)`.
    #[doc(alias = "truncate")]
    pub async fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.in_turn(move |file| file.set_len(bytes)).await
    }

    /// Returns the metadata of the file (`fstat(2)`). Cancel safe.
    ///
    /// # Errors
    /// Those of `fstat(2)`.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        self.in_turn(fs::File::metadata).await
    }

    /// Sets the permissions of the file. Once a thread has begun, dropping the future does not stop
    /// it.
    ///
    /// # Errors
    /// Those of `fchmod(2)`: `EPERM`.
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.in_turn(|file| file.set_permissions(permissions)).await
    }

    /// Closes this handle, and waits until the file is closed if it is the last one. If the future
    /// is dropped, the file is closed all the same.
    ///
    /// # Errors
    /// If the pool cannot start a thread. The file is closed all the same.
    pub async fn close(self) -> io::Result<()> {
        let _turn = self.open.turn().await;
        // Fails while clones or operations hold the file: the last of them closes it.
        let open = Rc::try_unwrap(self.open);
        let file = open.ok().and_then(|mut open| open.file.take());
        blocking(move || {
            drop(file);
            Ok(())
        })
        .await
    }
}

/// Writes at the current end of the file, and returns the cursor after it.
// O_APPEND finds the end, writes there and moves the kernel's cursor in one step. Another process
// may append meanwhile, so only that cursor says where these bytes went.
fn append(mut file: &fs::File, bytes: &[u8]) -> io::Result<(usize, u64)> {
    let written = file.write(bytes)?;
    Ok((written, file.stream_position()?))
}

/// The free bytes of the buffer at the start of a read to the end. Later reads double the buffer.
const ROOM_MIN: usize = 32 * 1024;

/// A buffer with room behind its `filled` bytes. Its drop cuts off the room, so that a read that
/// was dropped or failed leaves no zeros there.
struct Growing<'a> {
    buf: &'a mut Vec<u8>,
    filled: usize,
}

impl Drop for Growing<'_> {
    fn drop(&mut self) {
        self.buf.truncate(self.filled);
    }
}

/// Converts bytes to text.
pub(crate) fn into_text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

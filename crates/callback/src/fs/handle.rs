//! An open file: Node's `FileHandle`, with callbacks.

use super::begin::begin;
use crate::error::Error;
use crate::runtime::in_later_turn;
use crate::thrown::IntoResult;
use nix::errno::Errno;
use oneloop_fs::{File, Metadata, OpenOptions};
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

/// An open file, from [`open`](super::open), for the calls that take an fd in Node:
/// `fs.read(fd, …)`, `fs.write(fd, …)` and their like. Clones are the same file. It is closed by
/// [`FileHandle::close`], or when its last clone is dropped.
#[derive(Clone)]
pub struct FileHandle {
    /// None once it is closed.
    file: Rc<RefCell<Option<File>>>,
}

impl fmt::Debug for FileHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.file.borrow() {
            Some(file) => write!(f, "FileHandle({file:?})"),
            None => f.write_str("FileHandle(closed)"),
        }
    }
}

/// The options for Node's flags.
pub(super) fn options(flags: &str) -> Result<OpenOptions, Error> {
    // `stringToFlags` of Node's `lib/internal/fs/utils.js`.
    let mut options = OpenOptions::new();
    match flags {
        "r" => options.read(true),
        "r+" => options.read(true).write(true),
        "w" => options.write(true).create(true).truncate(true),
        "w+" => {
            let options = options.read(true).write(true);
            options.create(true).truncate(true)
        }
        "wx" | "xw" => options.write(true).create_new(true),
        "wx+" | "xw+" => options.read(true).write(true).create_new(true),
        "a" => options.append(true).create(true),
        "a+" => options.read(true).append(true).create(true),
        "ax" | "xa" => options.append(true).create_new(true),
        "ax+" | "xa+" => options.read(true).append(true).create_new(true),
        _ => {
            let problem = format!("The argument 'flags' is invalid. Received '{flags}'");
            return Err(Error::new("ERR_INVALID_ARG_VALUE", problem));
        }
    };
    Ok(options)
}

pub(super) async fn open(path: PathBuf, options: OpenOptions) -> Result<FileHandle, Error> {
    let file = in_later_turn(options.open(&path)).await;
    let file = file.map_err(|error| Error::file("open", error, Some(&path), None))?;
    Ok(FileHandle {
        file: Rc::new(RefCell::new(Some(file))),
    })
}

/// Awaits a call about an open file, and makes its error Node's.
async fn call<T>(
    syscall: &'static str,
    call: impl Future<Output = io::Result<T>>,
) -> Result<T, Error> {
    let failed = |error| Error::file(syscall, error, None, None);
    in_later_turn(call).await.map_err(failed)
}

impl FileHandle {
    /// The file, for one call: a call that has begun completes even if the handle is closed
    /// meanwhile.
    ///
    /// # Errors
    /// `EBADF` once it is closed.
    fn file(&self, syscall: &'static str) -> Result<File, Error> {
        let file = match &*self.file.borrow() {
            Some(file) => file.try_clone(),
            None => Err(Errno::EBADF.into()),
        };
        file.map_err(|error| Error::file(syscall, error, None, None))
    }

    /// Begins a call on the file.
    fn begin<T: 'static, O: IntoResult, F: Future<Output = io::Result<T>> + 'static>(
        &self,
        syscall: &'static str,
        call: impl FnOnce(File) -> F + 'static,
        callback: impl FnOnce(Result<T, Error>) -> O + 'static,
    ) {
        // Taken now: a `close` that follows does not keep this call from its file.
        let file = self.file(syscall);
        let work = async move { self::call(syscall, call(file?)).await };
        begin(work, callback);
    }

    pub(super) async fn read_all(&self) -> Result<Vec<u8>, Error> {
        // Only for its turn: Node's `readFile` calls fstat(2) between open(2) and read(2).
        call("fstat", self.file("fstat")?.metadata()).await?;
        let mut bytes = Vec::new();
        call("read", self.file("read")?.read_to_end(&mut bytes)).await?;
        Ok(bytes)
    }

    pub(super) async fn write_all(&self, data: &[u8]) -> Result<(), Error> {
        call("write", self.file("write")?.write_all(data)).await
    }

    /// Closes the file, and waits until it is closed.
    pub(super) async fn close_and_wait(&self) {
        let file = self.file.take();
        if let Some(file) = file {
            let _ = in_later_turn(file.close()).await; // close(2) reports nothing that helps
        }
    }

    /// Reads at most as many bytes as the buffer has, and calls a function with their number (0 at
    /// the end) and the buffer. It reads from a position, or, with `None`, from where the last read
    /// or write ended.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn read<O: IntoResult>(
        &self,
        mut buffer: Vec<u8>,
        position: impl Into<Option<u64>>,
        callback: impl FnOnce(Result<(usize, Vec<u8>), Error>) -> O + 'static,
    ) {
        let position = position.into();
        // The buffer moves to the thread and back, because a thread cannot borrow it from the loop.
        let read = async move |file: File| {
            let bytes = match position {
                Some(offset) => file.read_at(&mut buffer, offset).await?,
                None => file.read(&mut buffer).await?,
            };
            Ok((bytes, buffer))
        };
        self.begin("read", read, callback);
    }

    /// Writes bytes, and calls a function with the number of bytes written, which may be fewer, and
    /// the bytes. It writes at a position, or, with `None`, where the last read or write ended.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn write<O: IntoResult>(
        &self,
        data: impl Into<Vec<u8>>,
        position: impl Into<Option<u64>>,
        callback: impl FnOnce(Result<(usize, Vec<u8>), Error>) -> O + 'static,
    ) {
        let (data, position) = (data.into(), position.into());
        let write = async move |file: File| {
            let bytes = match position {
                Some(offset) => file.write_at(&data, offset).await?,
                None => file.write(&data).await?,
            };
            Ok((bytes, data))
        };
        self.begin("write", write, callback);
    }

    /// Reads the file's metadata: `fs.fstat`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn stat<O: IntoResult>(
        &self,
        callback: impl FnOnce(Result<Metadata, Error>) -> O + 'static,
    ) {
        self.begin("fstat", async |file: File| file.metadata().await, callback);
    }

    /// Sets the size of the file in bytes: `fs.ftruncate`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn truncate<O: IntoResult>(
        &self,
        bytes: u64,
        callback: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) {
        let truncate = async move |file: File| file.set_len(bytes).await;
        self.begin("ftruncate", truncate, callback);
    }

    /// Calls a function once all that was written is on the disk: `fs.fsync`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn sync<O: IntoResult>(&self, callback: impl FnOnce(Result<(), Error>) -> O + 'static) {
        self.begin("fsync", async |file: File| file.sync_all().await, callback);
    }

    /// Closes the file once the calls that have begun complete. A later call fails with `EBADF`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn close<O: IntoResult>(&self, callback: impl FnOnce(Result<(), Error>) -> O + 'static) {
        let closed = Error::file("close", Errno::EBADF.into(), None, None);
        // Taken now: a later call fails with EBADF even before the thread has closed the file.
        let file = self.file.take();
        let close = async move { call("close", file.ok_or(closed)?.close()).await };
        begin(close, callback);
    }
}

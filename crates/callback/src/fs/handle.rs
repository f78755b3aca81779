//! An open file: Node's `FileHandle`, with callbacks.

use super::begin::begin;
use crate::error::Error;
use crate::runtime::in_later_turn;
use crate::thrown::Outcome;
use nix::errno::Errno;
use oneloop_fs::{File, Metadata, OpenOptions};
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

/// An open file, as [`open`](super::open) gives it: what Node's `fs.read(fd, …)`, `fs.write(fd, …)`
/// and the others take an fd for. Clones are the same file. It is closed by [`FileHandle::close`],
/// or with its last clone.
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

/// What Node's flags mean.
pub(super) fn options(flags: &str) -> Result<OpenOptions, Error> {
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

/// What a call about an open file gives, with Node's error.
async fn told<T>(
    syscall: &'static str,
    call: impl Future<Output = io::Result<T>>,
) -> Result<T, Error> {
    let told = |error| Error::file(syscall, error, None, None);
    in_later_turn(call).await.map_err(told)
}

impl FileHandle {
    /// The file.
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

    /// Begins something with the file.
    fn begin<T: 'static, O: Outcome, F: Future<Output = io::Result<T>> + 'static>(
        &self,
        syscall: &'static str,
        call: impl FnOnce(File) -> F + 'static,
        callback: impl FnOnce(Result<T, Error>) -> O + 'static,
    ) {
        let file = self.file(syscall);
        let work = async move { told(syscall, call(file?)).await };
        begin(work, callback);
    }

    pub(super) async fn read_all(&self) -> Result<Vec<u8>, Error> {
        told("fstat", self.file("fstat")?.metadata()).await?;
        let mut bytes = Vec::new();
        told("read", self.file("read")?.read_to_end(&mut bytes)).await?;
        Ok(bytes)
    }

    pub(super) async fn write_all(&self, data: &[u8]) -> Result<(), Error> {
        told("write", self.file("write")?.write_all(data)).await
    }

    /// Closes it, and waits for that.
    pub(super) async fn closed(&self) {
        let file = self.file.take();
        if let Some(file) = file {
            let _ = in_later_turn(file.close()).await; // close(2) tells nothing that can be acted on
        }
    }

    /// Reads into a buffer, at most as many bytes as it is long, and calls a function with the
    /// number of bytes, 0 at the end, and the buffer: from a position, or from where the last read
    /// or write ended (`None`).
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn read<O: Outcome>(
        &self,
        mut buffer: Vec<u8>,
        position: impl Into<Option<u64>>,
        callback: impl FnOnce(Result<(usize, Vec<u8>), Error>) -> O + 'static,
    ) {
        let position = position.into();
        let read = async move |file: File| {
            let bytes = match position {
                Some(offset) => file.read_at(&mut buffer, offset).await?,
                None => file.read(&mut buffer).await?,
            };
            Ok((bytes, buffer))
        };
        self.begin("read", read, callback);
    }

    /// Writes some of these bytes, mostly all, and calls a function with how many, and the bytes:
    /// at a position, or where the last read or write ended (`None`).
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn write<O: Outcome>(
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

    /// What is known of it: `fs.fstat`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn stat<O: Outcome>(&self, callback: impl FnOnce(Result<Metadata, Error>) -> O + 'static) {
        self.begin("fstat", async |file: File| file.metadata().await, callback);
    }

    /// Makes it so long: `fs.ftruncate`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn truncate<O: Outcome>(
        &self,
        bytes: u64,
        callback: impl FnOnce(Result<(), Error>) -> O + 'static,
    ) {
        let truncate = async move |file: File| file.set_len(bytes).await;
        self.begin("ftruncate", truncate, callback);
    }

    /// Calls a function when all that was written is on the disk: `fs.fsync`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn sync<O: Outcome>(&self, callback: impl FnOnce(Result<(), Error>) -> O + 'static) {
        self.begin("fsync", async |file: File| file.sync_all().await, callback);
    }

    /// Closes it: with the operations that are under way. Whatever comes behind fails with `EBADF`.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn close<O: Outcome>(&self, callback: impl FnOnce(Result<(), Error>) -> O + 'static) {
        let closed = Error::file("close", Errno::EBADF.into(), None, None);
        let file = self.file.take();
        let close = async move { told("close", file.ok_or(closed)?.close()).await };
        begin(close, callback);
    }
}

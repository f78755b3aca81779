//! Temporary files and directories that remove themselves.

use crate::file::File;
use crate::job::{blocking, drop_blocking, opening};
use oneloop_core::Handle;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Creates a file without a name (`O_TMPFILE`) for reading and writing. No other process can find
/// it, and the kernel removes it when it is closed, even if the program crashes.
///
/// # Errors
/// As [`tempfile::tempfile`].
///
/// # Panics
/// Outside of a loop.
#[doc(alias = "TemporaryFile")]
pub async fn tempfile() -> io::Result<File> {
    File::from_std(opening(tempfile::tempfile).await?)
}

/// Turns off the removal, and returns the path.
fn keep(path: tempfile::TempPath) -> io::Result<PathBuf> {
    path.keep().map_err(|failed| failed.error)
}

/// A value whose drop removes files. A thread of the pool drops it, because that may take long.
struct DropOnPool<T: Send + 'static> {
    handle: Handle,
    /// `None` once the value was taken or dropped.
    value: Option<T>,
}

impl<T: Send + 'static> DropOnPool<T> {
    #[track_caller]
    fn new(value: T) -> Self {
        DropOnPool {
            handle: Handle::current(),
            value: Some(value),
        }
    }

    fn get(&self) -> &T {
        self.value.as_ref().expect("`take` consumes this")
    }

    fn take(mut self) -> T {
        self.value.take().expect("`take` consumes this")
    }
}

impl<T: Send + 'static> Drop for DropOnPool<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            drop_blocking(&self.handle, value);
        }
    }
}

/// A directory that is removed, with its contents, when this is dropped. A thread of the pool
/// removes it, and the drop does not wait for that; [`TempDir::close`] waits, and returns errors.
///
/// ```
/// # let mut event_loop = oneloop::EventLoop::new()?;
/// # event_loop.block_on(async {
/// let dir = oneloop::fs::TempDir::new().await?;
/// oneloop::fs::write(dir.path().join("a"), "bytes").await?;
/// dir.close().await
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[doc(alias = "mkdtemp")]
pub struct TempDir {
    dir: DropOnPool<RemovedDir>,
}

/// A directory that its drop removes, on the thread that drops it.
struct RemovedDir {
    /// `None` once the directory is kept.
    path: Option<PathBuf>,
}

impl Drop for RemovedDir {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_dir_all(path); // a drop cannot return the error
        }
    }
}

impl TempDir {
    /// Creates a directory in `$TMPDIR`, or `/tmp`.
    ///
    /// # Errors
    /// Those of `mkdir(2)`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn new() -> io::Result<Self> {
        TempDir::new_in(env::temp_dir()).await
    }

    /// Creates a directory in `dir`.
    ///
    /// # Errors
    /// Those of `mkdir(2)`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn new_in(dir: impl AsRef<Path>) -> io::Result<Self> {
        TempDir::with_prefix_in(".tmp", dir).await
    }

    /// Creates a directory in `dir`, whose name is `prefix` and six random letters.
    ///
    /// # Errors
    /// Those of `mkdir(2)`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn with_prefix_in(
        prefix: impl AsRef<OsStr>,
        dir: impl AsRef<Path>,
    ) -> io::Result<Self> {
        let (prefix, dir) = (prefix.as_ref().to_owned(), dir.as_ref().to_owned());
        let make = move || {
            let mut builder = tempfile::Builder::new();
            // The mode of mkdtemp(3): no other user may look into the directory.
            let make = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
            let made = builder.prefix(&prefix).make_in(dir, make)?;
            let path = Some(keep(made.into_temp_path())?);
            Ok(RemovedDir { path })
        };
        Ok(TempDir {
            dir: DropOnPool::new(blocking(make).await?),
        })
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        let path = self.dir.get().path.as_deref();
        path.expect("only `keep` takes the path")
    }

    /// Keeps the directory, and returns its path.
    pub fn keep(self) -> PathBuf {
        let path = self.dir.take().path.take();
        path.expect("only `keep` takes the path")
    }

    /// Removes the directory with its contents, and waits until it is removed.
    ///
    /// # Errors
    /// As [`remove_dir_all`](crate::remove_dir_all).
    pub async fn close(self) -> io::Result<()> {
        let path = self.keep();
        blocking(move || fs::remove_dir_all(path)).await
    }
}

impl fmt::Debug for TempDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TempDir({:?})", self.path())
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

/// A file for reading and writing, with a random name. When this is dropped, a thread of the pool
/// removes the file. [`NamedTempFile::persist`] renames a complete file, and so keeps it.
#[doc(alias = "mkstemp")]
pub struct NamedTempFile {
    file: File,
    path: DropOnPool<tempfile::TempPath>,
}

impl NamedTempFile {
    /// Creates a file in `$TMPDIR`, or `/tmp`.
    ///
    /// # Errors
    /// Those of `open(2)`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn new() -> io::Result<Self> {
        NamedTempFile::new_in(env::temp_dir()).await
    }

    /// Creates a file in `dir`: beside the file that it will replace, for instance, because a
    /// rename works only within one file system.
    ///
    /// # Errors
    /// Those of `open(2)`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn new_in(dir: impl AsRef<Path>) -> io::Result<Self> {
        let dir = dir.as_ref().to_owned();
        let make = move || {
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true).create_new(true).mode(0o600);
            tempfile::Builder::new().make_in(dir, |path| options.open(path))
        };
        let (file, path) = opening(make).await?.into_parts();
        let path = DropOnPool::new(path);
        Ok(NamedTempFile {
            file: File::from_std(file)?,
            path,
        })
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        self.path.get()
    }

    /// Returns the file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Renames the file, replaces one that has the new name, and returns the file.
    ///
    /// Cancel: if the future is dropped before a thread has begun, the file is removed; after that,
    /// it gets its new name.
    ///
    /// # Errors
    /// As [`rename`](crate::rename). The file is removed then.
    pub async fn persist(self, path: impl AsRef<Path>) -> io::Result<File> {
        let (from, to) = (self.path.take(), path.as_ref().to_owned());
        blocking(move || from.persist(to).map_err(|failed| failed.error)).await?;
        Ok(self.file)
    }

    /// Removes the file, and waits until it is removed.
    ///
    /// # Errors
    /// As [`remove_file`](crate::remove_file).
    pub async fn close(self) -> io::Result<()> {
        let path = self.path.take();
        blocking(move || fs::remove_file(keep(path)?)).await
    }
}

impl fmt::Debug for NamedTempFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedTempFile({:?})", self.path())
    }
}

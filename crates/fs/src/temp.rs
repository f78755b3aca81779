//! Files and directories that go by themselves.

use crate::file::File;
use crate::job::{blocking, drop_blocking};
use oneloop_core::Handle;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes a file without a name (`O_TMPFILE`), to read and write: nobody else finds it, and it goes when it
/// is closed, however that comes to be.
///
/// # Errors
/// As [`tempfile::tempfile`].
///
/// # Panics
/// Outside of a loop.
pub async fn tempfile() -> io::Result<File> {
    File::from_std(blocking(tempfile::tempfile).await?)
}

/// The path of something that is not removed any more.
fn keep(path: tempfile::TempPath) -> io::Result<PathBuf> {
    path.keep().map_err(|failed| failed.error)
}

/// Something that removes itself when it is dropped: on the pool, as that may take its time.
struct Removed<T: Send + 'static> {
    handle: Handle,
    /// None once it is removed or kept.
    inner: Option<T>,
}

impl<T: Send + 'static> Removed<T> {
    fn new(inner: T) -> Self {
        Removed {
            handle: Handle::current(),
            inner: Some(inner),
        }
    }

    fn get(&self) -> &T {
        self.inner.as_ref().expect("whoever takes it, drops this")
    }

    fn take(mut self) -> T {
        self.inner.take().expect("whoever takes it, drops this")
    }
}

impl<T: Send + 'static> Drop for Removed<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            drop_blocking(&self.handle, inner);
        }
    }
}

/// A directory that goes with all that is in it when this is dropped. A thread of the pool removes it then,
/// and nobody waits; [`TempDir::close`] does, and tells errors.
///
/// ```
/// # let mut event_loop = oneloop_core::EventLoop::new()?;
/// # event_loop.block_on(async {
/// let dir = oneloop_fs::TempDir::new().await?;
/// oneloop_fs::write(dir.path().join("a"), "bytes").await?;
/// dir.close().await
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TempDir {
    dir: Removed<Dir>,
}

/// A directory that is removed on the thread that drops this.
struct Dir {
    /// None once it is kept.
    path: Option<PathBuf>,
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_dir_all(path); // nobody waits for it
        }
    }
}

impl TempDir {
    /// Makes one where temporary files go: in `$TMPDIR`, or `/tmp`.
    ///
    /// # Errors
    /// Those of `mkdir(2)`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn new() -> io::Result<Self> {
        TempDir::new_in(env::temp_dir()).await
    }

    /// Makes one there.
    ///
    /// # Errors
    /// Those of `mkdir(2)`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn new_in(dir: impl AsRef<Path>) -> io::Result<Self> {
        TempDir::with_prefix_in(".tmp", dir).await
    }

    /// Makes one there, with a name that begins with that and ends in six letters.
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
            let make = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
            let made = builder.prefix(&prefix).make_in(dir, make)?;
            let path = Some(keep(made.into_temp_path())?);
            Ok(Dir { path })
        };
        Ok(TempDir {
            dir: Removed::new(blocking(make).await?),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        let path = self.dir.get().path.as_deref();
        path.expect("only a kept one has none")
    }

    /// Lets it stay, and says where it is.
    pub fn keep(self) -> PathBuf {
        let path = self.dir.take().path.take();
        path.expect("only a kept one has none")
    }

    /// Removes it now, with all that is in it.
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

/// A file with a name of its own, to read and write, that goes when this is dropped: a thread of the pool
/// removes it then. [`NamedTempFile::persist`] puts it in its place when it is complete.
pub struct NamedTempFile {
    file: File,
    path: Removed<tempfile::TempPath>,
}

impl NamedTempFile {
    /// Makes one where temporary files go: in `$TMPDIR`, or `/tmp`.
    ///
    /// # Errors
    /// Those of `open(2)`.
    ///
    /// # Panics
    /// Outside of a loop.
    pub async fn new() -> io::Result<Self> {
        NamedTempFile::new_in(env::temp_dir()).await
    }

    /// Makes one there: beside the file that it is to replace, say.
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
        let (file, path) = blocking(make).await?.into_parts();
        let path = Removed::new(path);
        Ok(NamedTempFile {
            file: File::from_std(file)?,
            path,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.path.get()
    }

    /// What is in it.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives it a name to stay, in place of what has that name already, and gives the file.
    ///
    /// Cancel: dropped before a thread has begun, it is removed; after that it has its name.
    ///
    /// # Errors
    /// As [`rename`](crate::rename); it is removed then.
    pub async fn persist(self, path: impl AsRef<Path>) -> io::Result<File> {
        let (from, to) = (self.path.take(), path.as_ref().to_owned());
        blocking(move || from.persist(to).map_err(|failed| failed.error)).await?;
        Ok(self.file)
    }

    /// Removes it now.
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

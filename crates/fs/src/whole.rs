//! Reads and writes whole files, each by one job.

use crate::file::{File, into_text};
use crate::job::opening;
use crate::open::OpenOptions;
use crate::opened::Opened;
use std::io::{self, Read, Write};
use std::path::Path;

/// Reads all bytes of a file by one job of the pool. It reads to the end, whatever size the file
/// claims: files in `/proc` claim none. The loop reads a FIFO to its end, which occupies no thread.
///
/// Cancel safe.
///
/// # Errors
/// As [`std::fs::read`].
///
/// # Panics
/// Outside of a loop.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref().to_owned();
    let read = move || {
        let mut opened = OpenOptions::new().read(true).open_now(&path)?;
        let mut bytes = Vec::new();
        if opened.cursor.is_some() {
            opened.file.read_to_end(&mut bytes)?;
            return Ok(Progress::Done(bytes));
        }
        Ok(Progress::Stream(opened, bytes))
    };
    match opening(read).await? {
        Progress::Done(bytes) => Ok(bytes),
        Progress::Stream(opened, mut bytes) => {
            File::from_opened(opened)?.read_to_end(&mut bytes).await?;
            Ok(bytes)
        }
    }
}

/// Reads the text of a file: see [`read`].
///
/// # Errors
/// As [`read`]; `InvalidData` if the bytes are not UTF-8.
///
/// # Panics
/// Outside of a loop.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    into_text(read(path).await?)
}

/// Replaces the contents of a file, or creates it. One job of the pool writes a copy of the bytes.
///
/// Cancel: if the future is dropped before a thread has begun, nothing is written; after that, the
/// write completes.
///
/// # Errors
/// As [`std::fs::write`]; `ENXIO` for a FIFO without a reader: see [`OpenOptions::open`].
///
/// # Panics
/// Outside of a loop.
pub async fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let (path, bytes) = (path.as_ref().to_owned(), contents.as_ref().to_owned());
    let write = move || {
        let mut options = OpenOptions::new();
        let mut opened = options
            .write(true)
            .create(true)
            .truncate(true)
            .open_now(&path)?;
        if opened.cursor.is_some() {
            opened.file.write_all(&bytes)?;
            return Ok(Progress::Done(Vec::new()));
        }
        Ok(Progress::Stream(opened, bytes))
    };
    match opening(write).await? {
        Progress::Done(_) => Ok(()),
        Progress::Stream(opened, bytes) => File::from_opened(opened)?.write_all(&bytes).await,
    }
}

/// How far the thread came.
enum Progress {
    Done(Vec<u8>),
    /// The file is a stream, for which the loop has to wait: the open file, and the bytes to write.
    Stream(Opened, Vec<u8>),
}

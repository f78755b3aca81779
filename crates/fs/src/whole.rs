//! Whole files, in one job.

use crate::file::File;
use crate::job::blocking;
use crate::open::{OpenOptions, Opened};
use std::io::{self, Read, Write};
use std::path::Path;

/// All bytes of a file: in one job, whatever its size says, as that of a file in `/proc` says 0. A FIFO is
/// read to its end without keeping a thread.
///
/// Cancel: nothing comes of it.
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
            return Ok(Whole::Done(bytes));
        }
        Ok(Whole::Stream(opened, bytes))
    };
    match blocking(read).await? {
        Whole::Done(bytes) => Ok(bytes),
        Whole::Stream(opened, mut bytes) => {
            File::from_opened(opened)?.read_to_end(&mut bytes).await?;
            Ok(bytes)
        }
    }
}

/// The text of a file: see [`read`].
///
/// # Errors
/// As [`read`]; `InvalidData` for what is not UTF-8.
///
/// # Panics
/// Outside of a loop.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    text(read(path).await?)
}

pub(crate) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Makes these bytes the whole of a file, which is made if there is none. It is one job, with a copy of the
/// bytes.
///
/// Cancel: dropped before a thread has begun, nothing is done; after that it is done to its end.
///
/// # Errors
/// As [`std::fs::write`]; for a FIFO see [`OpenOptions::open`].
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
            return Ok(Whole::Done(Vec::new()));
        }
        Ok(Whole::Stream(opened, bytes))
    };
    match blocking(write).await? {
        Whole::Done(_) => Ok(()),
        Whole::Stream(opened, bytes) => File::from_opened(opened)?.write_all(&bytes).await,
    }
}

/// How far a job got.
enum Whole {
    Done(Vec<u8>),
    /// It may have to wait, which the loop can do: what is open, and the bytes.
    Stream(Opened, Vec<u8>),
}

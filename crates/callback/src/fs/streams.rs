//! Files as streams: `fs.createReadStream` and `fs.createWriteStream`.

use super::handle;
use crate::error::Error;
use crate::runtime::{current, in_later_turn};
use crate::stream::{Fd, Opened, ReadStream, WriteStream};
use nix::errno::Errno;
use oneloop_fs::{File, OpenOptions};
use oneloop_net::{Input, Output, PipeWriter};
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

/// Options of [`create_read_stream_with`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadStreamOptions {
    /// The offset of the first byte that is read.
    pub start: Option<u64>,
    /// The offset of the last byte that is read.
    pub end: Option<u64>,
    /// The maximum size of a 'data' chunk, and of the buffer, in bytes: 64 KiB by default. A chunk
    /// is never larger than that.
    pub high_water_mark: Option<usize>,
    /// Waits at the end of the file for what is appended to it, as `tail -f` does, until the stream
    /// is destroyed. Node has no such option.
    ///
    /// The stream follows the file that it has opened, also after that is renamed or removed, as its
    /// writer may continue. It does not follow another file that takes the name, as `tail -F` does.
    /// When the file is truncated, the stream reads it again from its beginning. (A file that is
    /// truncated and at once grows beyond its former size looks as if it had only grown, also to
    /// `tail -f`.) It takes two fds more, and needs `/proc`.
    #[doc(alias("tail", "watchFile"))]
    pub follow: bool,
}

/// Options of [`create_write_stream_with`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteStreamOptions<'a> {
    /// Node's flags: `"w"`, which truncates the file, `"a"`, `"wx"`, `"r+"` and their like.
    pub flags: Option<&'a str>,
    /// The offset of the first byte that is written. The flags `"r+"` keep the rest of the file.
    pub start: Option<u64>,
    /// A write returns false once this many bytes wait: 16 KiB by default.
    pub high_water_mark: Option<usize>,
}

/// Reads a file as a stream: 'open', 'ready', then 'data' while the stream flows, 'end', 'close';
/// or 'error' and 'close'. A FIFO opens before it has a writer, and then waits for one.
///
/// ```
/// use oneloop::callback::{fs, run};
///
/// run(|| {
///     let stream = fs::create_read_stream("/no/such/file");
///     stream.on_error(|_, error| {
///         assert_eq!(error.message(), "ENOENT: no such file or directory, open '/no/such/file'");
///     });
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_read_stream(path: impl AsRef<Path>) -> ReadStream {
    read(path.as_ref(), ReadStreamOptions::default())
}

/// Reads a part of a file as a stream. If the end is before the start, 'error' reports
/// `ERR_OUT_OF_RANGE`, which Node throws.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_read_stream_with(path: impl AsRef<Path>, options: ReadStreamOptions) -> ReadStream {
    read(path.as_ref(), options)
}

#[track_caller]
fn read(path: &Path, options: ReadStreamOptions) -> ReadStream {
    let start = options.start.unwrap_or(0);
    // Node's `end` is inclusive.
    let bytes_max = options
        .end
        .map(|end| end.saturating_add(1).saturating_sub(start));
    let stream = ReadStream::new(&current(), Fd::Opening, options.high_water_mark, bytes_max);
    let (path, checked) = (path.to_owned(), check_range(options));
    let following = options.follow.then(|| stream.clone());
    stream.open(async move {
        checked?;
        let input = open_input(path.clone(), options.start).await?;
        if let Some(stream) = following {
            let watched = stream.follow(&input);
            watched.map_err(|error| Error::file("watch", error, Some(&path), None))?;
        }
        Ok(input)
    });
    stream
}

fn check_range(options: ReadStreamOptions) -> Result<(), Error> {
    match (options.start, options.end) {
        (Some(start), Some(end)) if start > end => {
            let problem = format!(
                "The value of \"start\" is out of range. It must be <= \"end\" (here: {end}). \
                 Received {start}"
            );
            Err(Error::new("ERR_OUT_OF_RANGE", problem))
        }
        _ => Ok(()),
    }
}

/// Writes a file as a stream, which truncates it: 'open', 'ready', 'drain', 'finish', 'close'; or
/// 'error' and 'close'. Writes wait until the file is open. A FIFO opens once it has a reader.
/// Until then the stream keeps the program alive, but no thread waits.
///
/// ```no_run
/// use oneloop::callback::{fs, run};
///
/// run(|| {
///     let copy = fs::create_write_stream("copy");
///     fs::create_read_stream("original").pipe(&copy);
///     copy.on_finish(|copy| println!("{} bytes copied", copy.bytes_written()));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_write_stream(path: impl AsRef<Path>) -> WriteStream {
    create_write_stream_with(path, WriteStreamOptions::default())
}

/// Writes a file as a stream, with options. For flags that Node does not know, 'error' reports
/// `ERR_INVALID_ARG_VALUE`, as in Node.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn create_write_stream_with(
    path: impl AsRef<Path>,
    options: WriteStreamOptions<'_>,
) -> WriteStream {
    let flags = handle::options(options.flags.unwrap_or("w"));
    let stream = WriteStream::new(&current(), Fd::Opening, options.high_water_mark);
    let (path, start) = (path.as_ref().to_owned(), options.start);
    stream.open(async move { open_output(path, flags?, start).await });
    stream
}

async fn open_input(path: PathBuf, start: Option<u64>) -> Result<Input, Error> {
    let mut options = OpenOptions::new();
    options.read(true);
    // libuv opens on a thread and reports from the poll of a later turn, however fast the thread
    // was.
    let file = in_later_turn(options.open(&path)).await;
    let file = file.map_err(|error| Error::file("open", error, Some(&path), None))?;
    let fd = opened(file, start).await;
    let input = fd.and_then(|fd| Input::from_fd(fd.into()));
    input.map_err(|error| Error::file("read", error, None, None))
}

async fn open_output(
    path: PathBuf,
    options: OpenOptions,
    start: Option<u64>,
) -> Result<Opened, Error> {
    let file = match in_later_turn(options.open(&path)).await {
        // fifo(7): opening the write end without a reader fails with ENXIO. Node blocks a thread of
        // its pool instead; four such FIFOs would stop all file access.
        Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
            return Ok(Opened::Unread(Box::pin(open_when_read(path))));
        }
        file => file.map_err(|error| Error::file("open", error, Some(&path), None))?,
    };
    let fd = opened(file, start).await;
    let output = fd.and_then(|fd| Output::from_fd(fd.into()));
    output
        .map(Opened::Output)
        .map_err(|error| Error::file("write", error, None, None))
}

/// Opens a FIFO once it has a reader.
async fn open_when_read(path: PathBuf) -> Result<Output, Error> {
    let writer = in_later_turn(PipeWriter::open_when_read(&path)).await;
    writer
        .map(Output::from)
        .map_err(|error| Error::file("open", error, Some(&path), None))
}

/// Moves a file to the start position, and takes it off the worker pool: the stream reads or writes
/// the fd itself.
async fn opened(file: File, start: Option<u64>) -> io::Result<std::fs::File> {
    if let Some(start) = start {
        file.seek(SeekFrom::Start(start)).await?;
    }
    file.into_std().await
}

//! The access log: a line for each connection that has ended.

use crate::close_reason::End;
use crate::counters::Moved;
use crate::line_writer::{LineSink, LineWriter};
use crate::options::Options;
use crate::options::process::LogFormat;
use jiff::Timestamp;
use oneloop::net::Addr;
use rustix::fs::OFlags;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// The name of standard output.
const STDOUT: &str = "-";

/// How often a file is compared with what its path names now.
const FOLLOW_TIME: Duration = Duration::from_secs(1);

/// The file of `--access-log`, which is open.
#[derive(Debug)]
pub(crate) struct AccessLogFile {
    destination: Destination,
    format: LogFormat,
}

#[derive(Debug)]
enum Destination {
    Stdout,
    File(FollowedFile),
}

impl AccessLogFile {
    /// Opens the file that the options name, if they name one.
    ///
    /// # Errors
    /// A sentence that says why it cannot be opened.
    pub(crate) fn open(options: &Options) -> Result<Option<Self>, String> {
        let Some(path) = &options.process.admin.access_log else {
            return Ok(None);
        };
        let destination = if path == STDOUT {
            Destination::Stdout
        } else {
            let path = Path::new(path);
            let file = FollowedFile::open(path).map_err(|error| {
                let setting = options.origins.setting("access_log");
                format!("{setting}: {}", cannot_open(path, &error))
            })?;
            Destination::File(file)
        };
        let format = options.process.admin.access_log_format;
        Ok(Some(AccessLogFile {
            destination,
            format,
        }))
    }

    /// Starts the thread that writes, once for the process.
    ///
    /// # Errors
    /// A sentence that says why there is no thread.
    pub(crate) fn start(self) -> Result<AccessLogWriter, String> {
        let mut destination = self.destination;
        let write = move |lines: &[u8]| match &mut destination {
            Destination::Stdout => {
                // Not `write_all`: what a full pipe has not taken must be counted as lost.
                let mut stdout = io::stdout().lock();
                let written = stdout.write(lines)?;
                stdout.flush()?;
                Ok(written)
            }
            Destination::File(file) => file.write(lines),
        };
        let writer = LineWriter::start("access-log", write);
        let cannot = |error| format!("cannot start the thread of the access log: {error}");
        let writer = writer.map_err(cannot)?;
        let _ = LINES.set(Lines {
            sink: writer.sink().clone(),
            format: self.format,
        });
        Ok(AccessLogWriter(writer))
    }
}

/// Where the lines go, once there is an access log.
static LINES: OnceLock<Lines> = OnceLock::new();

#[derive(Debug)]
struct Lines {
    sink: LineSink,
    format: LogFormat,
}

/// How many lines were lost so far.
pub(crate) fn lost_lines() -> u64 {
    LINES.get().map_or(0, |lines| lines.sink.lost())
}

fn cannot_open(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error)
    {
        Some(rustix::io::Errno::NXIO) => format!("cannot write '{path}': no program reads it"),
        _ => format!("cannot open '{path}': {error}"),
    }
}

/// A file that another program may move away, as logrotate(8) does: then the path is opened again.
/// No signal is needed for it.
#[derive(Debug)]
struct FollowedFile {
    path: PathBuf,
    file: File,
    /// When the file was last compared with its path.
    compared: Instant,
    /// When the last problem was logged; `None` once there is none.
    problem_logged: Option<Instant>,
}

impl FollowedFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(FollowedFile {
            path: path.to_owned(),
            file: open_to_append(path)?,
            compared: Instant::now(),
            problem_logged: None,
        })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.compared.elapsed() >= FOLLOW_TIME {
            self.compared = Instant::now();
            self.follow();
        }
        let written = self.file.write(lines);
        match &written {
            Ok(_) if self.problem_logged.take().is_some() => {
                info!(path = %self.path.display(), "the access log is written again");
            }
            Ok(_) => {}
            Err(error) if is_passing(error) => {}
            Err(error) => self.log_problem("cannot write the access log: lines are lost", error),
        }
        written
    }

    /// Opens the path again if it does not name this file any more.
    fn follow(&mut self) {
        let file = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let named = self.path.metadata().map(file);
        if named.is_ok_and(|named| self.file.metadata().is_ok_and(|own| file(own) == named)) {
            return;
        }
        match open_to_append(&self.path) {
            Ok(file) => self.file = file,
            // Rather a line in the old file than none.
            Err(error) => self.log_problem("cannot reopen the access log", &error),
        }
    }

    fn log_problem(&mut self, problem: &str, error: &io::Error) {
        let is_new = self
            .problem_logged
            .is_none_or(|logged| logged.elapsed() >= FOLLOW_TIME);
        if is_new {
            self.problem_logged = Some(Instant::now());
            warn!(path = %self.path.display(), %error, "{problem}");
        }
    }
}

fn open_to_append(path: &Path) -> io::Result<File> {
    // A FIFO without a reader must not block the start, nor a full one the thread's end.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(flags)
        .open(path)
}

/// True for an error after which the writer tries again.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

/// The thread that writes the access log. Its drop writes the last lines, and logs how many were
/// lost.
#[derive(Debug)]
pub(crate) struct AccessLogWriter(LineWriter);

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        let lost = self.0.sink().lost();
        if lost > 0 {
            warn!(lost, "lines of the access log were lost");
        }
    }
}

/// The access log of one service on one loop.
#[derive(Debug)]
pub(crate) struct AccessLog {
    lines: &'static Lines,
    service: String,
    mode: String,
    /// The connections that are open, by their numbers. A list beside them costs a connection
    /// nothing while there is no access log.
    open: RefCell<HashMap<u64, Begun>>,
}

#[derive(Debug)]
struct Begun {
    peer: Addr,
    at: Instant,
}

impl AccessLog {
    /// `None` if there is no access log.
    pub(crate) fn of(service: &str, mode: impl fmt::Display) -> Option<Self> {
        Some(AccessLog {
            lines: LINES.get()?,
            service: service.to_owned(),
            mode: mode.to_string(),
            open: RefCell::default(),
        })
    }

    /// Notes that a connection was accepted.
    pub(crate) fn begin(&self, number: u64, peer: Addr) {
        let at = Instant::now();
        self.open.borrow_mut().insert(number, Begun { peer, at });
    }

    /// Writes the line of a connection that has ended.
    pub(crate) fn end(&self, number: u64, end: End, moved: Option<Moved>) {
        let begun = self.open.borrow_mut().remove(&number);
        let Some(Begun { peer, at }) = begun else {
            return;
        };
        let entry = Entry {
            time: Timestamp::now(),
            number,
            peer: &peer.to_string(),
            service: &self.service,
            mode: &self.mode,
            moved,
            took: at.elapsed(),
            end,
        };
        let line = match self.lines.format {
            LogFormat::Text => format!("{entry}\n"),
            LogFormat::Json => format!("{}\n", entry.to_json()),
        };
        self.lines.sink.push(line.as_bytes());
    }
}

/// What a line says.
struct Entry<'a> {
    time: Timestamp,
    number: u64,
    peer: &'a str,
    service: &'a str,
    mode: &'a str,
    /// Not known for a connection whose task panicked.
    moved: Option<Moved>,
    took: Duration,
    end: End,
}

impl Entry<'_> {
    fn to_json(&self) -> Value {
        json!({
            "time": format!("{:.3}", self.time),
            "client": self.number,
            "peer": self.peer,
            "service": self.service,
            "mode": self.mode,
            "received": self.moved.map(|moved| moved.received),
            "sent": self.moved.map(|moved| moved.sent),
            "seconds": (self.took.as_secs_f64() * 1e6).round() / 1e6,
            "reason": self.end.name(),
        })
    }
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} client={}", self.time, self.number)?;
        write!(f, " peer={}", Word(self.peer))?;
        write!(f, " service={} mode={}", Word(self.service), self.mode)?;
        match self.moved {
            Some(Moved { received, sent }) => write!(f, " received={received} sent={sent}")?,
            None => f.write_str(" received=- sent=-")?,
        }
        let (seconds, reason) = (self.took.as_secs_f64(), self.end.name());
        write!(f, " seconds={seconds:.6} reason={reason}")
    }
}

/// A value in a line of text: in quotes where a reader could not find its end. A client chooses the
/// path of its Unix socket, which may hold a line feed.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '\\';
        if !self.0.is_empty() && self.0.chars().all(is_plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(peer: &str, moved: Option<Moved>) -> Entry<'_> {
        Entry {
            time: Timestamp::from_millisecond(1_700_000_000_123).unwrap(),
            number: 7,
            peer,
            service: "front door",
            mode: "echo",
            moved,
            took: Duration::from_millis(1500),
            end: End::IdleTimeout,
        }
    }

    #[test]
    fn a_line_of_text_has_a_word_for_each_value() {
        let (received, sent) = (12, 34);
        let line = entry("127.0.0.1:5", Some(Moved { received, sent })).to_string();
        assert_eq!(
            line,
            "2023-11-14T22:13:20.123Z client=7 peer=127.0.0.1:5 service=\"front door\" mode=echo \
             received=12 sent=34 seconds=1.500000 reason=idle_timeout"
        );
        let line = entry("unix:/tmp/a\nb \"c\"", None).to_string();
        assert!(line.contains(r#" peer="unix:/tmp/a\nb \"c\"" "#), "{line}");
        assert!(line.contains(" received=- sent=- "), "{line}");
    }

    #[test]
    fn a_line_of_json_is_an_object_in_one_line() {
        let json = entry("unix:/tmp/a\nb", None).to_json();
        assert_eq!(json["peer"], "unix:/tmp/a\nb");
        assert_eq!(
            (&json["received"], &json["seconds"]),
            (&Value::Null, &json!(1.5))
        );
        assert!(!json.to_string().contains('\n'));
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let moved = directory.path().join("access.log.1");
        let mut file = FollowedFile::open(&path).unwrap();
        file.write(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        file.write(b"two\n").unwrap();
        file.follow();
        file.write(b"three\n").unwrap();
        file.follow();
        file.write(b"four\n").unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        assert_eq!(
            (read(&moved), read(&path)),
            ("one\ntwo\n".into(), "three\nfour\n".into())
        );
        // A directory in its place cannot be written, so the lines stay where they were.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        file.follow();
        file.write(b"five\n").unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = FollowedFile::open(directory.path()).unwrap_err();
        assert!(cannot_open(directory.path(), &error).contains("Is a directory"));
        let error = io::Error::from(rustix::io::Errno::NXIO);
        let problem = cannot_open(Path::new("fifo"), &error);
        assert_eq!(problem, "cannot write 'fifo': no program reads it");
    }
}

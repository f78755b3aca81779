//! Files in the three styles: scenarios that note the same lines in each.

use oneloop::callback::fs::{EventType, FileHandle, FsWatcher, MkdirOptions, RmOptions};
use oneloop::callback::{self, IntoResult, Thrown, next_tick, set_immediate, set_timeout};
use oneloop::core::Phase;
use oneloop::green::Wait;
use oneloop::{EventLoop, Handle, Options, aio, green};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

#[allow(dead_code)] // its `main`
#[path = "../../examples/files.rs"]
mod example;

fn event_loop() -> EventLoop {
    EventLoop::with(Options::virtual_time()).unwrap()
}

/// The lines that a scenario notes.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn say(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn text(&self) -> String {
        self.0.borrow().join("\n")
    }
}

fn in_async<F: Future<Output = io::Result<()>>>(
    scenario: impl FnOnce(PathBuf, Log) -> F,
) -> String {
    let (dir, log) = (tempfile::tempdir().unwrap(), Log::default());
    let done = event_loop().block_on(scenario(dir.path().to_owned(), log.clone()));
    done.unwrap();
    log.text()
}

fn in_green(scenario: impl FnOnce(PathBuf, Log) -> io::Result<()> + 'static) -> String {
    let (dir, log) = (tempfile::tempdir().unwrap(), Log::default());
    let (path, inside) = (dir.path().to_owned(), log.clone());
    let done = green::run_on(&mut event_loop(), move || scenario(path, inside));
    done.unwrap().unwrap();
    log.text()
}

fn in_callbacks<O: IntoResult>(scenario: impl FnOnce(PathBuf, Log) -> O + 'static) -> String {
    let (dir, log) = (tempfile::tempdir().unwrap(), Log::default());
    let (path, inside) = (dir.path().to_owned(), log.clone());
    let code = callback::run_on(&mut event_loop(), move || scenario(path, inside));
    assert_eq!(code.unwrap(), 0);
    log.text()
}

/// The life of a file: created, written, read, renamed, removed.
mod life {
    use super::*;

    pub(super) const LINES: &str = "\
        written\nhello, world, and more: 22 bytes\ncopied\nrenamed\nlisted b, c\nremoved\nNotFound";

    pub(super) async fn in_async(dir: PathBuf, log: Log) -> io::Result<()> {
        use aio::fs::{self, OpenOptions};
        let name = |name: &str| dir.join(name);
        fs::write(name("a"), "hello, world").await?;
        log.say("written");
        let mut options = OpenOptions::new();
        let file = options.append(true).open(name("a")).await?;
        file.write_all(b", and more").await?;
        let text = fs::read_to_string(name("a")).await?;
        let bytes = fs::metadata(name("a")).await?.len();
        log.say(format!("{text}: {bytes} bytes"));
        fs::copy(name("a"), name("b")).await?;
        log.say("copied");
        fs::rename(name("a"), name("c")).await?;
        log.say("renamed");
        let mut entries = fs::read_dir(&dir).await?;
        let mut names = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        log.say(format!("listed {}", names.join(", ")));
        fs::remove_file(name("b")).await?;
        fs::remove_file(name("c")).await?;
        log.say("removed");
        let missing = fs::read(name("a")).await.unwrap_err();
        log.say(format!("{:?}", missing.kind()));
        Ok(())
    }

    pub(super) fn in_green(dir: PathBuf, log: Log) -> io::Result<()> {
        use green::fs::{self, File};
        let name = |name: &str| dir.join(name);
        fs::write(name("a"), "hello, world")?;
        log.say("written");
        let mut file = File::options().append(true).open(name("a"))?;
        write!(file, ", and more")?;
        let text = fs::read_to_string(name("a"))?;
        let bytes = fs::metadata(name("a"))?.len();
        log.say(format!("{text}: {bytes} bytes"));
        fs::copy(name("a"), name("b"))?;
        log.say("copied");
        fs::rename(name("a"), name("c"))?;
        log.say("renamed");
        let names =
            fs::read_dir(&dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        log.say(format!("listed {}", names.join(", ")));
        fs::remove_file(name("b"))?;
        fs::remove_file(name("c"))?;
        log.say("removed");
        let missing = fs::read(name("a")).unwrap_err();
        log.say(format!("{:?}", missing.kind()));
        Ok(())
    }

    pub(super) fn in_callbacks(dir: PathBuf, log: Log) {
        use callback::fs::promises as fs;
        drop(callback::spawn_micro(async move {
            let name = |name: &str| dir.join(name);
            fs::write_file(name("a"), "hello, world").await?;
            log.say("written");
            fs::append_file(name("a"), ", and more").await?;
            let text = String::from_utf8(fs::read_file(name("a")).await?).unwrap();
            let bytes = fs::stat(name("a")).await?.len();
            log.say(format!("{text}: {bytes} bytes"));
            fs::copy_file(name("a"), name("b")).await?;
            log.say("copied");
            fs::rename(name("a"), name("c")).await?;
            log.say("renamed");
            let names = fs::readdir(&dir).await?;
            let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
            log.say(format!("listed {}", names.join(", ")));
            fs::unlink(name("b")).await?;
            fs::rm(name("c")).await?;
            log.say("removed");
            let missing = io::Error::from(fs::read_file(name("a")).await.unwrap_err());
            log.say(format!("{:?}", missing.kind()));
            Ok::<_, callback::Error>(())
        }));
    }
}

/// Reads and writes at offsets and at the cursor, to the end of the file.
mod cursor {
    use super::*;

    pub(super) const LINES: &str = "012\nxy5\n3456789\nend\n10";

    pub(super) async fn in_async(dir: PathBuf, log: Log) -> io::Result<()> {
        let file = aio::fs::File::create_new(dir.join("a")).await?;
        file.write_all(b"0123456789").await?;
        file.rewind().await?;
        let mut three = [0; 3];
        file.read_exact(&mut three).await?;
        log.say(String::from_utf8_lossy(&three));
        file.write_all_at(b"xy", 3).await?;
        file.read_exact_at(&mut three, 3).await?;
        log.say(String::from_utf8_lossy(&three));
        file.write_all_at(b"34", 3).await?;
        let mut rest = String::new();
        file.read_to_string(&mut rest).await?;
        log.say(rest);
        assert_eq!(file.read(&mut three).await?, 0);
        log.say("end");
        log.say(file.stream_position().await?.to_string());
        Ok(())
    }

    pub(super) fn in_green(dir: PathBuf, log: Log) -> io::Result<()> {
        let mut file = green::fs::File::create_new(dir.join("a"))?;
        file.write_all(b"0123456789")?;
        file.rewind()?;
        let mut three = [0; 3];
        file.read_exact(&mut three)?;
        log.say(String::from_utf8_lossy(&three));
        file.write_all_at(b"xy", 3)?;
        file.read_exact_at(&mut three, 3)?;
        log.say(String::from_utf8_lossy(&three));
        file.write_all_at(b"34", 3)?;
        let mut rest = String::new();
        file.read_to_string(&mut rest)?;
        log.say(rest);
        assert_eq!(file.read(&mut three)?, 0);
        log.say("end");
        log.say(file.stream_position()?.to_string());
        Ok(())
    }

    type Continue = Result<(), Thrown>;

    pub(super) fn in_callbacks(dir: PathBuf, log: Log) -> Continue {
        let path = dir.join("a");
        std::fs::write(&path, "0123456789")?;
        callback::fs::open(path, "r+", move |file| {
            let file = file?;
            let inside = file.clone();
            file.read(vec![0; 3], None, move |read| {
                let (bytes, buffer) = read?;
                log.say(String::from_utf8_lossy(&buffer[..bytes]));
                write_there(inside, log);
                Continue::Ok(())
            });
            Continue::Ok(())
        })?;
        Ok(())
    }

    fn write_there(file: FileHandle, log: Log) {
        let inside = file.clone();
        file.write("xy", 3, move |written| {
            assert_eq!(written?.0, 2);
            let next = inside.clone();
            inside.read(vec![0; 3], 3, move |read| {
                log.say(String::from_utf8_lossy(&read?.1));
                let after = next.clone();
                next.write("34", 3, move |_| read_rest(after, log));
                Continue::Ok(())
            });
            Continue::Ok(())
        });
    }

    fn read_rest(file: FileHandle, log: Log) {
        let inside = file.clone();
        file.read(vec![0; 64], None, move |read| {
            let (bytes, buffer) = read?;
            log.say(String::from_utf8_lossy(&buffer[..bytes]));
            let next = inside.clone();
            inside.read(vec![0; 64], None, move |read| {
                assert_eq!(read?.0, 0);
                log.say("end");
                next.stat(move |metadata| {
                    log.say(metadata?.len().to_string());
                    Continue::Ok(())
                });
                next.close(|closed| closed);
                Continue::Ok(())
            });
            Continue::Ok(())
        });
    }
}

/// A directory tree that grows while it is watched.
mod watching {
    use super::*;
    use aio::fs::Change;

    pub(super) const LINES: &str = "a\na/b\na/b/file\na/b/file\na/b/moved";

    fn say(dir: &Path, change: Change, log: &Log) -> bool {
        let say = |path: &Path| log.say(path.strip_prefix(dir).unwrap().to_string_lossy());
        match change {
            Change::Created(path) => say(&path),
            Change::Renamed { from, to } => {
                say(&from);
                say(&to);
                return true;
            }
            other => panic!("{other:?}"),
        }
        false
    }

    pub(super) async fn in_async(dir: PathBuf, log: Log) -> io::Result<()> {
        use aio::fs::{self, WatchOptions, Watcher};
        let watcher = Watcher::new()?;
        watcher
            .watch(&dir, WatchOptions { recursive: true })
            .await?;
        let deep = dir.join("a/b");
        fs::create_dir_all(&deep).await?;
        fs::write(deep.join("file"), "").await?;
        fs::rename(deep.join("file"), deep.join("moved")).await?;
        // The thread may look before the rename or after it.
        let mut names = Vec::new();
        while names.last() != Some(&deep.join("moved")) {
            match watcher.next().await? {
                Change::Created(path) => names.push(path),
                Change::Renamed { from, to } => names.extend([from, to]),
                other => panic!("{other:?}"),
            }
        }
        assert!(names.starts_with(&[dir.join("a"), deep.clone()]));
        fs::remove_dir_all(dir.join("a")).await?;
        while watcher.next().await? != Change::Removed(dir.join("a")) {}
        for made in ["a", "a/b"] {
            fs::create_dir(dir.join(made)).await?;
            assert!(!say(&dir, watcher.next().await?, &log));
        }
        fs::write(deep.join("file"), "").await?;
        assert!(!say(&dir, watcher.next().await?, &log));
        fs::rename(deep.join("file"), deep.join("moved")).await?;
        assert!(say(&dir, watcher.next().await?, &log));
        Ok(())
    }

    pub(super) fn in_green(dir: PathBuf, log: Log) -> io::Result<()> {
        use green::fs::{self, WatchOptions, Watcher};
        let watcher = Watcher::new()?;
        watcher.watch(&dir, WatchOptions { recursive: true })?;
        let deep = dir.join("a/b");
        for made in ["a", "a/b"] {
            fs::create_dir(dir.join(made))?;
            assert!(!say(&dir, watcher.next()?, &log));
        }
        fs::write(deep.join("file"), "")?;
        assert!(!say(&dir, watcher.next()?, &log));
        let mover = green::spawn(move || fs::rename(deep.join("file"), deep.join("moved")));
        assert!(say(&dir, watcher.next()?, &log));
        mover.join().unwrap()
    }

    pub(super) fn in_callbacks(dir: PathBuf, log: Log) -> Result<(), Thrown> {
        use callback::fs::{self, WatchOptions};
        let watcher = Rc::<Cell<Option<FsWatcher>>>::default();
        let (inside, root) = (Rc::clone(&watcher), dir.clone());
        let options = WatchOptions {
            recursive: true,
            ..WatchOptions::default()
        };
        let watching = fs::watch_with(&dir, options, move |what, name| {
            assert_eq!(what, EventType::Rename);
            let name = name.unwrap();
            log.say(name.to_string_lossy());
            match name.to_str().unwrap() {
                "a" => fs::mkdir(root.join("a/b"), |made| made),
                "a/b" => fs::write_file(root.join("a/b/file"), "", |written| written),
                "a/b/file" if log.0.borrow().len() == 3 => {
                    let (from, to) = (root.join("a/b/file"), root.join("a/b/moved"));
                    fs::rename(from, to, |renamed| renamed);
                }
                "a/b/moved" => inside.take().expect("only this closes the watcher").close(),
                _ => {}
            }
        })?;
        watcher.set(Some(watching));
        fs::mkdir(dir.join("a"), |made| made);
        Ok(())
    }
}

#[test]
fn each_scenario_ends_alike_in_each_style() {
    let table = [
        (
            life::LINES,
            in_async(life::in_async),
            in_green(life::in_green),
            in_callbacks(life::in_callbacks),
        ),
        (
            cursor::LINES,
            in_async(cursor::in_async),
            in_green(cursor::in_green),
            in_callbacks(cursor::in_callbacks),
        ),
        (
            watching::LINES,
            in_async(watching::in_async),
            in_green(watching::in_green),
            in_callbacks(watching::in_callbacks),
        ),
    ];
    for (expected, in_async, in_green, in_callbacks) in table {
        assert_eq!(in_async, expected, "async");
        assert_eq!(in_green, expected, "green");
        assert_eq!(in_callbacks, expected, "callbacks");
    }
}

#[test]
fn the_example_prints_what_it_saw() {
    let log = Log::default();
    let inside = log.clone();
    example::files(move |line| inside.say(line)).unwrap();
    let expected = "\
        async: draft is there\nasync: draft is report now\n\
        green: draft is there\ngreen: draft is report now\n\
        callback: rename draft\ncallback: change draft\n\
        callback: rename draft\ncallback: rename report";
    assert_eq!(log.text(), expected);
}

#[test]
fn a_thousand_reads_at_once_in_each_style() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, vec![7; 10_000]).unwrap();
    let from = path.clone();
    let read = event_loop().block_on(async move {
        let reads: Vec<_> = (0..1000)
            .map(|_| aio::spawn(aio::fs::read(from.clone())))
            .collect();
        let mut bytes = 0;
        for read in reads {
            bytes += read.await.unwrap().unwrap().len();
        }
        bytes
    });
    assert_eq!(read, 10_000_000);

    let from = path.clone();
    let read = green::run_on(&mut event_loop(), move || {
        let group = green::Group::new();
        let reads: Vec<_> = (0..1000)
            .map(|_| {
                let from = from.clone();
                group.spawn(move || green::fs::read(from).unwrap().len())
            })
            .collect();
        reads
            .into_iter()
            .map(|read| read.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(read.unwrap(), 10_000_000);

    let bytes = Rc::new(Cell::new(0));
    let total = Rc::clone(&bytes);
    let main = move || {
        for _ in 0..1000 {
            let total = Rc::clone(&total);
            callback::fs::read_file(&path, move |read| {
                total.set(total.get() + read?.len());
                Ok::<_, callback::Error>(())
            });
        }
    };
    callback::run_on(&mut event_loop(), main).unwrap();
    assert_eq!(bytes.get(), 10_000_000);
}

#[test]
fn a_green_thread_that_is_killed_in_a_read_has_read_nothing() {
    in_green(|_, _| {
        let (pipe, mut sender) = io::pipe()?;
        let file = Rc::new(green::fs::File::from_std(
            std::os::fd::OwnedFd::from(pipe).into(),
        )?);
        let inside = Rc::clone(&file);
        let reader = green::spawn(move || inside.as_ref().read(&mut [0; 8]));
        green::yield_now();
        sender.write_all(b"kept")?;
        reader.kill();
        let mut buf = [0; 8];
        assert_eq!(file.as_ref().read(&mut buf)?, 4);
        assert_eq!(&buf[..4], b"kept");
        Ok(())
    });
}

#[test]
fn a_timeout_leaves_a_watcher_usable() {
    in_green(|dir, _| {
        let watcher = green::fs::Watcher::new()?;
        watcher.watch(&dir, green::fs::WatchOptions::default())?;
        for i in 0..3 {
            let waited = green::timeout(Duration::from_secs(1), || watcher.next());
            assert!(waited.is_err(), "no file changes");
            let path = dir.join(i.to_string());
            green::fs::create_dir(&path)?;
            assert_eq!(watcher.next()?, green::fs::Change::Created(path));
        }
        Ok(())
    });
}

#[test]
fn a_green_thread_can_wait_for_any_future_of_a_file() {
    in_green(|dir, _| {
        let access = oneloop::fs::Access {
            read: true,
            ..Default::default()
        };
        oneloop::fs::access(&dir, access).wait()
    });
}

#[test]
fn callbacks_run_in_the_poll_phase_after_immediates_of_the_same_turn() {
    let lines = in_callbacks(|dir, log| {
        let path = dir.join("a");
        std::fs::write(&path, "bytes").unwrap();
        let phase = || Handle::current().current_phase();
        let says = log.clone();
        callback::fs::read_file(&path, move |read| {
            assert_eq!((read.unwrap().len(), phase()), (5, Phase::Poll));
            says.say("read");
            let says_tick = says.clone();
            next_tick(move || says_tick.say("tick"));
            set_timeout(move || says.say("timeout"), 0);
        });
        let says = log.clone();
        set_immediate(move || says.say("immediate"));
        let says = log.clone();
        set_timeout(move || says.say("first timeout"), 0);
        next_tick(move || log.say("first tick"));
    });
    let expected = [
        "first tick",
        "first timeout",
        "immediate",
        "read",
        "tick",
        "timeout",
    ];
    // A timeout of 0 is one of 1 ms, and jobs of the pool may take longer or not.
    let without_timeout = |lines: &str| {
        let lines = lines.lines().filter(|line| *line != "first timeout");
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        without_timeout(&lines),
        without_timeout(&expected.join("\n"))
    );
}

#[test]
fn operations_on_a_closed_handle_fail_as_in_node() {
    let lines = in_callbacks(|dir, log| {
        std::fs::write(dir.join("a"), "bytes").unwrap();
        callback::fs::open(dir.join("a"), "r", move |file| {
            let file = file?;
            let says = log.clone();
            file.read(vec![0; 8], 0, move |read| {
                says.say(format!("read {}", read.unwrap().0))
            });
            let says = log.clone();
            file.close(move |closed| says.say(format!("closed {}", closed.is_ok())));
            let says = log.clone();
            file.read(vec![0; 8], 0, move |read| {
                says.say(read.unwrap_err().to_string())
            });
            file.close(move |closed| log.say(closed.unwrap_err().to_string()));
            Ok::<_, callback::Error>(())
        })
        .unwrap();
    });
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort();
    let expected = [
        "EBADF: bad file descriptor, close",
        "EBADF: bad file descriptor, read",
        "closed true",
        "read 5",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn errors_of_callbacks_have_the_texts_of_node() {
    let lines = in_callbacks(|_, log| {
        let say = move |log: &Log| {
            let log = log.clone();
            move |result: Result<(), callback::Error>| {
                let error = result.unwrap_err();
                log.say(format!(
                    "{error} | {:?} {:?}",
                    error.code(),
                    error.syscall()
                ));
            }
        };
        for flags in ["z", "", "w+x", "wxx", "rx"] {
            let invalid = callback::fs::open("/", flags, |_| ()).unwrap_err();
            assert_eq!(invalid.code(), Some("ERR_INVALID_ARG_VALUE"));
        }
        let watched = callback::fs::watch("/no", |_, _| ()).unwrap_err();
        let expected = "ENOENT: no such file or directory, watch '/no'";
        assert_eq!(watched.message(), expected);
        let note = say(&log);
        let options = MkdirOptions::default();
        callback::fs::mkdir_with("/", options, move |result| {
            note(result);
            let note = say(&log);
            callback::fs::rename("/no", "/where", move |result| {
                note(result);
                let note = say(&log);
                callback::fs::rm_with("/no", RmOptions::default(), move |result| {
                    note(result);
                    callback::fs::read_file("/", move |result| say(&log)(result.map(drop)));
                });
            });
        });
    });
    let expected = "\
        EEXIST: file already exists, mkdir '/' | Some(\"EEXIST\") Some(\"mkdir\")\n\
        ENOENT: no such file or directory, rename '/no' -> '/where' | Some(\"ENOENT\") Some(\"rename\")\n\
        ENOENT: no such file or directory, lstat '/no' | Some(\"ENOENT\") Some(\"lstat\")\n\
        EISDIR: illegal operation on a directory, read | Some(\"EISDIR\") Some(\"read\")";
    assert_eq!(lines, expected);
}

#[test]
fn a_program_that_ends_leaves_no_watcher_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut event_loop = event_loop();
    let main = move || {
        callback::fs::watch(&path, |_, _| ())?;
        callback::fs::stat(&path, |_| -> ! { callback::process::exit(3) });
        Ok::<_, callback::Error>(())
    };
    assert_eq!(callback::run_on(&mut event_loop, main).unwrap(), 3);
    assert_eq!(callback::run_on(&mut event_loop, || ()).unwrap(), 0);
    assert!(!event_loop.is_alive());
}

#[test]
fn callback_operations_may_start_before_the_loop_runs() {
    let dir = tempfile::tempdir().unwrap();
    let mut event_loop = event_loop();
    let entered = callback::enter(&event_loop.handle());
    let read_bytes = Rc::new(Cell::new(0));
    let (made, watched) = (Rc::clone(&read_bytes), Rc::clone(&read_bytes));
    let watcher = callback::fs::watch(dir.path(), move |_, _| watched.set(watched.get() + 1));
    let watcher = watcher.unwrap();
    callback::fs::mkdir(dir.path().join("a"), move |result| {
        made.set(made.get() + 10);
        set_immediate(move || watcher.close());
        result
    });
    event_loop.run().unwrap();
    assert_eq!((read_bytes.get(), entered.exit_code()), (11, None));
}

#[test]
fn a_watcher_that_is_not_persistent_lets_the_program_end() {
    in_callbacks(|dir, _| {
        let options = callback::fs::WatchOptions {
            persistent: false,
            ..Default::default()
        };
        callback::fs::watch_with(&dir, options, |_, _| ())?;
        callback::fs::watch(&dir, |_, _| ())?.unref();
        Ok::<_, callback::Error>(())
    });
}

#[test]
fn an_overflow_of_events_is_a_change_without_a_name() {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 200_000 {
        return eprintln!("skipped: the kernel keeps {limit} events");
    }
    in_callbacks(move |dir, _| {
        let watcher = Rc::<Cell<Option<FsWatcher>>>::default();
        let inside = Rc::clone(&watcher);
        let watching = callback::fs::watch(&dir, move |what, name| {
            if name.is_none() {
                assert_eq!(what, EventType::Rename);
                inside
                    .take()
                    .expect("the watcher reports this once")
                    .close();
            }
        })?;
        watcher.set(Some(watching));
        std::fs::write(dir.join("a"), "")?;
        for _ in 0..limit / 4 + 100 {
            std::fs::rename(dir.join("a"), dir.join("b"))?;
            std::fs::rename(dir.join("b"), dir.join("a"))?;
        }
        Ok::<_, Thrown>(())
    });
}

fn unreachable(why: &str) {
    panic!("{why}")
}

/// Bytes that show their offset.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn a_stream_of_a_file_pipes_into_another_file_whole() {
    let sent = pattern(3 << 20);
    let bytes = sent.clone();
    let lines = in_callbacks(move |dir, log| {
        let (from, to) = (dir.join("from"), dir.join("to"));
        std::fs::write(&from, &bytes)?;
        let writer = callback::fs::create_write_stream(&to);
        callback::fs::create_read_stream(&from).pipe(&writer);
        writer.on_finish(move |writer| log.say(writer.bytes_written().to_string()));
        writer.on_close(move |_| assert!(std::fs::read(&to).unwrap() == bytes));
        Ok::<_, std::io::Error>(())
    });
    assert_eq!(lines, sent.len().to_string());
}

#[test]
fn a_stream_of_a_file_emits_what_that_of_node_emits() {
    let lines = in_callbacks(move |dir, log| {
        let path = dir.join("letters");
        let writer = callback::fs::create_write_stream(&path);
        let [open, finish, close, written] = [(); 4].map(|()| log.clone());
        writer.on_open(move |_| open.say("open"));
        writer.on_finish(move |writer| finish.say(format!("finish {}", writer.bytes_written())));
        writer.write_then("abcdefghij", move |result| {
            written.say(format!("{result:?}"));
        });
        writer.end();
        writer.on_close(move |_| {
            close.say("close");
            read_back(&path, &close);
        });
    });
    let expected = "open\nOk(())\nfinish 10\nclose\nopen\nready\nabcdefghij\nend\nclose 10";
    assert_eq!(lines, expected);

    fn read_back(path: &Path, log: &Log) {
        let options = callback::fs::ReadStreamOptions {
            high_water_mark: Some(4),
            ..Default::default()
        };
        let reader = callback::fs::create_read_stream_with(path, options);
        let [open, ready, data, end, close] = [(); 5].map(|()| log.clone());
        reader.on_open(move |_| open.say("open"));
        reader.on_ready(move |_| ready.say("ready"));
        let letters = Rc::new(RefCell::new(Vec::new()));
        let all = Rc::clone(&letters);
        reader.on_data(move |_, bytes| {
            assert!(bytes.len() <= 4, "no chunk is above the mark");
            letters.borrow_mut().extend_from_slice(bytes);
        });
        reader.on_end(move |_| {
            data.say(String::from_utf8_lossy(&all.borrow()));
            end.say("end");
        });
        reader.on_close(move |reader| close.say(format!("close {}", reader.bytes_read())));
    }
}

#[test]
fn a_stream_of_a_part_reads_and_writes_that_part() {
    use callback::fs::{ReadStreamOptions, WriteStreamOptions};
    let lines = in_callbacks(move |dir, log| {
        let path = dir.join("letters");
        std::fs::write(&path, "abcdefghij").unwrap();
        let amid = WriteStreamOptions {
            flags: Some("r+"),
            start: Some(3),
            ..Default::default()
        };
        let writer = callback::fs::create_write_stream_with(&path, amid);
        writer.end_with("DEF");
        writer.on_close(move |_| {
            let behind = WriteStreamOptions {
                flags: Some("a"),
                ..Default::default()
            };
            let writer = callback::fs::create_write_stream_with(&path, behind);
            writer.end_with("KL");
            let (path, log) = (path.clone(), log.clone());
            writer.on_close(move |_| {
                log.say(std::fs::read_to_string(&path).unwrap());
                let part = ReadStreamOptions {
                    start: Some(2),
                    end: Some(6),
                    ..Default::default()
                };
                let log = log.clone();
                callback::fs::create_read_stream_with(&path, part)
                    .on_data(move |_, bytes| log.say(String::from_utf8_lossy(bytes)));
                Ok::<_, callback::Error>(())
            });
            Ok::<_, callback::Error>(())
        });
        let backwards = ReadStreamOptions {
            start: Some(5),
            end: Some(1),
            ..Default::default()
        };
        let unknown = WriteStreamOptions {
            flags: Some("x"),
            ..Default::default()
        };
        // Errors of the options are emitted, as all others are.
        callback::fs::create_read_stream_with("/", backwards)
            .on_error(|_, error| assert_eq!(error.code(), Some("ERR_OUT_OF_RANGE")));
        callback::fs::create_write_stream_with("/", unknown)
            .on_error(|_, error| assert_eq!(error.code(), Some("ERR_INVALID_ARG_VALUE")));
        Ok::<_, callback::Error>(())
    });
    assert_eq!(lines, "abcDEFghijKL\ncDEFg");
}

#[test]
fn a_stream_of_a_file_that_cannot_be_opened_emits_error_and_close() {
    let lines = in_callbacks(move |_, log| {
        let reader = callback::fs::create_read_stream("/no/such/file");
        let [of_reader, closed, of_writer, written, ended, at_last] = [(); 6].map(|()| log.clone());
        reader.on_data(|_, _| unreachable("there is nothing to read"));
        reader.on_error(move |_, error| of_reader.say(error.message()));
        reader.on_close(move |_| {
            closed.say("close");
            let writer = callback::fs::create_write_stream("/no/such/dir/file");
            let [of_writer, written, ended, at_last] =
                [&of_writer, &written, &ended, &at_last].map(Clone::clone);
            writer.on_error(move |_, error| of_writer.say(error.message()));
            writer.on_close(move |_| at_last.say("close"));
            writer.write_then("lost", move |result| {
                written.say(result.unwrap_err().code().unwrap());
            });
            writer.end_then(move |result| ended.say(result.unwrap_err().code().unwrap()));
        });
    });
    let expected = "ENOENT: no such file or directory, open '/no/such/file'\nclose\nENOENT\nENOENT\n\
        ENOENT: no such file or directory, open '/no/such/dir/file'\nclose";
    assert_eq!(lines, expected);
}

#[test]
fn a_paused_stream_of_a_file_reads_nothing_until_it_resumes() {
    let lines = in_callbacks(move |dir, log| {
        let path = dir.join("large");
        std::fs::write(&path, pattern(1 << 20)).unwrap();
        let reader = callback::fs::create_read_stream(&path);
        reader.on_data(|reader, _| {
            let again = reader.clone();
            let before = reader.bytes_read();
            reader.pause();
            let go_on = move || {
                assert_eq!(again.bytes_read(), before, "the stream is paused");
                again.resume();
            };
            set_timeout(go_on, 1);
        });
        reader.on_end(move |reader| log.say(reader.bytes_read().to_string()));
    });
    assert_eq!(lines, (1 << 20).to_string());
}

#[test]
fn a_destroyed_stream_of_a_file_emits_only_close() {
    let lines = in_callbacks(move |dir, log| {
        let path = dir.join("large");
        std::fs::write(&path, pattern(1 << 20)).unwrap();
        let at_once = callback::fs::create_read_stream(&path);
        at_once.on_data(|_, _| unreachable("a destroyed stream emits no data"));
        at_once.destroy();
        at_once.on_close(move |_| {
            log.say("first");
            let amid = callback::fs::create_read_stream(&path);
            let [data, closed] = [(); 2].map(|()| log.clone());
            amid.on_data(move |amid, _| {
                data.say("data");
                amid.destroy();
            });
            amid.on_end(|_| unreachable("it was given up"));
            amid.on_close(move |_| closed.say("second"));
        });
    });
    assert_eq!(lines, "first\ndata\nsecond");
}

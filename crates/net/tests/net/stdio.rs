//! Standard streams keep their flags and lose no byte, and the terminal gets its mode back.
//!
//! Children of this test program act on their own standard streams: a test starts one of the
//! functions in `CHILDREN`.

use crate::harness::MS;
use oneloop::aio::{Elapsed, block_on, sleep, spawn, stdin, stdout, timeout};
use oneloop::callback::{self, process};
use oneloop::net::{ReadHalf, Tty, WriteHalf, is_tty, reset_tty_mode};
use oneloop::{EventLoop, green, net};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::env;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The variable that names the function that a child process runs.
const CHILD: &str = "ONELOOP_TEST_CHILD";

const CHILDREN: [(&str, fn()); 9] = [
    ("copy", copy),
    ("give up", give_up),
    ("write much", write_much),
    ("write and exit", write_and_exit),
    ("callback raw", callback_raw),
    ("paused", paused),
    ("no reader", no_reader),
    ("flags", flags),
    ("callback pipe", callback_pipe),
];

/// Not a test: the entry point of the children.
#[test]
fn child() {
    let Some(name) = env::var_os(CHILD) else {
        return;
    };
    let (_, run) = CHILDREN.iter().find(|(other, _)| name == *other).unwrap();
    run();
    std::process::exit(0); // before the harness prints more
}

fn start(name: &str, stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Child {
    Command::new(env::current_exe().unwrap())
        // With one test thread, the harness would print the name of the test first.
        .args(["--exact", "stdio::child", "--nocapture", "--test-threads=2"])
        .env(CHILD, name)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The child's output, without the lines that the harness prints first.
fn finish(child: Child) -> Vec<u8> {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
    without_noise(&output.stdout).to_vec()
}

fn without_noise(output: &[u8]) -> &[u8] {
    let noise = b"\nrunning 1 test\n";
    output.strip_prefix(noise).unwrap_or(output)
}

fn file_with(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// Bytes in which no two pieces are equal.
fn pattern(count: usize) -> Vec<u8> {
    (0..count as u32 / 4).flat_map(u32::to_be_bytes).collect()
}

fn flags_of(fd: impl AsFd) -> OFlags {
    fcntl_getfl(fd).unwrap() - OFlags::from_bits_retain(0o100000) // the kernel adds O_LARGEFILE
}

// The functions of the children.

fn copy() {
    block_on(async {
        let (stdin, stdout) = (stdin()?, stdout()?);
        while let Some(chunk) = stdin.read_chunk().await? {
            stdout.write_all(&chunk).await?;
        }
        stdout.flush().await
    })
    .unwrap();
}

/// Cancels reads again and again, and still copies the whole input.
fn give_up() {
    block_on(async {
        let (input, stdout) = (stdin().unwrap(), stdout().unwrap());
        let mut buf = [0; 1000];
        loop {
            for attempt in 0..3 {
                let mut other = [0; 7];
                match timeout(Duration::ZERO, input.read(&mut other)).await {
                    Ok(count) => stdout.write_all(&other[..count.unwrap()]).await.unwrap(),
                    Err(Elapsed) if attempt == 2 => {} // the thread may still read
                    Err(Elapsed) => sleep(MS / 10).await, // the thread may read meanwhile
                }
            }
            // Another input continues at the same byte.
            let again = stdin().unwrap();
            match again.read(&mut buf).await.unwrap() {
                0 => break,
                count => stdout.write_all(&buf[..count]).await.unwrap(),
            }
        }
        stdout.flush().await.unwrap();
    });
}

const MUCH: usize = 20 << 20;

fn write_much() {
    callback::run(|| {
        let bytes = pattern(MUCH);
        let mut chunks = bytes
            .chunks(1 << 20)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>();
        chunks.reverse();
        let chunks = std::cell::RefCell::new(chunks);
        let write = move || {
            while let Some(chunk) = { chunks.borrow_mut().pop() } {
                if !process::stdout().write(chunk) {
                    return;
                }
            }
        };
        write();
        process::stdout().on_drain(move |_| write());
    })
    .unwrap();
}

/// Exits right after a write, which is not lost.
fn write_and_exit() {
    let code = callback::run(|| {
        for piece in pattern(1 << 20).chunks(100_000) {
            process::stdout().write(piece);
        }
        process::exit(7);
    });
    assert_eq!(code.unwrap(), 7);
}

/// Raw mode ends with the program.
fn callback_raw() {
    let code = callback::run(|| {
        let stdin = process::stdin();
        assert!(stdin.is_tty());
        stdin.set_raw_mode(true).unwrap();
        assert!(stdin.is_raw() && is_raw(io::stdin()));
        stdin.on_data(|_, bytes| {
            assert_eq!(bytes, b"\x03", "^C is a byte");
            process::exit(5);
        });
        process::stdout().write("ready");
    });
    assert_eq!(code.unwrap(), 5);
    assert!(!is_raw(io::stdin()), "the mode is restored");
    print!("restored");
}

/// Pipes standard input to standard output, whose end leaves it open.
fn callback_pipe() {
    let code = callback::run(|| {
        let (stdin, stdout) = (process::stdin(), process::stdout());
        stdin.pipe(&stdout);
        stdin.on_end(move |_| {
            let still = stdout.clone();
            stdout.end_with(" and").end_then(move |result| {
                result.unwrap();
                callback::set_immediate(move || {
                    still.write(" more");
                });
            });
        });
    });
    assert_eq!(code.unwrap(), 0);
}

/// A paused input does not keep the program alive.
fn paused() {
    let code = callback::run(|| {
        process::stdin().on_data(|stdin, bytes| {
            process::stdout().write(bytes);
            stdin.pause();
            callback::set_timeout(
                || {
                    process::stdout().write(" and no more");
                },
                1,
            );
        });
    });
    assert_eq!(code.unwrap(), 0);
}

/// Writes to a pipe without a reader, which cannot be reopened.
fn no_reader() {
    println!("go");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    let error = block_on(async { stdout()?.write_all(b"lost").await });
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// Checks that the flags stay the same during and after reads and writes.
fn flags() {
    let before = [flags_of(io::stdin()), flags_of(io::stdout())];
    block_on(async {
        let (stdin, stdout) = (stdin().unwrap(), stdout().unwrap());
        let mut buf = [0; 100];
        let count = stdin.read(&mut buf).await.unwrap();
        stdout.write_all(&buf[..count]).await.unwrap();
        stdout.flush().await.unwrap();
        assert_eq!([flags_of(io::stdin()), flags_of(io::stdout())], before);
    });
    assert_eq!([flags_of(io::stdin()), flags_of(io::stdout())], before);
    assert!(!before[0].contains(OFlags::NONBLOCK));
}

// The tests.

#[test]
fn the_whole_input_is_copied_for_each_kind_of_fd() {
    let bytes = pattern(3 << 20);
    let mut out = tempfile::tempfile().unwrap();
    // From a file into a file, at positions that the child shares with this process.
    let mut input = file_with(&bytes);
    input.seek(io::SeekFrom::Start(40)).unwrap();
    let child = start("copy", input.try_clone().unwrap(), out.try_clone().unwrap());
    finish(child);
    assert_eq!(input.stream_position().unwrap(), bytes.len() as u64);
    let mut copied = Vec::new();
    out.rewind().unwrap();
    out.read_to_end(&mut copied).unwrap();
    assert!(without_noise(&copied) == &bytes[40..]);
    // Through pipes, and sockets.
    let mut child = start("copy", Stdio::piped(), Stdio::piped());
    let mut pipe = child.stdin.take().unwrap();
    let written = bytes.clone();
    std::thread::spawn(move || pipe.write_all(&written));
    assert!(finish(child) == bytes);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    let child = start("copy", theirs.try_clone().unwrap(), theirs);
    let (mut writer, written) = (ours.try_clone().unwrap(), bytes.clone());
    std::thread::spawn(move || {
        writer.write_all(&written).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut copied = Vec::new();
    let mut ours = ours;
    ours.read_to_end(&mut copied).unwrap();
    finish(child);
    assert!(without_noise(&copied) == bytes);
}

#[test]
fn piping_standard_input_to_standard_output_does_not_end_the_output() {
    let bytes = pattern(1 << 20);
    let expected = [&bytes[..], b" and more"].concat();
    let mut child = start("callback pipe", Stdio::piped(), Stdio::piped());
    let mut pipe = child.stdin.take().unwrap();
    let written = bytes.clone();
    std::thread::spawn(move || pipe.write_all(&written));
    assert!(finish(child) == expected, "pipes");
    let mut out = tempfile::tempfile().unwrap();
    let to_it = out.try_clone().unwrap();
    finish(start("callback pipe", file_with(&bytes), to_it));
    let mut copied = Vec::new();
    out.rewind().unwrap();
    out.read_to_end(&mut copied).unwrap();
    assert!(without_noise(&copied) == expected, "files");
}

#[test]
fn a_canceled_read_leaves_its_bytes_to_the_next() {
    let bytes = pattern(300_000);
    let child = start("give up", file_with(&bytes), Stdio::piped());
    assert!(finish(child) == bytes, "a file");
    let mut child = start("give up", Stdio::piped(), Stdio::piped());
    let mut pipe = child.stdin.take().unwrap();
    let written = bytes.clone();
    std::thread::spawn(move || {
        for piece in written.chunks(10_000) {
            pipe.write_all(piece).unwrap();
            std::thread::yield_now();
        }
    });
    assert!(finish(child) == bytes, "a pipe");
}

#[test]
fn a_slow_reader_gets_every_byte() {
    let mut child = start("write much", Stdio::null(), Stdio::piped());
    let mut stdout = child.stdout.take().unwrap();
    let mut all = Vec::new();
    let mut buf = vec![0; 100_000];
    loop {
        match stdout.read(&mut buf).unwrap() {
            0 => break,
            count => all.extend_from_slice(&buf[..count]),
        }
        std::thread::yield_now();
    }
    finish(child);
    assert!(without_noise(&all) == pattern(MUCH));
}

#[test]
fn an_exit_loses_no_written_byte() {
    let child = start("write and exit", Stdio::null(), Stdio::piped());
    assert!(finish(child) == pattern(1 << 20), "a pipe");
    let mut out = tempfile::tempfile().unwrap();
    finish(start(
        "write and exit",
        Stdio::null(),
        out.try_clone().unwrap(),
    ));
    let mut written = Vec::new();
    out.rewind().unwrap();
    out.read_to_end(&mut written).unwrap();
    assert!(without_noise(&written) == pattern(1 << 20), "a file");
}

#[test]
fn a_full_disk_is_an_error() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return eprintln!("skipped: there is no /dev/full");
    };
    let child = start("copy", file_with(b"too much"), full);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("No space left on device"), "{stderr}");
}

#[test]
fn the_flags_of_shared_fds_stay_unchanged() {
    let mut child = start("flags", file_with(b"x"), tempfile::tempfile().unwrap());
    assert!(child.wait().unwrap().success(), "files");

    let (reader, mut writer) = io::pipe().unwrap();
    let (kept, written) = (reader.try_clone().unwrap(), io::pipe().unwrap());
    let kept_out = written.1.try_clone().unwrap();
    let before = [flags_of(&kept), flags_of(&kept_out)];
    writer.write_all(b"x").unwrap();
    finish(start("flags", reader, written.1));
    assert_eq!([flags_of(kept), flags_of(kept_out)], before, "pipes");

    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let (kept, theirs) = (theirs.try_clone().unwrap(), OwnedFd::from(theirs));
    ours.write_all(b"x").unwrap();
    let before = flags_of(&kept);
    finish(start("flags", theirs.try_clone().unwrap(), theirs));
    assert_eq!(flags_of(kept), before, "sockets");

    let (mut master, slave) = terminal();
    master.write_all(b"x\n").unwrap();
    let before = flags_of(&slave);
    let [stdin, stdout] = [slave.try_clone().unwrap(), slave.try_clone().unwrap()];
    finish(start("flags", stdin, stdout));
    assert_eq!(flags_of(&slave), before, "terminals");

    // Reopening a master would make another terminal, so each read is careful instead.
    File::from(slave.try_clone().unwrap())
        .write_all(b"x\n")
        .unwrap();
    let before = flags_of(&master);
    let child = start("flags", master.try_clone().unwrap(), Stdio::piped());
    assert!(finish(child).starts_with(b"x"));
    assert_eq!(flags_of(&master), before, "a terminal's other side");
}

#[test]
fn a_write_to_a_pipe_without_a_reader_is_a_broken_pipe() {
    let (reader, writer) = io::pipe().unwrap();
    let mut child = start("no reader", Stdio::piped(), writer);
    // The harness of the child writes its own lines first.
    let mut lines = BufReader::new(reader).lines();
    assert!(lines.any(|line| line.unwrap() == "go"));
    drop(lines);
    drop(child.stdin.take());
    finish(child);
}

#[test]
fn a_paused_input_does_not_keep_the_program_alive() {
    let mut child = start("paused", Stdio::piped(), Stdio::piped());
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"first").unwrap();
    let output = finish(child); // although the pipe is still open
    drop(pipe);
    assert_eq!(String::from_utf8(output).unwrap(), "first and no more");
}

/// A pseudo-terminal: bytes written to the master are typed at the slave.
fn terminal() -> (File, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    (master.into(), slave)
}

/// Reads the terminal's output until it contains the text.
fn read_until(master: &mut File, shown: &mut Vec<u8>, text: &str) {
    let mut buf = [0; 100];
    while !String::from_utf8_lossy(shown).contains(text) {
        let bound = Timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        let ready = poll(&mut [PollFd::new(master, PollFlags::IN)], Some(&bound));
        assert_eq!(ready, Ok(1), "{:?}", String::from_utf8_lossy(shown));
        let count = master.read(&mut buf).unwrap();
        shown.extend_from_slice(&buf[..count]);
    }
}

fn is_raw(fd: impl AsFd) -> bool {
    let mode = tcgetattr(fd).unwrap().local_modes;
    !mode.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

#[test]
fn a_terminal_is_read_line_by_line_and_in_raw_mode_key_by_key() {
    let (mut master, slave) = terminal();
    let mut event_loop = EventLoop::new().unwrap();
    let tty = event_loop.enter(|| Tty::from_shared_fd(&slave)).unwrap();
    assert!(is_tty(&slave) && !is_tty(tempfile::tempfile().unwrap()));
    event_loop.block_on(async {
        let mut buf = [0; 100];
        // Both lines arrive before the first read, which makes one edge.
        master.write_all(b"one\ntwo\nthr").unwrap();
        for line in ["one\n", "two\n"] {
            let mut got = Vec::new();
            while got.len() < line.len() {
                let count = poll_fn(|cx| tty.poll_read(cx, &mut buf)).await.unwrap();
                got.extend_from_slice(&buf[..count]);
            }
            assert_eq!(got, line.as_bytes());
        }
        let raw = tty.raw_mode().unwrap();
        let again = tty.raw_mode().unwrap();
        assert!(is_raw(&slave));
        master.write_all(b"\x03").unwrap();
        let mut keys = Vec::new();
        while keys.len() < 4 {
            let count = poll_fn(|cx| tty.poll_read(cx, &mut buf)).await.unwrap();
            keys.extend_from_slice(&buf[..count]);
        }
        assert_eq!(keys, b"thr\x03");
        drop(raw);
        assert!(is_raw(&slave), "another guard still lives");
        drop(again);
        assert!(!is_raw(&slave));
        // Written bytes appear at the master.
        poll_fn(|cx| tty.poll_write(cx, b"shown")).await.unwrap();
    });
    read_until(&mut master, &mut Vec::new(), "shown");
}

#[test]
fn the_terminal_mode_is_restored_whatever_ends_the_guard() {
    let (_master, slave) = terminal();
    let enter = || net::RawMode::enter(&slave).unwrap();
    // A panic.
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _raw = enter();
        assert!(is_raw(&slave));
        std::panic::resume_unwind(Box::new("in raw mode"));
    }));
    assert!(panicked.is_err() && !is_raw(&slave));
    // A dropped loop whose task owns the guard.
    block_on(async {
        let raw = enter();
        spawn(async move {
            let _raw = raw;
            std::future::pending::<()>().await;
        });
        oneloop::core::yield_now().await;
        assert!(is_raw(&slave));
    });
    assert!(!is_raw(&slave));
    // A green thread that is killed.
    let duplicate = slave.try_clone().unwrap();
    green::run(move || {
        let thread = green::spawn(move || {
            let _raw = net::RawMode::enter(&duplicate).unwrap();
            green::sleep(Duration::from_secs(1000));
        });
        green::yield_now();
        thread.kill();
    })
    .unwrap();
    assert!(!is_raw(&slave));
    // An end without drops.
    let raw = enter();
    reset_tty_mode().unwrap();
    assert!(!is_raw(&slave));
    drop(raw);
    assert!(!is_raw(&slave));
}

#[test]
fn a_callback_program_restores_the_terminal_mode() {
    let (mut master, slave) = terminal();
    let [stdin, stdout] = [slave.try_clone().unwrap(), slave.try_clone().unwrap()];
    let child = start("callback raw", stdin, stdout);
    let mut shown = Vec::new();
    read_until(&mut master, &mut shown, "ready");
    master.write_all(b"\x03").unwrap();
    read_until(&mut master, &mut shown, "restored");
    finish(child);
    assert!(!is_raw(&slave));
}

#[test]
fn a_terminal_reports_its_size() {
    let (master, slave) = terminal();
    let size = Winsize {
        ws_col: 132,
        ws_row: 50,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).unwrap();
    let size = net::window_size(&slave).unwrap();
    assert_eq!((size.columns, size.rows), (132, 50));
    assert!(net::window_size(tempfile::tempfile().unwrap()).is_err());
    let mut event_loop = EventLoop::new().unwrap();
    let tty = event_loop.enter(|| Tty::from_shared_fd(&slave)).unwrap();
    assert_eq!(tty.window_size().unwrap(), size);
    let file = tempfile::tempfile().unwrap();
    assert!(event_loop.enter(|| Tty::from_shared_fd(&file)).is_err());
    event_loop.block_on(async {});
}

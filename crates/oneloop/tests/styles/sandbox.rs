//! A program in a sandbox that refuses a system call which it can do without. Each scenario is a
//! test. One test runs the scenarios again under strace, which refuses the call in place of a
//! sandbox.

use oneloop::aio::{Outgoing, PipeWriter, RecvBatch, UdpSocket, block_on, sleep};
use oneloop::callback::{self, child_process};
use oneloop::core::Class;
use oneloop::net::{Input, Output, ReadHalf, WriteHalf, copy, send_file};
use oneloop::process::{Command, Stdio};
use oneloop::{EventLoop, Handle, fs, green, net};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use std::cell::Cell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{env, process, thread};

const MS: Duration = Duration::from_millis(1);
const BYTES: usize = 3_000_000;

fn pattern() -> Vec<u8> {
    (0..BYTES).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// System calls, and the scenario that must work without each. It may be slower, but not wrong.
const REFUSED: [(&str, &str); 17] = [
    ("splice", "many_bytes_are_copied"),
    ("sendfile", "a_file_is_sent"),
    ("preadv2", "a_file_is_sent"),
    ("preadv2", "a_file_is_read"),
    ("preadv2,pwritev2", "a_terminal_is_read_and_written"),
    ("sendmmsg", "datagrams_go_in_batches"),
    ("recvmmsg", "datagrams_go_in_batches"),
    ("sendmmsg,recvmmsg", "datagrams_go_in_batches"),
    ("epoll_pwait2", "time_passes"),
    ("epoll_wait", "many_bytes_are_copied"),
    ("madvise", "green_threads_get_stacks"),
    ("inotify_init1", "a_fifo_is_opened_once_it_has_a_reader"),
    ("inotify_init1", "a_watch_that_is_refused_says_why"),
    ("pidfd_open", "children_run_in_every_style"),
    ("pidfd_send_signal", "children_run_in_every_style"),
    ("waitid", "children_run_in_every_style"),
    (
        "pidfd_open,pidfd_send_signal",
        "a_missing_program_is_an_error",
    ),
];

#[test]
fn each_scenario_works_where_its_system_call_is_refused() {
    if env::var_os(INSIDE).is_some() {
        return;
    }
    for (calls, scenario) in REFUSED {
        for error in ["EPERM", "ENOSYS"] {
            let log = tempfile::NamedTempFile::new().unwrap();
            let mut strace = process::Command::new("strace");
            strace.args(["-f", "-q", "-o"]).arg(log.path());
            strace.args(["-e", &format!("trace={calls}")]);
            strace.args(["-e", &format!("inject={calls}:error={error}")]);
            strace.arg(env::current_exe().unwrap());
            strace
                .args(["--exact", &format!("sandbox::{scenario}")])
                .env(INSIDE, "1");
            let output = match strace.output() {
                Ok(output) if has_traced(&output) => output,
                other => {
                    return eprintln!("skipped: no strace here, or it may not trace: {other:?}");
                }
            };
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("1 passed"), "{error} of {calls}: {text}");
            let log = std::fs::read_to_string(log.path()).unwrap();
            assert!(log.contains("(INJECTED)"), "{calls}: {log}");
        }
    }
}

/// Set in the process that runs a scenario under strace.
const INSIDE: &str = "ONELOOP_TEST_IS_INSIDE";

fn has_traced(output: &process::Output) -> bool {
    String::from_utf8_lossy(&output.stdout).contains("running 1 test")
}

/// Opens a TCP connection with one end on a loop.
async fn connection() -> (net::TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = net::TcpStream::connect(listener.local_addr().unwrap());
    (stream.await.unwrap(), listener.accept().unwrap().0)
}

#[test]
fn many_bytes_are_copied() {
    block_on(async {
        let (from, mut writer) = connection().await;
        let (to, mut reader) = connection().await;
        let writing = thread::spawn(move || writer.write_all(&pattern()).unwrap());
        let reading = thread::spawn(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            received
        });
        assert_eq!(copy(&from, &to).await.unwrap(), BYTES as u64);
        drop(to);
        writing.join().unwrap();
        assert!(reading.join().unwrap() == pattern());
    });
}

#[test]
fn a_file_is_sent() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&pattern()).unwrap();
    block_on(async {
        let (to, mut reader) = connection().await;
        let reading = thread::spawn(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            received
        });
        let sent = send_file(&file, 0..u64::MAX, &to).await.unwrap();
        assert_eq!(sent, BYTES as u64);
        drop(to);
        assert!(reading.join().unwrap() == pattern());
    });
}

#[test]
fn a_file_is_read() {
    let mut named = tempfile::NamedTempFile::new().unwrap();
    named.write_all(&pattern()).unwrap();
    block_on(async {
        let file = fs::File::open(named.path()).await.unwrap();
        let mut read = Vec::new();
        file.read_to_end(&mut read).await.unwrap();
        assert!(read == pattern());
    });
}

#[test]
fn a_terminal_is_read_and_written() {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let mut slave = File::from(ioctl_tiocgptpeer(&master, flags).unwrap());
    let mut event_loop = EventLoop::new().unwrap();
    // The master of a pseudo-terminal cannot be reopened, so its file description stays as it is.
    let duplicate = master.try_clone().unwrap();
    let output = event_loop.enter(|| Output::from_fd(duplicate)).unwrap();
    let input = event_loop.enter(|| Input::from_fd(master)).unwrap();
    event_loop.block_on(async {
        let shown = thread::spawn(move || {
            slave.write_all(b"shown\n").unwrap();
            let mut typed = [0; 6];
            slave.read_exact(&mut typed).unwrap();
            (typed, slave)
        });
        let mut seen = Vec::new();
        let mut buf = [0; 100];
        while !seen.ends_with(b"shown\r\n") {
            let count = poll_fn(|cx| input.poll_read(cx, &mut buf)).await.unwrap();
            seen.extend_from_slice(&buf[..count]);
        }
        poll_fn(|cx| output.poll_write(cx, b"typed\n"))
            .await
            .unwrap();
        assert_eq!(&shown.join().unwrap().0, b"typed\n");
    });
}

#[test]
fn datagrams_go_in_batches() {
    block_on(async {
        let bind = || UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let (a, server) = (bind(), bind());
        let to = server.local_addr().unwrap();
        let texts: Vec<_> = (0..20).map(|n| format!("datagram {n}")).collect();
        let outgoing = texts.iter().map(|text| Outgoing::to(to, text.as_bytes()));
        let outgoing: Vec<_> = outgoing.collect();
        let mut sent = 0;
        while sent < outgoing.len() {
            sent += a.send_batch(&outgoing[sent..]).await.unwrap();
        }
        let mut batch = RecvBatch::new(64, 32);
        let mut received = Vec::new();
        while received.len() < texts.len() {
            server.recv_batch(&mut batch).await.unwrap();
            received.extend(batch.iter().map(|one| {
                assert_eq!(one.from, a.local_addr().unwrap());
                String::from_utf8(one.bytes.to_vec()).unwrap()
            }));
        }
        assert_eq!(received, texts);
    });
}

#[test]
fn time_passes() {
    block_on(async {
        let began = Instant::now();
        for _ in 0..20 {
            sleep(MS / 2).await;
        }
        assert!(began.elapsed() >= 10 * MS);
        // Half a millisecond takes epoll_pwait2. A wait without a timeout takes epoll_wait.
        let job = Handle::current().offload_to(Class::Fs, || ());
        job.await.unwrap();
    });
}

#[test]
fn green_threads_get_stacks() {
    let sum = green::run(|| {
        let threads: Vec<_> = (0..100).map(|n| green::spawn(move || n)).collect();
        let ends = threads.into_iter().map(|thread| thread.join().unwrap());
        ends.sum::<u64>()
    });
    assert_eq!(sum.unwrap(), 4950);
}

#[test]
fn a_fifo_is_opened_once_it_has_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    mkfifoat(CWD, &path, Mode::RWXU).unwrap();
    block_on(async {
        let reader = {
            let path = path.clone();
            thread::spawn(move || {
                let mut text = String::new();
                File::open(path)?.read_to_string(&mut text)?;
                io::Result::Ok(text)
            })
        };
        let writer = PipeWriter::open_when_read(&path).await.unwrap();
        writer.write_all(b"at last").await.unwrap();
        drop(writer);
        assert_eq!(reader.join().unwrap().unwrap(), "at last");
    });
}

#[test]
fn a_watch_that_is_refused_says_why() {
    block_on(async {
        match fs::Watcher::new() {
            Ok(_) => assert!(env::var_os(INSIDE).is_none()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.to_string().contains("inotify(7)"), "{error}");
            }
        }
    });
}

/// Writes to one child, receives the status of another, and kills one with its group.
#[test]
fn children_run_in_every_style() {
    block_on(async {
        let mut tr = Command::new("tr");
        let output = tr
            .args(["a-z", "A-Z"])
            .input("hello")
            .output()
            .await
            .unwrap();
        assert_eq!(output.stdout, b"HELLO");
        let mut sh = Command::new("sh");
        let status = sh.args(["-c", "exit 7"]).status().await.unwrap();
        assert_eq!(status.code(), Some(7));
        let mut cat = Command::new("cat");
        let mut child = cat.stdin(Stdio::piped()).process_group(0).spawn().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        child.signal_group(15).unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(15));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        child.kill().unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(9));
        child.kill().unwrap(); // no error for a child that has ended
        child.signal(15).unwrap_err();
        let mut late = Command::new("sleep");
        let output = late.arg("60").timeout(20 * MS).output().await.unwrap();
        assert_eq!(output.status.signal(), Some(9));
    });
    let status = green::run(|| {
        let mut sh = Command::new("sh").into_style::<green::process::Green>();
        sh.args(["-c", "exit 7"]).status().unwrap()
    });
    assert_eq!(status.unwrap().code(), Some(7));
    let received = Rc::new(Cell::new(None));
    let reported = Rc::clone(&received);
    let code = callback::run(move || {
        let child = child_process::spawn("sh", ["-c", "exit 7"])?;
        child.on_exit(move |_, code, signal| reported.set(Some((code, signal))));
        Ok::<_, child_process::Error>(())
    });
    assert_eq!((code.unwrap(), received.get()), (0, Some((Some(7), None))));
}

#[test]
fn a_missing_program_is_an_error() {
    block_on(async {
        for open_files_max in [None, Some(64)] {
            let mut command = Command::new("/nowhere/program");
            if let Some(count) = open_files_max {
                command.open_files_max(count);
            }
            assert_eq!(command.spawn().unwrap_err().kind(), ErrorKind::NotFound);
        }
        let status = Command::new("true").status().await.unwrap();
        assert!(status.success());
    });
}

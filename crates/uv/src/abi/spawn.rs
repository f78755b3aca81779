//! `uv_spawn`: from the fork to the exec.

use super::buffers::socket_pair;
use super::fd::{borrow, own};
use super::live::Live;
use crate::children;
use crate::error::{self, code};
use crate::layout::{ExitCallback, Loop, Process, Stream, flag, kind};
use crate::stream;
use libc::{c_char, c_int, c_uint, gid_t, pid_t, uid_t};
use rustix::io::{Errno, ioctl_fionbio};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, IntoRawFd as _, OwnedFd, RawFd};
use std::{ptr, slice};

/// libuv's `uv_stdio_container_t`.
#[repr(C)]
struct Stdio {
    flags: c_int,
    data: StdioData,
}

#[repr(C)]
#[derive(Clone, Copy)]
union StdioData {
    stream: Option<Live<Stream>>,
    fd: c_int,
}

/// libuv's `uv_process_options_t`.
#[repr(C)]
struct Options {
    exit_callback: Option<ExitCallback>,
    file: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    directory: *const c_char,
    flags: c_uint,
    stdio_count: c_int,
    stdio: *const Stdio,
    uid: uid_t,
    gid: gid_t,
}

const _: () = assert!(size_of::<Stdio>() == 16);
const _: () = assert!(size_of::<Options>() == 64);

// `uv_stdio_flags`.
const CREATE_PIPE: c_int = 1;
const INHERIT_FD: c_int = 2;
const INHERIT_STREAM: c_int = 4;
const READABLE_PIPE: c_int = 0x10;
const WRITABLE_PIPE: c_int = 0x20;

// `uv_process_flags`; all others have a meaning on Windows only.
const SETUID: c_uint = 1;
const SETGID: c_uint = 2;
const DETACHED: c_uint = 8;
const ALL_FLAGS: c_uint = 0xff;

/// The fds that a child always has: 0, 1 and 2.
const STANDARD: usize = 3;

/// What the child gets as one of its fds.
enum Given {
    Nothing,
    /// The child's end of a pipe, and the parent's end for this stream.
    Pipe(OwnedFd, OwnedFd, Live<Stream>, c_int),
    Fd(RawFd),
}

impl Given {
    fn new(stdio: &Stdio) -> Result<Self, Errno> {
        match stdio.flags & (CREATE_PIPE | INHERIT_FD | INHERIT_STREAM) {
            0 => Ok(Given::Nothing),
            CREATE_PIPE => {
                // SAFETY: the flag says that a stream is there.
                let stream = unsafe { stdio.data.stream }.ok_or(Errno::INVAL)?;
                if stream.handle.kind.get() != kind::NAMED_PIPE {
                    return Err(Errno::INVAL);
                }
                let [ours, theirs] = socket_pair(libc::SOCK_STREAM, 0, [0, 0])?;
                Ok(Given::Pipe(theirs, ours, stream, stdio.flags))
            }
            INHERIT_FD => {
                // SAFETY: the flag says that an fd is there.
                inherited(unsafe { stdio.data.fd })
            }
            INHERIT_STREAM => {
                // SAFETY: the flag says that a stream is there.
                let stream = unsafe { stdio.data.stream }.ok_or(Errno::INVAL)?;
                inherited(stream.fd.get())
            }
            _ => Err(Errno::INVAL),
        }
    }

    /// The fd in this process that the child inherits; -1 if there is none.
    fn fd(&self) -> RawFd {
        match self {
            Given::Nothing => -1,
            Given::Pipe(theirs, ..) => theirs.as_raw_fd(),
            Given::Fd(fd) => *fd,
        }
    }

    /// Gives the parent's end of a pipe to its stream.
    fn open(self) -> Result<(), Errno> {
        let Given::Pipe(_, ours, stream, flags) = self else {
            return Ok(());
        };
        ioctl_fionbio(&ours, true)?;
        let mut access = 0;
        // The flags say what the child does.
        if flags & READABLE_PIPE != 0 {
            access |= flag::WRITABLE;
        }
        if flags & WRITABLE_PIPE != 0 {
            access |= flag::READABLE;
        }
        if stream.fd.get() != -1 {
            return Err(Errno::BUSY);
        }
        stream::open(stream, ours.into_raw_fd(), access)
    }
}

fn inherited(fd: RawFd) -> Result<Given, Errno> {
    if fd < 0 {
        return Err(Errno::INVAL);
    }
    Ok(Given::Fd(fd))
}

#[unsafe(no_mangle)]
extern "C" fn uv_spawn(of: Live<Loop>, process: Live<Process>, options: &Options) -> c_int {
    children::begin(of, process);
    if options.file.is_null() || options.arguments.is_null() || options.flags & !ALL_FLAGS != 0 {
        return -libc::EINVAL;
    }
    code(spawn(of, process, options))
}

fn spawn(of: Live<Loop>, process: Live<Process>, options: &Options) -> Result<(), Errno> {
    let stdio = match usize::try_from(options.stdio_count) {
        Ok(count) if count > 0 && !options.stdio.is_null() => {
            // SAFETY: the caller's options have that many.
            unsafe { slice::from_raw_parts(options.stdio, count) }
        }
        _ => &[],
    };
    let given = stdio
        .iter()
        .map(Given::new)
        .collect::<Result<Vec<_>, _>>()?;
    children::listen(&of.state())?;
    let mut fds: Vec<RawFd> = given.iter().map(Given::fd).collect();
    fds.resize(fds.len().max(STANDARD), -1);
    let (reader, writer) = error_pipe(fds.len())?;
    let forked = fork(options, &mut fds, writer.as_raw_fd());
    drop(writer);
    let pid = forked?;
    // An end without bytes: the exec has closed the child's end.
    if let Some(error) = read_error(&reader) {
        reap(pid);
        return Err(error);
    }
    children::start(process, pid, options.exit_callback);
    given.into_iter().try_for_each(Given::open)
}

/// A pipe over which the child tells why it could not run. No fd of the child's program has the
/// number of its write end.
fn error_pipe(fds: usize) -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut pair = [MaybeUninit::<c_int>::uninit(); 2];
    // SAFETY: there is room for two.
    if unsafe { libc::pipe2(pair.as_mut_ptr().cast(), libc::O_CLOEXEC) } != 0 {
        return Err(Errno::from_raw_os_error(-error::last()));
    }
    // SAFETY: pipe2(2) has filled them in.
    let [reader, writer] = pair.map(|fd| own(unsafe { fd.assume_init() }));
    let writer = rustix::io::fcntl_dupfd_cloexec(writer, fds as RawFd)?;
    Ok((reader, writer))
}

fn read_error(reader: &OwnedFd) -> Option<Errno> {
    let mut bytes = [0; size_of::<c_int>()];
    let mut count = 0;
    while count < bytes.len() {
        match rustix::io::read(reader, &mut bytes[count..]) {
            Ok(0) => return None,
            Ok(more) => count += more,
            Err(Errno::INTR) => {}
            Err(error) => return Some(error),
        }
    }
    Some(Errno::from_raw_os_error(c_int::from_ne_bytes(bytes)))
}

/// Waits for a child that could not run.
fn reap(pid: pid_t) {
    let mut status = 0;
    // SAFETY: there is room for the status.
    while unsafe { libc::waitpid(pid, &mut status, 0) } == -1 && error::last() == -libc::EINTR {}
}

/// Forks, and runs the program in the child. Returns the child's number in the parent.
fn fork(options: &Options, fds: &mut [RawFd], errors: RawFd) -> Result<pid_t, Errno> {
    let mut all = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // A handler of this program must not run in the child, where it would find the parent's loop.
    // SAFETY: both masks are written.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: it is filled in, and there is room for the one before.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: the child only calls what is safe in signal handlers, until it executes a program or
    // ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: this is the child.
        unsafe { run(options, fds, errors) };
    }
    let result = if pid == -1 {
        Err(Errno::from_raw_os_error(-error::last()))
    } else {
        Ok(pid)
    };
    // SAFETY: pthread_sigmask(3) has filled it in.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    result
}

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// The last signal that is reset. Those behind it are the real-time signals.
const SIGNALS: c_int = 31;

/// The child: it becomes the program, or tells the parent why it does not.
///
/// # Safety
/// This is a forked child, and its signals are blocked.
unsafe fn run(options: &Options, fds: &mut [RawFd], errors: RawFd) -> ! {
    // SAFETY: see above. All of these are safe in signal handlers.
    unsafe {
        for signal in
            (1..=SIGNALS).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal))
        {
            libc::signal(signal, libc::SIG_DFL);
        }
        if options.flags & DETACHED != 0 {
            libc::setsid();
        }
        give(fds, errors);
        if !options.directory.is_null() && libc::chdir(options.directory) != 0 {
            fail(errors);
        }
        if options.flags & (SETUID | SETGID) != 0 {
            // Without the rights for it, the program keeps its groups.
            libc::setgroups(0, ptr::null());
        }
        if options.flags & SETGID != 0 && libc::setgid(options.gid) != 0 {
            fail(errors);
        }
        if options.flags & SETUID != 0 && libc::setuid(options.uid) != 0 {
            fail(errors);
        }
        if !options.environment.is_null() {
            environ = options.environment; // the search for the program uses its PATH
        }
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        libc::execvp(options.file, options.arguments);
        fail(errors)
    }
}

/// Gives the child its fds: each index becomes the fd that is there.
///
/// # Safety
/// This is a forked child.
unsafe fn give(fds: &mut [RawFd], errors: RawFd) {
    let count = fds.len() as c_int;
    // SAFETY: see above. fcntl(2), dup2(2), open(2) and close(2) of a bad number fail.
    unsafe {
        // Those that would be overwritten before they are given move out of the way.
        for (target, fd) in (0..).zip(fds.iter_mut()) {
            if *fd >= 0 && *fd < target {
                *fd = libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, count);
                if *fd == -1 {
                    fail(errors);
                }
            }
        }
        for (target, fd) in (0..).zip(fds.iter()) {
            if *fd == -1 {
                // The standard ones are always there.
                if target < STANDARD as c_int {
                    give_null(target, errors);
                }
                continue;
            }
            let given = if *fd == target {
                let flags = libc::fcntl(*fd, libc::F_GETFD);
                libc::fcntl(*fd, libc::F_SETFD, flags & !libc::FD_CLOEXEC)
            } else {
                libc::dup2(*fd, target)
            };
            if given == -1 {
                fail(errors);
            }
            // Most programs expect their standard streams to block.
            if target < STANDARD as c_int {
                let flags = libc::fcntl(target, libc::F_GETFL);
                libc::fcntl(target, libc::F_SETFL, flags & !libc::O_NONBLOCK);
            }
        }
    }
}

/// Gives the child `/dev/null`.
///
/// # Safety
/// This is a forked child.
unsafe fn give_null(target: c_int, errors: RawFd) {
    let flags = if target == 0 {
        libc::O_RDONLY
    } else {
        libc::O_RDWR
    };
    // SAFETY: the path ends with NUL; see above for the others.
    unsafe {
        libc::close(target); // so that the file gets its number, unless a lower one is free
        let fd = libc::open(c"/dev/null".as_ptr(), flags);
        if fd == -1 || (fd != target && libc::dup2(fd, target) == -1) {
            fail(errors);
        }
        if fd != target {
            libc::close(fd);
        }
    }
}

/// Tells the parent why the child cannot run, and ends it.
///
/// # Safety
/// This is a forked child.
unsafe fn fail(errors: RawFd) -> ! {
    let error = -error::last();
    let _ = rustix::io::write(borrow(errors), &error.to_ne_bytes());
    // SAFETY: _exit(2) has no conditions.
    unsafe { libc::_exit(127) }
}

#[unsafe(no_mangle)]
extern "C" fn uv_process_get_pid(process: Live<Process>) -> pid_t {
    process.pid.get()
}

#[unsafe(no_mangle)]
extern "C" fn uv_process_kill(process: Live<Process>, signal: c_int) -> c_int {
    let pid = process.pid.get();
    // 0 is the group of this process, for kill(2).
    if pid <= 0 {
        return -libc::ESRCH;
    }
    // SAFETY: kill(2) has no conditions.
    error::number_or(unsafe { libc::kill(pid, signal) })
}

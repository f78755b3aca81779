//! The modes of terminals, by libc's functions: their `struct termios` is part of `uv_tty_t`.

use crate::error;
use crate::layout::Tty;
use crate::tty::mode;
use libc::{c_int, termios};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

const WORDS: usize = 15;
const _: () = assert!(size_of::<termios>() == WORDS * size_of::<u32>());

/// The terminal whose mode was changed first, and its mode before. The lock is a flag, as
/// `uv_tty_reset_mode` may be called in signal handlers.
struct First {
    is_locked: AtomicBool,
    fd: AtomicI32,
    original: [AtomicU32; WORDS],
}

static FIRST: First = First {
    is_locked: AtomicBool::new(false),
    fd: AtomicI32::new(-1),
    original: [const { AtomicU32::new(0) }; WORDS],
};

impl First {
    fn try_lock(&self) -> bool {
        !self.is_locked.swap(true, Ordering::Acquire)
    }

    fn lock(&self) {
        while !self.try_lock() {
            std::hint::spin_loop();
        }
    }

    fn unlock(&self) {
        self.is_locked.store(false, Ordering::Release);
    }
}

fn result(code: c_int) -> Result<(), Errno> {
    if code == 0 {
        return Ok(());
    }
    Err(Errno::from_raw_os_error(-error::last()))
}

/// Remembers the mode of a terminal in its handle, and for the end of the program.
pub(crate) fn remember(fd: RawFd, tty: &Tty) -> Result<(), Errno> {
    let mut current = MaybeUninit::<[u32; WORDS]>::uninit();
    // SAFETY: there is room for a `termios`.
    result(unsafe { libc::tcgetattr(fd, current.as_mut_ptr().cast()) })?;
    // SAFETY: tcgetattr(3) has filled it in.
    let current = unsafe { current.assume_init() };
    FIRST.lock();
    let is_first = FIRST.fd.load(Ordering::Relaxed) == -1;
    for (index, word) in current.into_iter().enumerate() {
        tty.original[index].set(word);
        if is_first {
            FIRST.original[index].store(word, Ordering::Relaxed);
        }
    }
    if is_first {
        FIRST.fd.store(fd, Ordering::Relaxed);
    }
    FIRST.unlock();
    Ok(())
}

/// Changes the mode of a terminal, once all output is written.
pub(crate) fn apply(fd: RawFd, tty: &Tty, to: c_int) -> Result<(), Errno> {
    let original = std::array::from_fn::<u32, WORDS, _>(|index| tty.original[index].get());
    // SAFETY: `remember` has filled it in.
    let mut new = unsafe { std::mem::transmute::<[u32; WORDS], termios>(original) };
    match to {
        mode::RAW | mode::RAW_VT => {
            new.c_iflag &= !(libc::BRKINT | libc::ICRNL | libc::INPCK | libc::ISTRIP | libc::IXON);
            new.c_oflag |= libc::ONLCR;
            new.c_cflag |= libc::CS8;
            new.c_lflag &= !(libc::ECHO | libc::ICANON | libc::IEXTEN | libc::ISIG);
            new.c_cc[libc::VMIN] = 1;
            new.c_cc[libc::VTIME] = 0;
        }
        // SAFETY: it is filled in.
        mode::IO => unsafe { libc::cfmakeraw(&mut new) },
        _ => {}
    }
    // SAFETY: it is filled in.
    result(unsafe { libc::tcsetattr(fd, libc::TCSADRAIN, &new) })
}

/// Opens a terminal again, so that what is set for the new fd does not change for other programs.
/// Returns the new fd; the old one becomes the new file as well. `None` if that fails.
pub(crate) fn reopen(fd: RawFd) -> Option<RawFd> {
    let mut pair: c_int = 0;
    // A master has a number for its slave, and opening it again would make another pair.
    // SAFETY: there is room for the number.
    if unsafe { libc::ioctl(fd, libc::TIOCGPTN, &mut pair) } == 0 {
        return None;
    }
    let mut path = [0; 256];
    // SAFETY: there is that much room.
    if unsafe { libc::ttyname_r(fd, path.as_mut_ptr(), path.len()) } != 0 {
        return None;
    }
    // SAFETY: fcntl(2) of a number that is no fd fails.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_ACCMODE;
    let flags = mode | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path ends with NUL.
    let new = unsafe { libc::open(path.as_ptr(), flags) };
    if new < 0 {
        return None;
    }
    // SAFETY: fcntl(2) of a number that is no fd fails.
    let is_inherited = unsafe { libc::fcntl(fd, libc::F_GETFD) } & libc::FD_CLOEXEC == 0;
    let flags = if is_inherited { 0 } else { libc::O_CLOEXEC };
    // SAFETY: both are open fds.
    if unsafe { libc::dup3(new, fd, flags) } < 0 {
        // SAFETY: it was just opened.
        unsafe { libc::close(new) };
        return None;
    }
    Some(new)
}

/// The columns and rows of a terminal.
pub(super) fn size(fd: RawFd) -> Result<(c_int, c_int), Errno> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: there is room for the size.
    result(unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, size.as_mut_ptr()) })?;
    // SAFETY: zeros are a size.
    let size = unsafe { size.assume_init() };
    Ok((size.ws_col.into(), size.ws_row.into()))
}

/// Forgets a terminal that is closed.
pub(crate) fn forget(fd: RawFd) {
    FIRST.lock();
    let _ = FIRST
        .fd
        .compare_exchange(fd, -1, Ordering::Relaxed, Ordering::Relaxed);
    FIRST.unlock();
}

/// Restores the mode of the terminal whose mode was changed first. May be called in signal
/// handlers.
#[unsafe(no_mangle)]
extern "C" fn uv_tty_reset_mode() -> c_int {
    // SAFETY: errno is this thread's.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *place };
    if !FIRST.try_lock() {
        return -libc::EBUSY; // it is being changed
    }
    let fd = FIRST.fd.load(Ordering::Relaxed);
    let mut code = 0;
    if fd != -1 {
        let words = std::array::from_fn::<u32, WORDS, _>(|index| {
            FIRST.original[index].load(Ordering::Relaxed)
        });
        // SAFETY: `remember` has filled it in.
        if unsafe { libc::tcsetattr(fd, libc::TCSANOW, words.as_ptr().cast()) } != 0 {
            code = error::last();
        }
    }
    FIRST.unlock();
    // SAFETY: as above.
    unsafe { *place = before };
    code
}

//! Terminals.
#![forbid(unsafe_code)]

use crate::abi::fd::borrow;
use crate::abi::guess::guess;
use crate::abi::live::Live;
use crate::abi::terminal;
use crate::layout::{Loop, Tty, flag, kind};
use crate::{pipe, stream};
use rustix::io::{Errno, ioctl_fionbio};
use std::ffi::c_int;
use std::os::fd::RawFd;

/// `uv_tty_mode_t`.
pub(crate) mod mode {
    use std::ffi::c_int;

    pub(crate) const NORMAL: c_int = 0;
    pub(crate) const RAW: c_int = 1;
    pub(crate) const IO: c_int = 2;
    pub(crate) const RAW_VT: c_int = 3;
}

/// Begins a terminal, or a pipe or socket that stands in for one.
pub(crate) fn begin(owner: Live<Loop>, tty: Live<Tty>, fd: RawFd) -> Result<(), Errno> {
    let kind = guess(fd);
    if kind == kind::FILE || kind == 0 {
        return Err(Errno::INVAL);
    }
    let mut flags = pipe::access(fd)?;
    let mut fd = fd;
    if kind == kind::TTY {
        // Non-blocking is what all fds of one open(2) are. Opened again, it does not change for
        // the other programs at this terminal.
        match terminal::reopen(fd) {
            Some(own) => fd = own,
            None if flags & flag::WRITABLE != 0 => flags |= flag::BLOCKING_WRITES,
            None => {}
        }
    }
    if flags & flag::BLOCKING_WRITES == 0 {
        ioctl_fionbio(borrow(fd), true)?;
    }
    let stream = tty.as_stream();
    stream::begin(owner, stream, kind::TTY);
    tty.mode.set(mode::NORMAL);
    stream::open(stream, fd, flags)
}

pub(crate) fn set_mode(tty: Live<Tty>, to: c_int) -> Result<(), Errno> {
    let from = tty.mode.get();
    if from == to {
        return Ok(());
    }
    if !(mode::NORMAL..=mode::RAW_VT).contains(&to) {
        return Err(Errno::INVAL);
    }
    let fd = tty.stream.fd.get();
    if fd == -1 {
        return Err(Errno::BADF);
    }
    if from == mode::NORMAL {
        terminal::remember(fd, &tty)?;
    }
    terminal::apply(fd, &tty, to)?;
    tty.mode.set(to);
    Ok(())
}

/// Forgets the mode that the end of the program would restore.
pub(crate) fn forget_mode(fd: RawFd) {
    terminal::forget(fd);
}

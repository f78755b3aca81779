//! The room that the kernel has for what a socket sends. No safe crate has `SO_MEMINFO`.

use libc::{SK_MEMINFO_SNDBUF, SK_MEMINFO_WMEM_ALLOC, SK_MEMINFO_WMEM_QUEUED};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `SK_MEMINFO_VARS`: the number of figures.
const FIGURES: usize = 9;

/// The number of bytes that the kernel can still hold for the peer of a socket. They include its
/// own bookkeeping, so that a little less of the data fits.
///
/// # Errors
/// Those of `getsockopt(2)`: `ENOTSOCK`, and `ENOPROTOOPT` before Linux 4.12.
pub fn send_room(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut figures = [0_u32; FIGURES];
    let mut len = size_of_val(&figures) as libc::socklen_t;
    // SAFETY: the fd is borrowed, so it is open; the kernel writes at most `len` bytes, the size of
    // `figures`; and any bits are a valid u32.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    let figure = |index: libc::c_int| figures[index as usize];
    // TCP counts queued bytes, and other sockets only allocated ones: whichever is more is used.
    let used = figure(SK_MEMINFO_WMEM_ALLOC).max(figure(SK_MEMINFO_WMEM_QUEUED));
    Ok(figure(SK_MEMINFO_SNDBUF).saturating_sub(used) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    /// The room before anything is sent, when the kernel takes no more, and after the peer has read
    /// all.
    fn rooms<S: AsFd>(
        sender: &S,
        mut send: impl FnMut() -> bool,
        read: impl FnOnce(),
    ) -> [usize; 3] {
        let room = || send_room(sender.as_fd()).unwrap();
        let before = room();
        while send() {}
        let full = room();
        read();
        [before, full, room()]
    }

    #[test]
    fn unread_bytes_of_a_unix_peer_take_room() {
        let (mut sender, mut receiver) = UnixStream::pair().unwrap();
        sender.set_nonblocking(true).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let other_end = sender.try_clone().unwrap();
        let send = || sender.write(&[0; 4096]).is_ok();
        let read = || while receiver.read(&mut [0; 4096]).is_ok() {};
        let [before, full, after] = rooms(&other_end, send, read);
        assert!(before > 16 * 1024, "{before}");
        assert!(full < 16 * 1024, "{full}");
        assert_eq!(after, before);
    }

    #[test]
    fn unread_bytes_of_a_tcp_peer_take_room() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _receiver = listener.accept().unwrap();
        sender.set_nonblocking(true).unwrap();
        let other_end = sender.try_clone().unwrap();
        let send = || sender.write(&[0; 64 * 1024]).is_ok();
        let [before, full, _] = rooms(&other_end, send, || {});
        assert!(before > 16 * 1024, "{before}");
        assert!(full < before / 4, "{full} of {before}");
    }

    #[test]
    fn a_file_has_no_room() {
        let file = File::open("/dev/null").unwrap();
        let error = send_room(file.as_fd()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    }
}

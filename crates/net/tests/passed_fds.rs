//! Passed fds that the receiver does not take are closed. This test counts open files, so it is
//! alone in its process.

use oneloop::aio::{UnixDatagram, UnixSeqpacket, UnixStream, block_on};
use oneloop::callback::dgram::UnixSocket;
use oneloop::callback::{Thrown, run};
use std::os::fd::AsFd;

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Takes some of seven fds, or none, on a socket of each kind.
async fn take_some_of_seven() {
    let file = std::fs::File::open("/dev/null").unwrap();
    let seven = [file.as_fd(); 7];
    let mut buf = [0; 16];

    let (a, b) = UnixStream::pair().unwrap();
    let (c, d) = UnixDatagram::pair().unwrap();
    let (e, f) = UnixSeqpacket::pair().unwrap();
    let before = open_files();
    for room in [0, 1, 2, 6, 7, 8] {
        a.send_fds(b"x", &seven).await.unwrap();
        c.send_fds(b"x", &seven).await.unwrap();
        e.send_fds(b"x", &seven).await.unwrap();
        let of_stream = b.recv_fds(&mut buf, room).await.unwrap();
        let of_datagram = d.recv_fds(&mut buf, room).await.unwrap();
        let of_packet = f.recv_fds(&mut buf, room).await.unwrap().unwrap();
        for message in [&of_stream, &of_datagram, &of_packet] {
            assert_eq!(message.fds.len(), room.min(7));
            assert_eq!(message.is_short_of_fds, room < 7);
        }
        assert_eq!(open_files(), before + 3 * room.min(7));
    }
    assert_eq!(open_files(), before);

    // A receive of bytes only.
    a.send_fds(b"x", &seven).await.unwrap();
    c.send_fds(b"x", &seven).await.unwrap();
    e.send_fds(b"x", &seven).await.unwrap();
    assert_eq!(b.read(&mut buf).await.unwrap(), 1);
    assert_eq!(d.recv(&mut buf).await.unwrap().bytes, 1);
    assert_eq!(f.recv(&mut buf).await.unwrap().unwrap().bytes, 1);
    assert_eq!(open_files(), before);

    // Fds in flight when the sockets close.
    a.send_fds(b"x", &seven).await.unwrap();
    c.send_fds(b"x", &seven).await.unwrap();
    e.send_fds(b"x", &seven).await.unwrap();
}

fn callbacks() -> Result<(), Thrown> {
    let (a, b) = UnixSocket::pair()?;
    for _ in 0..3 {
        let file = std::fs::File::open("/dev/null")?;
        a.send_fds("x", vec![file.into()]);
    }
    a.close();
    b.on_message(|_, message| assert_eq!(message.bytes(), b"x")); // and takes none
    b.on_end(|b| b.close());
    Ok(())
}

#[test]
fn fds_that_the_receiver_does_not_take_are_closed() {
    let before = open_files();
    for _ in 0..3 {
        block_on(take_some_of_seven());
        assert_eq!(run(callbacks).unwrap(), 0);
        assert_eq!(open_files(), before);
    }
}

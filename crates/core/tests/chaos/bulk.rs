//! Bulk data, which the kernel moves on its own: through a pipe (`splice(2)`) or out of a file. And
//! fds, which travel with the first of their bytes.

use crate::harness::{BREAKS, FDS, check, check_with_failures, has_succeeded, payload};
use oneloop::aio::{self, TcpListener, TcpStream, UnixStream, timeout};
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

/// More than a few chunks of 64 KiB, so that a relay splices.
const BYTES: usize = 300_000;
/// A listener that lacks fds closes the connections that wait.
const ACCEPT_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_relay_of_bulk_data_moves_each_byte() {
    let sent = payload(1, BYTES);
    check(FDS, |event_loop| {
        assert_eq!(event_loop.block_on(relayed(&sent)).unwrap(), sent)
    });
}

#[test]
fn a_relay_of_bulk_data_moves_each_byte_or_reports_an_error() {
    let sent = payload(1, BYTES);
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        let relayed = event_loop.block_on(relayed(&sent));
        has_succeeded(relayed.map(|got| assert_eq!(got, sent)))
    });
}

/// Sends bytes through a relay, and returns those that arrive if no end reports an error.
async fn relayed(sent: &[u8]) -> io::Result<Vec<u8>> {
    let target = TcpListener::bind("127.0.0.1:0")?;
    let proxy = TcpListener::bind("127.0.0.1:0")?;
    let (target_addr, proxy_addr) = (target.local_addr()?, proxy.local_addr()?);
    let relay = async {
        let (client, _peer) = timeout(ACCEPT_MAX, proxy.accept()).await??;
        aio::relay(&client, &TcpStream::connect(target_addr).await?).await
    };
    let receive = async {
        let (stream, _peer) = timeout(ACCEPT_MAX, target.accept()).await??;
        let got = stream.read_all(BYTES).await?;
        stream.shutdown(Shutdown::Write)?;
        Ok(got)
    };
    let send = async {
        let client = TcpStream::connect(proxy_addr).await?;
        client.write_all(sent).await?;
        client.shutdown(Shutdown::Write)?;
        client.read_all(0).await
    };
    let (_, (got, _)) = aio::try_join(relay, aio::try_join(receive, send)).await?;
    Ok(got)
}

#[test]
fn a_file_is_sent_whole() {
    let bytes = payload(2, BYTES);
    check(FDS, |event_loop| {
        assert_eq!(event_loop.block_on(sent_file(&bytes)).unwrap(), bytes)
    });
}

#[test]
fn a_file_is_sent_whole_or_an_error_is_reported() {
    let bytes = payload(2, BYTES);
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        let sent = event_loop.block_on(sent_file(&bytes));
        has_succeeded(sent.map(|got| assert_eq!(got, bytes)))
    });
}

async fn sent_file(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    let (from, to) = UnixStream::pair()?;
    let send = async move {
        let count = aio::send_file(&file, 0..BYTES as u64, &from).await?;
        assert_eq!(count, BYTES as u64);
        io::Result::Ok(())
    };
    let (got, ()) = aio::try_join(to.read_all(BYTES), send).await?;
    Ok(got)
}

#[test]
fn fds_travel_with_their_bytes() {
    check(FDS, |event_loop| event_loop.block_on(passed_fds()).unwrap());
}

#[test]
fn fds_travel_with_their_bytes_or_an_error_is_reported() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        has_succeeded(event_loop.block_on(passed_fds()))
    });
}

/// Sends three messages of bytes, each with one fd.
async fn passed_fds() -> io::Result<()> {
    let (from, to) = UnixStream::pair()?;
    let messages = [10, 1, 3000].map(|len| payload(len, len));
    let send = async {
        let (shared, _other) = std::os::unix::net::UnixStream::pair()?;
        for message in &messages {
            let sent = from.send_fds(message, &[shared.as_fd()]).await?;
            from.write_all(&message[sent..]).await?;
        }
        from.shutdown(Shutdown::Write)
    };
    let receive = async {
        let (mut buf, mut got, mut fds) = ([0; 64], Vec::new(), 0);
        loop {
            let message = to.recv_fds(&mut buf, 4).await?;
            if message.bytes == 0 {
                return Ok((got, fds));
            }
            got.extend_from_slice(&buf[..message.bytes]);
            fds += message.fds.len();
        }
    };
    let ((), (got, fds)) = aio::try_join(send, receive).await?;
    assert_eq!((got, fds), (messages.concat(), messages.len()));
    Ok(())
}

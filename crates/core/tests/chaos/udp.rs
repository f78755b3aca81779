//! Datagrams: each one arrives whole, or not at all. On loopback, between sockets with room, all
//! arrive.

use crate::harness::{Closes, FDS, LACKS_FDS, check, check_with_failures, has_succeeded, payload};
use oneloop::aio::{self, UdpSocket};
use oneloop::callback::dgram::{self, Kind};
use oneloop::callback::run_on;
use oneloop::{EventLoop, green};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

const LENGTHS: [usize; 5] = [0, 1, 100, 1400, 9000];

#[test]
fn async_datagrams_arrive_whole() {
    check(FDS, |event_loop| {
        event_loop.block_on(async_datagrams()).unwrap()
    });
}

#[test]
fn async_datagrams_or_an_error() {
    check_with_failures(&[FDS, LACKS_FDS], |event_loop| {
        has_succeeded(event_loop.block_on(async_datagrams()))
    });
}

async fn async_datagrams() -> io::Result<()> {
    let server = UdpSocket::bind("127.0.0.1:0")?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.connect(server.local_addr()?)?;
    let echo = async {
        let mut buf = [0; 10_000];
        for _ in LENGTHS {
            let (datagram, from) = server.recv_from(&mut buf).await?;
            server.send_to(&buf[..datagram.sent_bytes], from).await?;
        }
        io::Result::Ok(())
    };
    let ask = async {
        let mut buf = [0; 10_000];
        for (number, len) in LENGTHS.into_iter().enumerate() {
            let sent = payload(number, len);
            client.send(&sent).await?;
            let datagram = client.recv(&mut buf).await?;
            assert_eq!(buf[..datagram.sent_bytes], sent);
        }
        io::Result::Ok(())
    };
    aio::try_join(echo, ask).await?;
    Ok(())
}

#[test]
fn green_datagrams_arrive_whole() {
    check(FDS, |event_loop| green_datagrams(event_loop).unwrap());
}

#[test]
fn green_datagrams_or_an_error() {
    check_with_failures(&[FDS, LACKS_FDS], |event_loop| {
        has_succeeded(green_datagrams(event_loop))
    });
}

fn green_datagrams(event_loop: &mut EventLoop) -> io::Result<()> {
    use green::net::UdpSocket;
    green::run_on(event_loop, || {
        let server = UdpSocket::bind("127.0.0.1:0")?;
        let client = UdpSocket::bind("127.0.0.1:0")?;
        client.connect(server.local_addr()?)?;
        green::scope(|scope| {
            scope.spawn(|| {
                let mut buf = [0; 10_000];
                for _ in LENGTHS {
                    let (datagram, from) = server.recv_from(&mut buf).unwrap();
                    server.send_to(&buf[..datagram.sent_bytes], from).unwrap();
                }
            });
            let mut buf = [0; 10_000];
            for (number, len) in LENGTHS.into_iter().enumerate() {
                let sent = payload(number, len);
                client.send(&sent)?;
                let datagram = client.recv(&mut buf)?;
                assert_eq!(buf[..datagram.sent_bytes], sent);
            }
            Ok(())
        })
    })
    .unwrap()
}

#[test]
fn callback_datagrams_arrive_whole() {
    check(FDS, |event_loop| {
        assert_eq!(callback_datagrams(event_loop), LENGTHS)
    });
}

#[test]
fn callback_datagrams_or_an_error() {
    check_with_failures(&[FDS, LACKS_FDS], |event_loop| {
        callback_datagrams(event_loop) == LENGTHS
    });
}

/// Returns the lengths of the datagrams that came back whole, sorted.
fn callback_datagrams(event_loop: &mut EventLoop) -> Vec<usize> {
    let lengths = Rc::new(RefCell::new(Vec::new()));
    let got = Rc::clone(&lengths);
    let closes = Closes::default();
    let of_sockets = closes.clone();
    let code = run_on(event_loop, move || {
        let server = dgram::create_socket_then(Kind::Udp4, |server, bytes, from| {
            server.send_to(bytes, from.addr)
        });
        of_sockets.expect_datagrams(&server);
        server.on_error(|server, _| {
            let _ = server.close();
        });
        server.bind_then(("127.0.0.1", 0), move |server| {
            let to = server.address()?;
            let (server, at_error) = (server.clone(), server.clone());
            let client = dgram::create_socket_then(Kind::Udp4, move |client, bytes, _| {
                let mut got = got.borrow_mut();
                let number = LENGTHS.iter().position(|len| *len == bytes.len());
                let number = number.expect("a datagram arrives whole");
                assert_eq!(bytes, payload(number, bytes.len()));
                got.push(bytes.len());
                if got.len() == LENGTHS.len() {
                    server.close()?;
                    client.close()?;
                }
                Ok::<_, oneloop::callback::Error>(())
            });
            of_sockets.expect_datagrams(&client);
            let to_close = at_error.clone();
            client.on_error(move |client, _| {
                let _ = (client.close(), to_close.close());
            });
            for (number, len) in LENGTHS.into_iter().enumerate() {
                client.send_to(payload(number, len), to)?;
            }
            Ok::<_, oneloop::callback::Error>(())
        })?;
        Ok::<_, oneloop::callback::Error>(())
    });
    code.unwrap();
    closes.assert_all();
    let mut lengths = lengths.take();
    lengths.sort_unstable();
    lengths
}

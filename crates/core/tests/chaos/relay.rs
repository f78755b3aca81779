//! A proxy between clients and an echo server: bytes cross it in both directions at once. After a
//! failure it resets both connections, as an orderly end would make a part look like the whole.

use crate::clients::{CLIENTS, async_clients, callback_clients, green_clients};
use crate::harness::{BREAKS, Closes, FDS, check, check_with_failures, has_succeeded};
use oneloop::aio::{self, TcpListener, TcpStream};
use oneloop::callback::net::{self, ServerOptions, SocketOptions};
use oneloop::callback::run_on;
use oneloop::{EventLoop, green};
use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;

#[test]
fn async_relay_moves_each_byte() {
    check(FDS, |event_loop| {
        event_loop.block_on(async_relay()).unwrap()
    });
}

#[test]
fn async_relay_ends_after_a_failure() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        has_succeeded(event_loop.block_on(async_relay()))
    });
}

async fn async_relay() -> io::Result<()> {
    let mut servers = Vec::new();
    let target = TcpListener::bind("127.0.0.1:0")?;
    let target_addr = target.local_addr()?;
    let proxy = TcpListener::bind("127.0.0.1:0")?;
    let proxy_addr = proxy.local_addr()?;
    servers.push(aio::spawn(async move {
        loop {
            let (stream, _peer) = target.accept().await?;
            aio::spawn(async move {
                aio::copy(&stream, &stream).await?;
                stream.shutdown(Shutdown::Write)
            });
        }
    }));
    servers.push(aio::spawn(async move {
        loop {
            let (client, _peer) = proxy.accept().await?;
            aio::spawn(async move {
                let server = TcpStream::connect(target_addr).await?;
                let relayed = aio::relay(&client, &server).await;
                if relayed.is_err() {
                    let _ = server.reset_on_close();
                    let _ = client.reset_on_close();
                }
                relayed
            });
        }
    }));
    let served = async_clients(proxy_addr).await;
    for server in servers {
        server.cancel();
        let _: Result<io::Result<()>, _> = server.await;
    }
    served
}

#[test]
fn green_relay_moves_each_byte() {
    check(FDS, |event_loop| green_relay(event_loop).unwrap());
}

#[test]
fn green_relay_ends_after_a_failure() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        has_succeeded(green_relay(event_loop))
    });
}

fn green_relay(event_loop: &mut EventLoop) -> io::Result<()> {
    use green::net::{StreamServer, TcpListener, TcpStream, relay};
    green::run_on(event_loop, || {
        let target = TcpListener::bind("127.0.0.1:0")?;
        let proxy = TcpListener::bind("127.0.0.1:0")?;
        let target = StreamServer::start(target, |stream, _peer| {
            let _ = io::copy(&mut &stream, &mut &stream);
        });
        let target_addr = target.local_addr()?;
        let proxy = StreamServer::start(proxy, move |client, _peer| {
            if let Ok(server) = TcpStream::connect(target_addr)
                && relay(&client, &server).is_err()
            {
                let _ = server.reset_on_close();
                let _ = client.reset_on_close();
            }
        });
        let served = green_clients(proxy.local_addr()?);
        proxy.stop(None);
        target.stop(None);
        served
    })
    .unwrap()
}

#[test]
fn callback_relay_moves_each_byte() {
    check(FDS, |event_loop| {
        assert_eq!(callback_relay(event_loop), CLIENTS)
    });
}

#[test]
fn callback_relay_ends_after_a_failure() {
    check_with_failures(&[FDS, BREAKS], |event_loop| {
        callback_relay(event_loop) == CLIENTS
    });
}

/// Returns the number of clients that got all of their bytes.
fn callback_relay(event_loop: &mut EventLoop) -> usize {
    let whole = Rc::new(Cell::new(0));
    let count = Rc::clone(&whole);
    let closes = Closes::default();
    let (of_target, of_proxy) = (closes.clone(), closes.clone());
    let of_servers = closes.clone();
    let code = run_on(event_loop, move || {
        let target = net::create_server(move |socket| {
            of_target.expect(&socket);
            socket.on_error(|_, _| ());
            socket.pipe(&socket);
        });
        of_servers.expect_server(&target);
        target.listen_then(("127.0.0.1", 0), move |target| {
            let target_port = target.port().expect("it listens");
            let socket = SocketOptions {
                allow_half_open: true,
                ..Default::default()
            };
            let options = ServerOptions {
                socket,
                ..Default::default()
            };
            let of_proxy = of_proxy.clone();
            let proxy = net::create_server_with(options, move |client| {
                let server = net::connect(("127.0.0.1", target_port)).expect("a port");
                server.set_allow_half_open(true);
                of_proxy.expect(&client);
                of_proxy.expect(&server);
                // As with Node's `pipe`, the end of one side by an error ends nothing on the other.
                for (side, other) in [(&client, &server), (&server, &client)] {
                    let other = other.clone();
                    side.on_error(|_, _| ())
                        .on_close(move |_, had_error| match had_error {
                            true => other.reset_and_destroy().map(drop),
                            false => {
                                other.destroy_soon();
                                Ok(())
                            }
                        });
                }
                client.pipe(&server);
                server.pipe(&client);
            });
            of_servers.expect_server(&proxy);
            let (target, to_close) = (target.clone(), target.clone());
            proxy.on_error(move |_, _| {
                to_close.close();
            });
            proxy.listen_then(("127.0.0.1", 0), move |proxy| {
                let port = proxy.port().expect("it listens");
                callback_clients(port, &count, vec![proxy.clone(), target.clone()]);
            })
        })
    });
    assert_eq!(code.unwrap(), 0);
    closes.assert_all();
    whole.get()
}

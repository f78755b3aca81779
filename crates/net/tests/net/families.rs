//! Two sockets share one port, one for IPv4 and one for IPv6, in each style.

use oneloop::aio::{self, block_on};
use oneloop::callback::{self, net as node};
use oneloop::green;
use oneloop::net::{ListenOptions, UdpOptions};
use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::rc::Rc;

const V4: (Ipv4Addr, u16) = (Ipv4Addr::UNSPECIFIED, 0);

fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    if !has {
        eprintln!("skipped: there is no IPv6 here");
    }
    has
}

fn v6_only() -> ListenOptions {
    ListenOptions {
        v6_only: Some(true),
        ..ListenOptions::default()
    }
}

#[test]
fn an_async_listener_for_ipv6_only_leaves_ipv4_to_another() {
    if !has_ipv6() {
        return;
    }
    block_on(async {
        let v4 = aio::TcpListener::bind(V4).unwrap();
        let v6 = (Ipv6Addr::UNSPECIFIED, v4.local_addr().unwrap().port());
        let both = aio::TcpListener::bind(v6).unwrap_err();
        assert_eq!(both.kind(), ErrorKind::AddrInUse);
        aio::TcpListener::bind_with(v6, v6_only()).unwrap();

        let v4 = aio::UdpSocket::bind(V4).unwrap();
        let v6 = (Ipv6Addr::UNSPECIFIED, v4.local_addr().unwrap().port());
        let options = UdpOptions {
            v6_only: Some(true),
            ..UdpOptions::default()
        };
        aio::UdpSocket::bind_with(v6, options).unwrap();
    });
}

#[test]
fn a_green_listener_for_ipv6_only_leaves_ipv4_to_another() {
    if !has_ipv6() {
        return;
    }
    green::run(|| {
        let v4 = green::net::TcpListener::bind(V4).unwrap();
        let v6 = (Ipv6Addr::UNSPECIFIED, v4.local_addr().unwrap().port());
        let both = green::net::TcpListener::bind(v6).unwrap_err();
        assert_eq!(both.kind(), ErrorKind::AddrInUse);
        green::net::TcpListener::bind_with(v6, v6_only()).unwrap();
    })
    .unwrap();
}

#[test]
fn a_callback_server_for_ipv6_only_leaves_ipv4_to_another() {
    if !has_ipv6() {
        return;
    }
    let listens = Rc::new(Cell::new(false));
    let received = Rc::clone(&listens);
    callback::run(move || {
        let v4 = node::create_server(|_| ());
        v4.on_listening(move |v4| {
            let v6 = node::create_server(|_| ());
            let (received, other) = (Rc::clone(&received), v4.clone());
            v6.on_listening(move |v6| {
                received.set(true);
                v6.close();
                other.close();
            });
            let port = v4.port().unwrap();
            let options = node::ListenOptions {
                ipv6_only: true,
                ..node::ListenOptions::default()
            };
            v6.listen_with(("::", port), options).map(drop)
        });
        v4.listen(("0.0.0.0", 0)).map(drop)
    })
    .unwrap();
    assert!(listens.get());
}

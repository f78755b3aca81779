//! Texts that name addresses: those of `Addr`, of targets, and of Node's endpoints.

use crate::input::Input;
use oneloop::callback::net::Endpoint;
use oneloop::net::{Addr, Target, ToTarget, literal_addr};
use std::ffi::OsStr;
use std::net::{SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// An address that was parsed or built is printed as a text that parses to the same address, and
/// all parsers of addresses agree.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    match input.below(4) {
        0 => print_and_parse(&build(input)),
        _ => parse(&String::from_utf8_lossy(input.rest())),
    }
}

fn build(mut input: Input<'_>) -> Addr {
    match input.below(4) {
        0 => Addr::UnixAbstract(input.rest().to_owned()),
        // Not an empty one: the kernel has none, and neither has the parser.
        1 if !input.is_empty() => Addr::UnixPath(OsStr::from_bytes(input.rest()).into()),
        2 => SocketAddr::new(input.array::<4>().into(), port(&mut input)).into(),
        _ => {
            let (ip, scope) = (input.array::<16>(), input.array());
            let scope = u32::from_le_bytes(scope);
            let addr = SocketAddrV6::new(ip.into(), port(&mut input), 0, scope);
            Addr::Inet(addr.into())
        }
    }
}

fn port(input: &mut Input<'_>) -> u16 {
    u16::from_le_bytes(input.array())
}

fn print_and_parse(addr: &Addr) {
    let text = addr.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    assert_eq!(text.parse().as_ref(), Ok(addr), "{text}");
}

fn parse(text: &str) {
    let addr = text.parse::<Addr>();
    match &addr {
        Ok(addr) => print_and_parse(addr),
        Err(error) => {
            assert!(!error.problem().is_empty());
            check_advice(error.problem());
        }
    }
    let target = text.to_target();
    match (&addr, &target) {
        (Ok(Addr::Inet(addr)), target) => {
            assert!(matches!(target, Ok(Target::Addr(same)) if same == addr));
        }
        (Ok(_), target) => assert!(target.is_err(), "a Unix socket is no target"),
        (Err(_), Ok(Target::Addr(addr))) => print_and_parse(&Addr::Inet(*addr)),
        (Err(_), Ok(Target::Name(host, port))) => {
            let again = format!("{host}:{port}").to_target();
            assert!(matches!(&again, Ok(again) if Ok(again) == target.as_ref().map_err(drop)));
            assert!(matches!(literal_addr(host, *port), Ok(None)));
        }
        (Err(_), Ok(Target::Addrs(_))) => panic!("a text has one address"),
        (Err(_), Err(_)) => {}
    }
    check_endpoint(text, addr.ok());
}

/// What an error advises to write is an address.
fn check_advice(problem: &str) {
    if let Some(advice) = problem.strip_prefix("needs brackets around its IPv6 address: write ") {
        assert!(advice.parse::<Addr>().is_ok(), "{advice}");
    }
}

/// `unix:PATH` and `unix:@NAME` are what they are in the other styles.
fn check_endpoint(text: &str, addr: Option<Addr>) {
    let is_abstract = |path: &PathBuf| path.as_os_str().as_bytes().first() == Some(&0);
    match (addr, Endpoint::from(text)) {
        (Some(Addr::Inet(addr)), endpoint) => assert_eq!(endpoint, Endpoint::Addr(addr)),
        (Some(Addr::UnixPath(path)), Endpoint::Path(same)) => {
            assert_eq!(path, same);
            assert!(!is_abstract(&same), "a path became an abstract name");
        }
        (Some(Addr::UnixPath(path)), endpoint) => {
            assert!(matches!(endpoint, Endpoint::Malformed(_)));
            assert!(is_abstract(&path), "no kernel has such a path");
        }
        (Some(Addr::UnixAbstract(name)), Endpoint::Path(path)) => {
            assert!(is_abstract(&path));
            assert_eq!(&path.as_os_str().as_bytes()[1..], name);
        }
        (Some(_), endpoint) => panic!("{endpoint:?} is no Unix socket"),
        (None, Endpoint::Malformed(problem)) => assert!(!problem.is_empty()),
        (None, Endpoint::Port { host, .. }) => assert_ne!(host.as_deref(), Some("")),
        (None, Endpoint::Addr(_) | Endpoint::Path(_)) => {}
    }
}

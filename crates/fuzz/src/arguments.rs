//! The texts that the server reads: its command line, the values of its options, and
//! `/proc/PID/stat`.

use crate::access::networks::Network;
use crate::access::owner::{Owner, SocketMode};
use crate::access::rate::Rate;
use crate::access::sources::SourceBits;
use crate::check::check;
use crate::configuration::parse;
use crate::endpoint::Endpoint;
use crate::input::Input;
use crate::keepalive::Keepalive;
use crate::messages::Refusal;
use crate::options::Options;
use crate::process_stat::running_group;
use crate::values::{bytes, count, nonzero_time, switch, time};
use clap::CommandFactory;
use std::ffi::OsString;
use std::fmt::Debug;
use std::os::unix::ffi::OsStringExt;
use std::str::FromStr;

/// Each text is read or refused with a message, and a value is printed as a text that is read as
/// the same value.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let kind = input.below(4);
    if kind == 0 {
        return read_arguments(input.rest());
    }
    let text = String::from_utf8_lossy(input.rest());
    match kind {
        1 => read_endpoint(&text),
        2 => read_values(&text),
        _ => read_stat(&text),
    }
}

/// A NUL byte ends an argument, as in `/proc/PID/cmdline`.
fn read_arguments(line: &[u8]) {
    let args = line.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let args = args.map(OsString::from_vec);
    let args: Vec<OsString> = std::iter::once("oneloop".into()).chain(args).collect();
    if args
        .iter()
        .any(|arg| arg.as_encoded_bytes().starts_with(b"--config"))
    {
        return; // it would read any file of this machine
    }
    match parse(&Options::command(), &args) {
        Ok(configuration) => {
            for options in &configuration.services {
                if let Err(problem) = check(options) {
                    assert!(!problem.is_empty());
                }
            }
        }
        Err(Refusal::Clap(error)) => assert!(!error.to_string().is_empty()),
        Err(Refusal::Problems(problems)) => assert!(!problems.is_empty()),
    }
}

fn read_endpoint(text: &str) {
    let Some(endpoint) = Endpoint::parse(text) else {
        return assert!(!Endpoint::what_is_wrong(text).is_empty());
    };
    endpoint.has_port_0();
    match &endpoint {
        Endpoint::Addrs(addrs) => {
            assert!(!addrs.is_empty());
            for addr in addrs {
                let again = Endpoint::parse(&addr.to_string());
                assert_eq!(again, Some(Endpoint::Addrs(vec![addr.clone()])));
            }
        }
        Endpoint::Name(host, port) => {
            let again = Endpoint::parse(&format!("{host}:{port}"));
            assert_eq!(again, Some(endpoint), "{text}");
        }
    }
}

fn read_values(text: &str) {
    if let Ok(time) = time(text) {
        let again = crate::values::time(&time.to_string());
        assert_eq!(again.as_deref(), Ok(&*time), "{text}");
        assert_eq!(nonzero_time(text).is_ok(), !time.is_zero());
    } else {
        assert!(nonzero_time(text).is_err());
    }
    if let Ok(bytes) = bytes(text) {
        // It is printed with one decimal, so only the number of bytes is the same text.
        let again = crate::values::bytes(&bytes.as_u64().to_string());
        assert_eq!(again, Ok(bytes), "{text}");
    }
    if let Ok(count) = count(text, 1..=1024_u16) {
        assert!((1..=1024).contains(&count));
        assert_eq!(
            crate::values::count(&count.to_string(), 1..=1024),
            Ok(count)
        );
    }
    if let Ok(keepalive) = text.parse::<Keepalive>() {
        assert_eq!(keepalive.to_string().parse(), Ok(keepalive), "{text}");
    }
    read_again::<Network>(text);
    read_again::<Rate>(text);
    read_again::<SourceBits>(text);
    read_again::<SocketMode>(text);
    let _ = text.parse::<Owner>();
    if let Ok(value) = switch(text) {
        assert_eq!(switch(&value.to_string()), Ok(value));
    }
}

fn read_again<T>(text: &str)
where
    T: FromStr<Err = String> + Debug + PartialEq + ToString,
{
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse(), Ok(value), "{text}"),
        Err(problem) => assert!(!problem.is_empty()),
    }
}

/// The name of a program may contain everything, even what looks like the fields behind it.
fn read_stat(text: &str) {
    running_group(text);
    let name: String = text.chars().filter(|c| *c != '\0').take(15).collect();
    let stat = |state| format!("7 ({name}) {state} 1 42 42 0 -1");
    assert_eq!(running_group(&stat('S')), Some(42), "{name:?}");
    assert_eq!(running_group(&stat('Z')), None, "{name:?}");
}

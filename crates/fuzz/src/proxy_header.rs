//! Headers of the PROXY protocol.

use crate::access::proxy_header::{HeaderVersion, Parsed, header, parse};
use crate::access::reading::read_header;
use crate::input::Input;
use crate::introduction::Introduction;
use crate::refusals::RefusalReason;
use oneloop::EventLoop;
use oneloop::net::{Addr, Socket};
use std::cell::RefCell;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

/// The beginning of a header is partial; what is behind it changes nothing; a client that was
/// introduced is introduced to others as the same; and of a connection, exactly the header is read,
/// however its bytes are cut.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let (is_read, cut) = (input.below(8) == 0, usize::from(input.byte()));
    let bytes = input.rest();
    let parsed = parse(bytes);
    if let Parsed::Header(length, introduction) = &parsed {
        for beginning in 0..*length {
            assert_eq!(parse(&bytes[..beginning]), Parsed::Partial, "{beginning}");
        }
        assert_eq!(parse(&bytes[..*length]), parsed);
        if let Some(client) = introduction {
            introduce(client);
        }
    }
    // A loop for each input would leave time for few of them.
    if is_read {
        read(bytes, cut.clamp(1, bytes.len().max(1)), &parsed);
    }
}

fn introduce(client: &Introduction) {
    let written = header(HeaderVersion::V2, &client.from, &client.to);
    let again = Parsed::Header(written.len(), Some(client.clone()));
    let is_unix = client.from.inet().is_none();
    if is_unix {
        assert_eq!(parse(&written), again);
        return;
    }
    // An IPv4 address may have been mapped to IPv6, in one of the two only.
    let ip = |addr: &Addr| {
        addr.inet()
            .map(|addr| (addr.ip().to_canonical(), addr.port()))
    };
    for version in [HeaderVersion::V1, HeaderVersion::V2] {
        let written = header(version, &client.from, &client.to);
        let Parsed::Header(length, Some(again)) = parse(&written) else {
            panic!("{written:?} introduces no client");
        };
        assert_eq!(length, written.len());
        assert_eq!(
            (ip(&again.from), ip(&again.to)),
            (ip(&client.from), ip(&client.to))
        );
    }
}

/// Sends the bytes in pieces to a connection from which a header is read.
fn read(bytes: &[u8], piece: usize, parsed: &Parsed) {
    let mut event_loop = EventLoop::new().expect("there are fds");
    let (mut ours, theirs) = UnixStream::pair().expect("there are fds");
    theirs.set_nonblocking(true).expect("it is a socket");
    let result = Rc::new(RefCell::new(None));
    let reader = event_loop
        .enter(|| Socket::from_fd(theirs.into()))
        .expect("there are fds");
    let (reader, read) = (Rc::new(reader), Rc::clone(&result));
    let socket = Rc::clone(&reader);
    event_loop.handle().spawn_detached(async move {
        let header = read_header(&socket).await;
        *read.borrow_mut() = Some(header);
    });
    for piece in bytes.chunks(piece) {
        ours.write_all(piece)
            .expect("there is room for so few bytes");
        event_loop.run_nowait().expect("the loop runs");
    }
    ours.shutdown(Shutdown::Write).expect("it is connected");
    event_loop.run().expect("the loop runs");
    let result = result.take().expect("the bytes have ended");
    let expected = match parsed {
        Parsed::Header(_, introduction) => Ok(introduction.clone()),
        Parsed::Partial if bytes.is_empty() => Err(RefusalReason::ProxyMissing),
        Parsed::Partial => Err(RefusalReason::ProxyTruncated),
        Parsed::Invalid => Err(RefusalReason::ProxyInvalid),
        Parsed::NoHeader => Err(RefusalReason::ProxyMissing),
    };
    assert_eq!(result, expected);
    if let Parsed::Header(length, _) = parsed {
        let rest = event_loop.block_on(reader.read_all(bytes.len()));
        assert_eq!(rest.expect("it is connected"), bytes[*length..]);
    }
}

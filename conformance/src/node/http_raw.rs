//! A client that sends plain text to an HTTP server, and shows what comes back.

use oneloop::callback::http::{Error, Server};
use oneloop::callback::net::{self, Socket};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// All that came until the connection closed, with the same date in each run, and without `\r`.
pub(super) struct Answer(pub(super) String);

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Answer {
    /// Without the version: an answer to HTTP/1.0 has version 1.0 here, and 1.1 in Node.
    pub(super) fn behind_version(&self) -> &str {
        self.0.find(' ').map_or("", |at| &self.0[at..])
    }

    /// `JSON.stringify(all)`
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('\n', "\\n"))
    }
}

/// `s.listen(0,'127.0.0.1',()=>…)`
pub(super) fn listen(s: &Server, f: impl FnOnce(Server) + 'static) -> Result<(), Error> {
    s.listen_then(("127.0.0.1", 0), f).map(drop)
}

/// Sends a text, and calls back with all that came until the connection closed.
pub(super) fn raw<O: oneloop::callback::IntoResult>(
    s: &Server,
    text: impl AsRef<[u8]>,
    done: impl FnOnce(Answer) -> O + 'static,
) -> Socket {
    let port = s.port().expect("the server listens");
    let c = net::connect(("127.0.0.1", port)).expect("it is a port");
    let all = Rc::new(RefCell::new(Vec::new()));
    let received = Rc::clone(&all);
    c.on_data(move |_, bytes| received.borrow_mut().extend_from_slice(bytes));
    c.on_error(|_, error| println!("client {}", error.code().unwrap_or("undefined")));
    let done = Cell::new(Some(done));
    c.on_close(move |_, _| {
        let all = String::from_utf8_lossy(&all.take()).replace('\r', "");
        done.take()
            .map_or(Ok(()), |done| done(Answer(same_date(&all))).into_result())
    });
    c.write(text);
    c
}

/// `replace(/Date: [^\r]*/g,'Date: now')`
fn same_date(all: &str) -> String {
    let lines = all.split('\n').map(|line| match line.find("Date: ") {
        Some(at) => format!("{}Date: now", &line[..at]),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

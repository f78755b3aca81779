//! Guests of a chat.

use super::server::Server;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// What a guest says until the others hear it, and all others ignore.
const KNOCK: &str = "knock";

/// One client in the chat.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: BufReader<TcpStream>,
}

impl Guest {
    /// Comes in; returns when all of these, and the guest itself, are in the room.
    #[track_caller]
    pub(crate) fn join(server: &Server, others: &mut [&mut Guest]) -> Self {
        let mut guest = Guest {
            stream: BufReader::new(server.connect()),
        };
        if let Some(first) = others.first_mut() {
            // To be connected is not yet to be in the room: knock until it is heard.
            guest.write(format!("{KNOCK}\n").as_bytes());
            while !first.hears_soon() {
                guest.write(format!("{KNOCK}\n").as_bytes());
            }
            guest.write(b"here I am\n");
        }
        for other in others {
            assert_eq!(other.hear(), "here I am");
        }
        guest
    }

    fn hears_soon(&self) -> bool {
        let stream = self.stream.get_ref();
        let patience = stream.read_timeout().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let heard = stream.peek(&mut [0]).is_ok();
        stream.set_read_timeout(patience).unwrap();
        heard
    }

    #[track_caller]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// The next line, without its end, that somebody said.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            assert!(line.ends_with('\n'), "the chat ended with {line:?}");
            line.truncate(line.len() - 1);
            if line != KNOCK {
                return line;
            }
        }
    }

    pub(crate) fn stream(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.stream
    }

    /// Says no more.
    pub(crate) fn end(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}

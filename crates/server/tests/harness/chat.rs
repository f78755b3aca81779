//! Guests of a chat.

use super::server::Server;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// What a guest says until another one receives it; it is ignored otherwise.
const KNOCK: &str = "knock";

/// One client in the chat.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: BufReader<TcpStream>,
}

impl Guest {
    /// Joins; returns when all these guests and the new one are in the room.
    #[track_caller]
    pub(crate) fn join(server: &Server, others: &mut [&mut Guest]) -> Self {
        let mut guest = Guest {
            stream: BufReader::new(server.connect()),
        };
        if let Some(first) = others.first_mut() {
            // A connected client is not yet in the room: knock until the line is received.
            guest.write(format!("{KNOCK}\n").as_bytes());
            while !first.has_input_soon() {
                guest.write(format!("{KNOCK}\n").as_bytes());
            }
            guest.write(b"here I am\n");
        }
        for other in others {
            assert_eq!(other.next_line(), "here I am");
        }
        guest
    }

    fn has_input_soon(&self) -> bool {
        let stream = self.stream.get_ref();
        let patience = stream.read_timeout().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let received = stream.peek(&mut [0]).is_ok();
        stream.set_read_timeout(patience).unwrap();
        received
    }

    #[track_caller]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// The next line of another guest, without its end.
    #[track_caller]
    pub(crate) fn next_line(&mut self) -> String {
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

    /// Ends the guest's side: it says no more.
    pub(crate) fn end(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }
}

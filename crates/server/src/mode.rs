//! What the server itself says to a client in each mode: no sockets here, so that every style serves the same.

use crate::chat::Member;
use jiff::ZonedDateTime;
use std::sync::LazyLock;

/// One client's side of a mode.
#[derive(Debug)]
pub(crate) enum Mode {
    Echo,
    Discard,
    /// How far in [`CHARGEN`] this client is.
    Chargen(usize),
    Daytime,
    Chat(Box<Member>),
}

impl Mode {
    /// What the client hears before it says anything.
    pub(crate) fn greeting(&self) -> Option<String> {
        match self {
            // RFC 867 leaves the form open and gives this one as popular.
            Mode::Daytime => Some(
                ZonedDateTime::now()
                    .strftime("%A, %B %d, %Y %H:%M:%S-%Z\r\n")
                    .to_string(),
            ),
            _ => None,
        }
    }

    /// Takes the client's input, and gives what the client is to be sent for it.
    pub(crate) fn answer<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        match self {
            Mode::Echo => input,
            Mode::Chat(member) => {
                member.say(input);
                &[]
            }
            Mode::Discard | Mode::Chargen(_) | Mode::Daytime => &[],
        }
    }

    /// What the client is sent of its own accord, whenever it takes more.
    pub(crate) fn produce(&self) -> &'static [u8] {
        match self {
            Mode::Chargen(offset) => &CHARGEN[*offset..],
            _ => &[],
        }
    }

    /// So much of that was sent.
    pub(crate) fn produced(&mut self, bytes: usize) {
        if let Mode::Chargen(offset) = self {
            *offset = (*offset + bytes) % CHARGEN.len();
        }
    }

    /// True when the server is the one to close, once all is sent.
    pub(crate) fn closes_first(&self) -> bool {
        matches!(self, Mode::Daytime)
    }

    /// The mailbox into which others write, where there is one.
    pub(crate) fn member(&self) -> Option<&Member> {
        match self {
            Mode::Chat(member) => Some(member),
            _ => None,
        }
    }

    /// The client is listened to no longer.
    pub(crate) fn end_input(&mut self) {
        if let Mode::Chat(member) = self {
            member.hush();
        }
    }
}

/// RFC 864's pattern, once around: 95 lines of 72 printable characters, each begun one further on.
static CHARGEN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let printable: Vec<u8> = (b' '..=b'~').collect();
    let line = |first| {
        printable
            .iter()
            .cycle()
            .skip(first)
            .take(72)
            .chain(b"\r\n")
            .copied()
    };
    (0..printable.len()).flat_map(line).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chargen_is_the_pattern_of_rfc_864() {
        let text = String::from_utf8(CHARGEN.clone()).unwrap();
        let lines: Vec<_> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 95);
        assert_eq!(
            lines[0],
            r##" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"##
        );
        assert!(lines[1].starts_with("!\"#") && lines[1].ends_with("gh"));
        assert!(lines[94].starts_with("~ !"));
    }

    #[test]
    fn chargen_goes_on_where_it_stopped() {
        let mut mode = Mode::Chargen(0);
        mode.produced(CHARGEN.len() - 1);
        assert_eq!(mode.produce(), b"\n");
        mode.produced(1);
        assert_eq!(mode.produce().len(), CHARGEN.len());
    }
}

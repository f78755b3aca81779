//! What the server itself sends to a client in each mode. No sockets here: every style sends the
//! same.

use crate::chat::{Evicted, Member};
use jiff::ZonedDateTime;
use oneloop::net::CHUNK_BYTES;
use std::cell::Cell;
use std::ops::Deref;
use std::sync::LazyLock;
use std::task::{Context, Poll};

/// One client's side of a mode.
#[derive(Debug)]
pub(crate) enum Mode {
    Echo,
    Discard,
    /// The client's offset in [`CHARGEN`], in bytes.
    Chargen(usize),
    Daytime,
    Chat(Box<Member>),
}

impl Mode {
    /// What the client is sent at first.
    pub(crate) fn greeting(&self) -> Option<String> {
        match self {
            // RFC 867 prescribes no format; this is the first of the two popular ones that it
            // lists.
            Mode::Daytime => Some(
                ZonedDateTime::now()
                    .strftime("%A, %B %d, %Y %H:%M:%S-%Z\r\n")
                    .to_string(),
            ),
            _ => None,
        }
    }

    /// Takes some input, and returns the answer to it.
    #[inline]
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

    /// Ready when there is output that no input of the client has called for: a product.
    ///
    /// # Errors
    /// The chat has evicted the client.
    #[inline]
    pub(crate) fn poll_product(&self, cx: &mut Context<'_>) -> Poll<Result<(), Evicted>> {
        match self {
            Mode::Chargen(_) => Poll::Ready(Ok(())),
            Mode::Chat(member) => member.poll_waiting(cx),
            Mode::Echo | Mode::Discard | Mode::Daytime => Poll::Pending,
        }
    }

    /// True if there is a product now.
    pub(crate) fn has_product(&self) -> bool {
        self.is_endless() || self.waiting() > 0
    }

    /// True for a mode that only answers: it neither sends by itself nor closes first.
    #[inline]
    pub(crate) fn only_answers(&self) -> bool {
        matches!(self, Mode::Echo | Mode::Discard)
    }

    /// True for a mode that sends without end.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self, Mode::Chargen(_))
    }

    pub(crate) fn is_chat(&self) -> bool {
        matches!(self, Mode::Chat(_))
    }

    /// How many bytes of other members wait for the client.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Mode::Chat(member) => member.waiting(),
            _ => 0,
        }
    }

    /// The product, or its beginning. `send_room` returns how many bytes the kernel has room for;
    /// as it is a system call, it is made only when more than a chunk waits.
    pub(crate) fn product(&self, send_room: impl FnOnce() -> usize) -> Product {
        match self {
            // From the offset to the end of the pattern: the kernel takes it from static memory,
            // without a copy of ours.
            Mode::Chargen(offset) => Product::Constant(&CHARGEN[*offset..]),
            Mode::Chat(member) => {
                // A chunk is copied without asking. For more, the system call is cheaper than to
                // copy bytes that the kernel does not take.
                let bytes = match member.waiting() {
                    waiting if waiting <= CHUNK_BYTES => waiting,
                    waiting => waiting.min(send_room().clamp(CHUNK_BYTES, SAID_BYTES_MAX)),
                };
                Product::Said(Said::copy(member, bytes))
            }
            Mode::Echo | Mode::Discard | Mode::Daytime => Product::Constant(&[]),
        }
    }

    /// Notes that `bytes` of the product were sent.
    pub(crate) fn produced(&mut self, bytes: usize) {
        match self {
            Mode::Chargen(offset) => *offset = (*offset + bytes) % CHARGEN.len(),
            Mode::Chat(member) => member.take_waiting(bytes),
            Mode::Echo | Mode::Discard | Mode::Daytime => {}
        }
    }

    /// True if the server closes first, once everything is sent.
    pub(crate) fn closes_first(&self) -> bool {
        matches!(self, Mode::Daytime)
    }

    /// True while other members may say something that the client receives.
    pub(crate) fn may_receive_more(&self) -> bool {
        matches!(self, Mode::Chat(member) if member.may_receive_more())
    }

    /// The server reads no more input, and the client is sent only what other members say.
    pub(crate) fn end_input(&mut self) {
        match self {
            Mode::Chat(member) => member.stop_speaking(),
            Mode::Chargen(_) => *self = Mode::Discard,
            Mode::Echo | Mode::Discard | Mode::Daytime => {}
        }
    }

    /// The client has sent its last byte, and is sent only what waits for it now.
    pub(crate) fn end(&mut self) {
        match self {
            Mode::Chat(member) => member.finish(),
            other => other.end_input(),
        }
    }
}

/// Output that no input of the client has called for.
#[derive(Debug)]
pub(crate) enum Product {
    Constant(&'static [u8]),
    Said(Said),
}

impl Deref for Product {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Product::Constant(bytes) => bytes,
            Product::Said(said) => &said.buffer[..said.len],
        }
    }
}

/// The most bytes that a member of a chat is sent at once. A member receives what all the others
/// say: if it were sent no more in a turn than each of them may say, it would fall behind although
/// it reads.
const SAID_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What other members said, in the thread's buffer: an idle member holds none.
#[derive(Debug)]
pub(crate) struct Said {
    buffer: Vec<u8>,
    len: usize,
}

impl Said {
    fn copy(member: &Member, bytes_max: usize) -> Self {
        // Taken out of the thread-local, so that a product inside another one would get its own
        // buffer.
        let mut buffer = BUFFER.take();
        if buffer.len() < bytes_max {
            buffer.resize(bytes_max, 0);
        }
        let len = member.copy_waiting(&mut buffer[..bytes_max]);
        Said { buffer, len }
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        BUFFER.set(std::mem::take(&mut self.buffer));
    }
}

/// RFC 864's pattern: 95 lines of 72 printable characters, each of which begins one character
/// later.
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
    use crate::chat::{Room, Rules};

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
    fn a_member_with_a_long_queue_is_sent_what_the_kernel_has_room_for() {
        let room = Room::new(Rules {
            waiting_max: usize::MAX,
            stored_max: usize::MAX,
            raw: false,
        });
        let mut speaker = room.join();
        let reader = Mode::Chat(Box::new(room.join()));
        speaker.say(b"hello\n");
        let asked = || -> usize { panic!("little waits") };
        assert_eq!(&*reader.product(asked), b"hello\n");
        speaker.say(&[b"x".repeat(3 * SAID_BYTES_MAX), b"\n".to_vec()].concat());
        let rooms = [0, 200_000, usize::MAX];
        let sent = rooms.map(|room| reader.product(|| room).len());
        assert_eq!(sent, [CHUNK_BYTES, 200_000, SAID_BYTES_MAX]);
    }

    #[test]
    fn chargen_continues_where_it_stopped() {
        let mut mode = Mode::Chargen(0);
        mode.produced(CHARGEN.len() - 1);
        assert_eq!(&*mode.product(|| 0), b"\n");
        mode.produced(1);
        assert_eq!(mode.product(|| 0).len(), CHARGEN.len());
    }
}

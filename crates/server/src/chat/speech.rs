//! Makes what one member of a chat says harmless for the terminals of the others.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns text that cannot control a terminal: control characters, and bytes that are not UTF-8,
/// are written as in a Rust string literal. An escape character becomes `\u{1b}`; a telnet command
/// `\xff`, and a C1 control that is a single byte `\x9b`.
///
/// Ends of line and tabs stay as they are. A CR stays only in front of a LF: alone, it would let
/// the rest of a line overwrite its beginning.
pub(super) fn escape(text: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    // A guess that fits a line with a few escapes; a flood of them grows the string.
    let mut escaped = String::with_capacity(text.len() + 64);
    for part in text.utf8_chunks() {
        let mut chars = part.valid().chars().peekable();
        while let Some(c) = chars.next() {
            let ends_line = c == '\r' && chars.peek() == Some(&'\n');
            if ends_line || !steers(c) {
                escaped.push(c);
            } else {
                escaped.extend(c.escape_unicode());
            }
        }
        for byte in part.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}"); // a String takes everything
        }
    }
    Cow::Owned(escaped.into_bytes())
}

/// True for printable ASCII, as nearly all lines are. Such a line is neither parsed nor copied.
fn is_plain(text: &[u8]) -> bool {
    let plain = |byte: &u8| matches!(byte, b'\t' | b'\n' | b' '..=b'~');
    text.strip_suffix(b"\r\n").unwrap_or(text).iter().all(plain)
}

/// True for a character that a terminal obeys, or that changes how the text around it looks.
fn steers(c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        // Unicode's bidirectional controls, and its line and paragraph separators.
        '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // C0, DEL and C1.
        c => c.is_control(),
    }
}

/// How many bytes at the end of an unfinished line may be half of something: the CR of a CRLF, or
/// the first bytes of a UTF-8 character. They wait for the other half.
pub(super) fn unfinished(line: &[u8]) -> usize {
    if line.ends_with(b"\r") {
        return 1;
    }
    // A character takes four bytes at most, and `Utf8Error` has no length for an incomplete one.
    let tail = &line[line.len().saturating_sub(3)..];
    let starts = |byte: &u8| *byte >= 0xc0;
    let Some(start) = tail.iter().rposition(starts) else {
        return 0;
    };
    match std::str::from_utf8(&tail[start..]) {
        Err(error) if error.error_len().is_none() => tail.len() - start,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8]) -> String {
        String::from_utf8(escape(text).into_owned()).expect("what is escaped is text")
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "",
            "hello\n",
            "hello\r\n",
            "one\ttwo\r\nthree\r\n",
            "grüße, 世界 🎉 \\ \"\n",
        ] {
            assert_eq!(escaped(text.as_bytes()), text);
        }
    }

    #[test]
    fn no_text_controls_a_terminal() {
        let cases: [(&[u8], &str); 11] = [
            (b"\x1b]52;c;aGk=\x07\n", "\\u{1b}]52;c;aGk=\\u{7}\n"),
            (b"\x1b[2J\n", "\\u{1b}[2J\n"),
            (b"\x9b2J\n", "\\x9b2J\n"),
            ("\u{9b}2J\u{85}\n".as_bytes(), "\\u{9b}2J\\u{85}\n"),
            (b"\xff\xf4\xff\xfd\x06\n", "\\xff\\xf4\\xff\\xfd\\u{6}\n"),
            (
                b"12\x08\x7f3\0\x0b\x0c\n",
                "12\\u{8}\\u{7f}3\\u{0}\\u{b}\\u{c}\n",
            ),
            (b"good\rbad\r\r\n", "good\\u{d}bad\\u{d}\r\n"),
            (b"bad\r", "bad\\u{d}"),
            (
                b"\xc0\x9b\xed\xa0\x80\xe2\x82\n",
                "\\xc0\\x9b\\xed\\xa0\\x80\\xe2\\x82\n",
            ),
            (
                "\u{202e}abc\u{2069}\n".as_bytes(),
                "\\u{202e}abc\\u{2069}\n",
            ),
            ("a\u{2028}b\n".as_bytes(), "a\\u{2028}b\n"),
        ];
        for (said, passed_on) in cases {
            assert_eq!(escaped(said), passed_on);
        }
    }

    #[test]
    fn every_byte_and_every_character_becomes_harmless() {
        let harmless = |text: &str| !text.chars().any(|c| c.is_control());
        for byte in (0..=u8::MAX).filter(|byte| !b"\t\n".contains(byte)) {
            assert!(harmless(&escaped(&[b'a', byte, b'b'])), "{byte:#x}");
        }
        for c in ('\0'..=char::MAX).filter(|c| !"\t\n".contains(*c)) {
            assert!(harmless(&escaped(c.to_string().as_bytes())), "{c:?}");
        }
    }

    #[test]
    fn the_first_bytes_of_a_character_wait_for_the_rest() {
        let cases: [(&[u8], usize); 9] = [
            (b"", 0),
            (b"ab", 0),
            (b"ab\r", 1),
            ("ab\u{e9}".as_bytes(), 0),
            (b"ab\xc3", 1),
            (b"ab\xf0\x9f\x8e", 3),
            (b"ab\xf0\x9f", 2),
            (b"ab\xff", 0),
            (b"ab\x80\x80\x80", 0),
        ];
        for (line, count) in cases {
            assert_eq!(unfinished(line), count, "{line:?}");
        }
    }
}

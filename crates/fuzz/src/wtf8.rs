//! Texts of `libuv.so.1` that are not UTF-8.

use crate::input::Input;
use crate::texts::{from_utf16, length_of, to_utf16};

/// UTF-16 survives the way through WTF-8, UTF-8 is WTF-8, and other bytes are refused.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    if input.is() {
        let count = input.left() / 2;
        let units: Vec<_> = (0..count)
            .map(|_| u16::from_le_bytes(input.array()))
            .collect();
        survives(&units);
        return;
    }
    let bytes = input.rest();
    let units = to_utf16(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(units, Some(text.encode_utf16().collect()));
    }
    if let Some(units) = units {
        survives(&units);
        // Each surrogate takes three bytes here. Two that belong together may come as one char.
        assert!(from_utf16(&units).len() <= bytes.len());
    }
}

fn survives(units: &[u16]) {
    let bytes = from_utf16(units);
    assert_eq!(bytes.len(), length_of(units));
    assert_eq!(to_utf16(&bytes).as_deref(), Some(units));
    if let Ok(text) = String::from_utf16(units) {
        assert_eq!(bytes, text.into_bytes());
    }
}

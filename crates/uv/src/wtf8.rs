//! WTF-8: UTF-8 that can also hold the lone surrogates of UTF-16.
#![forbid(unsafe_code)]

/// The bytes of UTF-16 as WTF-8. A lone surrogate becomes three bytes.
pub(crate) fn from_utf16(units: &[u16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(units.len());
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(char) => text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(lone) => {
                let unit = lone.unpaired_surrogate();
                let continued = |bits: u16| 0x80 | (bits & 0x3f) as u8;
                text.extend([
                    0xe0 | (unit >> 12) as u8,
                    continued(unit >> 6),
                    continued(unit),
                ]);
            }
        }
    }
    text
}

/// The number of bytes that [`from_utf16`] returns.
pub(crate) fn length_of(units: &[u16]) -> usize {
    let decoded = char::decode_utf16(units.iter().copied());
    decoded.map(|char| char.map_or(3, char::len_utf8)).sum()
}

/// The UTF-16 of WTF-8; `None` for bytes that are no WTF-8.
pub(crate) fn to_utf16(text: &[u8]) -> Option<Vec<u16>> {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let length = match first {
            0..=0x7f => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return None,
        };
        let (sequence, behind) = rest.split_at_checked(length)?;
        let continued = |byte: &u8| (byte & 0xc0 == 0x80).then_some(u32::from(byte & 0x3f));
        let lead = u32::from(first) & (0x7f >> if length == 1 { 0 } else { length });
        let code = sequence[1..]
            .iter()
            .try_fold(lead, |code, byte| Some(code << 6 | continued(byte)?))?;
        let least = [0, 0, 0x80, 0x800, 0x1_0000][length];
        if code < least || code > 0x10_ffff {
            return None;
        }
        match char::from_u32(code) {
            Some(char) => units.extend_from_slice(char.encode_utf16(&mut [0; 2])),
            None => units.push(code as u16), // a surrogate
        }
        rest = behind;
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn utf16_survives_the_way_there_and_back(units in prop::collection::vec(any::<u16>(), 0..40)) {
            let text = from_utf16(&units);
            prop_assert_eq!(text.len(), length_of(&units));
            prop_assert_eq!(to_utf16(&text), Some(units));
        }

        #[test]
        fn utf8_is_wtf8(text: String) {
            prop_assert_eq!(to_utf16(text.as_bytes()), Some(text.encode_utf16().collect()));
        }
    }

    #[test]
    fn what_is_no_wtf8_is_refused() {
        let wrong: [&[u8]; 5] = [
            b"\xff",
            b"\xc3",
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xf4\x90\x80\x80",
        ];
        for text in wrong {
            assert_eq!(to_utf16(text), None, "{text:x?}");
        }
    }
}

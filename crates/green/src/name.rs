//! The name of a green thread, which needs no heap memory if it is short.

/// A name, or none. As large as a `Box<str>`: a name of a few bytes would cost 32 on the heap.
#[derive(Default)]
pub(crate) enum Name {
    #[default]
    None,
    /// The length in bytes, and the bytes.
    Short(u8, [u8; SHORT_BYTES]),
    // Boxed twice: a thin pointer, so that the enum is no larger than `Short`.
    Long(Box<Box<str>>),
}

/// `client 9999999` fits.
// Bytes. With its length and the tag of the enum it makes 16, as a `Box<str>`.
const SHORT_BYTES: usize = 14;

impl Name {
    pub(crate) fn new(name: Option<Box<str>>) -> Self {
        let Some(name) = name else {
            return Name::None;
        };
        let mut bytes = [0; SHORT_BYTES];
        match bytes.get_mut(..name.len()) {
            Some(short) => {
                short.copy_from_slice(name.as_bytes());
                Name::Short(name.len() as u8, bytes)
            }
            None => Name::Long(Box::new(name)),
        }
    }

    /// The name. Async-signal-safe.
    pub(crate) fn get(&self) -> Option<&str> {
        match self {
            Name::None => None,
            // Always valid, as it was a `str`; without a panic, as this runs in the handler of a
            // fault.
            Name::Short(len, bytes) => str::from_utf8(&bytes[..usize::from(*len)]).ok(),
            Name::Long(name) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_are_kept() {
        assert_eq!(Name::new(None).get(), None);
        for name in [
            "",
            "main",
            "client 9999999",
            "client 10000000",
            "größer 🦀 als 14",
        ] {
            assert_eq!(Name::new(Some(name.into())).get(), Some(name));
        }
    }

    #[test]
    fn a_name_is_as_small_as_a_boxed_one() {
        assert_eq!(size_of::<Name>(), size_of::<Option<Box<str>>>());
    }
}

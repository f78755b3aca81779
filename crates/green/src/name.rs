//! What a green thread is called: without a place of its own on the heap, if it is short.

/// A name, or none: as large as a `Box<str>`.
#[derive(Default)]
pub(crate) enum Name {
    #[default]
    None,
    /// So many bytes of these.
    Short(u8, [u8; SHORT_BYTES]),
    Long(Box<Box<str>>),
}

/// `client 9999999` fits.
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
            Name::Short(len, bytes) => str::from_utf8(&bytes[..usize::from(*len)]).ok(),
            Name::Long(name) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_stay_what_they_are() {
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
    fn a_name_takes_no_more_than_a_box_of_it() {
        assert_eq!(size_of::<Name>(), size_of::<Option<Box<str>>>());
    }
}

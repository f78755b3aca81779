//! Reads the values of options. Each error shows what a right value looks like.

use bytesize::ByteSize;
use humantime::{Duration, DurationError};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A time: a number and its unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    text.parse().map_err(|error| match error {
        DurationError::UnknownUnit { unit, .. } if unit.is_empty() => {
            // Not the error's `value`, which has lost the part behind the point.
            let value = text.trim();
            format!("a time needs a unit: {value}s, {value}m or {value}ms")
        }
        DurationError::UnknownUnit { unit, .. } => {
            format!("'{unit}' is no unit of time: use ms, s, m, h or d")
        }
        DurationError::NumberOverflow => "the time is too long".to_owned(),
        _ => "give a time such as 30s or 2m".to_owned(),
    })
}

/// A time other than zero: an idle or write timeout is switched off by leaving it out.
pub(crate) fn nonzero_time(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    // humantime accepts 0s, and a script may mean "none" by it; better an error than a server
    // that closes everything.
    if time.is_zero() {
        Err("it would pass at once: give a longer time, or leave the option out".to_owned())
    } else {
        Ok(time)
    }
}

/// A count within a range.
pub(crate) fn count<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let count = text.parse().ok().filter(|count| range.contains(count));
    count.ok_or_else(|| {
        let (min, max) = (range.start(), range.end());
        format!("give a whole number from {min} to {max}")
    })
}

/// A number of bytes, with or without a unit.
pub(crate) fn bytes(text: &str) -> Result<ByteSize, String> {
    text.parse()
        .map_err(|_| "give a number of bytes such as 4096, 64KiB or 16MiB".to_owned())
}

/// The value of a switch, which only its variable has.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// A size from the command line; one beyond the address space is no limit.
pub(crate) fn to_bytes(size: ByteSize) -> usize {
    usize::try_from(size.as_u64()).unwrap_or(usize::MAX)
}

//! The times that timers take: Node's numbers of milliseconds, and the standard library's durations.

use std::time::Duration;

/// A time in milliseconds: a number, as in Node, or a [`Duration`].
///
/// A part of a millisecond in a `Duration` counts as a whole one, so that no timer fires early.
///
/// ```
/// use oneloop::callback::{run, set_timeout};
/// use std::time::Duration;
///
/// run(|| {
///     set_timeout(|| println!("first"), 1);
///     set_timeout(|| println!("second"), Duration::from_millis(2));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a time",
    label = "write a number of milliseconds, as in Node, or a `std::time::Duration`"
)]
pub trait Milliseconds {
    /// The number of milliseconds.
    fn to_ms(self) -> f64;
}

/// Numbers that mostly fit: Node's timers take no more than 2^31 - 1 ms anyway.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Milliseconds for $number {
            fn to_ms(self) -> f64 {
                self as f64
            }
        }
    )*};
}

numbers!(f32, f64, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

impl Milliseconds for Duration {
    fn to_ms(self) -> f64 {
        self.as_nanos().div_ceil(1_000_000) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_counts_as_a_whole_one() {
        assert_eq!(Duration::from_micros(1_001).to_ms(), 2.0);
        assert_eq!(Duration::from_secs(1).to_ms(), 1_000.0);
        assert_eq!(Duration::ZERO.to_ms(), 0.0);
    }

    #[test]
    fn a_number_keeps_its_fraction() {
        assert_eq!(1.5.to_ms(), 1.5);
        assert_eq!(60_000_u64.to_ms(), 60_000.0);
    }
}

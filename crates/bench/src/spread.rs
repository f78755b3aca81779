//! The median, the quartiles and the extremes of a few values.

use std::fmt;

use serde::Serialize;

/// A summary of one value per round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) quartile_1: f64,
    pub(crate) quartile_3: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of `values`; `None` when there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let [quartile_1, median, quartile_3] = [0.25, 0.5, 0.75].map(|part| at(&values, part));
        Some(Spread {
            median,
            quartile_1,
            quartile_3,
            min,
            max,
        })
    }
}

/// The quantile `part` of the sorted `values`, interpolated between its two neighbors.
fn at(values: &[f64], part: f64) -> f64 {
    let place = (values.len() - 1) as f64 * part;
    let (below, above) = (
        values[place.floor() as usize],
        values[place.ceil() as usize],
    );
    below + (above - below) * place.fract()
}

/// The median and the quartiles, `1.02 (0.99–1.05)`, in the precision asked for.
impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = formatter.precision().unwrap_or(2);
        let Spread {
            median,
            quartile_1,
            quartile_3,
            ..
        } = self;
        write!(
            formatter,
            "{median:.digits$} ({quartile_1:.digits$}–{quartile_3:.digits$})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_values_lie_between_the_quartiles() {
        let spread = Spread {
            median: 3.0,
            quartile_1: 2.0,
            quartile_3: 4.0,
            min: 1.0,
            max: 5.0,
        };
        assert_eq!(Spread::of([4.0, 1.0, 5.0, 3.0, 2.0]), Some(spread));
    }

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
    }

    #[test]
    fn one_value_is_its_own_spread() {
        assert_eq!(Spread::of([7.0]).unwrap().to_string(), "7.00 (7.00–7.00)");
        assert_eq!(Spread::of([]), None);
    }
}

//! Finds the name that was probably meant.

/// How similar a name must be to be suggested, from 0 to 1.
const SIMILARITY_MIN: f64 = 0.65;

/// The known name that is most similar to this one, if one is similar enough.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known = known.into_iter();
    let similar = known.map(|other| (strsim::jaro_winkler(name, other), other));
    let nearest = similar.max_by(|a, b| a.0.total_cmp(&b.0));
    let (_, other) = nearest.filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)?;
    Some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_unless_it_is_too_different() {
        let known = [
            "LISTEN",
            "MODE",
            "TO",
            "MAX_CONNS",
            "THREADS",
            "IDLE_TIMEOUT",
            "WRITE_TIMEOUT",
            "LOG",
            "LOG_LEVEL",
        ];
        for (name, near) in [
            ("MAXCONNS", Some("MAX_CONNS")),
            ("MAX_CONNECTIONS", Some("MAX_CONNS")),
            ("LISTN", Some("LISTEN")),
            ("IDLE", Some("IDLE_TIMEOUT")),
            ("LOGLEVEL", Some("LOG_LEVEL")),
            ("THREAD", Some("THREADS")),
            ("T0", Some("TO")),
            ("XYZZY", None),
            ("PORT", None),
        ] {
            assert_eq!(nearest(name, known), near, "{name}");
        }
    }
}

//! Reads the table of `strace -c`.

use std::collections::BTreeMap;

/// How often each system call was made.
pub(crate) type Calls = BTreeMap<String, i64>;

/// The calls of a whole `strace -c` table; `None` while its last line is not written yet.
///
/// A line is `% time, seconds, usecs/call, calls, [errors,] syscall`; the errors may be missing.
pub(crate) fn parse_table(text: &str) -> Option<Calls> {
    let mut calls = Calls::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(name), Some(count)) = (fields.last(), fields.get(3)) else {
            continue;
        };
        let Ok(count) = count.parse::<i64>() else {
            continue;
        };
        if *name == "total" {
            return Some(calls);
        }
        *calls.entry((*name).to_owned()).or_default() += count;
    }
    None
}

/// What `more` has beyond `less`, for each of `units`.
pub(crate) fn per_unit(less: &Calls, more: &Calls, units: u32) -> BTreeMap<String, f64> {
    let mut difference = more.clone();
    for (name, count) in less {
        *difference.entry(name.clone()).or_default() -= count;
    }
    difference
        .into_iter()
        .map(|(name, count)| (name, count as f64 / f64::from(units)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.000200           2       100           recvfrom
 40.00    0.000160           1       100           sendto
 10.00    0.000040           0        70         6 accept4
------ ----------- ----------- --------- --------- ----------------
100.00    0.000400           1       270         6 total
";

    #[test]
    fn calls_are_counted_with_and_without_errors() {
        let calls = parse_table(TABLE).unwrap();
        assert_eq!(calls.len(), 3);
        assert_eq!(calls["recvfrom"], 100);
        assert_eq!(calls["accept4"], 70);
    }

    #[test]
    fn an_unfinished_table_is_not_read() {
        let (unfinished, _) = TABLE.split_at(TABLE.len() - 60);
        assert_eq!(parse_table(unfinished), None);
        assert_eq!(parse_table(""), None);
    }

    #[test]
    fn start_up_cancels_in_the_difference() {
        let less = Calls::from([("mmap".into(), 20), ("recvfrom".into(), 100)]);
        let more = Calls::from([
            ("mmap".into(), 20),
            ("recvfrom".into(), 300),
            ("close".into(), 1),
        ]);
        let calls = per_unit(&less, &more, 200);
        assert_eq!(calls["mmap"], 0.0);
        assert_eq!(calls["recvfrom"], 1.0);
        assert_eq!(calls["close"], 0.005);
    }
}

//! Reads the state of a process from proc_pid_stat(5).

/// The process group in a line of proc_pid_stat(5): behind the name, which may contain blanks and
/// brackets, come the state, the parent and the group. `None` for a zombie.
pub(crate) fn running_group(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_does_not_count_as_running() {
        assert_eq!(running_group("7 (a) Z 9) S 1 42 42 0"), Some(42));
        assert_eq!(running_group("7 (a) S 9) Z 1 42 42 0"), None);
        assert_eq!(running_group("not of proc_pid_stat(5)"), None);
    }
}

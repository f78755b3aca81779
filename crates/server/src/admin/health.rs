//! Whether the server lives, and whether it wants connections: for probes of Kubernetes, systemd
//! and load balancers.

use crate::admin::probe::Silent;
use humantime::format_duration;
use std::time::Duration;

/// What a probe is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Good(String),
    /// Status 503.
    Bad(String),
}

/// Whether all loops turn. `loops` has the answer of each.
pub(crate) fn liveness<T>(loops: &[Result<T, Silent>]) -> Health {
    let mut problems = loops.iter().enumerate().filter_map(|(number, answer)| {
        let problem = match answer {
            Ok(_) => return None,
            Err(Silent::Stuck(time)) => {
                let time = format_duration(Duration::from_millis(
                    u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
                ));
                format!("loop {number} is stuck: it has not turned for {time}")
            }
            Err(Silent::Gone) => format!("loop {number} has ended"),
        };
        Some(problem)
    });
    match problems.next() {
        None if loops.len() == 1 => Health::Good("the loop turns".to_owned()),
        None => Health::Good(format!("all {} loops turn", loops.len())),
        Some(first) => Health::Bad(problems.fold(first, |all, next| format!("{all}; {next}"))),
    }
}

/// Whether the server accepts.
pub(crate) fn readiness(is_draining: bool, listeners: usize) -> Health {
    if is_draining {
        Health::Bad("draining: accepting no more".to_owned())
    } else if listeners == 0 {
        Health::Bad("no listener is left".to_owned())
    } else {
        Health::Good("accepting".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_loop_is_named() {
        let stuck = Err(Silent::Stuck(Duration::from_millis(12_345)));
        assert_eq!(
            liveness(&[Ok(()), stuck, Err(Silent::Gone)]),
            Health::Bad(
                "loop 1 is stuck: it has not turned for 12s 345ms; loop 2 has ended".to_owned()
            )
        );
        assert_eq!(
            liveness(&[Ok(())]),
            Health::Good("the loop turns".to_owned())
        );
    }

    #[test]
    fn a_server_that_drains_or_is_deaf_is_not_ready() {
        assert!(matches!(readiness(true, 2), Health::Bad(_)));
        assert!(matches!(readiness(false, 0), Health::Bad(_)));
        assert!(matches!(readiness(false, 1), Health::Good(_)));
    }
}

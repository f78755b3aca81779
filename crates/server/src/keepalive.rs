//! `--keepalive`: how a client or an upstream is found that has vanished without an end.

use oneloop::net;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const USAGE: &str = "give IDLE,INTERVAL,COUNT such as 60s,10s,6, or 0 for no probes";

/// The value of `--keepalive`; `None` sends no probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keepalive(pub(crate) Option<net::Keepalive>);

impl FromStr for Keepalive {
    type Err = String;

    /// `IDLE,INTERVAL,COUNT`. A part that is left out has its default; an idle time of 0 means no
    /// probes.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let mut next = || parts.next();
        let default = net::Keepalive::default();
        let idle = next().map_or(Ok(default.idle), seconds)?;
        if idle.is_zero() && !text.contains(',') {
            return Ok(Keepalive(None));
        }
        let interval = next().map_or(Ok(default.interval), seconds)?;
        let count = next().map_or(Ok(default.count), count)?;
        if idle.is_zero() || interval.is_zero() || next().is_some() {
            return Err(USAGE.to_owned());
        }
        let keepalive = net::Keepalive::new(idle, interval, count);
        Ok(Keepalive(Some(keepalive)))
    }
}

/// The kernel takes whole seconds, up to `MAX_TCP_KEEPIDLE` (tcp(7)).
fn seconds(text: &str) -> Result<Duration, String> {
    let time = match text {
        "0" => Duration::ZERO,
        _ => humantime::parse_duration(text).map_err(|_| USAGE)?,
    };
    // TCP_KEEPIDLE and TCP_KEEPINTVL take ints of whole seconds; rounding would surprise.
    if time.subsec_nanos() != 0 || time.as_secs() > 32_767 {
        return Err(format!("'{text}' is not 1 to 32767 whole seconds: {USAGE}"));
    }
    Ok(time)
}

fn count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=127).contains(count));
    count.ok_or_else(|| format!("'{text}' is not a count of 1 to 127: {USAGE}"))
}

impl fmt::Display for Keepalive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(keepalive) = self.0 else {
            return f.write_str("0");
        };
        let [idle, interval] = [keepalive.idle, keepalive.interval].map(|time| time.as_secs());
        write!(f, "{idle}s,{interval}s,{}", keepalive.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_left_out_has_its_default() {
        for (text, means) in [
            ("60s,10s,6", "60s,10s,6"),
            ("2m", "120s,10s,6"),
            ("5s, 1s", "5s,1s,6"),
            ("0", "0"),
            ("0s", "0"),
        ] {
            let keepalive: Keepalive = text.parse().unwrap();
            assert_eq!(keepalive.to_string(), means, "{text}");
        }
    }

    #[test]
    fn values_that_the_kernel_does_not_take_are_refused() {
        for text in [
            "",
            "60",
            "0,1s,2",
            "1s,0,2",
            "1s,1s,0",
            "1s,1s,128",
            "1s,1s,2,3",
            "500ms",
            "10h,1s,2",
        ] {
            assert!(text.parse::<Keepalive>().is_err(), "{text}");
        }
    }
}

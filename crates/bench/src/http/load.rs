//! What wrk and h2load send, and how many answers they count.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::contenders::{HttpLoad, Protocol};

/// How clients ask.
#[derive(Clone, Copy)]
enum Clients {
    /// One request after the other on each connection.
    Keeping,
    /// A connection for each request.
    Closing,
    /// That number of requests at once on each connection.
    Multiplexing(usize),
}

/// The clients of one line of the tables.
pub(super) struct Workload {
    pub(super) name: &'static str,
    pub(super) protocol: Protocol,
    connections: usize,
    clients: Clients,
}

impl Workload {
    /// The clients of a load.
    pub(super) fn of(load: HttpLoad) -> Workload {
        match load {
            HttpLoad::Kept => Self::keeping("HTTP/1, 64 connections", Protocol::Http1, 64),
            HttpLoad::Limited => Self::keeping(
                "the same, limited time for heads",
                Protocol::Http1Limited,
                64,
            ),
            HttpLoad::Many => Self::keeping("HTTP/1, 1,000 connections", Protocol::Http1, 1000),
            HttpLoad::Closing => Workload {
                name: "Connection: close, 64",
                protocol: Protocol::Http1,
                connections: 64,
                clients: Clients::Closing,
            },
            HttpLoad::Http2 => Workload {
                name: "HTTP/2, 16 × 16 streams",
                protocol: Protocol::Http2,
                connections: 16,
                clients: Clients::Multiplexing(16),
            },
            HttpLoad::Tls => Self::keeping("TLS 1.3 + HTTP/1, 64", Protocol::Tls, 64),
        }
    }

    fn keeping(name: &'static str, protocol: Protocol, connections: usize) -> Workload {
        Workload {
            name,
            protocol,
            connections,
            clients: Clients::Keeping,
        }
    }

    /// Asks as often as possible for some seconds: wrk with HTTP/1, h2load with HTTP/2.
    pub(super) fn run_for(&self, address: SocketAddr, seconds: u32) -> Result<Answers> {
        match self.clients {
            Clients::Multiplexing(_) => {
                let mut h2load = self.h2load();
                h2load.arg("-D").arg(seconds.to_string());
                Answers::of_h2load(&output(h2load.arg(self.url(address)))?)
            }
            Clients::Keeping | Clients::Closing => {
                let mut wrk = Command::new("wrk");
                wrk.args(["-t", "1", "-c", &self.connections.to_string()]);
                wrk.arg("-d").arg(format!("{seconds}s"));
                if matches!(self.clients, Clients::Closing) {
                    wrk.args(["-H", "Connection: close"]);
                }
                Answers::of_wrk(&output(wrk.arg(self.url(address)))?)
            }
        }
    }

    /// Asks that number of times: h2load, which counts exactly.
    pub(super) fn run_times(&self, address: SocketAddr, requests: u32) -> Result<()> {
        let mut h2load = self.h2load();
        h2load.arg("-n").arg(requests.to_string());
        if !matches!(self.clients, Clients::Multiplexing(_)) {
            h2load.arg("--h1");
        }
        if matches!(self.clients, Clients::Closing) {
            h2load.args(["-H", "connection: close"]);
        }
        let answers = Answers::of_h2load(&output(h2load.arg(self.url(address)))?)?;
        ensure!(
            answers.count == u64::from(requests),
            "{} of {requests} requests were answered",
            answers.count
        );
        Ok(())
    }

    fn h2load(&self) -> Command {
        let streams = match self.clients {
            Clients::Multiplexing(streams) => streams,
            Clients::Keeping | Clients::Closing => 1,
        };
        let mut h2load = Command::new("h2load");
        h2load.args(["-c", &self.connections.to_string()]);
        h2load.args(["-m", &streams.to_string()]);
        h2load
    }

    fn url(&self, address: SocketAddr) -> String {
        let scheme = match self.protocol {
            Protocol::Tls => "https",
            Protocol::Http1 | Protocol::Http1Limited | Protocol::Http2 => "http",
        };
        format!("{scheme}://{address}/")
    }
}

/// Which of the two is not installed, if so.
pub(super) fn why_not() -> Option<String> {
    let missing = |name: &&str| {
        let mut command = Command::new(name);
        command.arg("--version");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_err()
    };
    let name = ["wrk", "h2load"].into_iter().find(missing)?;
    Some(format!("there is no {name} (Debian: wrk, nghttp2-client)"))
}

/// What the clients counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answers {
    pub(super) count: u64,
    pub(super) per_s: f64,
}

impl Answers {
    /// `31744 requests in 1.00s, 3.1MB read` and `Requests/sec:  31712.12`.
    fn of_wrk(text: &str) -> Result<Answers> {
        ensure!(
            !text.contains("Socket errors") && !text.contains("Non-2xx"),
            "wrk saw errors: {text}"
        );
        let lines = || text.lines().map(str::trim);
        let count = lines().find_map(|line| line.split_once(" requests in")?.0.parse().ok());
        let per_s =
            lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
        count
            .zip(per_s)
            .map(|(count, per_s)| Answers { count, per_s })
            .with_context(|| format!("wrk printed no counts: {text}"))
    }

    /// `finished in 250.19ms, 79939.81 req/s, 1.2MB/s` and `requests: 20000 total, 20000 started,
    /// 20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout`.
    fn of_h2load(text: &str) -> Result<Answers> {
        let fields = |start: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(start))?;
            Some(line.split(", ").map(str::to_owned).collect::<Vec<_>>())
        };
        let number = |fields: Vec<String>, unit: &str| {
            let number = |field: &String| field.strip_suffix(unit).map(str::to_owned);
            fields.iter().find_map(number)
        };
        let read = || {
            let failed = fields("requests: ")?;
            let none_failed = failed.iter().any(|field| field == "0 failed");
            Some(Answers {
                count: number(failed, " succeeded")
                    .filter(|_| none_failed)?
                    .parse()
                    .ok()?,
                per_s: number(fields("finished in ")?, " req/s")?.parse().ok()?,
            })
        };
        read().with_context(|| format!("h2load printed no counts, or saw errors: {text}"))
    }
}

fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", name.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{} failed: {text}{}",
        name.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "\
Running 1s test @ http://127.0.0.1:18999/
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.36ms    4.61ms  34.61ms   88.82%
    Req/Sec     1.08k   156.78     1.31k    70.00%
  1080 requests in 1.00s, 657.22KB read
Requests/sec:   1077.47
Transfer/sec:    655.68KB
";
    const H2LOAD: &str = "\
finished in 50.02ms, 399.88 req/s, 6.05KB/s
requests: 20 total, 20 started, 20 done, 20 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 20 2xx, 0 3xx, 0 4xx, 0 5xx
";

    #[test]
    fn what_wrk_and_h2load_print_is_read() {
        let answers = |count, per_s| Answers { count, per_s };
        assert_eq!(Answers::of_wrk(WRK).unwrap(), answers(1080, 1077.47));
        assert_eq!(Answers::of_h2load(H2LOAD).unwrap(), answers(20, 399.88));
    }

    #[test]
    fn answers_with_errors_do_not_count() {
        let errors = format!("{WRK}  Socket errors: connect 0, read 1, write 0, timeout 0\n");
        assert!(Answers::of_wrk(&errors).is_err());
        let failed = H2LOAD.replace("0 failed", "3 failed");
        assert!(Answers::of_h2load(&failed).is_err());
        assert!(Answers::of_h2load("").is_err());
    }
}

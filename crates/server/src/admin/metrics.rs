//! The metrics of the server: what each is called, and where its values come from.

use crate::admin::family::{Family, Kind, Labels, Sample, Value};
use crate::admin::probe::Silent;
use crate::admin::sample::{LoopSample, STYLES};
use crate::close_reason::End;
use crate::counters::Counters;
use oneloop::core::{Phase, PoolStats};
use std::sync::Arc;

/// What metrics are made of: the server as it is at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) services: Vec<ServiceSnapshot>,
    /// The loops, in the order of their numbers.
    pub(crate) loops: Vec<Result<LoopSample, Silent>>,
    pub(crate) process: ProcessSnapshot,
}

/// One service.
#[derive(Debug)]
pub(crate) struct ServiceSnapshot {
    pub(crate) name: String,
    pub(crate) mode: String,
    pub(crate) style: String,
    /// What its loops have counted, one after the other.
    pub(crate) counters: Vec<Arc<Counters>>,
    /// Errors of accepting, by the error's number.
    pub(crate) accept_errors: Vec<(i32, u64)>,
    /// Listeners that accept, on all loops.
    pub(crate) listeners: usize,
}

/// What all services share.
#[derive(Debug, Default)]
pub(crate) struct ProcessSnapshot {
    pub(crate) connections_max: usize,
    /// Bytes that wait for all clients.
    pub(crate) queued: usize,
    pub(crate) queued_max: usize,
    pub(crate) is_draining: bool,
    /// Connections that were closed instead of served, by the reason's label.
    pub(crate) refused: Vec<(&'static str, u64)>,
    /// Connections closed for lack of an fd or of memory.
    pub(crate) shed: u64,
    /// Lines that were lost, by the label of their log.
    pub(crate) lost_lines: Vec<(&'static str, u64)>,
}

/// All metrics of the server itself.
pub(crate) fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut all = Collection::default();
    all.of_build();
    all.of_services(&snapshot.services);
    all.of_process(&snapshot.process);
    all.of_loops(&snapshot.loops);
    all.0
}

#[derive(Default)]
struct Collection(Vec<Family>);

impl Collection {
    /// Adds a metric with these samples.
    fn add<V: Into<Value>>(
        &mut self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) {
        let samples = samples.into_iter();
        let samples = samples.map(|(labels, value)| Sample {
            labels,
            value: value.into(),
        });
        self.0.push(Family {
            name,
            help,
            kind,
            samples: samples.collect(),
        });
    }

    fn of_build(&mut self) {
        let labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        self.add(
            Kind::Gauge,
            "oneloop_build_info",
            "1, and the version of the server",
            [(labels, 1_u64)],
        );
    }

    fn of_services(&mut self, services: &[ServiceSnapshot]) {
        let info = |service: &ServiceSnapshot| {
            let (mode, style) = (service.mode.clone(), service.style.clone());
            let labels = with(of(service), [("mode", mode), ("style", style)]);
            (labels, 1_u64)
        };
        self.add(
            Kind::Gauge,
            "oneloop_service_info",
            "1, and what each service does",
            services.iter().map(info),
        );
        let sum = |count: fn(&Counters) -> u64| {
            let sums = services.iter().map(move |service| {
                let counters = service.counters.iter();
                (of(service), counters.map(|counters| count(counters)).sum())
            });
            sums.collect::<Vec<(Labels, u64)>>()
        };
        self.add(
            Kind::Gauge,
            "oneloop_connections_open",
            "Connections that are served now",
            sum(Counters::open),
        );
        self.add(
            Kind::Counter,
            "oneloop_connections_accepted",
            "Connections that were accepted to be served",
            sum(|counters| counters.accepted.get()),
        );
        self.add(
            Kind::Counter,
            "oneloop_received_bytes",
            "Bytes received from clients",
            sum(|counters| counters.received.get()),
        );
        self.add(
            Kind::Counter,
            "oneloop_sent_bytes",
            "Bytes that the kernel has taken for clients",
            sum(|counters| counters.sent.get()),
        );
        let closed = services.iter().flat_map(|service| {
            End::ALL.into_iter().map(|end| {
                let labels = with(of(service), [("reason", end.name().to_owned())]);
                let counters = service.counters.iter();
                (labels, counters.map(|counters| counters.closed(end)).sum())
            })
        });
        self.add::<u64>(
            Kind::Counter,
            "oneloop_connections_closed",
            "Connections that have ended, by the reason",
            closed.collect::<Vec<_>>(),
        );
        self.of_accepting(services);
    }

    fn of_accepting(&mut self, services: &[ServiceSnapshot]) {
        let errors = services.iter().flat_map(|service| {
            service.accept_errors.iter().map(|(errno, count)| {
                let labels = with(of(service), [("errno", errno_name(*errno))]);
                (labels, *count)
            })
        });
        self.add(
            Kind::Counter,
            "oneloop_accept_errors",
            "Errors of accept(2), by their names in errno(3)",
            errors,
        );
        let listeners = services
            .iter()
            .map(|service| (of(service), service.listeners));
        self.add(
            Kind::Gauge,
            "oneloop_listeners",
            "Listeners that accept, on all loops",
            listeners,
        );
    }

    fn of_process(&mut self, process: &ProcessSnapshot) {
        let mut gauge = |name, help, value: Value| {
            self.add(Kind::Gauge, name, help, [(Labels::new(), value)]);
        };
        gauge(
            "oneloop_connections_max",
            "How many connections may be open",
            process.connections_max.into(),
        );
        gauge(
            "oneloop_queued_bytes",
            "Bytes that wait for all clients",
            process.queued.into(),
        );
        gauge(
            "oneloop_queued_max_bytes",
            "How many bytes may wait for all clients: --out-total",
            process.queued_max.into(),
        );
        gauge(
            "oneloop_draining",
            "1 from the request to stop on",
            process.is_draining.into(),
        );
        let refused = process.refused.iter();
        self.add(
            Kind::Counter,
            "oneloop_connections_refused",
            "Connections that were closed instead of served, by the reason",
            refused.map(|(reason, count)| (vec![("reason", (*reason).to_owned())], *count)),
        );
        self.add(
            Kind::Counter,
            "oneloop_connections_shed",
            "Connections that were closed for lack of open files or of memory",
            [(Labels::new(), process.shed)],
        );
        let lost = process.lost_lines.iter();
        self.add(
            Kind::Counter,
            "oneloop_log_lines_lost",
            "Lines for which a log had no room, by the log",
            lost.map(|(log, count)| (vec![("log", (*log).to_owned())], *count)),
        );
    }

    fn of_loops(&mut self, loops: &[Result<LoopSample, Silent>]) {
        let up = loops.iter().enumerate();
        self.add(
            Kind::Gauge,
            "oneloop_loop_up",
            "1 if the loop has answered in time; if not, its other metrics are missing",
            up.map(|(number, sample)| (of_loop(number), sample.is_ok())),
        );
        let samples: Vec<_> = loops
            .iter()
            .enumerate()
            .filter_map(|(number, sample)| Some((of_loop(number), sample.as_ref().ok()?)))
            .collect();
        self.of_turns(&samples);
        self.of_times(&samples);
        self.of_tasks(&samples);
        self.of_pools(&samples);
    }

    fn of_turns(&mut self, loops: &[(Labels, &LoopSample)]) {
        let mut count = |name, help, count: fn(&LoopSample) -> u64| {
            let counts = loops
                .iter()
                .map(|(labels, sample)| (labels.clone(), count(sample)));
            self.add(Kind::Counter, name, help, counts);
        };
        count("oneloop_loop_turns", "Turns", |s| s.stats.turns);
        count(
            "oneloop_loop_events",
            "Events that epoll reported",
            |sample| sample.stats.events,
        );
        count("oneloop_loop_timers_fired", "Timers that fired", |sample| {
            sample.stats.timers_fired
        });
        count(
            "oneloop_loop_rings",
            "Wake-ups by other threads",
            |sample| sample.stats.rings,
        );
        count(
            "oneloop_loop_io_budget_spent",
            "Tasks put off to the next turn because they had their share of I/O",
            |sample| sample.stats.io_budget_spent,
        );
        count(
            "oneloop_loop_run_budget_spent",
            "Phases that ended with tasks still ready because they had their share of runs",
            |sample| sample.stats.run_budget_spent,
        );
        count(
            "oneloop_tasks_spawned",
            "Tasks that were spawned",
            |sample| sample.stats.tasks_spawned,
        );
        count("oneloop_task_runs", "Runs of tasks", |sample| {
            sample.stats.tasks_run
        });
        count(
            "oneloop_tasks_panicked",
            "Tasks that panicked and were not joined",
            |sample| sample.stats.tasks_unhandled,
        );
    }

    fn of_times(&mut self, loops: &[(Labels, &LoopSample)]) {
        let phases = loops.iter().flat_map(|(labels, sample)| {
            Phase::ALL.into_iter().map(|phase| {
                let labels = with(labels.clone(), [("phase", phase.to_string())]);
                (labels, sample.stats.phase(phase))
            })
        });
        self.add(
            Kind::Counter,
            "oneloop_loop_phase_seconds",
            "Time spent in each phase",
            phases,
        );
        let mut time = |kind, name, help, time: fn(&LoopSample) -> std::time::Duration| {
            let times = loops
                .iter()
                .map(|(labels, sample)| (labels.clone(), time(sample)));
            self.add(kind, name, help, times);
        };
        time(
            Kind::Counter,
            "oneloop_loop_idle_seconds",
            "Time for which the loop waited for events",
            |sample| sample.stats.idle,
        );
        time(
            Kind::Gauge,
            "oneloop_loop_lag_seconds",
            "The largest delay among the timers that fired last",
            |sample| sample.stats.lag_last,
        );
        time(
            Kind::Gauge,
            "oneloop_loop_lag_max_seconds",
            "The largest delay of any timer",
            |sample| sample.stats.lag_max,
        );
        time(
            Kind::Gauge,
            "oneloop_loop_busy_max_seconds",
            "The longest time from one poll to the next",
            |sample| sample.stats.busy_max,
        );
        time(
            Kind::Gauge,
            "oneloop_loop_response_seconds",
            "How long the loop took to begin its answer to this scrape",
            |sample| sample.response,
        );
        time(
            Kind::Gauge,
            "oneloop_loop_scrape_seconds",
            "How long the loop worked for this scrape",
            |sample| sample.took,
        );
    }

    fn of_tasks(&mut self, loops: &[(Labels, &LoopSample)]) {
        let by_style = loops.iter().flat_map(|(labels, sample)| {
            STYLES.iter().zip(sample.tasks).map(|(style, count)| {
                let labels = with(labels.clone(), [("style", (*style).to_owned())]);
                (labels, count)
            })
        });
        self.add(
            Kind::Gauge,
            "oneloop_tasks",
            "Tasks that have not ended, by their style",
            by_style,
        );
        let ready = loops
            .iter()
            .map(|(labels, sample)| (labels.clone(), sample.ready));
        self.add(
            Kind::Gauge,
            "oneloop_tasks_ready",
            "Tasks in the run queue",
            ready,
        );
    }

    fn of_pools(&mut self, loops: &[(Labels, &LoopSample)]) {
        let mut gauge = |name, help, count: fn(&PoolStats) -> usize| {
            let counts = loops.iter().flat_map(|(labels, sample)| {
                sample.pools.iter().map(move |(class, pool)| {
                    let labels = with(labels.clone(), [("class", (*class).to_owned())]);
                    (labels, count(pool))
                })
            });
            self.add(Kind::Gauge, name, help, counts);
        };
        gauge(
            "oneloop_pool_threads",
            "Threads for jobs that block",
            |pool| pool.threads,
        );
        gauge(
            "oneloop_pool_busy",
            "Threads that do a job",
            PoolStats::busy,
        );
        gauge(
            "oneloop_pool_queued",
            "Jobs that wait for a thread, or for room in the queue",
            |pool| pool.queued + pool.waiting,
        );
    }
}

fn of(service: &ServiceSnapshot) -> Labels {
    vec![("service", service.name.clone())]
}

fn of_loop(number: usize) -> Labels {
    vec![("loop", number.to_string())]
}

fn with<const N: usize>(mut labels: Labels, more: [(&'static str, String); N]) -> Labels {
    labels.extend(more);
    labels
}

/// The name of an error: `EMFILE`.
fn errno_name(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::family::Format;
    use std::time::Duration;

    fn snapshot() -> Snapshot {
        let counters = Arc::new(Counters::default());
        counters.accepted.add(3);
        counters.received.add(10);
        counters.close(End::Reset);
        let mut sample = LoopSample::default();
        sample.stats.turns = 7;
        sample.stats.phases[Phase::Poll as usize] = Duration::from_millis(1500);
        sample.tasks = [4, 0, 1];
        sample.pools = vec![("dns", PoolStats::default())];
        Snapshot {
            services: vec![ServiceSnapshot {
                name: "front".to_owned(),
                mode: "echo".to_owned(),
                style: "async".to_owned(),
                counters: vec![counters, Arc::default()],
                accept_errors: vec![(24, 5)],
                listeners: 2,
            }],
            loops: vec![Ok(sample), Err(Silent::Stuck(Duration::from_secs(3)))],
            process: ProcessSnapshot {
                lost_lines: vec![("access", 1)],
                refused: vec![("max_conns", 2)],
                ..ProcessSnapshot::default()
            },
        }
    }

    #[test]
    fn each_value_has_its_labels() {
        let text = Format::OpenMetrics.text_of(families(&snapshot()));
        for line in [
            r#"oneloop_service_info{service="front",mode="echo",style="async"} 1"#,
            r#"oneloop_connections_open{service="front"} 2"#,
            r#"oneloop_connections_accepted_total{service="front"} 3"#,
            r#"oneloop_connections_closed_total{service="front",reason="reset"} 1"#,
            r#"oneloop_connections_closed_total{service="front",reason="closed"} 0"#,
            r#"oneloop_connections_refused_total{reason="max_conns"} 2"#,
            r#"oneloop_connections_shed_total 0"#,
            r#"oneloop_accept_errors_total{service="front",errno="EMFILE"} 5"#,
            r#"oneloop_listeners{service="front"} 2"#,
            r#"oneloop_received_bytes_total{service="front"} 10"#,
            r#"oneloop_log_lines_lost_total{log="access"} 1"#,
            r#"oneloop_loop_up{loop="0"} 1"#,
            r#"oneloop_loop_up{loop="1"} 0"#,
            r#"oneloop_loop_turns_total{loop="0"} 7"#,
            r#"oneloop_loop_phase_seconds_total{loop="0",phase="poll"} 1.5"#,
            r#"oneloop_tasks{loop="0",style="green"} 1"#,
            r#"oneloop_pool_queued{loop="0",class="dns"} 0"#,
        ] {
            assert!(
                text.lines().any(|said| said == line),
                "no {line} in\n{text}"
            );
        }
    }
}

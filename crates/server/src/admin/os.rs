//! What the kernel says of this process, by the names that Prometheus' own libraries give it.

use crate::admin::family::{Family, Kind, Labels, Sample, Value};
use crate::open_files;
use procfs::process::Process;

/// What `/proc` says of this process; nothing where a sandbox hides it.
pub(crate) fn families() -> Vec<Family> {
    let mut families = Vec::new();
    let mut add = |name, help, kind, value: Value| {
        let labels = Labels::new();
        let samples = vec![Sample { labels, value }];
        families.push(Family {
            name,
            help,
            kind,
            samples,
        });
    };
    let Ok(process) = Process::myself() else {
        return families;
    };
    if let Ok(stat) = process.stat() {
        let ticks = procfs::ticks_per_second() as f64;
        let cpu = Value::Real((stat.utime + stat.stime) as f64 / ticks);
        add(
            "process_cpu_seconds",
            "Time on a processor, in user space and in the kernel",
            Kind::Counter,
            cpu,
        );
        let resident = Value::Count(stat.rss * procfs::page_size());
        add(
            "process_resident_memory_bytes",
            "Memory that is in RAM",
            Kind::Gauge,
            resident,
        );
        add(
            "process_virtual_memory_bytes",
            "Address space",
            Kind::Gauge,
            Value::Count(stat.vsize),
        );
        let threads = u64::try_from(stat.num_threads).unwrap_or(0);
        add("process_threads", "Threads", Kind::Gauge, threads.into());
        if let Ok(boot) = procfs::boot_time_secs() {
            let start = boot as f64 + stat.starttime as f64 / ticks;
            add(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
                Kind::Gauge,
                Value::Real(start),
            );
        }
    }
    if let Ok(fds) = process.fd_count() {
        add("process_open_fds", "Open files", Kind::Gauge, fds.into());
    }
    if let Some(limit) = open_files::limit() {
        add(
            "process_max_fds",
            "The limit of open files",
            Kind::Gauge,
            limit.into(),
        );
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_files_and_an_age() {
        let families = families();
        let value = |name: &str| {
            let family = families.iter().find(|family| family.name == name).unwrap();
            match family.samples[0].value {
                Value::Count(count) => count as f64,
                Value::Real(real) => real,
            }
        };
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        let now = std::time::SystemTime::now();
        let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - value("process_start_time_seconds");
        assert!((-2.0..86_400.0).contains(&age), "{age} s");
    }
}

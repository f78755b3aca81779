//! What `/proc` and `/sys` say about the machine.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::{fs, io};

/// A line of `/proc/meminfo`, in bytes.
pub(crate) fn memory_line(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| *key == name)?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// The pages of this process that are in memory.
pub(crate) fn resident_pages() -> io::Result<usize> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// One processor.
pub(crate) struct Processor {
    pub(crate) model: String,
    pub(crate) speed_mhz: i32,
    /// user, nice, sys, idle, irq.
    pub(crate) times_ms: [u64; 5],
}

/// All processors that are online.
pub(crate) fn processors(ticks_per_s: u64) -> io::Result<Vec<Processor>> {
    let stat = fs::read_to_string("/proc/stat")?;
    let models = models(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
    let numbered = stat.lines().filter_map(|line| {
        let mut fields = line.strip_prefix("cpu")?.split_ascii_whitespace();
        let number: usize = line[3..].split(' ').next()?.parse().ok()?;
        fields.next();
        let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        Some((number, ticks))
    });
    Ok(numbered
        .map(|(number, ticks)| {
            let ms = |index: usize| {
                ticks
                    .get(index)
                    .map_or(0, |ticks| ticks * (1000 / ticks_per_s.max(1)))
            };
            let (model, mhz) = models
                .get(&number)
                .cloned()
                .unwrap_or(("unknown".into(), 0));
            Processor {
                model,
                speed_mhz: frequency_mhz(number).unwrap_or(mhz),
                times_ms: [ms(0), ms(1), ms(2), ms(3), ms(5)],
            }
        })
        .collect())
}

/// The names and speeds of processors by their numbers.
fn models(cpuinfo: &str) -> HashMap<usize, (String, i32)> {
    let mut models = HashMap::new();
    let mut number = 0;
    for (key, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match key.trim() {
            "processor" => number = value.parse().unwrap_or(number + 1),
            "model name" => models.entry(number).or_insert((String::new(), 0)).0 = value.to_owned(),
            "cpu MHz" => {
                let mhz = value.parse::<f64>().unwrap_or(0.0);
                models.entry(number).or_insert((String::new(), 0)).1 = mhz as i32;
            }
            _ => {}
        }
    }
    models
}

fn frequency_mhz(number: usize) -> Option<i32> {
    let path = format!("/sys/devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq");
    let khz: u64 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    Some((khz / 1000) as i32)
}

/// What a control group lets this process use, in bytes.
pub(crate) struct CgroupMemory {
    /// `u64::MAX` if there is a group without a limit.
    pub(crate) limit: u64,
    pub(crate) used: u64,
}

impl CgroupMemory {
    /// The group of this process; `None` if none is known.
    pub(crate) fn of_this_process() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let version_1 = groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let is_memory = fields.next()?.split(',').any(|name| name == "memory");
            is_memory.then(|| fields.next())?
        });
        if let Some(path) = version_1 {
            let (limit, used) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
            return CgroupMemory::read("/sys/fs/cgroup/memory", path, limit, used);
        }
        let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
        CgroupMemory::read("/sys/fs/cgroup", path, "memory.max", "memory.current")
    }

    fn read(root: &str, path: &str, limit: &str, used: &str) -> Option<Self> {
        // In a container the path is the host's, and the group is at the root.
        [path, ""].iter().find_map(|path| {
            let read = |name| fs::read_to_string(format!("{root}/{path}/{name}")).ok();
            let limit = read(limit)?;
            let limit = if limit.trim() == "max" {
                u64::MAX
            } else {
                limit.trim().parse().ok()?
            };
            let used = read(used)
                .and_then(|used| used.trim().parse().ok())
                .unwrap_or(0);
            Some(CgroupMemory { limit, used })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_and_processors() {
        let total = memory_line("MemTotal").unwrap();
        assert!(total > memory_line("MemFree").unwrap());
        assert!(resident_pages().unwrap() > 0);
        let processors = processors(100).unwrap();
        assert!(!processors.is_empty());
        assert!(processors.iter().all(|processor| processor.times_ms[3] > 0));
    }
}

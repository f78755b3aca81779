//! From reports of phases to slices on tracks: what both formats write.

use crate::places::{place_of, place_text};
use oneloop_core::{Key, Phase, PhaseReport, Ran, Task};
use std::collections::HashMap;
use std::time::Instant;

/// A format of traces. Slices of one track nest, and its times never go back.
pub(crate) trait TraceFormat {
    fn begin(&mut self, out: &mut Vec<u8>, pid: u32, program: &str);
    fn track(&mut self, out: &mut Vec<u8>, track: u64, name: &str);
    fn slice_begins(&mut self, out: &mut Vec<u8>, at_ns: u64, track: u64, slice: &Slice<'_>);
    fn slice_ends(&mut self, out: &mut Vec<u8>, at_ns: u64, track: u64);
    fn end(&mut self, out: &mut Vec<u8>);
}

/// What a slice says.
#[derive(Debug)]
pub(crate) struct Slice<'a> {
    pub(crate) name: &'a str,
    pub(crate) category: &'a str,
    pub(crate) turn: Option<u64>,
    pub(crate) notes: &'a [(&'a str, String)],
    /// The wakes that begin here, each with a number of its own.
    pub(crate) flows_out: &'a [u64],
    /// The wake that ends here.
    pub(crate) flow_in: Option<u64>,
}

/// A phase that did something, and when it ended.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) report: PhaseReport,
    pub(crate) ended: Instant,
}

impl Recorded {
    /// `None` for a phase that had nothing to do.
    pub(crate) fn of(report: &PhaseReport) -> Option<Self> {
        let has_something =
            !report.woke.is_empty() || !report.ran.is_empty() || !report.slept.is_zero();
        has_something.then(|| Recorded {
            report: report.clone(),
            ended: Instant::now(),
        })
    }

    /// How many slices it makes, roughly: for a limit.
    pub(crate) fn weight(&self) -> usize {
        2 + self.report.ran.len()
    }
}

/// Writes what loops have recorded, in a format.
pub(crate) struct TraceWriter {
    format: Box<dyn TraceFormat + Send>,
    /// The time that is 0 in the trace.
    began: Instant,
    /// The wakes whose tasks have not run, by track and task.
    wakes: HashMap<(u64, Key<Task>), u64>,
    next_flow: u64,
}

impl TraceWriter {
    pub(crate) fn begin(
        mut format: Box<dyn TraceFormat + Send>,
        began: Instant,
        out: &mut Vec<u8>,
    ) -> Self {
        let program = std::env::args().next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default().to_owned();
        format.begin(out, std::process::id(), &program);
        TraceWriter {
            format,
            began,
            wakes: HashMap::new(),
            next_flow: 1,
        }
    }

    pub(crate) fn track(&mut self, out: &mut Vec<u8>, track: u64, name: &str) {
        self.format.track(out, track, name);
    }

    pub(crate) fn end(mut self, out: &mut Vec<u8>) {
        self.format.end(out);
    }

    /// Writes one phase of the loop with this track.
    pub(crate) fn phase(&mut self, out: &mut Vec<u8>, track: u64, recorded: &Recorded) {
        let report = &recorded.report;
        let began = self.ns(report.began);
        let flows = self.flows(track, report, None);
        let woke = report.woke.iter().map(|woke| ("woke", woke.to_string()));
        let notes: Vec<_> = woke.take(8).collect();
        let name = report.phase.to_string();
        self.format.slice_begins(
            out,
            began,
            track,
            &Slice {
                name: &name,
                category: "phase",
                turn: Some(report.turn),
                notes: &notes,
                flows_out: &flows,
                flow_in: None,
            },
        );
        if report.phase == Phase::Poll && !report.slept.is_zero() {
            self.sleep(out, track, report);
        }
        for (index, ran) in report.ran.iter().enumerate() {
            self.run(out, track, report, index, ran);
        }
        // Not before the end of its last run, which was timed by another look at the clock.
        let last = report
            .ran
            .last()
            .map_or(began, |ran| self.ns(ran.began + ran.took));
        let ended = self.ns(recorded.ended).max(last);
        self.format.slice_ends(out, ended, track);
    }

    fn sleep(&mut self, out: &mut Vec<u8>, track: u64, report: &PhaseReport) {
        let slice = Slice {
            name: "sleep",
            category: "sleep",
            turn: None,
            notes: &[],
            flows_out: &[],
            flow_in: None,
        };
        let (began, ended) = (self.ns(report.began), self.ns(report.began + report.slept));
        self.format.slice_begins(out, began, track, &slice);
        self.format.slice_ends(out, ended, track);
    }

    fn run(
        &mut self,
        out: &mut Vec<u8>,
        track: u64,
        report: &PhaseReport,
        index: usize,
        ran: &Ran,
    ) {
        let place = place_text(ran.spawned_at.map(place_of));
        let flow_in = ran.task.and_then(|task| self.wakes.remove(&(track, task)));
        let flows = self.flows(track, report, Some(index));
        let task = ran.task.map(|task| ("task", task.to_string()));
        let notes: Vec<_> = task.into_iter().collect();
        let began = self.ns(ran.began);
        self.format.slice_begins(
            out,
            began,
            track,
            &Slice {
                name: &place,
                category: "task",
                turn: None,
                notes: &notes,
                flows_out: &flows,
                flow_in,
            },
        );
        let ended = self.ns(ran.began + ran.took);
        self.format.slice_ends(out, ended, track);
    }

    /// Numbers the wakes by one run, or by the phase itself.
    fn flows(&mut self, track: u64, report: &PhaseReport, by: Option<usize>) -> Vec<u64> {
        let wakes = report.wakes.iter().filter(|wake| wake.by == by);
        let numbered = wakes.map(|wake| {
            let flow = self.next_flow;
            self.next_flow += 1;
            self.wakes.insert((track, wake.task), flow);
            flow
        });
        numbered.collect()
    }

    fn ns(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

//! Slow motion: a loop waits at each of its phases, or at each turn, until it is let on.

use oneloop_core::Phase;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a loop waits for a page that is gone.
const LEASE: Duration = Duration::from_secs(2);

/// Lines that are kept of one phase.
const LINES_MAX: usize = 8;

/// Where a loop in slow motion is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) turn: u64,
    /// An index into [`Phase::ALL`].
    pub(crate) phase: usize,
    /// What woke and what ran there.
    pub(crate) lines: Vec<String>,
    /// It stays there until a step is asked for.
    pub(crate) holds: bool,
}

/// How a loop moves.
///
/// ```text
///             slow(pace)                    hold
///   Free ────────────────▶ Slow(pace) ─────────────▶ Held ◀─┐
///    ▲                        │                       │     │ the turn ends
///    └── free, or the lease ──┴───────────────────────┤     │
///        is over: no page watches                     └─step┘
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Motion {
    #[default]
    Free,
    /// Each phase takes at least this time.
    Slow(Duration),
    /// It stays at the end of a turn, until a step is asked for.
    Held,
}

#[derive(Debug, Default)]
struct GateState {
    motion: Motion,
    /// Turns that a loop that is held may take.
    steps: u32,
    /// When the loop continues by itself.
    until: Option<Instant>,
    /// Where the loop is; `None` while it is free.
    at: Option<Step>,
}

/// What lets a loop on, from another thread.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, GateState> {
        // A panic cannot leave the state half-changed: no code that may panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        let mut state = self.lock();
        change(&mut state);
        state.until = Some(Instant::now() + LEASE);
        drop(state);
        self.changed.notify_all();
    }

    /// Makes each phase take at least this time.
    pub(crate) fn slow(&self, pace: Duration) {
        self.change(|state| state.motion = Motion::Slow(pace));
    }

    /// Holds the loop at the end of its turn.
    pub(crate) fn hold(&self) {
        self.change(|state| {
            state.motion = Motion::Held;
            state.steps = 0;
        });
    }

    /// Makes a loop that is held take one turn.
    pub(crate) fn step(&self) {
        self.change(|state| {
            state.motion = Motion::Held;
            state.steps = 1;
        });
    }

    /// Ends slow motion.
    pub(crate) fn free(&self) {
        self.change(|state| *state = GateState::default());
    }

    /// Keeps slow motion for a while longer: a page watches.
    pub(crate) fn renew(&self) {
        let mut state = self.lock();
        if state.motion != Motion::Free {
            state.until = Some(Instant::now() + LEASE);
        }
    }

    /// Where the loop is; `None` while it is free.
    pub(crate) fn at(&self) -> Option<Step> {
        self.lock().at.clone()
    }

    pub(crate) fn is_free(&self) -> bool {
        self.lock().motion == Motion::Free
    }

    /// Called by the loop at the end of each phase. It returns once the loop may continue.
    pub(crate) fn pass(&self, turn: u64, phase: Phase, lines: impl FnOnce() -> Vec<String>) {
        let mut state = self.lock();
        if state.motion == Motion::Free {
            return;
        }
        let mut lines = lines();
        if lines.len() > LINES_MAX {
            let more = lines.len() - LINES_MAX;
            lines.truncate(LINES_MAX);
            lines.push(format!("and {more} more"));
        }
        // A turn ends with its timers: see `Run::turn` of the core.
        let is_last = phase == Phase::Timers;
        state.at = Some(Step {
            turn,
            phase: phase as usize,
            lines,
            holds: false,
        });
        let came = Instant::now();
        loop {
            let now = Instant::now();
            if state.until.is_none_or(|until| until <= now) {
                *state = GateState::default();
            }
            let waits_until = match state.motion {
                Motion::Free => break,
                Motion::Slow(pace) if now >= came + pace => break,
                Motion::Slow(pace) => came + pace,
                Motion::Held if !is_last => break,
                Motion::Held if state.steps > 0 => {
                    state.steps -= 1;
                    break;
                }
                Motion::Held => now + LEASE,
            };
            if let (Motion::Held, Some(at)) = (state.motion, &mut state.at) {
                at.holds = true;
            }
            let until = state
                .until
                .map_or(waits_until, |until| until.min(waits_until));
            let waited = self.changed.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.motion == Motion::Free {
            state.at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    /// A loop of two phases a turn, which reports each that it has passed.
    fn turning(gate: &Arc<Gate>) -> Receiver<(u64, Phase)> {
        let (sender, receiver) = channel();
        let gate = Arc::clone(gate);
        thread::spawn(move || {
            for turn in 0.. {
                for phase in [Phase::Poll, Phase::Timers] {
                    gate.pass(turn, phase, Vec::new);
                    if sender.send((turn, phase)).is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }

    #[test]
    fn a_loop_that_is_held_takes_one_turn_for_each_step() {
        let gate = Arc::new(Gate::default());
        gate.hold();
        let passed = turning(&gate);
        assert_eq!(passed.recv(), Ok((0, Phase::Poll)));
        while !gate.at().is_some_and(|at| at.holds) {
            thread::yield_now();
        }
        assert!(passed.try_recv().is_err());
        gate.step();
        assert_eq!(passed.recv(), Ok((0, Phase::Timers)));
        assert_eq!(passed.recv(), Ok((1, Phase::Poll)));
        while !gate.at().is_some_and(|at| at.holds && at.turn == 1) {
            thread::yield_now();
        }
        assert!(passed.try_recv().is_err());
        gate.free();
        assert_eq!(passed.iter().nth(5), Some((4, Phase::Poll)));
    }

    #[test]
    fn a_loop_that_no_page_watches_goes_on() {
        let gate = Arc::new(Gate::default());
        gate.hold();
        gate.lock().until = Some(Instant::now());
        let passed = turning(&gate);
        assert_eq!(passed.iter().nth(5), Some((2, Phase::Timers)));
        assert!(gate.is_free() && gate.at().is_none());
    }

    #[test]
    fn each_phase_takes_its_pace() {
        let gate = Arc::new(Gate::default());
        gate.slow(Duration::from_millis(2));
        let came = Instant::now();
        gate.pass(7, Phase::Check, || vec!["x".to_owned(); 10]);
        assert!(came.elapsed() >= Duration::from_millis(2));
        let at = gate.at().unwrap();
        assert_eq!(
            (at.turn, at.phase, at.lines.len()),
            (7, Phase::Check as usize, 9)
        );
        assert_eq!(at.lines[8], "and 2 more");
    }
}

//! Barriers: they open when all have arrived.

use super::*;

pub(crate) const KINDS: usize = 8;

struct Barriers {
    real: Barrier,
    size: usize,
    /// True once all have arrived.
    line: Line<BarrierWait, bool>,
}

impl Barriers {
    fn waiting(&self) -> usize {
        self.line.0.iter().filter(|(_, is_due)| !is_due).count()
    }

    fn take(&mut self, (step, any): Step) {
        match step {
            0..4 => {
                let is_last = self.waiting() + 1 >= self.size;
                let passed = self.line.begin(self.real.wait(), false);
                assert_eq!(
                    passed.map(|passed| passed.is_leader()),
                    is_last.then_some(true)
                );
                if is_last {
                    self.line
                        .0
                        .iter_mut()
                        .for_each(|(_, is_due)| *is_due = true);
                }
            }
            4 => drop(self.line.remove(any)),
            _ => {
                if let Some(place) = self.line.place(any) {
                    let is_due = self.line.0[place].1;
                    let passed = self.line.poll(place);
                    let leads = passed.map(|(passed, _)| passed.is_leader());
                    assert_eq!(leads, is_due.then_some(false));
                }
            }
        }
    }

    fn check(&self) {
        let mut due = self.line.0.iter().filter(|(_, is_due)| *is_due);
        assert!(due.all(|(wait, _)| wait.is_woken()), "a wait sleeps");
        assert_eq!(self.real.waiting(), self.waiting());
    }
}

pub(crate) fn run(size: usize, steps: &[Step]) {
    let model = Barriers {
        real: Barrier::new(size),
        size,
        line: Line::default(),
    };
    follow(model, steps, Barriers::take, Barriers::check);
}

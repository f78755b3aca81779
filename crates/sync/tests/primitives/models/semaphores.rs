//! Semaphores: no permit and no wake-up is lost, and permits pass in line order unless they barge.

use super::*;

/// What is done to a semaphore or a queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum LineStep {
    /// Starts an acquire or a get.
    Get,
    Put(u8),
    Peek,
    TryGet,
    TryPut(u8),
    /// Polls a waiter, whether it was woken or not.
    PollGetter(usize),
    PollPutter(usize),
    /// Drops a waiter, whether it was admitted or not.
    DropGetter(usize),
    DropPutter(usize),
}

pub(crate) const KINDS: usize = 17;

impl From<Step> for LineStep {
    fn from((kind, any): Step) -> Self {
        match kind {
            0..3 => LineStep::Get,
            3..6 => LineStep::Put(any as u8 % 4),
            6 => LineStep::Peek,
            7 => LineStep::TryGet,
            8 => LineStep::TryPut(any as u8 % 4),
            9..12 => LineStep::PollGetter(any),
            12..15 => LineStep::PollPutter(any),
            15 => LineStep::DropGetter(any),
            _ => LineStep::DropPutter(any),
        }
    }
}

/// A semaphore: with `n` permits, the first `n` waiters may pass.
struct Semaphores {
    real: Semaphore,
    barging: bool,
    available: usize,
    /// In line order.
    line: Vec<Polled<Acquire>>,
}

impl Semaphores {
    fn take(&mut self, step: LineStep) {
        match step {
            LineStep::Get => {
                let mut polled = Polled::new(self.real.acquire());
                let may_pass = self.may_pass(None);
                self.expect(polled.poll(), may_pass);
                if !may_pass {
                    self.line.push(polled);
                }
            }
            LineStep::TryGet => {
                let may_pass = self.may_pass(None);
                let tried = self.real.try_acquire().map_or(Poll::Pending, Poll::Ready);
                self.expect(tried, may_pass);
            }
            LineStep::PollGetter(any) => {
                let Some(place) = pick(&self.line, any) else {
                    return;
                };
                let may_pass = self.may_pass(Some(place));
                let polled = self.line[place].poll();
                self.expect(polled, may_pass);
                if may_pass {
                    self.line.remove(place);
                }
            }
            LineStep::DropGetter(any) => {
                if let Some(place) = pick(&self.line, any) {
                    self.line.remove(place);
                }
            }
            _ => {
                self.real.release();
                self.available += 1;
            }
        }
    }

    fn may_pass(&self, place: Option<usize>) -> bool {
        match place {
            None if self.barging => self.available > 0,
            place => place.unwrap_or(self.line.len()) < self.available,
        }
    }

    fn expect(&mut self, polled: Poll<Permit>, may_pass: bool) {
        assert_eq!(polled.is_ready(), may_pass);
        if let Poll::Ready(permit) = polled {
            permit.forget();
            self.available -= 1;
        }
    }

    fn check(&self) {
        for (place, polled) in self.line.iter().enumerate() {
            assert!(
                polled.is_woken() || !self.may_pass(Some(place)),
                "the waiter at place {place} sleeps"
            );
        }
        let waiting = self.line.len().saturating_sub(self.available);
        assert_eq!(self.real.waiting(), waiting);
    }
}

pub(crate) fn run(permits: usize, barging: bool, steps: &[Step]) {
    let real = match barging {
        true => Semaphore::barging(permits),
        false => Semaphore::new(permits),
    };
    let model = Semaphores {
        real,
        barging,
        available: permits,
        line: Vec::new(),
    };
    let take = |model: &mut Semaphores, step: Step| model.take(step.into());
    let mut model = follow(model, steps, take, Semaphores::check);
    model.line.clear();
    assert_eq!(model.real.available(), model.available);
}

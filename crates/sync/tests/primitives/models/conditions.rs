//! A condition: a notification ends one wait, which then has the lock.

use super::*;

pub(crate) const KINDS: usize = 11;

#[derive(Default)]
struct Conditions {
    real: Condition,
    locked: Option<ConditionGuard>,
    locks: Line<ConditionLock>,
    /// In line order; true once a wait was notified.
    waits: Line<ConditionWait, bool>,
}

impl Conditions {
    fn take(&mut self, (step, any): Step) {
        match step {
            0 => {
                let guard = self.locks.begin(self.real.lock(), ());
                self.expect(guard);
            }
            1 => {
                let guard = self.real.try_lock();
                assert!(
                    guard.is_none() || self.locked.is_none(),
                    "it has two owners"
                );
                self.locked = guard.or(self.locked.take());
            }
            2 | 3 => {
                if let Some(guard) = self.locked.take() {
                    let guard = self.waits.begin(guard.wait(), false);
                    assert!(guard.is_none(), "no notification came yet");
                }
            }
            4 => drop(self.locked.take()),
            5 => {
                self.real.notify(any % 3);
                self.notify(any % 3);
            }
            6 => drop(self.locks.remove(any)),
            7 => {
                // A notification that a wait gives up goes to the next.
                if let Some((wait, was_notified)) = self.waits.remove(any) {
                    drop(wait);
                    self.notify(usize::from(was_notified));
                }
            }
            8 => {
                if let Some(place) = self.locks.place(any) {
                    self.poll_lock(place);
                }
            }
            _ => {
                if let Some(place) = self.waits.place(any) {
                    self.poll_wait(place);
                }
            }
        }
    }

    fn notify(&mut self, count: usize) {
        let waiting = self
            .waits
            .0
            .iter_mut()
            .filter(|(_, is_notified)| !is_notified);
        waiting
            .take(count)
            .for_each(|(_, is_notified)| *is_notified = true);
    }

    fn poll_lock(&mut self, place: usize) {
        let guard = self.locks.poll(place).map(|(guard, ())| guard);
        self.expect(guard);
    }

    fn poll_wait(&mut self, place: usize) {
        if let Some((guard, was_notified)) = self.waits.poll(place) {
            assert!(was_notified, "one notification ends at most one wait");
            self.expect(Some(guard));
        }
    }

    fn expect(&mut self, guard: Option<ConditionGuard>) {
        if let Some(guard) = guard {
            assert!(self.locked.is_none(), "it has two owners");
            assert!(self.real.try_lock().is_none(), "a guard without the lock");
            self.locked = Some(guard);
        }
    }

    fn check(&self) {
        let waiting = self.waits.0.iter().filter(|(_, is_notified)| !is_notified);
        assert_eq!(self.real.waiting(), waiting.count());
    }

    /// Polls what is woken, and nothing else; each lock ends soon.
    fn settle(&mut self) {
        loop {
            self.locked = None;
            if let Some(place) = self.locks.woken() {
                self.poll_lock(place);
            } else if let Some(place) = self.waits.woken() {
                self.poll_wait(place);
            } else {
                break;
            }
        }
        assert_eq!(self.locks.0.len(), 0, "a lock waits, and the lock is free");
        let sleeps = self.waits.0.iter().any(|(_, is_notified)| *is_notified);
        assert!(
            !sleeps,
            "a wait was notified and sleeps, and the lock is free"
        );
    }
}

pub(crate) fn run(steps: &[Step]) {
    let model = Conditions::default();
    let mut model = follow(model, steps, Conditions::take, Conditions::check);
    model.settle();
}

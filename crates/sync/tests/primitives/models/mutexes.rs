//! A mutex: it has one owner at a time, in line order.

use super::*;

pub(crate) const KINDS: usize = 8;

#[derive(Default)]
struct Mutexes {
    real: Mutex<u32>,
    locked: Option<MutexGuard<u32>>,
    line: Line<MutexLock<u32>>,
    locks: u32,
}

impl Mutexes {
    fn take(&mut self, (step, any): Step) {
        let is_free = self.locked.is_none();
        match step {
            0 | 1 => {
                let may_pass = is_free && self.line.0.is_empty();
                let guard = self.line.begin(self.real.lock(), ());
                self.expect(guard, may_pass);
            }
            2 => {
                let may_pass = is_free && self.line.0.is_empty();
                let guard = self.real.try_lock();
                self.expect(guard, may_pass);
            }
            3 => drop(self.locked.take()),
            4 => drop(self.line.remove(any)),
            _ => {
                if let Some(place) = self.line.place(any) {
                    let guard = self.line.poll(place).map(|(guard, ())| guard);
                    self.expect(guard, is_free && place == 0);
                }
            }
        }
    }

    fn expect(&mut self, guard: Option<MutexGuard<u32>>, may_pass: bool) {
        assert_eq!(guard.is_some(), may_pass);
        if let Some(mut guard) = guard {
            assert_eq!(
                *guard, self.locks,
                "each lock finds what the one before left"
            );
            *guard += 1;
            self.locks += 1;
            self.locked = Some(guard);
        }
    }

    fn check(&self) {
        if self.locked.is_none()
            && let Some((first, ())) = self.line.0.first()
        {
            assert!(first.is_woken(), "the first sleeps, and the mutex is free");
        }
        let admitted = usize::from(self.locked.is_none() && !self.line.0.is_empty());
        assert_eq!(self.real.waiting(), self.line.0.len() - admitted);
    }
}

pub(crate) fn run(steps: &[Step]) {
    follow(Mutexes::default(), steps, Mutexes::take, Mutexes::check);
}

//! Read-write locks: many readers or one writer, in line order.

use super::*;

pub(crate) const KINDS: usize = 12;

enum Guard {
    Read(RwLockReadGuard<u32>),
    Write(RwLockWriteGuard<u32>),
}

#[derive(Default)]
struct RwLocks {
    real: RwLock<u32>,
    readers: Vec<RwLockReadGuard<u32>>,
    writer: Option<RwLockWriteGuard<u32>>,
    /// True for a writer.
    line: Line<Boxed<Guard>, bool>,
    writes: u32,
}

impl RwLocks {
    /// True if the task at this place in line, or at its end, may take the lock.
    fn may_pass(&self, place: usize, writes: bool) -> bool {
        let readers_before = self.line.0[..place].iter().all(|(_, writes)| !writes);
        let is_alone = self.readers.is_empty() && place == 0;
        self.writer.is_none() && readers_before && (!writes || is_alone)
    }

    fn begin(&mut self, writes: bool) {
        let future: Boxed<Guard> = match writes {
            true => {
                let write = self.real.write();
                Box::pin(async { Guard::Write(write.await) })
            }
            false => {
                let read = self.real.read();
                Box::pin(async { Guard::Read(read.await) })
            }
        };
        let may_pass = self.may_pass(self.line.0.len(), writes);
        let guard = self.line.begin(future, writes);
        assert_eq!(guard.is_some(), may_pass);
        guard.into_iter().for_each(|guard| self.hold(guard));
    }

    fn hold(&mut self, guard: Guard) {
        match guard {
            Guard::Read(guard) => {
                assert_eq!(*guard, self.writes, "a reader sees the last write");
                self.readers.push(guard);
            }
            Guard::Write(mut guard) => {
                assert_eq!(*guard, self.writes, "a writer sees the last write");
                *guard += 1;
                self.writes += 1;
                self.writer = Some(guard);
            }
        }
    }

    fn take(&mut self, (step, any): Step) {
        let end = self.line.0.len();
        match step {
            0 | 1 => self.begin(step == 1),
            2 => {
                let guard = self.real.try_read().map(Guard::Read);
                assert_eq!(guard.is_some(), self.may_pass(end, false));
                guard.into_iter().for_each(|guard| self.hold(guard));
            }
            3 => {
                let guard = self.real.try_write().map(Guard::Write);
                assert_eq!(guard.is_some(), self.may_pass(end, true));
                guard.into_iter().for_each(|guard| self.hold(guard));
            }
            4 => {
                if let Some(reader) = any.checked_rem(self.readers.len()) {
                    drop(self.readers.remove(reader));
                }
            }
            5 => drop(self.writer.take()),
            6 => {
                let reader = self.writer.take().map(RwLockWriteGuard::downgrade);
                self.readers.extend(reader);
            }
            7 => drop(self.line.remove(any)),
            _ => {
                if let Some(place) = self.line.place(any) {
                    let may_pass = self.may_pass(place, self.line.0[place].1);
                    let guard = self.line.poll(place);
                    assert_eq!(guard.is_some(), may_pass);
                    guard.into_iter().for_each(|(guard, _)| self.hold(guard));
                }
            }
        }
    }

    fn check(&self) {
        assert!(self.readers.iter().all(|reader| **reader == self.writes));
        let mut waiting = 0;
        for (place, (polled, writes)) in self.line.0.iter().enumerate() {
            match self.may_pass(place, *writes) {
                true => assert!(polled.is_woken(), "the waiter at place {place} sleeps"),
                false => waiting += 1,
            }
        }
        assert_eq!(self.real.waiting(), waiting);
    }
}

pub(crate) fn run(steps: &[Step]) {
    follow(RwLocks::default(), steps, RwLocks::take, RwLocks::check);
}

//! Notifications: each reaches one task or is kept, and a round reaches all.

use super::*;

pub(crate) const KINDS: usize = 12;

/// What a `Notified` received.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    No,
    First,
    Last,
    All,
}

#[derive(Default)]
struct Notifies {
    real: Notify,
    has_permit: bool,
    /// Futures that were not polled yet; true after a `notify_waiters`.
    created: Vec<(Notified, bool)>,
    line: Line<Notified, Due>,
}

impl Notifies {
    fn notify(&mut self, which: Due) {
        let mut waiting = self.line.0.iter_mut().filter(|(_, due)| *due == Due::No);
        let next = match which {
            Due::Last => waiting.next_back(),
            _ => waiting.next(),
        };
        match next {
            Some((_, due)) => *due = which,
            None => self.has_permit = true,
        }
    }

    fn take(&mut self, (step, any): Step) {
        let created = any.checked_rem(self.created.len());
        match (step, created) {
            (0, _) => self.created.push((self.real.notified(), false)),
            (1 | 2, Some(at)) => {
                let (mut notified, is_due) = self.created.remove(at);
                let may_pass = is_due || std::mem::take(&mut self.has_permit);
                if any % 2 == 0 {
                    assert_eq!(notified.enable(), may_pass);
                }
                let passed = self.line.begin(notified, Due::No);
                assert_eq!(passed.is_some(), may_pass);
            }
            (3, Some(at)) => drop(self.created.remove(at)),
            (4 | 5, _) => {
                self.real.notify_one();
                self.notify(Due::First);
            }
            (6, _) => {
                self.real.notify_last();
                self.notify(Due::Last);
            }
            (7, _) => {
                self.real.notify_waiters();
                let waiting = self.line.0.iter_mut().filter(|(_, due)| *due == Due::No);
                waiting.for_each(|(_, due)| *due = Due::All);
                self.created.iter_mut().for_each(|(_, due)| *due = true);
            }
            (8, _) => {
                if let Some((_, which @ (Due::First | Due::Last))) = self.line.remove(any) {
                    self.notify(which);
                }
            }
            _ => {
                if let Some(place) = self.line.place(any) {
                    let is_due = self.line.0[place].1 != Due::No;
                    assert_eq!(self.line.poll(place).is_some(), is_due);
                }
            }
        }
    }

    fn check(&self) {
        let (due, waiting): (Vec<_>, Vec<_>) =
            self.line.0.iter().partition(|(_, due)| *due != Due::No);
        assert!(due.iter().all(|(wait, _)| wait.is_woken()), "a wait sleeps");
        assert_eq!(self.real.waiting(), waiting.len());
    }
}

pub(crate) fn run(steps: &[Step]) {
    follow(Notifies::default(), steps, Notifies::take, Notifies::check);
}

//! Watches: no receiver sleeps that has not seen the latest value.

use super::*;

pub(crate) const KINDS: usize = 17;

type Changed = Boxed<(watch::Receiver<u64>, Result<(), watch::SendersGone>)>;

/// The value of the channel is the number of values that were sent.
struct Watches {
    senders: Vec<watch::Sender<u64>>,
    /// Each with the value that it has seen.
    receivers: Vec<(watch::Receiver<u64>, u64)>,
    line: Line<Changed, u64>,
    closed: Line<watch::UntilClosed>,
    sent: u64,
}

impl Watches {
    fn new() -> Self {
        let (sender, receiver) = watch::channel(0);
        Watches {
            senders: vec![sender],
            receivers: vec![(receiver, 0)],
            line: Line::default(),
            closed: Line::default(),
            sent: 0,
        }
    }

    fn receiver_count(&self) -> usize {
        self.receivers.len() + self.line.0.len()
    }

    fn take(&mut self, (step, any): Step) {
        let sender = any.checked_rem(self.senders.len());
        let receiver = any.checked_rem(self.receivers.len());
        match (step, sender, receiver) {
            (0 | 1, Some(at), _) => {
                let sent = self.senders[at].send(self.sent + 1);
                assert_eq!(sent.is_ok(), self.receiver_count() > 0);
                self.sent += u64::from(sent.is_ok());
            }
            (2, Some(at), _) => {
                let is_modified = self.senders[at].send_if_modified(|value| {
                    *value += (any % 2) as u64;
                    any % 2 == 1
                });
                assert_eq!(is_modified, any % 2 == 1);
                self.sent += u64::from(is_modified);
            }
            (3, Some(at), _) => match any % 2 {
                0 => self.senders.push(self.senders[at].clone()),
                _ => drop(self.senders.swap_remove(at)),
            },
            (4, Some(at), _) => self
                .receivers
                .push((self.senders[at].subscribe(), self.sent)),
            (5, _, Some(at)) => match any % 2 {
                0 => {
                    let (receiver, seen) = &self.receivers[at];
                    let clone = (receiver.clone(), *seen);
                    self.receivers.push(clone);
                }
                _ => drop(self.receivers.swap_remove(at)),
            },
            (6 | 7, _, Some(at)) => {
                let (mut receiver, seen) = self.receivers.swap_remove(at);
                let changed: Changed = Box::pin(async move {
                    let changed = receiver.changed().await;
                    (receiver, changed)
                });
                let changed = self.line.begin(changed, seen);
                changed.into_iter().for_each(|it| self.expect(it, seen));
            }
            (8, _, Some(at)) => {
                let (receiver, seen) = &mut self.receivers[at];
                // A wait that is dropped leaves the value as it was.
                let is_ready = Polled::new(receiver.changed()).poll().is_ready();
                assert_eq!(is_ready, *seen != self.sent || self.senders.is_empty());
                *seen = self.sent;
            }
            (9, _, Some(at)) => {
                let (receiver, seen) = &mut self.receivers[at];
                assert_eq!(*receiver.borrow(), self.sent);
                assert_eq!(
                    receiver.borrow_and_update().has_changed(),
                    *seen != self.sent
                );
                *seen = self.sent;
            }
            (10, ..) => drop(self.line.remove(any)),
            (11, Some(at), _) => {
                let closed = self.closed.begin(self.senders[at].closed(), ());
                assert_eq!(closed.is_some(), self.receiver_count() == 0);
            }
            (12, ..) => drop(self.closed.remove(any)),
            (13, ..) => {
                if let Some(place) = self.closed.place(any) {
                    let closed = self.closed.poll(place);
                    assert_eq!(closed.is_some(), self.receiver_count() == 0);
                }
            }
            (14.., ..) => {
                if let Some(place) = self.line.place(any)
                    && let Some((changed, seen)) = self.line.poll(place)
                {
                    self.expect(changed, seen);
                }
            }
            _ => {} // that side is gone
        }
    }

    fn expect(
        &mut self,
        (receiver, changed): (watch::Receiver<u64>, Result<(), watch::SendersGone>),
        seen: u64,
    ) {
        assert_eq!(changed.is_ok(), seen != self.sent);
        assert!(changed.is_ok() || self.senders.is_empty());
        assert!(!receiver.has_changed());
        self.receivers.push((receiver, self.sent));
    }

    fn check(&self) {
        for (receiver, seen) in &self.receivers {
            assert_eq!(receiver.has_changed(), *seen != self.sent);
            assert_eq!(receiver.is_closed(), self.senders.is_empty());
        }
        for (polled, seen) in &self.line.0 {
            let is_due = *seen != self.sent || self.senders.is_empty();
            assert!(polled.is_woken() || !is_due, "a receiver sleeps");
        }
        for (polled, ()) in &self.closed.0 {
            let is_due = self.receiver_count() == 0;
            assert!(polled.is_woken() || !is_due, "a sender sleeps");
        }
    }
}

pub(crate) fn run(steps: &[Step]) {
    follow(Watches::new(), steps, Watches::take, Watches::check);
}

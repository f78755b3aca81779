//! Broadcasts: each value reaches all, or they learn how many they missed.

use super::*;

pub(crate) const KINDS: usize = 13;

/// A value with its number, of which the model counts the drops.
#[derive(Clone)]
struct Value(
    u64,
    #[expect(dead_code, reason = "its clones are counted")] Rc<()>,
);

type Received = Boxed<(
    broadcast::Receiver<Value>,
    Result<Value, broadcast::ReceiveError>,
)>;

struct Broadcasts {
    capacity: u64,
    senders: Vec<broadcast::Sender<Value>>,
    /// Each with the number of the value that it receives next.
    receivers: Vec<(broadcast::Receiver<Value>, u64)>,
    line: Line<Received, u64>,
    sent: u64,
    token: Rc<()>,
}

impl Broadcasts {
    fn new(capacity: u64) -> Self {
        let (sender, receiver) = broadcast::channel(capacity as usize);
        Broadcasts {
            capacity,
            senders: vec![sender],
            receivers: vec![(receiver, 0)],
            line: Line::default(),
            sent: 0,
            token: Rc::default(),
        }
    }

    fn oldest(&self) -> u64 {
        self.sent.saturating_sub(self.capacity)
    }

    fn take(&mut self, (step, any): Step) {
        let sender = any.checked_rem(self.senders.len());
        let receiver = any.checked_rem(self.receivers.len());
        match (step, sender, receiver) {
            (0..3, Some(at), _) => {
                let value = Value(self.sent, Rc::clone(&self.token));
                let receivers = self.receivers.len() + self.line.0.len();
                let sent = self.senders[at].send(value);
                assert_eq!(sent.ok(), Some(receivers).filter(|count| *count > 0));
                self.sent += u64::from(receivers > 0);
            }
            (3, Some(at), _) => match any % 2 {
                0 => self.senders.push(self.senders[at].clone()),
                _ => drop(self.senders.swap_remove(at)),
            },
            (4, Some(at), _) => self
                .receivers
                .push((self.senders[at].subscribe(), self.sent)),
            (5, _, Some(at)) => match any % 2 {
                0 => self
                    .receivers
                    .push((self.receivers[at].0.resubscribe(), self.sent)),
                _ => drop(self.receivers.swap_remove(at)),
            },
            (6 | 7, _, Some(at)) => {
                let (mut receiver, next) = self.receivers.swap_remove(at);
                let received: Received = Box::pin(async move {
                    let received = receiver.receive().await;
                    (receiver, received)
                });
                let received = self.line.begin(received, next);
                received.into_iter().for_each(|it| self.expect(it, next));
            }
            (8, _, Some(at)) => {
                let (mut receiver, next) = self.receivers.swap_remove(at);
                match receiver.try_receive() {
                    Ok(value) => self.expect((receiver, Ok(value)), next),
                    Err(broadcast::TryReceiveError::Empty) => {
                        assert!(next == self.sent && !self.senders.is_empty());
                        self.receivers.push((receiver, next));
                    }
                    Err(broadcast::TryReceiveError::Lagged(missed)) => {
                        let lagged = broadcast::ReceiveError::Lagged(missed);
                        self.expect((receiver, Err(lagged)), next);
                    }
                    Err(broadcast::TryReceiveError::Closed) => {
                        self.expect((receiver, Err(broadcast::ReceiveError::Closed)), next);
                    }
                }
            }
            (9, ..) => drop(self.line.remove(any)),
            (10.., ..) => {
                if let Some(place) = self.line.place(any)
                    && let Some((received, next)) = self.line.poll(place)
                {
                    self.expect(received, next);
                }
            }
            _ => {} // that side is gone
        }
    }

    fn expect(
        &mut self,
        (receiver, received): (
            broadcast::Receiver<Value>,
            Result<Value, broadcast::ReceiveError>,
        ),
        next: u64,
    ) {
        let next = match received {
            Ok(value) => {
                assert!(next >= self.oldest(), "a lag is reported first");
                assert_eq!(value.0, next, "each value once, in order");
                next + 1
            }
            Err(broadcast::ReceiveError::Lagged(missed)) => {
                assert_eq!(next + missed, self.oldest());
                assert!(missed > 0);
                self.oldest()
            }
            Err(broadcast::ReceiveError::Closed) => {
                assert!(next == self.sent && self.senders.is_empty());
                next
            }
        };
        self.receivers.push((receiver, next));
    }

    fn check(&self) {
        for (polled, next) in &self.line.0 {
            let is_due = *next != self.sent || self.senders.is_empty();
            assert!(polled.is_woken() || !is_due, "a receiver sleeps");
        }
        let waiting = self.line.0.iter().map(|(_, next)| *next);
        let all = self.receivers.iter().map(|(_, next)| *next).chain(waiting);
        let kept = all
            .min()
            .map_or(0, |next| self.sent - next.max(self.oldest()));
        assert_eq!(Rc::strong_count(&self.token) as u64, 1 + kept);
        if let Some(sender) = self.senders.first() {
            assert_eq!(sender.len() as u64, kept);
        }
        for (receiver, next) in &self.receivers {
            assert_eq!(receiver.len() as u64, self.sent - next);
        }
    }
}

pub(crate) fn run(capacity: u64, steps: &[Step]) {
    follow(
        Broadcasts::new(capacity),
        steps,
        Broadcasts::take,
        Broadcasts::check,
    );
}

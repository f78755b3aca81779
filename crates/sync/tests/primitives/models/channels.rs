//! Channels: each value is delivered once and in order.

use super::*;
use std::collections::VecDeque;

pub(crate) const KINDS: usize = 14;

/// A value with a number, of which the model counts the drops.
#[derive(Debug)]
struct Value(
    u32,
    #[expect(dead_code, reason = "its clones are counted")] Rc<()>,
);

struct Channels {
    capacity: Option<usize>,
    senders: Vec<Sender<Value>>,
    receivers: Vec<Receiver<Value>>,
    /// Each with the number of its value; `None` once that was received, at a rendezvous.
    sends: Line<Sending<Value>, Option<u32>>,
    receives: Line<Receiving<Value>>,
    /// The values that were sent and not received.
    stored: VecDeque<u32>,
    values: u32,
    token: Rc<()>,
}

impl Channels {
    fn new(capacity: Option<usize>) -> Self {
        let (sender, receiver) = channel(capacity);
        Channels {
            capacity,
            senders: vec![sender],
            receivers: vec![receiver],
            sends: Line::default(),
            receives: Line::default(),
            stored: VecDeque::new(),
            values: 0,
            token: Rc::default(),
        }
    }

    /// A send keeps its side of the channel alive, as a sender does.
    fn has_senders(&self) -> bool {
        !self.senders.is_empty() || !self.sends.0.is_empty()
    }

    fn has_receivers(&self) -> bool {
        !self.receivers.is_empty() || !self.receives.0.is_empty()
    }

    /// Without room, a value is received from the send that waits.
    fn offered(&mut self) -> Option<&mut Option<u32>> {
        let mut sends = self.sends.0.iter_mut().map(|(_, number)| number);
        let is_rendezvous = self.capacity == Some(0);
        sends.find(|number| is_rendezvous && number.is_some())
    }

    /// The number of values that sends offer at a rendezvous.
    fn offers(&self) -> usize {
        let sends = self.sends.0.iter();
        let offered = sends.filter(|(_, number)| self.capacity == Some(0) && number.is_some());
        offered.count()
    }

    fn values_left(&self) -> usize {
        self.stored.len() + self.offers()
    }

    fn has_values(&self) -> bool {
        self.values_left() > 0
    }

    /// True if a value can be sent at once: there is room beyond what the sends in line need; at a
    /// rendezvous, a receive waits for it.
    fn has_free_room(&self) -> bool {
        let (stored, sends) = (self.stored.len(), self.sends.0.len());
        match self.capacity {
            None => true,
            Some(0) => self.receives.0.len() > stored && self.offers() == 0,
            Some(capacity) => capacity > stored + sends,
        }
    }

    fn value(&mut self) -> Value {
        self.values += 1;
        Value(self.values, Rc::clone(&self.token))
    }

    fn take(&mut self, (step, any): Step) {
        let sender = any.checked_rem(self.senders.len());
        let receiver = any.checked_rem(self.receivers.len());
        match (step, sender, receiver) {
            (0 | 1, Some(at), _) => {
                let value = self.value();
                let number = value.0;
                let sent = self.sends.begin(self.senders[at].send(value), Some(number));
                self.expect_sent(sent, Some(number));
            }
            (2, Some(at), _) => {
                let value = self.value();
                let number = value.0;
                let (is_open, has_room) = (self.has_receivers(), self.has_free_room());
                match self.senders[at].try_send(value) {
                    Ok(()) => {
                        assert!(is_open && has_room);
                        self.stored.push_back(number);
                    }
                    Err(TrySendError::Full(_)) => assert!(is_open && !has_room),
                    Err(TrySendError::Closed(_)) => assert!(!is_open),
                }
            }
            (3 | 4, _, Some(at)) => {
                let received = self.receives.begin(self.receivers[at].receive(), ());
                received.into_iter().for_each(|it| self.expect_received(it));
            }
            (5, _, Some(at)) => {
                // Each receive in line is due one of the values.
                let has_value = self.values_left() > self.receives.0.len();
                match self.receivers[at].try_receive() {
                    Ok(value) => {
                        assert!(has_value, "a receive in line loses its value");
                        self.expect_received(Some(value));
                    }
                    Err(TryReceiveError::Closed) => self.expect_received(None),
                    Err(TryReceiveError::Empty) => {
                        assert!(!has_value, "a value is there");
                        assert!(self.has_senders() || self.has_values());
                    }
                }
            }
            (6, Some(at), _) => match any % 2 {
                0 => self.senders.push(self.senders[at].clone()),
                _ => drop(self.senders.swap_remove(at)),
            },
            (7, _, Some(at)) => match any % 2 {
                0 => self.receivers.push(self.receivers[at].clone()),
                _ => drop(self.receivers.swap_remove(at)),
            },
            (8, ..) => drop(self.sends.remove(any)),
            (9, ..) => drop(self.receives.remove(any)),
            (10 | 11, ..) => {
                if let Some(place) = self.sends.place(any) {
                    self.poll_send(place);
                }
            }
            (12.., ..) => {
                if let Some(place) = self.receives.place(any) {
                    self.poll_receive(place);
                }
            }
            _ => {} // that side is gone
        }
        if !self.has_receivers() {
            self.stored.clear(); // and the sends that wait get their values back
        }
    }

    fn poll_send(&mut self, place: usize) {
        if let Some((sent, number)) = self.sends.poll(place) {
            self.expect_sent(Some(sent), number);
        }
    }

    fn poll_receive(&mut self, place: usize) {
        if let Some((received, ())) = self.receives.poll(place) {
            self.expect_received(received);
        }
    }

    fn expect_sent(&mut self, sent: Option<Result<(), Closed<Value>>>, number: Option<u32>) {
        match sent {
            None => {}
            Some(Ok(())) => self.stored.extend(number),
            Some(Err(Closed(value))) => {
                assert!(!self.has_receivers(), "a send fails only without receivers");
                assert_eq!(Some(value.0), number, "a send gets its own value back");
            }
        }
    }

    fn expect_received(&mut self, received: Option<Value>) {
        if let Some(value) = received {
            let first = self.stored.pop_front();
            let first = first.or_else(|| self.offered()?.take());
            assert_eq!(Some(value.0), first, "each once, in order");
        } else {
            assert!(!self.has_senders(), "an end comes only without senders");
            assert!(!self.has_values(), "an end comes after all values");
        }
    }

    fn check(&self) {
        // At a rendezvous, a value whose receive was dropped stays for the next one.
        let capacity = self.capacity.filter(|capacity| *capacity > 0);
        assert!(capacity.is_none_or(|capacity| self.stored.len() <= capacity));
    }

    /// Polls what is woken, and nothing else.
    fn settle(&mut self) {
        loop {
            if let Some(place) = self.sends.woken() {
                self.poll_send(place);
            } else if let Some(place) = self.receives.woken() {
                self.poll_receive(place);
            } else {
                break;
            }
        }
        if !self.receives.0.is_empty() {
            assert!(self.has_senders(), "a receive waits for what cannot come");
            assert!(!self.has_values(), "a receive sleeps, and a value is there");
        }
        if !self.sends.0.is_empty() {
            assert!(self.has_receivers(), "a send waits without receivers");
            let has_room = self
                .capacity
                .is_none_or(|capacity| self.stored.len() < capacity);
            assert!(!has_room, "a send sleeps, and there is room");
        }
    }
}

pub(crate) fn run(capacity: Option<usize>, steps: &[Step]) {
    let model = Channels::new(capacity);
    let mut model = follow(model, steps, Channels::take, Channels::check);
    model.settle();
    let token = Rc::clone(&model.token);
    drop(model);
    assert_eq!(Rc::strong_count(&token), 1, "a value is left");
}

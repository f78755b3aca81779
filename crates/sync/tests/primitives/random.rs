//! Mutexes, conditions, channels and flags under random steps: waiters come, are woken and polled,
//! are polled without a wake, or are dropped. `models.rs` has semaphores and queues, `owners.rs` the
//! locks that know their owners, and `shared.rs` what many tasks receive or hold together.

use crate::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;

/// Futures that wait, in the order in which they came, each with what the model knows of it.
pub(crate) struct Line<F, K = ()>(pub(crate) Vec<(Polled<F>, K)>);

impl<F: Future + Unpin, K> Line<F, K> {
    /// Polls a new future, which waits here unless it is ready.
    pub(crate) fn begin(&mut self, future: F, known: K) -> Option<F::Output> {
        let mut polled = Polled::new(future);
        match polled.poll() {
            Poll::Ready(output) => Some(output),
            Poll::Pending => {
                self.0.push((polled, known));
                None
            }
        }
    }

    /// The place of a future, unless there is none.
    pub(crate) fn place(&self, any: usize) -> Option<usize> {
        any.checked_rem(self.0.len())
    }

    /// Polls a future, whether it was woken or not, and removes it if it is ready.
    pub(crate) fn poll(&mut self, place: usize) -> Option<(F::Output, K)> {
        match self.0[place].0.poll() {
            Poll::Ready(output) => Some((output, self.0.remove(place).1)),
            Poll::Pending => None,
        }
    }

    pub(crate) fn remove(&mut self, any: usize) -> Option<(Polled<F>, K)> {
        Some(self.0.remove(self.place(any)?))
    }

    /// The place of a future that was woken. A loop polls no other.
    pub(crate) fn woken(&self) -> Option<usize> {
        self.0.iter().position(|(polled, _)| polled.is_woken())
    }
}

impl<F, K> Default for Line<F, K> {
    fn default() -> Self {
        Line(Vec::new())
    }
}

/// A step, as numbers: what is done, and to which of the waiters.
pub(crate) fn steps(kinds: usize) -> impl Strategy<Value = Vec<(usize, usize)>> {
    vec((0..kinds, 0..8_usize), 1..100)
}

// ---------------------------------------------------------------- mutexes

#[derive(Default)]
struct Mutexes {
    real: Mutex<u32>,
    locked: Option<MutexGuard<u32>>,
    line: Line<MutexLock<u32>>,
    locks: u32,
}

impl Mutexes {
    fn take(&mut self, (step, any): (usize, usize)) {
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

// ---------------------------------------------------------------- conditions

#[derive(Default)]
struct Conditions {
    real: Condition,
    locked: Option<ConditionGuard>,
    locks: Line<ConditionLock>,
    /// In line order; true once a wait was notified.
    waits: Line<ConditionWait, bool>,
}

impl Conditions {
    fn take(&mut self, (step, any): (usize, usize)) {
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

// ---------------------------------------------------------------- channels

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

    fn has_values(&mut self) -> bool {
        !self.stored.is_empty() || self.offered().is_some()
    }

    fn value(&mut self) -> Value {
        self.values += 1;
        Value(self.values, Rc::clone(&self.token))
    }

    fn take(&mut self, (step, any): (usize, usize)) {
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
                match self.senders[at].try_send(value) {
                    Ok(()) => self.stored.push_back(number),
                    Err(TrySendError::Full(_)) => assert!(self.has_receivers()),
                    Err(TrySendError::Closed(_)) => assert!(!self.has_receivers()),
                }
            }
            (3 | 4, _, Some(at)) => {
                let received = self.receives.begin(self.receivers[at].receive(), ());
                received.into_iter().for_each(|it| self.expect_received(it));
            }
            (5, _, Some(at)) => match self.receivers[at].try_receive() {
                Ok(value) => self.expect_received(Some(value)),
                Err(TryReceiveError::Closed) => self.expect_received(None),
                // The values that are left may be due to the receives in line.
                Err(TryReceiveError::Empty) => {
                    assert!(self.has_senders() || self.has_values());
                }
            },
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

// ---------------------------------------------------------------- flags

#[derive(Default)]
struct Flags {
    event: Event,
    /// True once the event was set while they waited.
    waits: Line<UntilSet, bool>,
    one_shot: OneShot<u32>,
    gets: Line<OneShotGet<u32>>,
    sent: Option<u32>,
}

impl Flags {
    fn take(&mut self, (step, any): (usize, usize)) {
        match step {
            0 | 1 => {
                let ready = self.waits.begin(self.event.until_set(), false);
                assert_eq!(ready.is_some(), self.event.is_set());
            }
            2 => {
                self.event.set();
                self.waits
                    .0
                    .iter_mut()
                    .for_each(|(_, was_set)| *was_set = true);
            }
            3 => self.event.clear(),
            4 => drop(self.waits.remove(any)),
            5 => {
                if let Some(place) = self.waits.place(any) {
                    let may_pass = self.waits.0[place].1 || self.event.is_set();
                    assert_eq!(self.waits.poll(place).is_some(), may_pass);
                }
            }
            6 | 7 => {
                let got = self.gets.begin(self.one_shot.get(), ());
                assert_eq!(got, self.sent);
            }
            8 => {
                let sent = self.one_shot.send(any as u32);
                assert_eq!(sent.is_ok(), self.sent.is_none(), "it is sent once");
                self.sent.get_or_insert(any as u32);
            }
            9 => drop(self.gets.remove(any)),
            _ => {
                if let Some(place) = self.gets.place(any) {
                    assert_eq!(self.gets.poll(place).map(|(got, ())| got), self.sent);
                }
            }
        }
    }

    fn check(&self) {
        let due = self.waits.0.iter().filter(|(_, was_set)| *was_set);
        assert_eq!(
            self.event.waiting(),
            self.waits.0.len() - due.clone().count()
        );
        assert!(
            due.clone().all(|(wait, _)| wait.is_woken()),
            "a wait sleeps"
        );
        let mut gets = self.gets.0.iter();
        assert!(
            self.sent.is_none() || gets.all(|(get, ())| get.is_woken()),
            "a get sleeps"
        );
    }
}

proptest! {
    #[test]
    fn a_mutex_has_one_owner_at_a_time_in_line_order(steps in steps(8)) {
        let mut model = Mutexes::default();
        for step in steps {
            model.take(step);
            model.check();
        }
    }

    #[test]
    fn a_notification_ends_one_wait_which_then_has_the_lock(steps in steps(11)) {
        let mut model = Conditions::default();
        for step in steps {
            model.take(step);
            model.check();
        }
        model.settle();
    }

    #[test]
    fn a_channel_delivers_each_value_once_and_in_order(
        steps in steps(14),
        capacity in proptest::option::of(0..4_usize),
    ) {
        let mut model = Channels::new(capacity);
        for step in steps {
            model.take(step);
            model.check();
        }
        model.settle();
        let token = Rc::clone(&model.token);
        drop(model);
        prop_assert_eq!(Rc::strong_count(&token), 1, "a value is left");
    }

    #[test]
    fn an_event_and_a_one_shot_leave_no_waiter_asleep(steps in steps(11)) {
        let mut model = Flags::default();
        for step in steps {
            model.take(step);
            model.check();
        }
    }
}

//! What many tasks receive or hold together, under random steps: read-write locks, notifications,
//! barriers, cells, and channels with news for all receivers.

use crate::models::Line;
use crate::random::steps;
use crate::*;
use proptest::prelude::*;
use std::cell::Cell;

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

// ---------------------------------------------------------------- read-write locks

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

    fn take(&mut self, (step, any): (usize, usize)) {
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
                true => assert!(polled.is_woken(), "the one at place {place} sleeps"),
                false => waiting += 1,
            }
        }
        assert_eq!(self.real.waiting(), waiting);
    }
}

// ---------------------------------------------------------------- notifications

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

    fn take(&mut self, (step, any): (usize, usize)) {
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

// ---------------------------------------------------------------- barriers

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

    fn take(&mut self, (step, any): (usize, usize)) {
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

// ---------------------------------------------------------------- cells

/// What a task's `create` gets; an error makes it fail.
type Created = OneShot<Result<u32, ()>>;

#[derive(Default)]
struct Cells {
    real: OnceCell<u32>,
    creating: Rc<Cell<u32>>,
    value: Option<u32>,
    line: Line<Boxed<Result<u32, ()>>, Created>,
}

impl Cells {
    /// Waits for the value, and creates it when its turn comes.
    fn wait(&self, created: &Created) -> Boxed<Result<u32, ()>> {
        let (cell, created) = (self.real.clone(), created.clone());
        let creating = Rc::clone(&self.creating);
        Box::pin(async move {
            let create = || async {
                creating.set(creating.get() + 1);
                assert_eq!(creating.get(), 1, "two tasks create the value");
                let ends = EndsCreating(&creating);
                let value = created.get().await;
                drop(ends);
                value
            };
            cell.get_or_try_init(create).await.copied()
        })
    }

    fn take(&mut self, (step, any): (usize, usize)) {
        match step {
            0 | 1 => {
                let created = Created::new();
                let got = self.line.begin(self.wait(&created), created);
                assert_eq!(got, self.value.map(Ok));
            }
            2 | 3 => {
                if let Some(place) = self.line.place(any) {
                    let result = if step == 2 { Ok(any as u32) } else { Err(()) };
                    let _ = self.line.0[place].1.send(result);
                }
            }
            4 => drop(self.line.remove(any)),
            5 => {
                let may_set = self.value.is_none() && self.line.0.is_empty();
                let was_set = self.real.set(any as u32);
                assert_eq!(was_set.is_ok(), may_set);
                if may_set {
                    self.value = Some(any as u32);
                }
            }
            _ => {
                if let Some(place) = self.line.place(any) {
                    self.poll(place);
                }
            }
        }
        assert_eq!(self.real.get().copied(), self.value);
    }

    fn poll(&mut self, place: usize) {
        let Some((got, created)) = self.line.poll(place) else {
            return;
        };
        if self.value.is_none() && got.is_ok() {
            assert_eq!(created.try_get(), Some(got), "it is what the task created");
            self.value = got.ok();
        } else if self.value.is_some() {
            assert_eq!(got.ok(), self.value, "it never changes");
        }
    }

    /// Every `create` fails now; polls what is woken, and nothing else.
    fn settle(&mut self) {
        for (_, created) in &self.line.0 {
            let _ = created.send(Err(()));
        }
        while let Some(place) = self.line.woken() {
            self.poll(place);
        }
        assert!(self.line.0.is_empty(), "a task sleeps");
    }
}

struct EndsCreating<'a>(&'a Cell<u32>);

impl Drop for EndsCreating<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

// ---------------------------------------------------------------- the latest value

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

    fn take(&mut self, (step, any): (usize, usize)) {
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

// ---------------------------------------------------------------- each value, for all

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

    fn take(&mut self, (step, any): (usize, usize)) {
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

/// Takes the steps, and checks the model after each one.
fn follow<M, S>(mut model: M, steps: Vec<S>, take: fn(&mut M, S), check: fn(&M)) {
    for step in steps {
        take(&mut model, step);
        check(&model);
    }
}

proptest! {
    #[test]
    fn a_rwlock_has_many_readers_or_one_writer_in_line_order(steps in steps(12)) {
        follow(RwLocks::default(), steps, RwLocks::take, RwLocks::check);
    }

    #[test]
    fn a_notification_reaches_one_task_or_is_kept_and_a_round_reaches_all(steps in steps(12)) {
        follow(Notifies::default(), steps, Notifies::take, Notifies::check);
    }

    #[test]
    fn a_barrier_opens_when_all_have_arrived(steps in steps(8), size in 0..4_usize) {
        follow(Barriers { real: Barrier::new(size), size, line: Line::default() }, steps, Barriers::take, Barriers::check);
    }

    #[test]
    fn a_cell_is_created_by_one_task_at_a_time_until_one_succeeds(steps in steps(9)) {
        let mut model = Cells::default();
        for step in steps {
            model.take(step);
        }
        model.settle();
    }

    #[test]
    fn a_watch_leaves_no_receiver_asleep_that_has_not_seen_the_value(steps in steps(17)) {
        follow(Watches::new(), steps, Watches::take, Watches::check);
    }

    #[test]
    fn a_broadcast_delivers_each_value_to_all_or_says_how_many_were_missed(
        steps in steps(13),
        capacity in 1..4_u64,
    ) {
        follow(Broadcasts::new(capacity), steps, Broadcasts::take, Broadcasts::check);
    }
}

//! Queues: no value and no wake-up is lost, and each kind keeps its order.

use super::semaphores::LineStep;
use super::*;

pub(crate) use super::semaphores::KINDS;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    Fifo,
    /// First in, first out; putters hold their values out.
    HandingOver,
    Lifo,
    Priority,
}

/// A priority and a number, so that no two values are the same.
type Value = (u8, u32);

struct Getter {
    polled: Polled<Pin<Box<dyn Future<Output = Value>>>>,
    /// True for a get, false for a peek.
    takes: bool,
}

struct Putter {
    polled: Polled<Put<Value>>,
    /// `None` once a getter took the held-out value.
    value: Option<Value>,
    /// True once it was polled and had to wait.
    in_line: bool,
}

/// A queue: it serves getters in order while there is a value, and putters in order, one by one,
/// while there is room.
struct Queues {
    real: Queue<Value>,
    order: Order,
    capacity: Option<usize>,
    holds_out: bool,
    items: Vec<Value>,
    /// Getters and putters, in line order.
    getters: Vec<Getter>,
    putters: Vec<Putter>,
    count: u32,
}

impl Queues {
    fn new(order: Order, capacity: Option<usize>) -> Self {
        let real = match order {
            Order::Fifo => capacity.map_or_else(Queue::unbounded, Queue::bounded),
            Order::HandingOver => capacity.map_or_else(Queue::unbounded, Queue::handing_over),
            Order::Lifo => Queue::lifo(capacity),
            Order::Priority => Queue::priority(capacity),
        };
        Queues {
            real: real.fair(),
            order,
            capacity,
            holds_out: capacity == Some(0) || matches!(order, Order::HandingOver),
            items: Vec::new(),
            getters: Vec::new(),
            putters: Vec::new(),
            count: 0,
        }
    }

    fn is_rendezvous(&self) -> bool {
        self.capacity == Some(0)
    }

    /// Returns how many of the first `count` putters hold out their values.
    fn offers_of(&self, count: usize) -> usize {
        let offering = |putter: &&Putter| self.holds_out && putter.value.is_some();
        self.putters[..count].iter().filter(offering).count()
    }

    fn offers(&self) -> usize {
        self.offers_of(self.putters.len())
    }

    /// Returns how many waiters will take a value; a peek leaves it.
    fn takers(&self) -> usize {
        self.getters.iter().filter(|getter| getter.takes).count()
    }

    /// True if a getter took the held-out value of a putter that has not run since.
    fn has_dismissed(&self) -> bool {
        self.putters.iter().any(|putter| putter.value.is_none())
    }

    fn may_get(&self, place: usize) -> bool {
        place < self.items.len() + self.offers()
    }

    fn may_put(&self, place: usize) -> bool {
        let putter = self.putters.get(place);
        if putter.is_some_and(|putter| putter.value.is_none()) {
            return true;
        }
        if place > 0 && putter.is_some_and(|putter| putter.in_line) {
            return false; // it waits for another putter
        }
        let before = match self.holds_out {
            true => self.offers_of(place),
            false => place,
        };
        let capacity = self.capacity.unwrap_or(usize::MAX);
        before + self.items.len() < capacity
    }

    /// The index of the next value among the items; `None` if it is a held-out one.
    fn next(&self) -> Option<usize> {
        let last = self.items.len().checked_sub(1)?;
        Some(match self.order {
            Order::Fifo | Order::HandingOver => 0,
            Order::Lifo => last,
            Order::Priority => (0..=last).min_by_key(|at| self.items[*at])?,
        })
    }

    fn get(&mut self, takes: bool) -> Value {
        if let Some(next) = self.next() {
            return match takes {
                true => self.items.remove(next),
                false => self.items[next],
            };
        }
        let offer = self.putters.iter_mut().find_map(|putter| match takes {
            true => putter.value.take(),
            false => putter.value,
        });
        offer.expect("the model says that there is something")
    }

    fn value(&mut self, priority: u8) -> Value {
        self.count += 1;
        (priority, self.count)
    }

    fn take(&mut self, step: LineStep) {
        match step {
            LineStep::Get | LineStep::Peek => {
                let takes = matches!(step, LineStep::Get);
                let future: Pin<Box<dyn Future<Output = Value>>> = match takes {
                    true => Box::pin(self.real.get()),
                    false => Box::pin(self.real.peek()),
                };
                let mut polled = Polled::new(future);
                let is_between = self.items.is_empty() && self.has_dismissed();
                if self.is_rendezvous() || is_between {
                    assert!(polled.poll().is_pending(), "each getter is in line first");
                    self.getters.push(Getter { polled, takes });
                } else {
                    self.getters.push(Getter { polled, takes });
                    self.poll_getter(self.getters.len() - 1);
                }
            }
            LineStep::Put(priority) => {
                let value = self.value(priority);
                let polled = Polled::new(self.real.put(value));
                // A putter holds its value out once it has been polled.
                let value = Some(value);
                let in_line = false;
                self.putters.push(Putter {
                    polled,
                    value,
                    in_line,
                });
                self.poll_putter(self.putters.len() - 1);
            }
            LineStep::TryGet => {
                let may_get = self.may_get(self.getters.len());
                let expected = may_get.then(|| self.get(true));
                assert_eq!(self.real.try_get(), expected);
            }
            LineStep::TryPut(priority) => {
                let value = self.value(priority);
                let may_put = match self.is_rendezvous() {
                    true => self.offers() == 0 && self.takers() > self.items.len(),
                    false => self.may_put(self.putters.len()),
                };
                assert_eq!(self.real.try_put(value).is_ok(), may_put);
                if may_put {
                    self.items.push(value);
                }
            }
            LineStep::PollGetter(any) => {
                if let Some(place) = pick(&self.getters, any) {
                    self.poll_getter(place);
                }
            }
            LineStep::PollPutter(any) => {
                if let Some(place) = pick(&self.putters, any) {
                    self.poll_putter(place);
                }
            }
            LineStep::DropGetter(any) => {
                if let Some(place) = pick(&self.getters, any) {
                    self.getters.remove(place);
                }
            }
            LineStep::DropPutter(any) => {
                if let Some(place) = pick(&self.putters, any) {
                    self.putters.remove(place);
                }
            }
        }
    }

    fn poll_getter(&mut self, place: usize) {
        let polled = self.getters[place].polled.poll();
        if !self.may_get(place) {
            assert_eq!(polled, Poll::Pending);
            return;
        }
        let takes = self.getters.remove(place).takes;
        assert_eq!(polled, Poll::Ready(self.get(takes)));
    }

    fn poll_putter(&mut self, place: usize) {
        let polled = self.putters[place].polled.poll();
        assert_eq!(polled.is_ready(), self.may_put(place));
        if polled.is_ready() {
            let putter = self.putters.remove(place);
            self.items.extend(putter.value);
        } else {
            self.putters[place].in_line = true;
        }
    }

    fn check(&self) {
        for (place, getter) in self.getters.iter().enumerate() {
            assert!(
                getter.polled.is_woken() || !self.may_get(place),
                "the getter at place {place} sleeps"
            );
        }
        for (place, putter) in self.putters.iter().enumerate() {
            assert!(
                putter.polled.is_woken() || !self.may_put(place),
                "the putter at place {place} sleeps"
            );
        }
        assert_eq!(self.real.len(), self.items.len());
        let there = self.items.len() + self.offers();
        assert_eq!(
            self.real.getters(),
            self.getters.len().saturating_sub(there)
        );
        assert_eq!(
            self.real.try_peek().is_some(),
            self.may_get(self.getters.len())
        );
    }
}

pub(crate) fn run(order: Order, capacity: Option<usize>, steps: &[Step]) {
    let take = |model: &mut Queues, step: Step| model.take(step.into());
    let mut model = follow(Queues::new(order, capacity), steps, take, Queues::check);
    // Drops the remaining waiters; all remaining values can then be got.
    model.getters.clear();
    model.putters.clear();
    while !model.items.is_empty() {
        model.take(LineStep::TryGet);
    }
    assert_eq!(model.real.try_get(), None);
    assert_eq!(model.real.putters() + model.real.getters(), 0);
}

//! One budget for all output that waits, over the clients of all threads.
//!
//! A client for which nothing waits has no share of it, and costs nothing.

use oneloop::core::{Key, Slots};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// While less than this many bytes wait for all clients, memory is not scarce.
const SCARCE_BYTES_MIN: usize = 2 << 20;

/// Memory is not scarce while the queues of this many clients are `--out-soft` long.
const SOFT_QUEUES: usize = 32;

/// While memory is scarce, a client is read in steps of this many bytes, and not at all while more
/// waits for it. The kernel may take nothing of the answer, so a step is all that each further
/// client can add.
pub(crate) const STEP_BYTES: usize = 4 * 1024;

/// The same for each direction of a relay, as bytes may wait in both.
pub(crate) const RELAY_STEP_BYTES: usize = STEP_BYTES / 2;

/// The kernel's free buffer space divided by this is a larger step. Such an answer surely fits, the
/// kernel's own bookkeeping included, even if a second step comes before the next look at the
/// space.
const ROOM_SHARE: usize = 4;

/// The sum of the bytes that wait for all clients, with its limit.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: AtomicUsize,
    scarce_at: AtomicUsize,
    /// The sum over all queues but those that are shed. Written under the lock; read without it for
    /// every message.
    bytes: AtomicUsize,
    /// How many queues there are, including those that are shed.
    count: AtomicUsize,
    queues: Mutex<Queues>,
}

#[derive(Debug, Default)]
struct Queues {
    all: Slots<Queue>,
    /// How many clients were closed for the budget.
    shed: u64,
}

#[derive(Debug)]
struct Queue {
    bytes: usize,
    /// Set if its client must be closed: how many were by then.
    shed: Option<u64>,
    /// Wakes the task that closes the client.
    waker: Waker,
}

/// More than `--out-total` bytes wait for all clients, and this one has the longest queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OverBudget {
    /// How many clients were closed for that so far.
    pub(crate) times: u64,
}

/// One client's share of the budget, returned when this is dropped.
#[derive(Debug)]
pub(crate) struct BudgetShare {
    budget: Arc<Budget>,
    key: Key<Queue>,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize, out_soft: usize) -> Arc<Self> {
        Arc::new(Budget {
            bytes_max: AtomicUsize::new(bytes_max),
            scarce_at: AtomicUsize::new(scarce_at(bytes_max, out_soft)),
            bytes: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            queues: Mutex::default(),
        })
    }

    /// Changes the limits. A client may be closed for the new ones with the next change of a queue.
    pub(crate) fn set_limits(&self, bytes_max: usize, out_soft: usize) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
        let scarce_at = scarce_at(bytes_max, out_soft);
        self.scarce_at.store(scarce_at, Ordering::Relaxed);
    }

    fn scarce_at(&self) -> usize {
        self.scarce_at.load(Ordering::Relaxed)
    }

    /// How many bytes wait for all clients.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many bytes may wait for all clients.
    #[cfg(feature = "admin")]
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// True while more bytes wait than allow large reads: clients are read in small steps.
    pub(crate) fn is_scarce(&self) -> bool {
        self.bytes() > self.scarce_at()
    }

    /// The same with hysteresis, for a loop that has to notify all its clients of a change.
    pub(crate) fn is_still_scarce(&self, was_scarce: bool) -> bool {
        self.bytes()
            > if was_scarce {
                self.scarce_at() / 2
            } else {
                self.scarce_at()
            }
    }

    /// How many bytes may be read at once, while memory is scarce, from a client for which nothing
    /// waits: at least `bytes_min`. A client that takes its output as fast as it comes is not
    /// slowed down by those that do not: the kernel has room for its output, and none for a slow
    /// reader's.
    ///
    /// When TCP as a whole runs out of memory (`tcp_mem` in tcp(7)), the kernel takes less than
    /// there is room for. Then the queues become longer than a step on average, and all clients are
    /// read in small steps.
    pub(crate) fn step_bytes(&self, bytes_min: usize, send_room: impl FnOnce() -> usize) -> usize {
        // A queue of a step per client is what the small steps themselves produce; it is no sign
        // that the kernel refuses to take more.
        let expected = self.count.load(Ordering::Relaxed) * STEP_BYTES;
        if self.bytes() > self.scarce_at() + self.scarce_at() / 2 + expected {
            return bytes_min;
        }
        bytes_min.max(send_room() / ROOM_SHARE)
    }

    /// Notes how many bytes wait for a client now. While the sum is too large, the client with the
    /// longest queue is closed.
    ///
    /// # Errors
    /// It is this client. If it becomes that one later, `waker` wakes the task that closes it.
    pub(crate) fn note(
        self: &Arc<Self>,
        share: &mut Option<BudgetShare>,
        bytes: usize,
        waker: &Waker,
    ) -> Result<(), OverBudget> {
        if bytes == 0 {
            *share = None;
            return Ok(());
        }
        let share = share.get_or_insert_with(|| BudgetShare::new(self, waker.clone()));
        // Wakers are collected under the lock, and woken after it: a waker is foreign code, and
        // may take the lock again.
        let (old, shed) = {
            let mut queues = self.lock();
            let old = self.change(&mut queues, share.key, bytes, waker);
            (old, self.shed_longest(&mut queues))
        };
        drop(old);
        shed.into_iter().for_each(Waker::wake);
        share.check()
    }

    /// Returns the waker that it replaces, for a drop outside the lock.
    fn change(
        &self,
        queues: &mut Queues,
        key: Key<Queue>,
        bytes: usize,
        waker: &Waker,
    ) -> Option<Waker> {
        let queue = queues.all.get_mut(key)?;
        if queue.shed.is_none() {
            let all = self.bytes.load(Ordering::Relaxed) - queue.bytes + bytes;
            self.bytes.store(all, Ordering::Relaxed);
            queue.bytes = bytes;
        }
        // Mostly it is the same task: then a clone, and the drop of the old waker, are saved.
        let is_new = !queue.waker.will_wake(waker);
        is_new.then(|| std::mem::replace(&mut queue.waker, waker.clone()))
    }

    fn shed_longest(&self, queues: &mut Queues) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.bytes() > self.bytes_max.load(Ordering::Relaxed) {
            // A walk over all queues, but only when the budget is exceeded. A heap would cost
            // each change of each queue.
            let staying = queues.all.iter().filter(|(_, queue)| queue.shed.is_none());
            // The longest queue is that of the client which takes the least, so closing it frees
            // the most for the fewest clients.
            let Some((key, _)) = staying.max_by_key(|(_, queue)| queue.bytes) else {
                break;
            };
            queues.shed += 1;
            let times = queues.shed;
            if let Some(queue) = queues.all.get_mut(key) {
                queue.shed = Some(times);
                wakers.push(queue.waker.clone());
                self.bytes.fetch_sub(queue.bytes, Ordering::Relaxed);
            }
        }
        wakers
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // No code that holds the lock can panic half-way through a change of the queues.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A few clients with full queues are normal. Only when memory becomes tight are all clients slowed
/// down, and never later than at half of the budget.
fn scarce_at(bytes_max: usize, out_soft: usize) -> usize {
    let unlimited = SCARCE_BYTES_MIN.max(out_soft.saturating_mul(SOFT_QUEUES));
    unlimited.min(bytes_max / 2)
}

impl BudgetShare {
    fn new(budget: &Arc<Budget>, waker: Waker) -> Self {
        let queue = Queue {
            bytes: 0,
            shed: None,
            waker,
        };
        budget.count.fetch_add(1, Ordering::Relaxed);
        BudgetShare {
            key: budget.lock().all.insert(queue),
            budget: Arc::clone(budget),
        }
    }

    /// Checks whether the client may stay.
    ///
    /// # Errors
    /// It is over the budget.
    pub(crate) fn check(&self) -> Result<(), OverBudget> {
        let queues = self.budget.lock();
        match queues.all.get(self.key).and_then(|queue| queue.shed) {
            Some(times) => Err(OverBudget { times }),
            None => Ok(()),
        }
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        // The counters are statistics for `step_bytes`, so their order with the lock does not
        // matter.
        self.budget.count.fetch_sub(1, Ordering::Relaxed);
        let queue = {
            let mut queues = self.budget.lock();
            let queue = queues.all.remove(self.key);
            if let Some(Queue {
                bytes, shed: None, ..
            }) = queue
            {
                self.budget.bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
            queue
        };
        drop(queue); // outside the lock: it holds a waker, which is foreign code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::task::Wake;

    const KIB: usize = 1024;

    #[derive(Default)]
    struct Wakes(AtomicU32);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_client_with_the_longest_queue_is_shed_first_and_woken() {
        let budget = Budget::new(10 * KIB, 1);
        let wakes = [(); 3].map(|()| Arc::<Wakes>::default());
        let wakers = wakes.each_ref().map(|wakes| Waker::from(Arc::clone(wakes)));
        let mut share = [None, None, None];
        let mut note =
            |client: usize, kib: usize| budget.note(&mut share[client], kib * KIB, &wakers[client]);
        assert_eq!(note(0, 3), Ok(()));
        assert_eq!(note(1, 5), Ok(()));
        assert_eq!(note(2, 2), Ok(()));
        assert_eq!(budget.bytes(), 10 * KIB);
        assert_eq!(note(2, 3), Ok(()), "another queue is longer");
        assert_eq!(budget.bytes(), 6 * KIB);
        assert_eq!(note(1, 4), Err(OverBudget { times: 1 }));
        assert_eq!(
            note(0, 8),
            Err(OverBudget { times: 2 }),
            "its own queue is the longest"
        );
        assert_eq!(budget.bytes(), 3 * KIB);
        let woken = wakes
            .each_ref()
            .map(|wakes| wakes.0.load(Ordering::Relaxed));
        assert_eq!(woken, [1, 1, 0]);
        drop(share);
        assert_eq!(budget.bytes(), 0);
    }

    #[test]
    fn a_client_without_a_queue_has_no_share() {
        let budget = Budget::new(10 * KIB, 1);
        let mut share = None;
        budget.note(&mut share, 5 * KIB, Waker::noop()).unwrap();
        assert_eq!(budget.bytes(), 5 * KIB);
        budget.note(&mut share, 0, Waker::noop()).unwrap();
        assert!(share.is_none() && budget.lock().all.is_empty());
        assert_eq!(budget.bytes(), 0);
    }

    #[test]
    fn while_memory_is_scarce_a_step_is_what_the_kernel_has_room_for() {
        let budget = Budget::new(64 << 20, 64 * KIB);
        let mut all: Vec<Option<BudgetShare>> = (0..800).map(|_| None).collect();
        for share in &mut all {
            budget.note(share, STEP_BYTES, Waker::noop()).unwrap();
        }
        assert!(budget.is_scarce());
        assert_eq!(budget.step_bytes(STEP_BYTES, || 200 * KIB), 50 * KIB);
        assert_eq!(budget.step_bytes(STEP_BYTES, || 0), STEP_BYTES);
        for share in &mut all {
            budget.note(share, 10 * KIB, Waker::noop()).unwrap();
        }
        assert_eq!(
            budget.step_bytes(STEP_BYTES, || 200 * KIB),
            STEP_BYTES,
            "the kernel has taken less than it had room for"
        );
    }

    #[test]
    fn memory_is_scarce_beyond_some_queues_of_out_soft_and_within_the_budget() {
        assert_eq!(scarce_at(64 << 20, 64 << 10), 2 << 20);
        assert_eq!(scarce_at(64 << 20, 1), SCARCE_BYTES_MIN);
        assert_eq!(scarce_at(64 << 20, 32 << 20), 32 << 20);
        assert_eq!(scarce_at(1 << 20, 64 << 10), 512 << 10);
    }
}

//! A queue ordered by time, for a clock that only moves forward: the order inside
//! [`Timers`](crate::Timers).
//!
//! It is a radix heap in base 64. `last` is the time of the last item that was taken out; every
//! item in the queue is due at that time or later. An item is in the level of the highest base-64
//! digit in which its time differs from `last`, and there in the bucket of its own digit:
//!
//! ```text
//! last = 0o_01_17_05        level 2      level 1        level 0
//! 0o_01_17_05  ─────────────────────────────────────▶ bucket 05   (due now)
//! 0o_01_17_44  ─────────────────────────────────────▶ bucket 44
//! 0o_01_23_00  ────────────────────▶ bucket 23
//! 0o_03_00_00  ──────▶ bucket 03
//! ```
//!
//! So the earliest item is in the lowest level that is not empty, and there in the first such
//! bucket. Once that bucket is due it is opened: its earliest time is the new `last`, and all other
//! buckets stay right. A small bucket is sorted as a whole and becomes the *run*, whose items are
//! taken out one by one; a large one is spread over the levels below. An item moves a few times,
//! through memory in order: with a million items that is many times faster than a binary heap,
//! which misses the cache at each of its twenty levels.
//!
//! Items with the same time are always in one bucket and move in order: first in, first out. Those
//! of the run came before all items of the same time in the buckets.

/// The bits of a digit: 64 buckets, so that one word says which of them are occupied.
const BITS: u32 = 6;
const BUCKETS: usize = 1 << BITS;
const LEVELS: usize = u64::BITS.div_ceil(BITS) as usize;
/// A bucket with more capacity than this many items frees its memory when it becomes empty.
const KEPT_MAX: usize = 64;
/// A bucket of up to this many items is sorted, not spread.
const RUN_MAX: usize = 512;

#[derive(Debug)]
struct Bucket<T> {
    items: Vec<(u64, T)>,
    /// The number of items at the front that were taken out already.
    taken: usize,
    /// The index of the earliest item.
    first: usize,
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Bucket {
            items: Vec::new(),
            taken: 0,
            first: 0,
        }
    }
}

impl<T: Copy> Bucket<T> {
    fn push(&mut self, time: u64, item: T) {
        if self.items.is_empty() || time < self.items[self.first].0 {
            self.first = self.items.len();
        }
        self.items.push((time, item));
    }

    /// The earliest item, and its time; the bucket is not empty.
    fn earliest(&self) -> (u64, T) {
        self.items[self.first.max(self.taken)]
    }

    fn len(&self) -> usize {
        self.items.len() - self.taken
    }

    /// Takes all items out, in order.
    fn drain(&mut self) -> Vec<(u64, T)> {
        let mut items = std::mem::take(&mut self.items);
        // Taken items stay in front until the bucket is empty, so that a pop moves no memory.
        items.drain(..self.taken);
        self.taken = 0;
        items
    }

    /// Keeps an empty vector for the next items, unless it is large.
    fn reuse(&mut self, mut items: Vec<(u64, T)>) {
        if self.items.capacity() == 0 && items.capacity() <= KEPT_MAX {
            items.clear();
            self.items = items;
        }
    }

    fn retain(&mut self, keep: impl Fn(T) -> bool) {
        let mut items = self.drain();
        items.retain(|(_, item)| keep(*item));
        let earliest = items.iter().enumerate().min_by_key(|(_, (time, _))| *time);
        self.first = earliest.map_or(0, |(index, _)| index);
        if items.is_empty() {
            self.reuse(items)
        } else {
            self.items = items
        }
    }
}

#[derive(Debug)]
struct Level<T> {
    buckets: Vec<Bucket<T>>,
    /// One bit for each bucket: set if the bucket is not empty.
    occupied: u64,
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Level {
            buckets: Vec::new(),
            occupied: 0,
        }
    }
}

/// The queue: see the top of this file.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// The items of a bucket that was opened, the earliest one last.
    run: Vec<(u64, T)>,
    levels: [Level<T>; LEVELS],
    /// One bit for each level: set if the level is not empty.
    occupied: u32,
    /// The earliest time of the bucket that was opened last: what the levels refer to.
    last: u64,
    /// The time of the last item that was taken out; an earlier time counts as this one.
    floor: u64,
    len: usize,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Wheel {
            run: Vec::new(),
            levels: Default::default(),
            occupied: 0,
            last: 0,
            floor: 0,
            len: 0,
        }
    }
}

impl<T: Copy> Wheel<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts an item in. A time before that of the last item that was taken out counts as that time.
    pub(crate) fn push(&mut self, time: u64, item: T) {
        self.len += 1;
        self.place(time, item);
    }

    /// Puts back the item that was taken out last, before all others.
    pub(crate) fn push_first(&mut self, time: u64, item: T) {
        debug_assert!(time <= self.floor, "it was taken out");
        self.len += 1;
        self.run.push((time, item));
    }

    /// Puts an item in its bucket.
    fn place(&mut self, time: u64, item: T) {
        let time_here = time.max(self.floor).max(self.last);
        // The highest bit that differs from `last` is in the digit that decides; `| 1` makes equal
        // times level 0.
        let differs = time_here ^ self.last;
        let level = (u64::BITS - 1 - (differs | 1).leading_zeros()) / BITS;
        let bucket = digit(time_here, level as usize);
        self.occupied |= 1 << level;
        let here = self.level(level as usize);
        here.occupied |= 1 << bucket;
        here.buckets[bucket].push(time, item);
    }

    /// A level with its buckets, 64 of 40 bytes, which only levels in use have.
    #[inline]
    fn level(&mut self, level: usize) -> &mut Level<T> {
        let level = &mut self.levels[level];
        if level.buckets.is_empty() {
            level.buckets.resize_with(BUCKETS, Bucket::default);
        }
        level
    }

    /// The first bucket that is not empty: its level and its number there.
    #[inline]
    fn first_occupied(&self) -> Option<(usize, usize)> {
        if self.occupied == 0 {
            return None;
        }
        let level = self.occupied.trailing_zeros() as usize;
        Some((level, self.levels[level].occupied.trailing_zeros() as usize))
    }

    #[inline]
    fn first_bucket(&self) -> Option<&Bucket<T>> {
        let (level, number) = self.first_occupied()?;
        Some(&self.levels[level].buckets[number])
    }

    /// True if the run has an item, and no bucket an earlier one.
    #[inline]
    fn is_run_next(&self) -> bool {
        let Some((time, _)) = self.run.last() else {
            return false;
        };
        let bucket = self.first_bucket();
        bucket.is_none_or(|bucket| *time <= bucket.earliest().0.max(self.floor))
    }

    /// The earliest item, and its time.
    pub(crate) fn peek(&self) -> Option<(u64, T)> {
        if self.is_run_next() {
            return self.run.last().copied();
        }
        self.first_bucket().map(Bucket::earliest)
    }

    /// Takes out the earliest item, if it is due. From then on, an earlier time counts as its time.
    /// Items that are not to be kept are dropped where that costs nothing.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: u64, keep: impl Fn(T) -> bool) -> Option<(u64, T)> {
        loop {
            if self.is_run_next() {
                return self.pop_run(now);
            }
            let (level, number) = self.first_occupied()?;
            let bucket = &self.levels[level].buckets[number];
            if bucket.earliest().0 > now {
                return None;
            }
            if level == 0 {
                return Some(self.pop_bucket(number));
            }
            if self.run.is_empty() && bucket.len() <= RUN_MAX {
                self.sort(level, number, &keep);
            } else {
                self.spread(level, number);
            }
        }
    }

    #[inline]
    fn pop_run(&mut self, now: u64) -> Option<(u64, T)> {
        let (time, item) = self.run.pop_if(|(time, _)| *time <= now)?;
        self.floor = self.floor.max(time);
        self.len -= 1;
        Some((time, item))
    }

    /// Takes the first item out of a bucket of level 0: all of them have the same time.
    fn pop_bucket(&mut self, number: usize) -> (u64, T) {
        let bucket = &mut self.levels[0].buckets[number];
        let (time, item) = bucket.items[bucket.taken];
        bucket.taken += 1;
        if bucket.taken == bucket.items.len() {
            let empty = bucket.drain();
            bucket.reuse(empty);
            self.mark_empty(0, number);
        }
        // A time before `floor` was put in late and counts as `floor`: time never moves back.
        self.floor = self.floor.max(time);
        self.last = self.last.max(time);
        self.len -= 1;
        (time, item)
    }

    /// Opens a bucket, whose items become the run.
    fn sort(&mut self, level: usize, number: usize, keep: impl Fn(T) -> bool) {
        let mut items = self.open(level, number);
        let before = items.len();
        items.retain(|(_, item)| keep(*item));
        self.len -= before - items.len();
        // Reversed before a stable sort: of equal times, the first is the last.
        items.reverse();
        items.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
        std::mem::swap(&mut self.run, &mut items);
        self.levels[level].buckets[number].reuse(items);
    }

    /// Opens a bucket, whose items go to the levels below.
    fn spread(&mut self, level: usize, number: usize) {
        let items = self.open(level, number);
        self.reserve(level - 1, &items);
        for (time, item) in &items {
            self.place(*time, *item);
        }
        self.levels[level].buckets[number].reuse(items);
    }

    /// Sets `last` to the earliest time in a bucket, and takes out its items.
    fn open(&mut self, level: usize, number: usize) -> Vec<(u64, T)> {
        let bucket = &mut self.levels[level].buckets[number];
        self.last = bucket.earliest().0;
        let items = bucket.drain();
        self.mark_empty(level, number);
        items
    }

    /// Gives each bucket of a level the room for its share of many items at once, instead of by
    /// doubling.
    fn reserve(&mut self, level: usize, items: &[(u64, T)]) {
        if items.len() <= RUN_MAX {
            return;
        }
        let mut counts = [0; BUCKETS];
        for (time, _) in items {
            counts[digit(*time, level)] += 1;
        }
        for (bucket, count) in self.level(level).buckets.iter_mut().zip(counts) {
            bucket.items.reserve_exact(count);
        }
    }

    fn mark_empty(&mut self, level: usize, number: usize) {
        self.levels[level].occupied &= !(1 << number);
        if self.levels[level].occupied == 0 {
            self.occupied &= !(1 << level);
        }
    }

    /// The number of items among which the earliest one is.
    pub(crate) fn first_len(&self) -> usize {
        if self.is_run_next() {
            return 1; // the run is sorted: what comes next is known
        }
        self.first_bucket().map_or(0, Bucket::len)
    }

    /// Keeps only some of the items among which the earliest one is.
    pub(crate) fn retain_first(&mut self, keep: impl Fn(T) -> bool) {
        if self.is_run_next() {
            let dropped = self.run.pop_if(|(_, item)| !keep(*item));
            self.len -= usize::from(dropped.is_some());
        } else if let Some((level, number)) = self.first_occupied() {
            self.retain_in(level, number, keep);
        }
    }

    /// Keeps only some of the items.
    pub(crate) fn retain(&mut self, keep: impl Fn(T) -> bool) {
        let before = self.run.len();
        self.run.retain(|(_, item)| keep(*item));
        self.len -= before - self.run.len();
        for level in 0..LEVELS {
            for number in 0..self.levels[level].buckets.len() {
                self.retain_in(level, number, &keep);
            }
        }
    }

    fn retain_in(&mut self, level: usize, number: usize, keep: impl Fn(T) -> bool) {
        let bucket = &mut self.levels[level].buckets[number];
        let before = bucket.len();
        bucket.retain(keep);
        let after = bucket.len();
        self.len -= before - after;
        if after == 0 {
            self.mark_empty(level, number);
        }
    }
}

/// The digit of a time that decides in a level.
fn digit(time: u64, level: usize) -> usize {
    (time >> (level as u32 * BITS)) as usize % BUCKETS
}

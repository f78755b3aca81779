//! The armed timers by key, in a slab that grows without moving them: no start pays for a copy of a
//! million others.

use crate::mechanisms::slots::Key;

/// An armed timer, or the place for one. [`Key<Timer<T>>`](Key) names an armed one.
#[derive(Debug)]
pub struct Timer<T> {
    /// `None` while the place is vacant.
    value: Option<T>,
    /// Of an armed timer: the number of its latest start, and in the lowest bit whether it is
    /// referenced. Of a vacant place: the index of the next one, or [`END`].
    order: u64,
    /// The number of starts and ends here: an item of the queue with another count is stale.
    count: u32,
    /// The count at which the timer was armed: the generation in its key.
    armed_at: u32,
}

/// What stands for a start in the queue. It is stale once its timer has started again or has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    index: u32,
    count: u32,
}

/// Ends the list of vacant places.
const END: u64 = u64::MAX;

/// The places in a chunk.
const CHUNK_PLACES: usize = 1024;

/// The armed timers.
#[derive(Debug)]
pub(super) struct Armed<T> {
    /// All but the first are allocated once, with their whole capacity.
    chunks: Vec<Vec<Timer<T>>>,
    /// The number of places that were ever used.
    places: usize,
    /// The index of the place that was vacated last, or [`END`].
    vacant: u64,
    len: usize,
    referenced: usize,
}

impl<T> Default for Armed<T> {
    fn default() -> Self {
        Armed {
            chunks: Vec::new(),
            places: 0,
            vacant: END,
            len: 0,
            referenced: 0,
        }
    }
}

/// The chunk of a place, and where it is there.
#[inline]
fn position(index: usize) -> (usize, usize) {
    (index / CHUNK_PLACES, index % CHUNK_PLACES)
}

impl<T> Armed<T> {
    /// The number of armed timers.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number of those that are referenced.
    pub(super) fn referenced(&self) -> usize {
        self.referenced
    }

    /// Arms a timer. It is referenced.
    pub(super) fn insert(&mut self, value: T, order: u64) -> (Key<Timer<T>>, Item) {
        self.len += 1;
        self.referenced += 1;
        let index = self.take_vacant();
        let (chunk, at) = position(index as usize);
        let place = &mut self.chunks[chunk][at];
        place.value = Some(value);
        place.order = order << 1 | 1;
        place.count = place.count.wrapping_add(1);
        place.armed_at = place.count;
        let count = place.count;
        (Key::new(index, count), Item { index, count })
    }

    /// Takes a place off the list of vacant ones, or makes one.
    #[inline]
    fn take_vacant(&mut self) -> u32 {
        let index = if self.vacant == END {
            self.add_place()
        } else {
            let (chunk, at) = position(self.vacant as usize);
            std::mem::replace(&mut self.vacant, self.chunks[chunk][at].order) as usize
        };
        u32::try_from(index).expect("fewer than 2^32 timers fit in memory")
    }

    fn add_place(&mut self) -> usize {
        let index = self.places;
        let (chunk, _) = position(index);
        if chunk == self.chunks.len() {
            // A program with a few timers pays for a few.
            let places = if chunk == 0 { 0 } else { CHUNK_PLACES };
            self.chunks.push(Vec::with_capacity(places));
        }
        self.chunks[chunk].push(Timer {
            value: None,
            order: END,
            count: 0,
            armed_at: 0,
        });
        self.places += 1;
        index
    }

    /// Starts an armed timer again. Its item from before is stale then.
    pub(super) fn restart(&mut self, key: Key<Timer<T>>, order: u64) -> Option<Item> {
        let timer = self.timer_mut(key)?;
        timer.order = order << 1 | timer.order & 1;
        timer.count = timer.count.wrapping_add(1);
        let (index, count) = (key.index(), timer.count);
        Some(Item { index, count })
    }

    /// Disarms a timer.
    pub(super) fn remove(&mut self, key: Key<Timer<T>>) -> Option<T> {
        self.remove_if(key.index(), |timer| timer.armed_at == key.generation())
    }

    /// Disarms the timer of an item; `None` if the item is stale.
    #[inline]
    pub(super) fn remove_live(&mut self, item: Item) -> Option<T> {
        self.remove_if(item.index, |timer| timer.count == item.count)
    }

    #[inline]
    fn remove_if(&mut self, index: u32, is_meant: impl Fn(&Timer<T>) -> bool) -> Option<T> {
        let (chunk, at) = position(index as usize);
        let place = self.chunks.get_mut(chunk)?.get_mut(at)?;
        if !is_meant(place) {
            return None;
        }
        let value = place.value.take()?;
        self.len -= 1;
        self.referenced -= (place.order & 1) as usize;
        place.count = place.count.wrapping_add(1);
        // Last in, first out: the place that was vacated last is most likely in the cache.
        place.order = std::mem::replace(&mut self.vacant, index.into());
        Some(value)
    }

    /// False once the timer of an item has started again or has ended.
    #[inline]
    pub(super) fn is_live(&self, item: Item) -> bool {
        let (chunk, at) = position(item.index as usize);
        self.chunks[chunk][at].count == item.count
    }

    /// The number of the start for which a live item stands.
    pub(super) fn order(&self, item: Item) -> u64 {
        let (chunk, at) = position(item.index as usize);
        self.chunks[chunk][at].order >> 1
    }

    /// The value of an armed timer.
    pub(super) fn get_mut(&mut self, key: Key<Timer<T>>) -> Option<&mut T> {
        self.timer_mut(key)?.value.as_mut()
    }

    /// Sets whether an armed timer is referenced.
    pub(super) fn set_referenced(&mut self, key: Key<Timer<T>>, referenced: bool) {
        if let Some(timer) = self.timer_mut(key) {
            let before = timer.order & 1;
            timer.order = timer.order & !1 | u64::from(referenced);
            self.referenced -= before as usize;
            self.referenced += usize::from(referenced);
        }
    }

    fn timer_mut(&mut self, key: Key<Timer<T>>) -> Option<&mut Timer<T>> {
        let (chunk, at) = position(key.index() as usize);
        let timer = self.chunks.get_mut(chunk)?.get_mut(at)?;
        (timer.armed_at == key.generation() && timer.value.is_some()).then_some(timer)
    }

    /// The values of all armed timers, in no particular order.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        let places = self.chunks.iter().flatten();
        places.filter_map(|timer| timer.value.as_ref())
    }

    /// The same, taken out.
    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        let places = self.chunks.into_iter().flatten();
        places.filter_map(|timer| timer.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn two_timers_fit_in_a_cache_line() {
        assert_eq!(size_of::<Timer<Waker>>(), 32);
    }

    #[test]
    fn timers_stay_where_they_are_while_others_come() {
        let mut armed = Armed::default();
        let mut arm = |number| armed.insert(number, 1).0;
        let keys: Vec<_> = (0..2 * CHUNK_PLACES).map(&mut arm).collect();
        let address = |armed: &mut Armed<_>| std::ptr::from_mut(armed.get_mut(keys[1500]).unwrap());
        let before = address(&mut armed);
        let more: Vec<_> = (0..2 * CHUNK_PLACES)
            .map(|n| armed.insert(n, 1).0)
            .collect();
        assert_eq!(address(&mut armed), before);
        for (number, key) in keys.into_iter().chain(more).enumerate() {
            assert_eq!(armed.remove(key), Some(number % (2 * CHUNK_PLACES)));
            assert_eq!(armed.remove(key), None);
        }
        assert_eq!(armed.len(), 0);
    }

    #[test]
    fn a_key_and_an_item_never_find_a_successor() {
        let mut armed = Armed::default();
        let (old, item) = armed.insert("old", 1);
        let again = armed.restart(old, 2).unwrap();
        assert!(!armed.is_live(item) && armed.is_live(again));
        assert_eq!(armed.remove_live(item), None);
        assert_eq!(armed.remove_live(again), Some("old"));
        let (new, _) = armed.insert("new", 3);
        assert!(!armed.is_live(item) && !armed.is_live(again));
        assert_eq!((armed.remove(old), armed.remove(new)), (None, Some("new")));
    }
}

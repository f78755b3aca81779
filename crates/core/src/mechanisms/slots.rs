//! A slab with generations: the [`Key`] of a removed value finds nothing, never its successor.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// Names one value in a [`Slots<T>`]: an index and a generation, typed by the value.
///
/// It fits in the 64 bits that epoll hands back. An fd would not do as a name: the kernel reuses
/// its number for the next file (rule 5).
pub struct Key<T> {
    index: u32,
    /// Counts the values that this slot held before.
    generation: u32,
    /// `fn() -> T`, so that a key is `Send` and `Copy` whatever it names.
    of: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    pub(super) const fn new(index: u32, generation: u32) -> Self {
        Key {
            index,
            generation,
            of: PhantomData,
        }
    }

    pub(super) const fn index(self) -> u32 {
        self.index
    }

    pub(super) const fn generation(self) -> u32 {
        self.generation
    }

    /// The key as one integer, for epoll's user data.
    pub const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The key with the integer that [`Key::to_u64`] returned.
    pub const fn from_u64(bits: u64) -> Self {
        Key::new(bits as u32, (bits >> 32) as u32)
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        self.to_u64() == other.to_u64()
    }
}
impl<T> Eq for Key<T> {}
impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_u64().hash(state);
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}
impl<T> fmt::Display for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[derive(Debug)]
enum Content<T> {
    Value(T),
    /// The next vacant index, or `END`.
    Vacant(u32),
}

/// Ends the list of vacant slots.
const END: u32 = u32::MAX;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

/// Values that stay where they are, named by [`Key`]s. Inserting, looking up and removing take
/// O(1).
///
/// ```
/// use oneloop::core::Slots;
/// let mut slots = Slots::new();
/// let old = slots.insert("old");
/// assert_eq!(slots.remove(old), Some("old"));
/// let new = slots.insert("new"); // the same slot, the next generation
/// assert_eq!(slots.get(old), None);
/// assert_eq!(slots.get(new), Some(&"new"));
/// ```
#[derive(Debug)]
#[doc(alias("Slab", "SlotMap"))]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// The first vacant slot, or `END`: the one that was vacated last, so it is likely in the
    /// cache.
    vacant: u32,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots {
            slots: Vec::new(),
            vacant: END,
            len: 0,
        }
    }
}

impl<T> Slots<T> {
    /// An empty slab. It allocates with the first value.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when it holds no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Inserts a value and returns its key.
    pub fn insert(&mut self, value: T) -> Key<T> {
        self.insert_with(|_| value)
    }

    /// Inserts a value that is made with its own key: see [`Slots::insert`].
    pub fn insert_with(&mut self, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        // The list of vacant slots is last in, first out: the most recent slot is most likely in
        // the cache.
        self.len += 1;
        if self.vacant == END {
            let index =
                u32::try_from(self.slots.len()).expect("fewer than 2^32 values fit in memory");
            let key = Key::new(index, 0);
            self.slots.push(Slot {
                generation: 0,
                content: Content::Value(make(key)),
            });
            return key;
        }
        let index = self.vacant;
        let slot = &mut self.slots[index as usize];
        let key = Key::new(index, slot.generation);
        if let Content::Vacant(next) = slot.content {
            self.vacant = next;
        }
        slot.content = Content::Value(make(key));
        key
    }

    fn slot(&self, key: Key<T>) -> Option<&Slot<T>> {
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
    }

    fn slot_mut(&mut self, key: Key<T>) -> Option<&mut Slot<T>> {
        self.slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
    }

    /// The value with this key, unless it was removed.
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        match &self.slot(key)?.content {
            Content::Value(value) => Some(value),
            Content::Vacant(_) => None,
        }
    }

    /// The value with this key, mutably.
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        match &mut self.slot_mut(key)?.content {
            Content::Value(value) => Some(value),
            Content::Vacant(_) => None,
        }
    }

    /// True while the slab holds a value with this key.
    pub fn contains(&self, key: Key<T>) -> bool {
        self.get(key).is_some()
    }

    /// Removes a value. Its key finds nothing from then on.
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let vacant = self.vacant;
        let slot = self.slot_mut(key)?;
        // The generation of a vacant slot matches only a key that was made up, or that has wrapped
        // around.
        if matches!(slot.content, Content::Vacant(_)) {
            return None;
        }
        // Now, not at the next insertion: the old key must not find the vacant slot either. After
        // 2^32 values in one slot an old key would name a successor. At a million values a second
        // that takes more than an hour, for which a caller would have to keep the key of a removed
        // value.
        slot.generation = slot.generation.wrapping_add(1);
        let content = std::mem::replace(&mut slot.content, Content::Vacant(vacant));
        self.vacant = key.index;
        self.len -= 1;
        match content {
            Content::Value(value) => Some(value),
            Content::Vacant(_) => None,
        }
    }

    /// All values, in the order of their slots.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.slots
            .into_iter()
            .filter_map(|slot| match slot.content {
                Content::Value(value) => Some(value),
                Content::Vacant(_) => None,
            })
    }

    /// All values with their keys, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, &T)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| match &slot.content {
                Content::Value(value) => Some((Key::new(index as u32, slot.generation), value)),
                Content::Vacant(_) => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_epolls_user_data() {
        let key: Key<()> = Key::new(7, 0xfedc_ba98);
        assert_eq!(Key::from_u64(key.to_u64()), key);
        assert_eq!(format!("{key}"), "7.4275878552");
    }

    #[test]
    fn a_second_removal_finds_nothing() {
        let mut slots = Slots::new();
        let a = slots.insert('a');
        let b = slots.insert('b');
        assert_eq!((slots.remove(a), slots.remove(a)), (Some('a'), None));
        assert_eq!(slots.len(), 1);
        let c = slots.insert('c');
        assert_eq!(
            slots.get(a),
            None,
            "rule 5: an old key never names a successor"
        );
        assert_eq!(
            slots.iter().map(|(k, v)| (k, *v)).collect::<Vec<_>>(),
            [(c, 'c'), (b, 'b')]
        );
    }
}

//! Rings: ordered lists in one slab, whose members can leave in O(1) wherever they are.
#![forbid(unsafe_code)]

use oneloop_core::{Key, Slots};

/// `COUNT` rings of `T`, each named by its index.
///
/// A phase calls the members of a ring one by one, and each call may add and remove any member. So
/// there are two rings for a phase: the phase [splices](Rings::splice) the *main* one into the
/// *running* one, and [moves](Rings::advance) the first of that one back before it calls it.
/// Nothing is held meanwhile. What a phase leaves that the caller jumped out of comes first in the
/// next one.
///
/// ```text
///   main     a b c     splice      main     -        advance     main     a
///   running  -        ───────▶     running  a b c   ───────▶     running  b c     a is called
/// ```
#[derive(Debug)]
pub(crate) struct Rings<T, const COUNT: usize> {
    nodes: Slots<Node<T>>,
    /// The node of each ring that has no member: it is in front of the first and behind the last.
    ends: [Link<T>; COUNT],
}

type Link<T> = Key<Node<T>>;

#[derive(Debug)]
pub(crate) struct Node<T> {
    member: Option<T>,
    before: Link<T>,
    after: Link<T>,
}

impl<T: Copy, const COUNT: usize> Rings<T, COUNT> {
    pub(crate) fn new() -> Self {
        let mut nodes = Slots::new();
        let ends = [(); COUNT].map(|()| {
            nodes.insert_with(|end| Node {
                member: None,
                before: end,
                after: end,
            })
        });
        Rings { nodes, ends }
    }

    /// Adds a member as the last one. Returns its place.
    pub(crate) fn push_back(&mut self, ring: usize, member: T) -> u64 {
        let end = self.ends[ring];
        self.insert(self.node(end).before, end, member)
    }

    /// Adds a member as the first one. Returns its place.
    pub(crate) fn push_front(&mut self, ring: usize, member: T) -> u64 {
        let end = self.ends[ring];
        self.insert(end, self.node(end).after, member)
    }

    fn insert(&mut self, before: Link<T>, after: Link<T>, member: T) -> u64 {
        let key = self.nodes.insert(Node {
            member: Some(member),
            before,
            after,
        });
        self.node_mut(before).after = key;
        self.node_mut(after).before = key;
        key.to_u64()
    }

    /// Removes the member at a place, whichever ring it is in.
    pub(crate) fn remove(&mut self, place: u64) -> Option<T> {
        let node = self.nodes.remove(Key::from_u64(place))?;
        self.link(node.before, node.after);
        node.member
    }

    /// Removes the first member.
    pub(crate) fn pop_front(&mut self, ring: usize) -> Option<T> {
        let first = self.node(self.ends[ring]).after;
        self.member(first)?;
        self.remove(first.to_u64())
    }

    /// Moves all members behind those of another ring, in their order.
    pub(crate) fn splice(&mut self, from: usize, to: usize) {
        let (from, to) = (self.ends[from], self.ends[to]);
        let (first, last) = (self.node(from).after, self.node(from).before);
        if first == from {
            return;
        }
        self.link(self.node(to).before, first);
        self.link(last, to);
        self.link(from, from);
    }

    /// Moves the first member to the end of another ring, and returns it.
    pub(crate) fn advance(&mut self, from: usize, to: usize) -> Option<T> {
        let first = self.node(self.ends[from]).after;
        let member = self.member(first)?;
        let (before, after) = (self.node(first).before, self.node(first).after);
        self.link(before, after);
        let end = self.ends[to];
        self.link(self.node(end).before, first);
        self.link(first, end);
        Some(member)
    }

    /// True if the ring has no member.
    pub(crate) fn is_empty(&self, ring: usize) -> bool {
        self.node(self.ends[ring]).after == self.ends[ring]
    }

    /// The first member that `is_wanted`, from the one behind that place on, or from the first one
    /// on if the place is vacant. Returns its place, too.
    pub(crate) fn find_behind(
        &self,
        ring: usize,
        place: u64,
        is_wanted: impl Fn(&T) -> bool,
    ) -> Option<(u64, T)> {
        let known = self.nodes.get(Key::from_u64(place));
        let mut next = known.unwrap_or_else(|| self.node(self.ends[ring])).after;
        while let Some(member) = self.member(next) {
            if is_wanted(&member) {
                return Some((next.to_u64(), member));
            }
            next = self.node(next).after;
        }
        None
    }

    fn link(&mut self, before: Link<T>, after: Link<T>) {
        self.node_mut(before).after = after;
        self.node_mut(after).before = before;
    }

    fn member(&self, link: Link<T>) -> Option<T> {
        self.node(link).member
    }

    fn node(&self, link: Link<T>) -> &Node<T> {
        self.nodes.get(link).expect("a link names a node")
    }

    fn node_mut(&mut self, link: Link<T>) -> &mut Node<T> {
        self.nodes.get_mut(link).expect("a link names a node")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Clone, Debug)]
    enum Step {
        Back(usize),
        Front(usize),
        Remove(usize),
        Pop(usize),
        Splice(usize, usize),
        Advance(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let ring = || 0..3_usize;
        prop_oneof![
            ring().prop_map(Step::Back),
            ring().prop_map(Step::Front),
            any::<usize>().prop_map(Step::Remove),
            ring().prop_map(Step::Pop),
            (ring(), ring()).prop_map(|(from, to)| Step::Splice(from, to)),
            (ring(), ring()).prop_map(|(from, to)| Step::Advance(from, to)),
        ]
    }

    proptest! {
        /// The model of each ring is a queue of numbers.
        #[test]
        fn rings_behave_as_queues(steps in prop::collection::vec(step(), 1..200)) {
            let mut rings = Rings::<usize, 3>::new();
            let mut model: [VecDeque<usize>; 3] = Default::default();
            let mut places = Vec::new();
            for step in steps {
                let number = places.len();
                match step {
                    Step::Back(ring) => {
                        places.push(rings.push_back(ring, number));
                        model[ring].push_back(number);
                    }
                    Step::Front(ring) => {
                        places.push(rings.push_front(ring, number));
                        model[ring].push_front(number);
                    }
                    Step::Remove(pick) if number > 0 => {
                        let number = pick % number;
                        let is_there = model.iter().any(|queue| queue.contains(&number));
                        model.iter_mut().for_each(|queue| queue.retain(|other| *other != number));
                        prop_assert_eq!(rings.remove(places[number]), is_there.then_some(number));
                    }
                    Step::Remove(_) => {}
                    Step::Pop(ring) => prop_assert_eq!(rings.pop_front(ring), model[ring].pop_front()),
                    Step::Splice(from, to) if from != to => {
                        rings.splice(from, to);
                        let all = std::mem::take(&mut model[from]);
                        model[to].extend(all);
                    }
                    Step::Splice(..) => {}
                    Step::Advance(from, to) => {
                        let first = model[from].pop_front();
                        model[to].extend(first);
                        prop_assert_eq!(rings.advance(from, to), first);
                    }
                }
                for (ring, queue) in model.iter().enumerate() {
                    prop_assert_eq!(rings.is_empty(ring), queue.is_empty());
                    let (mut members, mut place) = (Vec::new(), u64::MAX);
                    while let Some((next, member)) = rings.find_behind(ring, place, |_| true) {
                        members.push(member);
                        place = next;
                    }
                    prop_assert_eq!(&members, &Vec::from(queue.clone()));
                }
            }
        }
    }
}

//! Links: the waiters and functions that are notified when a green thread ends, in order.

use oneloop_core::{Key, Task};
use std::collections::VecDeque;
use std::mem;
use std::panic::Location;
use std::task::Waker;

/// A function that is called when a thread of type `T` has ended. It returns the task that has to
/// run before the next link is notified.
pub(crate) type Call<T> = Box<dyn FnOnce(&T) -> Option<Key<Task>>>;

/// A link of eventlet's: it is called on the stack that ends, while that still exists.
pub(crate) trait InsideCall<T> {
    fn call(self: Box<Self>, thread: &T);

    /// The same as a [`Call`] that spawns: for a thread that never began, and has no stack to call
    /// it on.
    fn on_its_own_thread(self: Box<Self>, spawned_at: &'static Location<'static>) -> Call<T>;
}

/// A waiter or a function that is notified when a green thread ends.
pub(crate) enum Link<T> {
    /// A green thread that joins.
    Joiner(Key<Task>),
    /// A green thread that killed this one, and waits for its end.
    Killer(Key<Task>),
    /// Any other future that waits.
    Waker(Waker),
    Call(Call<T>),
    /// See [`eventlet::link`](crate::eventlet::link).
    Inside(Box<dyn InsideCall<T>>),
}

impl<T> Link<T> {
    pub(crate) fn is_inside(&self) -> bool {
        matches!(self, Link::Inside(_))
    }

    pub(crate) fn is_call(&self) -> bool {
        matches!(self, Link::Call(_) | Link::Inside(_))
    }
}

/// Names a link until it is notified or removed.
pub(crate) type LinkId = u32;

/// The links of one thread. Most threads have none or one, which allocates nothing.
#[derive(Default)]
pub(crate) enum Links<T> {
    #[default]
    None,
    One(LinkId, Link<T>),
    // A list, as the order counts and a thread has few links: a search is cheaper than a map.
    Many(Vec<(LinkId, Link<T>)>),
}

impl<T> Links<T> {
    pub(crate) fn push(&mut self, id: LinkId, link: Link<T>) {
        *self = match mem::take(self) {
            Links::None => Links::One(id, link),
            Links::One(first_id, first) => Links::Many(vec![(first_id, first), (id, link)]),
            Links::Many(mut links) => {
                links.push((id, link));
                Links::Many(links)
            }
        };
    }

    pub(crate) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link<T>> {
        match self {
            Links::One(other, link) if *other == id => Some(link),
            Links::Many(links) => {
                let found = links.iter_mut().find(|(other, _)| *other == id)?;
                Some(&mut found.1)
            }
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, id: LinkId) -> Option<Link<T>> {
        match self {
            Links::One(other, _) if *other == id => match mem::take(self) {
                Links::One(_, link) => Some(link),
                _ => None,
            },
            Links::Many(links) => {
                let index = links.iter().position(|(other, _)| *other == id)?;
                Some(links.remove(index).1)
            }
            _ => None,
        }
    }

    pub(crate) fn any(&self, is: impl Fn(&Link<T>) -> bool) -> bool {
        match self {
            Links::None => false,
            Links::One(_, link) => is(link),
            Links::Many(links) => links.iter().any(|(_, link)| is(link)),
        }
    }

    /// Takes out the links that `which` selects, in their order.
    pub(crate) fn take_some(&mut self, which: impl Fn(&Link<T>) -> bool) -> Links<T> {
        let mut taken = Links::None;
        let links = match mem::take(self) {
            Links::None => return taken,
            Links::One(id, link) => vec![(id, link)],
            Links::Many(links) => links,
        };
        // A link that is not taken keeps its id: a future may still remove it.
        for (id, link) in links {
            match which(&link) {
                true => taken.push(id, link),
                false => self.push(id, link),
            }
        }
        taken
    }

    /// All links, in the order of their registration.
    pub(crate) fn into_queue(self) -> VecDeque<Link<T>> {
        match self {
            Links::None => VecDeque::new(),
            Links::One(_, link) => VecDeque::from([link]),
            Links::Many(links) => links.into_iter().map(|(_, link)| link).collect(),
        }
    }
}

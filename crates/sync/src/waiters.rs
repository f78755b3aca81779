//! A line of those who wait, first in first out: what every primitive here stands on.

use oneloop_core::{Key, Slots, wake_guarded};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What is left to do once nothing is borrowed: wakers are foreign code (rules 1 and 2).
#[derive(Default)]
pub(crate) struct After {
    wake: Option<Waker>,
    /// Those behind the first: most changes wake one at the most, and allocate nothing.
    wake_more: Vec<Waker>,
    drop: Option<Waker>,
}

impl After {
    fn wake(&mut self, waker: Waker) {
        if self.wake.is_none() {
            self.wake = Some(waker);
        } else {
            self.wake_more.push(waker);
        }
    }

    /// For the one waker that a change replaces.
    fn drop(&mut self, waker: Option<Waker>) {
        debug_assert!(self.drop.is_none(), "a change gives up one waker");
        self.drop = waker;
    }

    fn run(self) {
        let Some(first) = self.wake else {
            return; // nobody is behind the first
        };
        wake_guarded(first);
        for waker in self.wake_more {
            wake_guarded(waker);
        }
    }
}

/// The state of a primitive, which its handles and futures share.
pub(crate) struct Shared<S>(Rc<RefCell<S>>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Shared(Rc::clone(&self.0))
    }
}

impl<S> Shared<S> {
    pub(crate) fn new(state: S) -> Self {
        Shared(Rc::new(RefCell::new(state)))
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.0.borrow())
    }

    /// Changes the state, and then does what the change leaves to be done.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut S, &mut After) -> R) -> R {
        let mut after = After::default();
        let result = change(&mut self.0.borrow_mut(), &mut after);
        after.run();
        result
    }

    /// A future's poll. The step is taken without a waker first, as most need none, and must then
    /// change nothing when it is pending; with one, it is to take it out and keep it.
    pub(crate) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut S, &mut Option<Waker>, &mut After) -> Poll<R>,
    ) -> Poll<R> {
        let ready = self.change(|state, after| step(state, &mut None, after));
        if ready.is_ready() {
            return ready;
        }
        let mut waker = Some(cx.waker().clone()); // foreign code, which may have changed the state
        self.change(|state, after| step(state, &mut waker, after))
    }
}

/// Names a place in a [`Line`]. The future that waits there has it, and gives it back by leaving.
pub(crate) type Ticket<H> = Key<Place<H>>;

/// Somebody who waits.
pub(crate) struct Place<H> {
    /// None from when it is woken until it waits again.
    waker: Option<Waker>,
    standing: Standing,
    /// What it has with it.
    held: H,
    before: Option<Ticket<H>>,
    behind: Option<Ticket<H>>,
}

/// What somebody who waits may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waits,
    Admitted,
    /// It has what it waits for, and is in line no more.
    Dismissed,
}

/// Who waits, first in first out. Those in front are *admitted*: they were woken, and keep their
/// places until they have run.
///
/// ```text
///  first ──▶ a ─ b ─ c ┃ d ─ e ◀── last
///            admitted  ┃ ▲
///                      next
/// ```
///
/// Each verb takes constant time but those that end in `all`; a line allocates when it grows only.
pub(crate) struct Line<H = ()> {
    places: Slots<Place<H>>,
    first: Option<Ticket<H>>,
    last: Option<Ticket<H>>,
    /// The first who is not admitted.
    next: Option<Ticket<H>>,
    admitted: usize,
    /// How many have to leave yet, and are not in line any more.
    dismissed: usize,
}

impl<H> Default for Line<H> {
    fn default() -> Self {
        Line {
            places: Slots::new(),
            first: None,
            last: None,
            next: None,
            admitted: 0,
            dismissed: 0,
        }
    }
}

impl<H> Line<H> {
    /// How many are in line, admitted or not.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.dismissed
    }

    pub(crate) fn admitted(&self) -> usize {
        self.admitted
    }

    pub(crate) fn dismissed(&self) -> usize {
        self.dismissed
    }

    /// How many are not admitted yet.
    pub(crate) fn waiting(&self) -> usize {
        self.len() - self.admitted
    }

    fn place(&self, ticket: Ticket<H>) -> &Place<H> {
        self.places.get(ticket).expect("a ticket ends by leaving")
    }

    fn place_mut(&mut self, ticket: Ticket<H>) -> &mut Place<H> {
        let place = self.places.get_mut(ticket);
        place.expect("a ticket ends by leaving")
    }

    /// Takes the place behind everybody.
    fn join(&mut self, waker: Waker, held: H) -> Ticket<H> {
        let ticket = self.places.insert(Place {
            waker: Some(waker),
            standing: Standing::Waits,
            held,
            before: self.last,
            behind: None,
        });
        self.link(self.last, Some(ticket));
        self.link(Some(ticket), None);
        self.next = self.next.or(Some(ticket));
        ticket
    }

    /// Makes these two neighbours; nobody is before the first and behind the last.
    fn link(&mut self, before: Option<Ticket<H>>, behind: Option<Ticket<H>>) {
        match before {
            Some(before) => self.place_mut(before).behind = behind,
            None => self.first = behind,
        }
        match behind {
            Some(behind) => self.place_mut(behind).before = before,
            None => self.last = before,
        }
    }

    /// Waits on: in its place, or behind everybody.
    pub(crate) fn wait(
        &mut self,
        ticket: &mut Option<Ticket<H>>,
        waker: Waker,
        held: impl FnOnce() -> H,
        after: &mut After,
    ) {
        match *ticket {
            Some(ticket) => after.drop(self.place_mut(ticket).waker.replace(waker)),
            None => *ticket = Some(self.join(waker, held())),
        }
    }

    /// Goes away, having passed or given up, and takes along what it had.
    pub(crate) fn leave(&mut self, ticket: Ticket<H>, after: &mut After) -> H {
        match self.is_dismissed(ticket) {
            true => self.dismissed -= 1,
            false => self.unlink(ticket),
        }
        let place = self.places.remove(ticket);
        let place = place.expect("a ticket ends by leaving");
        after.drop(place.waker);
        place.held
    }

    fn unlink(&mut self, ticket: Ticket<H>) {
        let place = self.place(ticket);
        let (before, behind) = (place.before, place.behind);
        if place.standing == Standing::Admitted {
            self.admitted -= 1;
        } else if self.next == Some(ticket) {
            self.next = behind;
        }
        self.link(before, behind);
    }

    /// Takes the first out of line, and gives what it has with it: it is woken, and has only to leave.
    pub(crate) fn dismiss(&mut self, after: &mut After) -> Option<&mut H> {
        let ticket = self.first?;
        self.unlink(ticket);
        self.dismissed += 1;
        let place = self.place_mut(ticket);
        place.standing = Standing::Dismissed;
        if let Some(waker) = place.waker.take() {
            after.wake(waker);
        }
        Some(&mut place.held)
    }

    pub(crate) fn is_admitted(&self, ticket: Ticket<H>) -> bool {
        self.place(ticket).standing == Standing::Admitted
    }

    pub(crate) fn is_dismissed(&self, ticket: Ticket<H>) -> bool {
        self.place(ticket).standing == Standing::Dismissed
    }

    /// What the first in line has with it.
    pub(crate) fn first_held(&self) -> Option<&H> {
        Some(&self.place(self.first?).held)
    }

    /// Admits one more, if anybody waits.
    pub(crate) fn admit(&mut self, after: &mut After) -> Option<()> {
        let ticket = self.next?;
        self.admitted += 1;
        self.next = self.place(ticket).behind;
        let place = self.place_mut(ticket);
        place.standing = Standing::Admitted;
        if let Some(waker) = place.waker.take() {
            after.wake(waker);
        }
        Some(())
    }

    pub(crate) fn admit_all(&mut self, after: &mut After) {
        while self.admit(after).is_some() {}
    }

    /// Takes the last admission back: what was to be had is gone.
    pub(crate) fn retract(&mut self) {
        let ticket = match self.next {
            Some(next) => self.place(next).before,
            None => self.last,
        };
        let ticket = ticket.expect("somebody is admitted");
        self.place_mut(ticket).standing = Standing::Waits;
        self.next = Some(ticket);
        self.admitted -= 1;
    }

    /// Wakes everybody to look again; admits nobody.
    pub(crate) fn wake_all(&mut self, after: &mut After) {
        let mut ticket = self.first;
        while let Some(at) = ticket {
            let place = self.place_mut(at);
            ticket = place.behind;
            if let Some(waker) = place.waker.take() {
                after.wake(waker);
            }
        }
    }
}

//! The waiters of a primitive, first in, first out: every primitive of this crate is built on this.

use oneloop_core::{Key, Slots, wake_guarded};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The wakers that a change wakes or drops once nothing is borrowed.
///
/// A waker is foreign code, in its drop too: it may call the primitive that is being changed, and
/// would find it borrowed (rules 1 and 2 in ARCHITECTURE.md).
#[derive(Default)]
pub(crate) struct Effects {
    wake: Option<Waker>,
    /// Wakers after the first. Nearly every change wakes at most one task, and then allocates
    /// nothing.
    wake_more: Vec<Waker>,
    drop: Option<Waker>,
}

impl Effects {
    fn wake(&mut self, waker: Waker) {
        if self.wake.is_none() {
            self.wake = Some(waker);
        } else {
            self.wake_more.push(waker);
        }
    }

    fn drop(&mut self, waker: Option<Waker>) {
        debug_assert!(self.drop.is_none(), "a change replaces one waker at most");
        self.drop = waker;
    }

    fn run(self) {
        let Some(first) = self.wake else {
            return; // `wake_more` is empty, too
        };
        // Guarded: a waker that panics must not keep the others from being woken (rule 13).
        wake_guarded(first);
        for waker in self.wake_more {
            wake_guarded(waker);
        }
    }
}

/// The state of a primitive, shared by its handles and futures.
pub(crate) struct SharedState<S>(Rc<RefCell<S>>);

impl<S> Clone for SharedState<S> {
    fn clone(&self) -> Self {
        SharedState(Rc::clone(&self.0))
    }
}

impl<S> SharedState<S> {
    pub(crate) fn new(state: S) -> Self {
        SharedState(Rc::new(RefCell::new(state)))
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.0.borrow())
    }

    /// Changes the state, ends the borrow, and then runs the effects of the change.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut S, &mut Effects) -> R) -> R {
        let mut effects = Effects::default();
        let result = change(&mut self.0.borrow_mut(), &mut effects);
        effects.run();
        result
    }

    /// Polls a future of the primitive.
    ///
    /// `step` runs without a waker first; if it is pending, it must leave the state unchanged. It
    /// then runs again with a waker, which it takes if it is still pending.
    // Most polls are ready at once and need no waker: they save the two atomic operations of a
    // clone and a drop. The clone runs between the two borrows because it is foreign code. It may
    // change the state, so the second step decides again from the start.
    pub(crate) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut S, &mut Option<Waker>, &mut Effects) -> Poll<R>,
    ) -> Poll<R> {
        let ready = self.change(|state, effects| step(state, &mut None, effects));
        if ready.is_ready() {
            return ready;
        }
        let mut waker = Some(cx.waker().clone());
        self.change(|state, effects| step(state, &mut waker, effects))
    }
}

/// A waiter's place in [`Waiters`]. The waiting future owns the ticket until it leaves the line.
pub(crate) type Ticket<H> = Key<Waiter<H>>;

/// A task parked on a primitive.
pub(crate) struct Waiter<H> {
    /// `None` from the wake until the future is polled and still has to wait.
    waker: Option<Waker>,
    standing: Standing,
    /// The value that the waiter offers: a putter's, for instance.
    held: H,
    before: Option<Ticket<H>>,
    behind: Option<Ticket<H>>,
}

/// Where a waiter stands.
///
/// ```text
///             admit: its turn has come
///  wait ──▶ Waits ─────────────────▶ Admitted ──▶ leave: it takes what it waited for
///           │ ▲                       │ │
///           │ └───────────────────────┘ │
///           │   retract: another task   │
///           │   took what was there     │
///           │                           │
///           └──────▶ Dismissed ◀────────┘ dismiss: it has what it waited for
///                        │
///                        └──▶ leave
/// ```
///
/// A waiter may leave from any state, because its future may be dropped at any time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waits,
    /// The waiter was woken, and keeps its ticket until it runs.
    Admitted,
    /// The waiter is out of the line. Its next poll sees that and completes.
    Dismissed,
}

/// Waiters, first in, first out. Those in front are *admitted*.
///
/// ```text
///  first ──▶ a ─ b ─ c ┃ d ─ e ◀── last
///            admitted  ┃ ▲
///                      next
/// ```
///
/// Every method takes constant time, except those whose name ends in `all`.
// A linked list inside of `Slots`: a waiter that gives up leaves from the middle, where a
// `VecDeque` would need a search. The slots are reused, so a wait allocates nothing.
pub(crate) struct Waiters<H = ()> {
    slots: Slots<Waiter<H>>,
    first: Option<Ticket<H>>,
    last: Option<Ticket<H>>,
    /// The first waiter that is not admitted.
    next: Option<Ticket<H>>,
    /// How many waiters are admitted.
    admitted: usize,
    /// How many dismissed waiters have not left yet. They are in `slots`, but not linked.
    dismissed: usize,
}

impl<H> Default for Waiters<H> {
    fn default() -> Self {
        Waiters {
            slots: Slots::new(),
            first: None,
            last: None,
            next: None,
            admitted: 0,
            dismissed: 0,
        }
    }
}

impl<H> Waiters<H> {
    /// How many waiters are in line, admitted or not.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.dismissed
    }

    pub(crate) fn admitted(&self) -> usize {
        self.admitted
    }

    pub(crate) fn dismissed(&self) -> usize {
        self.dismissed
    }

    /// How many waiters are in line and not admitted.
    pub(crate) fn waiting(&self) -> usize {
        self.len() - self.admitted
    }

    fn waiter(&self, ticket: Ticket<H>) -> &Waiter<H> {
        self.slots.get(ticket).expect("a ticket ends by leaving")
    }

    fn waiter_mut(&mut self, ticket: Ticket<H>) -> &mut Waiter<H> {
        let waiter = self.slots.get_mut(ticket);
        waiter.expect("a ticket ends by leaving")
    }

    /// Adds a waiter at the end of the line.
    fn join(&mut self, waker: Waker, held: H) -> Ticket<H> {
        let ticket = self.slots.insert(Waiter {
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

    /// Makes two waiters neighbors. `None` stands before the first one and behind the last one.
    fn link(&mut self, before: Option<Ticket<H>>, behind: Option<Ticket<H>>) {
        match before {
            Some(before) => self.waiter_mut(before).behind = behind,
            None => self.first = behind,
        }
        match behind {
            Some(behind) => self.waiter_mut(behind).before = before,
            None => self.last = before,
        }
    }

    /// Stores the waker of a waiter; one without a ticket joins the end of the line.
    pub(crate) fn wait(
        &mut self,
        ticket: &mut Option<Ticket<H>>,
        waker: Waker,
        held: impl FnOnce() -> H,
        effects: &mut Effects,
    ) {
        match *ticket {
            Some(ticket) => effects.drop(self.waiter_mut(ticket).waker.replace(waker)),
            None => *ticket = Some(self.join(waker, held())),
        }
    }

    /// Removes a waiter and returns the value that it held.
    pub(crate) fn leave(&mut self, ticket: Ticket<H>, effects: &mut Effects) -> H {
        match self.is_dismissed(ticket) {
            true => self.dismissed -= 1, // `dismiss` has unlinked it
            false => self.unlink(ticket),
        }
        let waiter = self.slots.remove(ticket);
        let waiter = waiter.expect("a ticket ends by leaving");
        effects.drop(waiter.waker);
        waiter.held
    }

    fn unlink(&mut self, ticket: Ticket<H>) {
        let waiter = self.waiter(ticket);
        let (before, behind) = (waiter.before, waiter.behind);
        if waiter.standing == Standing::Admitted {
            self.admitted -= 1; // `next` is behind all admitted waiters, so it stays
        } else if self.next == Some(ticket) {
            self.next = behind;
        }
        self.link(before, behind);
    }

    /// Wakes the first waiter, takes it out of the line, and returns the value that it held. The
    /// waiter then has only to leave.
    pub(crate) fn dismiss(&mut self, effects: &mut Effects) -> Option<&mut H> {
        let first = self.first?;
        Some(self.dismiss_at(first, effects))
    }

    /// As [`Waiters::dismiss`], for the last waiter.
    pub(crate) fn dismiss_last(&mut self, effects: &mut Effects) -> Option<&mut H> {
        let last = self.last?;
        Some(self.dismiss_at(last, effects))
    }

    fn dismiss_at(&mut self, ticket: Ticket<H>, effects: &mut Effects) -> &mut H {
        self.unlink(ticket);
        self.dismissed += 1;
        let waiter = self.waiter_mut(ticket);
        waiter.standing = Standing::Dismissed;
        if let Some(waker) = waiter.waker.take() {
            effects.wake(waker);
        }
        &mut waiter.held
    }

    pub(crate) fn is_admitted(&self, ticket: Ticket<H>) -> bool {
        self.waiter(ticket).standing == Standing::Admitted
    }

    pub(crate) fn is_dismissed(&self, ticket: Ticket<H>) -> bool {
        self.waiter(ticket).standing == Standing::Dismissed
    }

    /// The value that the first waiter holds.
    pub(crate) fn first_held(&self) -> Option<&H> {
        Some(&self.waiter(self.first?).held)
    }

    /// The value that the first waiter holds that is not admitted.
    pub(crate) fn next_held(&self) -> Option<&H> {
        Some(&self.waiter(self.next?).held)
    }

    /// Admits the first waiter that is not admitted; `None` if there is none.
    pub(crate) fn admit(&mut self, effects: &mut Effects) -> Option<()> {
        let ticket = self.next?;
        self.admitted += 1;
        self.next = self.waiter(ticket).behind;
        let waiter = self.waiter_mut(ticket);
        waiter.standing = Standing::Admitted;
        if let Some(waker) = waiter.waker.take() {
            effects.wake(waker);
        }
        Some(())
    }

    pub(crate) fn admit_all(&mut self, effects: &mut Effects) {
        while self.admit(effects).is_some() {}
    }

    /// Takes back the most recent admission, because another task took the permit or the value.
    ///
    /// The waiter was woken for nothing; its next poll stores its waker again.
    pub(crate) fn retract(&mut self) {
        // The last admitted one: it came last, and the waiters before it keep their admissions.
        let ticket = match self.next {
            Some(next) => self.waiter(next).before,
            None => self.last,
        };
        let ticket = ticket.expect("a waiter is admitted");
        self.waiter_mut(ticket).standing = Standing::Waits;
        self.next = Some(ticket);
        self.admitted -= 1;
    }

    /// Polls a waiter that `wake_all` wakes: it leaves once what it waits for is there.
    pub(crate) fn poll_until(
        &mut self,
        is_there: bool,
        ticket: &mut Option<Ticket<H>>,
        waker: &mut Option<Waker>,
        effects: &mut Effects,
    ) -> Poll<()>
    where
        H: Default,
    {
        if is_there {
            self.give_up(ticket, effects);
            return Poll::Ready(());
        }
        if let Some(waker) = waker.take() {
            self.wait(ticket, waker, H::default, effects);
        }
        Poll::Pending
    }

    /// Leaves the line, if the waiter is in it.
    pub(crate) fn give_up(&mut self, ticket: &mut Option<Ticket<H>>, effects: &mut Effects) {
        if let Some(ticket) = ticket.take() {
            self.leave(ticket, effects);
        }
    }

    /// Wakes all waiters so that they check the state again. Admits none.
    pub(crate) fn wake_all(&mut self, effects: &mut Effects) {
        let mut ticket = self.first;
        while let Some(at) = ticket {
            let waiter = self.waiter_mut(at);
            ticket = waiter.behind;
            if let Some(waker) = waiter.waker.take() {
                effects.wake(waker);
            }
        }
    }
}

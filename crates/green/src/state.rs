//! What is known of one green thread: the way it waits, and what may end a wait early.

use crate::deadlock::Deadlock;
use crate::name::Name;
use crate::outcome::{Close, Inside, Kill, Leaves, Link, LinkId, Links, Outcome, error_of};
use crate::switch::{self, Switch, Waiting};
use crate::thread::{Thread, on_a_thread};
use oneloop_core::{Handle, JoinError, Key, Sleep, Task, Unhandled};
use std::any::{Any, type_name};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// ```text
///   New ──first poll──▶ Begun ──function ends──▶ Ended
///    └──────── killed, cancelled, dropped ─────────┘
///                           └──loop dropped, a cleanup waits──▶ LeftBehind
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    New,
    Begun,
    Ended,
    /// Ended for who waits, but its stack rests for good, with all that is on it.
    LeftBehind,
}

/// The loop is being dropped: nothing that is waited for will come.
#[derive(Debug)]
pub(crate) struct Closed;

/// What a green thread is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Its function has ended.
    Result,
    /// So have eventlet's links, which run on its stack.
    End,
    /// Nothing is on its stack any more: never, if that was left behind.
    Gone,
    /// It has ended, of a kill: as gevent's killer, who waits goes on before anybody else hears of it,
    /// unless the killed one has waited meanwhile.
    Killed,
}

/// Something that ends a wait early, by unwinding.
struct Interrupt {
    payload: Box<dyn Any + Send>,
    /// The thread had been woken before: what it was woken for comes first.
    behind: bool,
}

/// A running [`timeout`](crate::timeout).
struct Armed {
    id: u64,
    sleep: Sleep,
}

/// What most green threads never need.
#[derive(Default)]
struct Rare {
    interrupts: VecDeque<Interrupt>,
    /// Outer ones first.
    timeouts: Vec<Armed>,
    /// Green-local values, by the address of their key.
    locals: Vec<(usize, Rc<dyn Any>)>,
    delay: Option<Sleep>,
}

/// Gives the name of a type: half the size of the name itself.
type TypeName = fn() -> &'static str;

/// A green thread.
pub(crate) struct State<R: ?Sized = dyn Leaves> {
    pub(crate) handle: Handle,
    pub(crate) name: Name,
    pub(crate) spawned_at: &'static Location<'static>,
    /// Where its stack is.
    pub(crate) stack: Range<usize>,
    pub(crate) switch: Switch,
    pub(crate) key: Cell<Key<Task>>,
    stage: Cell<Stage>,
    outcome: Cell<Option<Outcome>>,
    /// There may be an interrupt, a time-out or a close to look for.
    alert: Cell<bool>,
    closing: Cell<bool>,
    /// Nothing interrupts, for now.
    shielded: Cell<bool>,
    /// Something was thrown, and it has not waited since.
    interrupted: Cell<bool>,
    /// Somebody may look at the result.
    pub(crate) observed: Cell<bool>,
    /// For what, and where.
    waits: Cell<Option<(TypeName, &'static Location<'static>)>>,
    links: RefCell<Links>,
    next_link: Cell<LinkId>,
    rare: RefCell<Option<Box<Rare>>>,
    pub(crate) place: R,
}

impl<R> State<R> {
    pub(crate) fn new(
        handle: Handle,
        name: Name,
        spawned_at: &'static Location<'static>,
        stack: Range<usize>,
        place: R,
    ) -> Self {
        State {
            handle,
            name,
            spawned_at,
            stack,
            switch: Switch::default(),
            key: Cell::new(Task::NONE),
            stage: Cell::new(Stage::New),
            outcome: Cell::new(None),
            alert: Cell::new(false),
            closing: Cell::new(false),
            shielded: Cell::new(false),
            interrupted: Cell::new(false),
            observed: Cell::new(true),
            waits: Cell::new(None),
            links: RefCell::default(),
            next_link: Cell::new(0),
            rare: RefCell::new(None),
            place,
        }
    }
}

/// Waiting.
impl State {
    /// Waits for a future on this green thread's stack. What interrupts the wait unwinds, and drops
    /// the future; an error says that it cannot, as the stack unwinds already.
    ///
    /// Inlined, as everything between a caller and the switch: behind a switch the processor predicts each
    /// return wrongly, here and in the loop.
    #[inline(always)]
    pub(crate) fn wait<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        at: &'static Location<'static>,
    ) -> Result<F::Output, Closed> {
        if let Poll::Ready(output) = self.switch.poll(future.as_mut()) {
            return Ok(output); // what does not wait is not interrupted
        }
        assert!(
            switch::is_on_its_loop(),
            "a green thread waits inside of another loop that it runs itself"
        );
        loop {
            if self.alert.get() {
                self.fire_timeouts();
                self.deliver(|_| true)?;
            }
            self.interrupted.set(false);
            self.waits.set(Some((type_name::<F>, at)));
            self.switch.suspend();
            if self.alert.get() {
                self.deliver(|interrupt| !interrupt.behind)?;
            }
            if let Poll::Ready(output) = self.switch.poll(future.as_mut()) {
                return Ok(output);
            }
        }
    }

    /// Throws the first of those interrupts, if there is one and it can be thrown.
    #[cold]
    fn deliver(&self, which: impl Fn(&Interrupt) -> bool) -> Result<(), Closed> {
        if self.closing.get() {
            if !self.may_throw() {
                return Err(Closed);
            }
            self.throw(Box::new(Close));
        }
        if let Some(interrupt) = self.take_interrupt(which) {
            self.throw(interrupt.payload);
        }
        Ok(())
    }

    fn take_interrupt(&self, which: impl Fn(&Interrupt) -> bool) -> Option<Interrupt> {
        let mut rare = self.rare.borrow_mut();
        let rare = rare.as_mut()?;
        let index = rare.interrupts.iter().position(which);
        let index = index.filter(|_| self.may_throw()); // else it stays for a later wait
        let taken = index.and_then(|index| rare.interrupts.remove(index));
        self.alert
            .set(!rare.interrupts.is_empty() || !rare.timeouts.is_empty());
        taken
    }

    fn throw(&self, payload: Box<dyn Any + Send>) -> ! {
        self.interrupted.set(true);
        resume_unwind(payload)
    }

    /// False while nothing may be thrown; for the thread that runs.
    fn may_throw(&self) -> bool {
        !self.shielded.get() && self.can_unwind()
    }

    fn can_unwind(&self) -> bool {
        self.switch.can_unwind(&self.stack)
    }
}

/// Interrupting.
impl State {
    /// Ends the current wait, or the next one; before the begin, it ends the thread.
    pub(crate) fn interrupt(&self, payload: Box<dyn Any + Send>) {
        match self.stage.get() {
            Stage::Ended | Stage::LeftBehind => {}
            Stage::New => {
                self.place.fail(error_of(payload));
                self.handle.cancel_task(self.key.get());
            }
            Stage::Begun => {
                let behind = self.handle.is_task_ready(self.key.get());
                let mut rare = self.rare.borrow_mut();
                let rare = rare.get_or_insert_default();
                rare.interrupts.push_back(Interrupt { payload, behind });
                self.alert.set(true);
                self.handle.wake_task(self.key.get());
            }
        }
    }

    /// As [`State::interrupt`] with a kill, before anything else runs.
    pub(crate) fn kill_first(&self) {
        self.interrupt(Box::new(Kill));
        self.handle.wake_task_first(self.key.get());
    }

    /// Throws at once; for the thread that runs. While it unwinds, the kill waits, as any other.
    pub(crate) fn kill_itself(&self) {
        if self.can_unwind() {
            self.throw(Box::new(Kill));
        }
        self.interrupt(Box::new(Kill));
    }

    /// Takes back interrupts of one kind that have not been thrown yet.
    pub(crate) fn forget_interrupts(&self, which: impl Fn(&(dyn Any + Send)) -> bool) {
        if let Some(rare) = self.rare.borrow_mut().as_mut() {
            rare.interrupts
                .retain(|interrupt| !which(&*interrupt.payload));
        }
    }

    /// Nothing interrupts until the shield is dropped.
    pub(crate) fn shield(&self) -> Shield<'_> {
        let before = self.shielded.replace(true);
        Shield {
            state: self,
            before,
        }
    }

    /// Every wait fails from here on.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.alert.set(true);
    }
}

/// Thrown when a time-out is over; [`timeout`](crate::timeout) catches it.
pub(crate) struct TimedOut(pub(crate) u64);

/// Thrown when a thread of a scope failed; [`scope`](crate::scope) catches it.
pub(crate) struct ScopeFailed(pub(crate) usize);

/// Nothing interrupts the thread while this lives.
pub(crate) struct Shield<'a> {
    state: &'a State,
    before: bool,
}

impl Drop for Shield<'_> {
    fn drop(&mut self) {
        self.state.shielded.set(self.before);
    }
}

/// Time-outs.
impl State {
    /// Arms a time-out, which is the innermost one from here on.
    pub(crate) fn push_timeout(&self, id: u64, mut sleep: Sleep) {
        // Polled once, it is armed, and wakes this thread.
        let armed = self.switch.poll(Pin::new(&mut sleep));
        debug_assert!(armed.is_pending(), "a sleep waits for the timers' phase");
        let mut rare = self.rare.borrow_mut();
        let rare = rare.get_or_insert_default();
        rare.timeouts.push(Armed { id, sleep });
        self.alert.set(true);
    }

    /// Takes back the time-out, whether it is over or not.
    pub(crate) fn pop_timeout(&self, id: u64) {
        let mut slot = self.rare.borrow_mut();
        let Some(rare) = slot.as_mut() else { return };
        let index = rare.timeouts.iter().rposition(|armed| armed.id == id);
        if let Some(index) = index {
            rare.timeouts.remove(index);
            return;
        }
        drop(slot);
        self.forget_interrupts(|payload| {
            let timed_out = payload.downcast_ref::<TimedOut>();
            timed_out.is_some_and(|timed_out| timed_out.0 == id)
        });
    }

    /// True if that time-out is running.
    pub(crate) fn has_timeout(&self, id: u64) -> bool {
        let rare = self.rare.borrow();
        rare.as_ref()
            .is_some_and(|rare| rare.timeouts.iter().any(|armed| armed.id == id))
    }

    /// Turns the time-outs that are over into interrupts, once the future that is waited for is known not
    /// to be ready: the earliest deadline first, and of equal ones the outermost.
    fn fire_timeouts(&self) {
        let mut rare = self.rare.borrow_mut();
        let Some(rare) = rare.as_mut() else { return };
        let mut over: Vec<_> = rare
            .timeouts
            .extract_if(.., |armed| {
                self.switch.poll(Pin::new(&mut armed.sleep)).is_ready()
            })
            .collect();
        over.sort_by_key(|armed| armed.sleep.deadline_ns());
        for Armed { id, .. } in over {
            let payload = Box::new(TimedOut(id));
            let behind = false;
            rare.interrupts.push_back(Interrupt { payload, behind });
        }
    }
}

/// The life of a green thread.
impl State {
    /// Has the thread begin only after that long.
    pub(crate) fn delay(&self, delay: Duration) {
        let mut sleep = self.handle.sleep(delay);
        if !delay.is_zero() {
            // Armed now, it comes before what is armed behind the spawn with the same deadline.
            let armed = Pin::new(&mut sleep).poll(&mut Context::from_waker(Waker::noop()));
            debug_assert!(armed.is_pending(), "a sleep waits for the timers' phase");
        }
        self.keep_delay(sleep);
    }

    fn keep_delay(&self, sleep: Sleep) {
        let mut rare = self.rare.borrow_mut();
        rare.get_or_insert_default().delay = Some(sleep);
        self.alert.set(true);
    }

    fn poll_delay(&self, cx: &mut Context<'_>) -> Poll<()> {
        let delay = self
            .rare
            .borrow_mut()
            .as_mut()
            .and_then(|rare| rare.delay.take());
        let Some(mut sleep) = delay else {
            return Poll::Ready(());
        };
        let poll = Pin::new(&mut sleep).poll(cx);
        if poll.is_pending() {
            self.keep_delay(sleep);
        }
        poll
    }

    /// The first time: ready once the thread has begun.
    #[cold]
    pub(crate) fn poll_begin(&self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_delay(cx));
        self.stage.set(Stage::Begun);
        Poll::Ready(())
    }

    /// True if it is this thread that runs this code.
    pub(crate) fn is_current(&self) -> bool {
        Waiting::current().is_some_and(|current| std::ptr::addr_eq(&*current, self))
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.stage.get() != Stage::New
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.stage.get(), Stage::Ended | Stage::LeftBehind)
    }

    /// True once nothing is on its stack any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.stage.get() == Stage::Ended
    }

    pub(crate) fn has_result(&self) -> bool {
        self.outcome.get().is_some()
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome.get()
    }

    /// It never runs again, but its stack stays: the end for who waits for a result, not for who lent it
    /// something.
    pub(crate) fn leave_behind(self: &Rc<Self>) {
        self.tell_end(Stage::LeftBehind);
    }

    /// The stack is gone: tells everybody, in the order in which they asked.
    pub(crate) fn end(self: &Rc<Self>) {
        self.tell_end(Stage::Ended);
    }

    fn tell_end(self: &Rc<Self>, stage: Stage) {
        self.stage.set(stage);
        if !self.has_result() {
            if self.place.outcome().is_none() {
                self.place.fail(JoinError::Cancelled);
            }
            self.outcome.set(self.place.outcome());
        }
        let rare = self.rare.take();
        let is_interrupted = |rare: &Rare| !rare.interrupts.is_empty();
        let interrupted = self.interrupted.get() || rare.as_deref().is_some_and(is_interrupted);
        if let Some(rare) = rare {
            self.drop_rare(*rare);
        }
        let mut links = self.links.take();
        if interrupted {
            self.wake_killers(&mut links);
        }
        if links.have_calls() {
            notify(Thread::new(Rc::clone(self)), links.into_queue());
        } else {
            self.wake(links);
        }
        self.report_unobserved();
    }

    /// Drops what others left with the thread, one by one: of two drops in one unwinding that both panic,
    /// the second would abort the process.
    fn drop_rare(&self, rare: Rare) {
        for Interrupt { payload, .. } in rare.interrupts {
            self.guarded(|| drop(payload));
        }
        for (_, local) in rare.locals {
            self.guarded(|| drop(local));
        }
    }

    /// They go on before all that is ready.
    fn wake_killers(&self, links: &mut Links) {
        let killers = links.take_some(|link| matches!(link, Link::Killer(_)));
        for link in killers.into_queue().into_iter().rev() {
            if let Link::Killer(key) = link {
                self.handle.wake_task_first(key);
            }
        }
    }

    /// The result is there, and the stack still is: calls what is to be called there. Who waits for the
    /// result has it meanwhile.
    pub(crate) fn call_inside(self: &Rc<Self>) {
        if !self.links.borrow().have_inside() {
            return;
        }
        self.outcome.set(self.place.outcome());
        let inside = self.take_inside();
        let is_wait = |link: &Link| !matches!(link, Link::Call(_) | Link::Inside(_));
        let waiting = self.links.borrow_mut().take_some(is_wait);
        self.wake(waiting);
        let thread = Thread::new(Rc::clone(self));
        let called = catch_unwind(AssertUnwindSafe(|| {
            inside.into_iter().for_each(|call| call(&thread));
        }));
        let error = called.map_err(error_of).err();
        if let Some(error @ JoinError::Panicked(_)) = error {
            self.report(error);
        }
    }

    pub(crate) fn take_inside(&self) -> Vec<Inside> {
        let is_inside = |link: &Link| matches!(link, Link::Inside(_));
        let links = self.links.borrow_mut().take_some(is_inside);
        let calls = links
            .into_queue()
            .into_iter()
            .filter_map(|link| match link {
                Link::Inside(call) => Some(call),
                _ => None,
            });
        calls.collect()
    }

    fn wake(&self, links: Links) {
        match links {
            Links::None => {}
            Links::One(_, Link::Task(key) | Link::Killer(key)) => self.handle.wake_task(key),
            links => links.into_queue().into_iter().for_each(|link| match link {
                Link::Task(key) | Link::Killer(key) => self.handle.wake_task(key),
                Link::Wake(waker) => {
                    self.guarded(|| waker.wake());
                }
                Link::Call(_) | Link::Inside(_) => unreachable!("calls have a run of their own"),
            }),
        }
    }

    /// Tells of a panic that nobody can see any more.
    pub(crate) fn report_unobserved(&self) {
        if self.observed.get() || !self.has_ended() {
            return;
        }
        if let Some(error) = self.place.take_panic() {
            self.report(error);
        }
    }

    fn report(&self, error: JoinError) {
        let spawned_at = self.spawned_at;
        Handle::report_unhandled(Unhandled { error, spawned_at });
    }

    /// Has the link hear of the end; it comes back if that has come already.
    pub(crate) fn link(&self, link: Link) -> Result<LinkId, Link> {
        if self.has_ended() {
            return Err(link);
        }
        let id = self.next_link.replace(self.next_link.get().wrapping_add(1));
        self.links.borrow_mut().push(id, link);
        Ok(id)
    }

    /// Ready then; before, the waker is kept, in the place of this id's if there is one.
    pub(crate) fn poll_until(
        &self,
        until: Until,
        id: &mut Option<LinkId>,
        waker: &Waker,
    ) -> Poll<()> {
        let is_there = match until {
            Until::Result => self.has_result(),
            Until::End | Until::Killed => self.has_ended(),
            Until::Gone => self.is_gone(),
        };
        if is_there {
            return Poll::Ready(());
        }
        let joins =
            |thread: &Waiting| thread.handle == self.handle && thread.switch.is_polled_with(waker);
        let joiner = Waiting::current().filter(joins);
        let joiner = joiner.map(|joiner| joiner.key.get());
        // A waker is foreign code, so before the borrow.
        let link = match (joiner, until) {
            (Some(joiner), Until::Killed) => Link::Killer(joiner),
            (Some(joiner), _) => Link::Task(joiner),
            (None, _) => Link::Wake(waker.clone()),
        };
        match self.replace_link(*id, link) {
            Ok(before) => drop(before),
            Err(link) => *id = self.link(link).ok(),
        }
        Poll::Pending
    }

    /// Puts the link in the place of that one, which comes back; or gives it back, if there is none.
    fn replace_link(&self, id: Option<LinkId>, link: Link) -> Result<Link, Link> {
        let mut links = self.links.borrow_mut();
        match id.and_then(|id| links.get_mut(id)) {
            Some(place) => Ok(mem::replace(place, link)),
            None => Err(link),
        }
    }

    /// True if it was still there.
    pub(crate) fn unlink(&self, id: LinkId) -> bool {
        let gone = self.links.borrow_mut().remove(id);
        gone.is_some()
    }

    /// Calls foreign code from outside of any stack; its panic ends nothing else.
    pub(crate) fn guarded<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let called = catch_unwind(AssertUnwindSafe(call));
        called.map_err(|payload| self.report_thrown(payload)).ok()
    }

    /// Reports what foreign code threw, unless that was ours.
    pub(crate) fn report_thrown(&self, payload: Box<dyn Any + Send>) {
        if let error @ JoinError::Panicked(_) = error_of(payload) {
            self.report(error);
        }
    }

    /// The value of a green-local, made if there is none yet.
    pub(crate) fn local(&self, key: usize, make: impl FnOnce() -> Rc<dyn Any>) -> Rc<dyn Any> {
        let find = |rare: &Rare| {
            let found = rare.locals.iter().find(|(other, _)| *other == key)?;
            Some(Rc::clone(&found.1))
        };
        if let Some(found) = self.rare.borrow().as_deref().and_then(find) {
            return found;
        }
        let value = make();
        let mut rare = self.rare.borrow_mut();
        rare.get_or_insert_default()
            .locals
            .push((key, Rc::clone(&value)));
        value
    }

    /// True while something waits to be thrown into this thread.
    pub(crate) fn is_interrupted(&self) -> bool {
        let rare = self.rare.borrow();
        rare.as_ref()
            .is_some_and(|rare| !rare.interrupts.is_empty())
    }

    /// Has a wait of this thread fail with what could not come.
    pub(crate) fn tell_deadlock(&self, deadlock: Deadlock) {
        self.interrupt(Box::new(deadlock));
    }
}

/// Tells those who hear of a thread's end, in the order in which they asked, as gevent's links: each of
/// them has run before the next one hears.
pub(crate) fn notify(thread: Thread, links: VecDeque<Link>) {
    let handle = thread.state().handle.clone();
    let inside = handle.clone();
    let mut unheard = Unheard { thread, links };
    handle.spawn_detached(async move {
        while let Some(link) = unheard.links.pop_front() {
            let thread = &unheard.thread;
            let heard_by = match link {
                Link::Call(call) => thread.tell(call),
                Link::Inside(call) => {
                    thread.tell(on_a_thread(call, thread.spawned_at())) // this one never began
                }
                Link::Task(key) | Link::Killer(key) => Some(key),
                Link::Wake(waker) => {
                    thread.state().guarded(|| waker.wake());
                    None
                }
            };
            if let (Some(key), Some(own)) = (heard_by, inside.current_task()) {
                inside.wake_task_first(own);
                inside.wake_task_first(key);
                std::future::poll_fn(woken_once()).await;
            }
        }
    });
}

/// Those who have not heard of a thread's end yet. Without a loop that could call, who waits is woken at
/// least: it may be on another one.
struct Unheard {
    thread: Thread,
    links: VecDeque<Link>,
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let state = self.thread.state();
        for link in self.links.drain(..) {
            state.guarded(|| match link {
                Link::Task(key) | Link::Killer(key) => state.handle.wake_task(key),
                Link::Wake(waker) => waker.wake(),
                Link::Call(_) | Link::Inside(_) => {}
            });
        }
    }
}

/// Pending once, without asking to be woken: somebody has seen to that.
fn woken_once() -> impl FnMut(&mut Context<'_>) -> Poll<()> {
    let mut waited = false;
    move |_| {
        if mem::replace(&mut waited, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.get() {
            Some(name) => write!(f, "green thread '{name}'")?,
            None => f.write_str("green thread")?,
        }
        if !self.has_begun() {
            return f.write_str(" has not begun");
        }
        let Some((what, at)) = self.waits.get() else {
            return Ok(());
        };
        write!(
            f,
            " waits for {} at {}:{}",
            short_name(what()),
            at.file(),
            at.line()
        )
    }
}

/// `core::sleep::Sleep` is `Sleep`, and `sync::Get<'_, alloc::string::String>` is `Get<String>`.
fn short_name(path: &str) -> String {
    let path = path.replace("{{closure}}", "closure");
    let path = path.replace("<'_>", "").replace("'_, ", "");
    let mut short = String::with_capacity(path.len());
    let mut word = String::new();
    for c in path.chars() {
        match c {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                short.push_str(&word);
                word.clear();
                short.push(c);
            }
        }
    }
    short + &word
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn names_of_types_are_short() {
        assert_eq!(short_name("a::b::Sleep"), "Sleep");
        assert_eq!(short_name("q::Get<alloc::string::String>"), "Get<String>");
        assert_eq!(short_name("&mut x::Io<'_, o::Fd>"), "&mut Io<Fd>");
        assert_eq!(short_name("a::Get<b::Borrowed<'_>>"), "Get<Borrowed>");
    }
}

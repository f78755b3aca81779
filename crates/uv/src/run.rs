//! The turns of a loop: which callback comes next.
//!
//! [`Run::next`] is the whole loop, as a machine that returns each callback instead of calling it.
#![forbid(unsafe_code)]

use crate::abi::buffers::Buffer;
use crate::abi::live::{Live, Typed};
use crate::call::Call;
use crate::layout::Loop;
use crate::mail::Done;
use crate::state::{Due, LoopState, Member, Token, rings};
use crate::stream_turn::Turn;
use crate::udp_turn::{self, UdpTurn};
use crate::watch::Owner;
use crate::{
    asynchronous, files, handle, poll, signals, stat_watch, stream, stream_turn, timer, udp,
};
use oneloop_core::{Ready, TimerMark};
use std::ffi::c_int;
use std::time::Duration;

/// How long a run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Until the loop is not alive, or is stopped.
    Default,
    /// One turn, which waits for events.
    Once,
    /// One turn, which does not wait.
    NoWait,
}

/// The number of events after which a poll asks for more, which are there already.
const EVENTS_MAX: usize = 1024;
/// The number of times that it does so, before other phases get their turn.
const ROUNDS_MAX: u32 = 48;
/// The number of times after a poll that the callbacks of requests are called, as they may make
/// more requests.
const PENDING_ROUNDS_MAX: u32 = 8;

/// A run of the loop. It holds numbers only, as a callback may never return to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    mode: Mode,
    step: Step,
    is_alive: bool,
    /// Where the pass over the timers ends.
    mark: TimerMark,
    poll: Poll,
    /// The step after the turn of a stream or a UDP handle.
    behind_turn: Step,
    /// What the last alloc callback has given.
    buffer: Buffer,
    pending_rounds: u32,
}

/// One poll, which may wait more than once.
#[derive(Clone, Copy, Debug, Default)]
struct Poll {
    /// The time at which it stops to wait; `None` is never.
    end_ms: Option<u64>,
    /// Something has happened, so it does not wait again.
    has_progress: bool,
    events: usize,
    next_event: usize,
    rounds: u32,
    /// A callback has jumped out of the last batch of events: what it left comes first.
    has_left: bool,
}

impl Poll {
    /// True if the next wait would be the last one.
    fn is_over(&self, state: &LoopState) -> bool {
        self.has_progress || self.end_ms.is_some_and(|end| end <= state.now_ms.get())
    }
}

/// ```text
///   Start ─▶ FirstTimers ─▶ Turn ─▶ Pending ─▶ Idle ─▶ Prepare ─▶ Poll ─▶ Refused ─▶ Wait ◀──┐
///                            ▲                                                       ▼       │
///                            │                 Mail ─▶ Asyncs ─▶ Files ◀─▶ Events ─▶ Signals ┤
///                            └─────────── Timers ◀─ Closing ◀─ Check ◀─ PendingAgain ◀───────┘
/// ```
///
/// Pending, Events and PendingAgain lead to Stream and Udp, and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    FirstTimers,
    Turn,
    Pending,
    Idle,
    Prepare,
    Poll,
    Refused,
    Wait,
    Events,
    Mail,
    Asyncs,
    Files,
    Signals,
    Stream,
    Udp,
    PendingAgain,
    Check,
    Closing,
    Timers,
    End,
}

impl Run {
    pub(crate) fn new(mode: Mode, owner: &Loop) -> Self {
        Run {
            mode,
            step: Step::Start,
            is_alive: is_alive(owner),
            mark: owner.state().timers.borrow().mark(),
            poll: Poll::default(),
            behind_turn: Step::Start,
            buffer: Buffer::NONE,
            pending_rounds: 0,
        }
    }

    /// Takes what an alloc callback has given.
    pub(crate) fn fill(&mut self, buffer: Buffer) {
        self.buffer = buffer;
    }

    /// True if the loop is still alive.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive
    }

    /// The next callback; `None` at the end of the run.
    pub(crate) fn next(&mut self, owner: Live<Loop>) -> Option<Call> {
        let state = owner.state();
        let state = &*state;
        loop {
            let call = match self.step {
                Step::Start => self.start(&owner, state),
                Step::FirstTimers => self.timers(owner, state).or_else(|| self.go(Step::Turn)),
                Step::Turn => self.turn(&owner, state),
                Step::Pending | Step::PendingAgain => self.pending(state),
                Step::Idle => phase(state, rings::IDLE)
                    .or_else(|| self.enter(state, rings::PREPARE, Step::Prepare)),
                Step::Prepare => phase(state, rings::PREPARE).or_else(|| self.go(Step::Poll)),
                Step::Poll => self.begin_poll(&owner, state),
                Step::Refused => self.refused(state),
                Step::Wait => self.wait(state),
                Step::Events => self.event(state),
                Step::Mail => mail(state).or_else(|| self.enter(state, rings::ASYNC, Step::Asyncs)),
                Step::Asyncs => asyncs(state).or_else(|| self.go(Step::Files)),
                Step::Files => files::next_call(state).or_else(|| self.go(Step::Events)),
                Step::Signals => signals::next_call(state).or_else(|| self.end_batch(state)),
                Step::Stream => {
                    let call = stream_turn::next_call(state, self.buffer);
                    call.or_else(|| self.go(self.behind_turn))
                }
                Step::Udp => {
                    let call = udp_turn::next_call(state, self.buffer);
                    call.or_else(|| self.go(self.behind_turn))
                }
                Step::Check => phase(state, rings::CHECK)
                    .or_else(|| self.enter(state, rings::CLOSING, Step::Closing)),
                Step::Closing => closing(state).or_else(|| self.begin_timers(state)),
                Step::Timers => self.timers(owner, state).or_else(|| self.end_turn(&owner)),
                Step::End => {
                    owner.is_stopped.set(0);
                    return None;
                }
            };
            if call.is_some() {
                return call;
            }
        }
    }

    /// Goes to a step. It calls nothing.
    fn go(&mut self, step: Step) -> Option<Call> {
        self.step = step;
        None
    }

    /// Goes to a phase, which calls the members that its ring has now.
    fn enter(&mut self, state: &LoopState, ring: usize, step: Step) -> Option<Call> {
        state.rings.borrow_mut().splice(ring, rings::running(ring));
        self.go(step)
    }

    fn start(&mut self, owner: &Loop, state: &LoopState) -> Option<Call> {
        let runs_timers =
            self.mode == Mode::Default && self.is_alive && owner.is_stopped.get() == 0;
        if !self.is_alive || runs_timers {
            state.update_time();
        }
        // A callback has jumped out of this stream's turn.
        if let Some(left) = state.turn.take() {
            stream::feed(left.stream);
        }
        if let Some(left) = state.udp_turn.take() {
            udp::feed(left.udp);
        }
        // As before libuv 1.45, where each turn began with the timers.
        self.mark = state.timers.borrow().mark();
        self.go(if runs_timers {
            Step::FirstTimers
        } else {
            Step::Turn
        })
    }

    fn turn(&mut self, owner: &Loop, state: &LoopState) -> Option<Call> {
        if !self.is_alive || owner.is_stopped.get() != 0 {
            return self.go(Step::End);
        }
        let turns = &state.metrics.turns;
        turns.set(turns.get() + 1);
        // An idle handle that runs in this turn keeps the poll from waiting, even if it is stopped.
        let has_idle = !state.rings.borrow().is_empty(rings::IDLE);
        let has_work = has_idle || has_pending(state);
        let is_quick = self.mode == Mode::NoWait || (self.mode == Mode::Once && has_work);
        self.poll = Poll {
            has_progress: is_quick,
            ..Poll::default()
        };
        self.enter(state, rings::PENDING, Step::Pending)
    }

    /// Goes to the next stream whose requests are done, or to what comes after all of them.
    fn pending(&mut self, state: &LoopState) -> Option<Call> {
        let running = rings::running(rings::PENDING);
        let member = state.rings.borrow_mut().pop_front(running);
        if let Some(Member::Stream(stream)) = member {
            stream.pending_place.set(0);
            return self.begin_stream(state, Turn::new(stream, Ready::WRITE));
        }
        if let Some(Member::Udp(udp)) = member {
            udp.pending_place.set(0);
            return self.begin_udp(state, UdpTurn::new(udp, Ready::WRITE));
        }
        if self.step == Step::Pending {
            return self.enter(state, rings::IDLE, Step::Idle);
        }
        self.pending_rounds += 1;
        if self.pending_rounds < PENDING_ROUNDS_MAX && has_pending(state) {
            return self.enter(state, rings::PENDING, Step::PendingAgain);
        }
        self.enter(state, rings::CHECK, Step::Check)
    }

    /// Goes to what follows a poll.
    fn end_poll(&mut self, state: &LoopState) -> Option<Call> {
        self.pending_rounds = 0;
        self.enter(state, rings::PENDING, Step::PendingAgain)
    }

    /// Goes to the turn of a UDP handle.
    fn begin_udp(&mut self, state: &LoopState, turn: UdpTurn) -> Option<Call> {
        state.udp_turn.set(Some(turn));
        self.behind_turn = self.step;
        self.go(Step::Udp)
    }

    /// Goes to the turn of a stream.
    fn begin_stream(&mut self, state: &LoopState, turn: Turn) -> Option<Call> {
        state.turn.set(Some(turn));
        self.behind_turn = self.step;
        self.go(Step::Stream)
    }

    fn begin_poll(&mut self, owner: &Loop, state: &LoopState) -> Option<Call> {
        let has_left = state.has_batch.get();
        let is_quick = self.poll.has_progress || has_left;
        let timeout_ms = if is_quick { Some(0) } else { timeout_ms(owner) };
        self.poll = Poll {
            end_ms: timeout_ms.map(|ms| state.now_ms.get().saturating_add(ms)),
            has_left,
            ..Poll::default()
        };
        self.go(Step::Refused)
    }

    /// Tells the kernel which fds are watched. The next call of an owner whose fd it refuses.
    fn refused(&mut self, state: &LoopState) -> Option<Call> {
        loop {
            let refused = state
                .watches
                .borrow_mut()
                .apply(&mut state.reactor.borrow_mut());
            let Some((owner, error)) = refused else {
                return self.go(Step::Wait);
            };
            self.poll.has_progress = true;
            let call = match owner {
                Owner::Poll(handle) => poll::refused(handle, error),
                Owner::Stream(stream) => stream_turn::refused(stream, error),
                Owner::Udp(udp) => udp_turn::refused(udp, error),
            };
            if call.is_some() {
                return call;
            }
        }
    }

    /// Waits until something happens, or the time is over.
    fn wait(&mut self, state: &LoopState) -> Option<Call> {
        let is_last = self.poll.is_over(state);
        let end_ms = if is_last { Some(0) } else { self.poll.end_ms };
        let left_ms = end_ms.map(|end| end.saturating_sub(state.now_ms.get()));
        let Ok(events) = state.wait(left_ms.map(Duration::from_millis)) else {
            // This is a forked child that did not call `uv_loop_fork`.
            if state.recreate().is_err() {
                return self.end_poll(state); // it tries again in the next turn
            }
            return self.go(Step::Refused);
        };
        state.update_time();
        (self.poll.events, self.poll.next_event) = (events, 0);
        if std::mem::take(&mut self.poll.has_left) {
            return self.bell(state);
        }
        if events > 0 {
            state.has_batch.set(true);
            return self.go(Step::Events);
        }
        if is_last || self.poll.is_over(state) {
            return self.end_poll(state);
        }
        None // a signal handler ended the wait, which continues
    }

    /// Goes to what other threads have sent.
    fn bell(&mut self, state: &LoopState) -> Option<Call> {
        let mail = state.inbox.borrow().take();
        state.mail.borrow_mut().extend(mail);
        self.go(Step::Mail)
    }

    /// The call that the next event leads to.
    fn event(&mut self, state: &LoopState) -> Option<Call> {
        let index = self.poll.next_event;
        if index == self.poll.events {
            state.signals.borrow_mut().collect();
            return self.go(Step::Signals);
        }
        self.poll.next_event += 1;
        let (key, ready) = state.reactor.borrow().event(index)?;
        let token = *state.reactor.borrow().get(key)?;
        self.poll.has_progress = true;
        match token {
            Token::Fd(fd) => {
                let (owner, wanted) = state.watches.borrow().get(fd)?;
                match owner {
                    Owner::Poll(handle) => poll::report(handle, ready, wanted),
                    Owner::Stream(stream) => {
                        let ready = poll::completed(ready, wanted);
                        self.begin_stream(state, Turn::new(stream, ready))
                    }
                    Owner::Udp(udp) => {
                        let ready = poll::completed(ready, wanted);
                        self.begin_udp(state, UdpTurn::new(udp, ready))
                    }
                }
            }
            Token::Bell => self.bell(state),
            Token::Signal(number) => {
                // Signals come after the other events.
                state.signals.borrow_mut().note(number);
                None
            }
            Token::Files => {
                state.files.borrow_mut().read();
                self.go(Step::Files)
            }
        }
    }

    /// Ends a batch of events, after which there may be more.
    fn end_batch(&mut self, state: &LoopState) -> Option<Call> {
        let is_full = self.poll.events == EVENTS_MAX && self.poll.rounds < ROUNDS_MAX;
        self.poll.rounds += 1;
        state.has_batch.set(false);
        self.poll.events = 0;
        if is_full || !self.poll.is_over(state) {
            return self.go(Step::Wait);
        }
        self.end_poll(state)
    }

    fn begin_timers(&mut self, state: &LoopState) -> Option<Call> {
        state.update_time();
        // Timers that callbacks start from here on belong to the next turn.
        self.mark = state.timers.borrow().mark();
        self.go(Step::Timers)
    }

    fn timers(&mut self, owner: Live<Loop>, state: &LoopState) -> Option<Call> {
        loop {
            let now_ns = timer::to_ns(state.now_ms.get());
            let due = state.timers.borrow_mut().pop_due_before(now_ns, self.mark);
            let call = match due?.1 {
                Due::Timer(timer) => timer::fire(timer),
                Due::Stat(key) => {
                    stat_watch::look(owner, key);
                    None
                }
            };
            if call.is_some() {
                return call;
            }
        }
    }

    fn end_turn(&mut self, owner: &Loop) -> Option<Call> {
        self.is_alive = is_alive(owner);
        self.go(if self.mode == Mode::Default {
            Step::Turn
        } else {
            Step::End
        })
    }
}

/// The next member of a phase's running ring.
fn phase(state: &LoopState, ring: usize) -> Option<Call> {
    loop {
        let member = state.rings.borrow_mut().advance(rings::running(ring), ring);
        if let Member::Phase(handle) = member?
            && let Some(callback) = handle.callback.get()
        {
            return Some(Call::Phase(callback, handle));
        }
    }
}

/// The next async that was sent.
fn asyncs(state: &LoopState) -> Option<Call> {
    loop {
        let member = state
            .rings
            .borrow_mut()
            .advance(rings::running(rings::ASYNC), rings::ASYNC);
        if let Member::Async(handle) = member?
            && asynchronous::take(handle)
            && let Some(callback) = handle.callback.get()
        {
            return Some(Call::Async(callback, handle));
        }
    }
}

/// The next handle that was closed, after the requests that its close has canceled.
fn closing(state: &LoopState) -> Option<Call> {
    let running = rings::running(rings::CLOSING);
    loop {
        let first = state
            .rings
            .borrow()
            .find_behind(running, u64::MAX, |_| true);
        if let (_, Member::Handle(closed, _)) = first? {
            let canceled = match closed.typed() {
                Typed::Stream(stream) => stream::next_canceled(stream),
                Typed::Udp(udp) => udp::next_canceled(udp),
                _ => None,
            };
            if canceled.is_some() {
                return canceled;
            }
        }
        let member = state.rings.borrow_mut().pop_front(running);
        if let Member::Handle(closed, _) = member?
            && let Some(callback) = handle::end(closed)
        {
            return Some(Call::Close(callback, closed));
        }
    }
}

/// The next request that is done.
fn mail(state: &LoopState) -> Option<Call> {
    loop {
        let done = state.mail.borrow_mut().pop_front();
        let call = match done? {
            Done::Work(work, status) => {
                work.owner.get()?.end_request();
                work.after
                    .get()
                    .map(|callback| Call::Work(callback, work, status))
            }
            Done::Addresses(request) => {
                request.owner.get()?.end_request();
                request
                    .callback
                    .get()
                    .map(|callback| Call::Addresses(callback, request))
            }
            Done::Name(request) => {
                request.owner.get()?.end_request();
                request
                    .callback
                    .get()
                    .map(|callback| Call::Name(callback, request))
            }
            Done::Random(request) => {
                request.owner.get()?.end_request();
                request
                    .callback
                    .get()
                    .map(|callback| Call::Random(callback, request))
            }
            Done::Fs(request) => {
                request.owner.get()?.end_request();
                request
                    .callback
                    .get()
                    .map(|callback| Call::Fs(callback, request))
            }
            Done::Stat(key, result) => stat_watch::looked(state, key, result),
        };
        if call.is_some() {
            return call;
        }
    }
}

/// True if something may still happen.
pub(crate) fn is_alive(owner: &Loop) -> bool {
    owner.active_handles.get() > 0
        || owner.active_requests.get() > 0
        || owner.state().closing.get() > 0
}

/// True if callbacks of requests are due.
fn has_pending(state: &LoopState) -> bool {
    let rings = state.rings.borrow();
    !rings.is_empty(rings::PENDING) || !rings.is_empty(rings::running(rings::PENDING))
}

/// How long a poll may wait; `None` is without end.
fn timeout_ms(owner: &Loop) -> Option<u64> {
    let state = owner.state();
    let has_idle = !state.rings.borrow().is_empty(rings::IDLE);
    let is_closing = state.closing.get() > 0;
    let has_work = has_idle || is_closing || has_pending(&state);
    if owner.is_stopped.get() != 0 || !is_alive(owner) || has_work {
        return Some(0);
    }
    let next_ns = state.timers.borrow_mut().next_deadline_ns()?;
    Some((next_ns / timer::NS_PER_MS).saturating_sub(state.now_ms.get()))
}

/// `uv_backend_timeout`: in milliseconds, -1 without end.
pub(crate) fn backend_timeout(owner: &Loop) -> c_int {
    if owner.state().watches.borrow().has_changed() {
        return 0; // only a run tells the kernel of them
    }
    timeout_ms(owner).map_or(-1, |ms| c_int::try_from(ms).unwrap_or(c_int::MAX))
}

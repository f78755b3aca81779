//! Waits and watches against a model, and with wakers whose drops call the source.

use super::*;
use crate::EventLoop; // a test may look up: it runs the whole loop
use crate::state::{Entered, Running};
use crate::tasks::key::Task;
use proptest::prelude::*;
use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

const SOURCES: usize = 2;
/// The first of them are foreign wakers, and the others are tasks of the loop.
const TASKS: usize = 4;
const FOREIGN: usize = 2;

/// The wait in one direction, as the model knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    No,
    For(usize),
    Watching(usize),
}

#[derive(Clone, Debug)]
enum Step {
    Wait(usize, Direction, usize),
    Watch(usize, Direction, usize),
    /// A future waits; perhaps another task replaces it; the future is dropped.
    GiveUp(usize, Direction, usize, Option<usize>),
    Cancel(usize, Direction),
    Reference(usize, bool),
    Mark(usize, Ready),
    WakeWaiting(usize),
    WakeAll,
    Replace(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let direction = || prop_oneof![Just(Direction::Read), Just(Direction::Write)];
    let place = || (0..SOURCES, direction());
    prop_oneof![
        3 => (place(), 0..TASKS).prop_map(|((s, d), task)| Step::Wait(s, d, task)),
        3 => (place(), 0..TASKS).prop_map(|((s, d), task)| Step::Watch(s, d, task)),
        2 => (place(), 0..TASKS, prop::option::of(0..TASKS))
            .prop_map(|((s, d), task, other)| Step::GiveUp(s, d, task, other)),
        1 => place().prop_map(|(s, d)| Step::Cancel(s, d)),
        2 => (0..SOURCES, any::<bool>()).prop_map(|(s, is)| Step::Reference(s, is)),
        2 => (0..SOURCES, ready()).prop_map(|(s, ready)| Step::Mark(s, ready)),
        1 => (0..SOURCES).prop_map(Step::WakeWaiting),
        1 => Just(Step::WakeAll),
        1 => (0..SOURCES).prop_map(Step::Replace),
    ]
}

fn ready() -> impl Strategy<Value = Ready> {
    let bits = [
        Ready::READ,
        Ready::WRITE,
        Ready::READ_CLOSED,
        Ready::URGENT,
        Ready::HANG_UP,
        Ready::ERROR,
    ];
    let subset = prop::sample::subsequence(bits.to_vec(), 0..=bits.len());
    subset.prop_map(|bits| bits.into_iter().fold(Ready::NONE, |all, bit| all | bit))
}

#[derive(Default)]
struct Counter {
    wakes: AtomicUsize,
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sources of one ownership, and a model of their waiters.
struct Model {
    handle: Handle,
    ownership: Ownership,
    sources: Vec<Source>,
    foreign: Vec<Arc<Counter>>,
    own: Vec<Key<Task>>,
    /// The number of times that each of `own` was queued.
    queued: Vec<usize>,
    waits: Vec<[Waits; 2]>,
    wakes: [usize; TASKS],
}

impl Model {
    fn new(handle: Handle, ownership: Ownership) -> Self {
        let sources = (0..SOURCES).map(|_| source(&handle, ownership)).collect();
        for _ in FOREIGN..TASKS {
            handle.spawn(std::future::pending::<()>());
        }
        let own = handle.state.tasks.borrow().names();
        Model {
            foreign: (0..FOREIGN).map(|_| Arc::default()).collect(),
            queued: vec![0; own.len()],
            own,
            handle,
            ownership,
            sources,
            waits: vec![[Waits::No; 2]; SOURCES],
            wakes: [0; TASKS],
        }
    }

    /// Polls as that task, which is the running one meanwhile if it is the loop's own.
    fn poll_as<T>(&self, task: usize, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let Some(own) = task.checked_sub(FOREIGN) else {
            let waker = Arc::clone(&self.foreign[task]).into();
            return poll(&mut Context::from_waker(&waker));
        };
        let key = self.own[own];
        let state = &self.handle.state;
        let queue = Arc::clone(&state.tasks.borrow().get(key).unwrap().queue);
        let waker = Waker::from(queue);
        let running = Running {
            task: key,
            waker: waker.data().addr(),
        };
        let before = state.running.replace(running);
        let polled = poll(&mut Context::from_waker(&waker));
        state.running.set(before);
        polled
    }

    /// How often each task was woken.
    fn wakes(&mut self) -> Vec<usize> {
        let state = &self.handle.state;
        while let Some(key) = state.ready.pop() {
            state.tasks.borrow().get(key).unwrap().queue.begin_run();
            let own = self.own.iter().position(|own| *own == key).unwrap();
            self.queued[own] += 1;
        }
        let foreign = self
            .foreign
            .iter()
            .map(|it| it.wakes.load(Ordering::Relaxed));
        foreign.chain(self.queued.iter().copied()).collect()
    }

    fn wait(&mut self, s: usize, direction: Direction, task: usize) {
        let poll = self.poll_as(task, |cx| self.sources[s].poll_ready(cx, direction));
        assert!(poll.is_pending());
        self.waits[s][direction as usize] = Waits::For(task);
    }

    /// A source wakes its waiters, or those whose wait a set of bits ends.
    fn end(&mut self, s: usize, ends: impl Fn(Direction, bool) -> bool) {
        for direction in [Direction::Read, Direction::Write] {
            let wait = &mut self.waits[s][direction as usize];
            let (task, watches) = match *wait {
                Waits::No => continue,
                Waits::For(task) => (task, false),
                Waits::Watching(task) => (task, true),
            };
            if ends(direction, watches) {
                *wait = Waits::No;
                self.wakes[task] += 1;
            }
        }
    }

    fn mark(&mut self, s: usize, ready: Ready) {
        let mut woken = VecDeque::new();
        let registration = &self.sources[s].registration;
        let ended = registration.mark(ready, |waiter| woken.push_back(waiter));
        self.handle.state.end_waits(ended);
        woken
            .into_iter()
            .for_each(|waiter| self.handle.state.wake(waiter));
        self.sources[s].registration.ready.set(Ready::NONE); // so that each poll waits
        let is_shared = self.ownership == Ownership::Shared;
        self.end(s, |direction, watches| {
            let awaited = match watches {
                true => Ready::ERROR | Ready::HANG_UP,
                false => Ready::of(direction),
            };
            is_shared || ready.intersects(awaited)
        });
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Wait(s, direction, task) => self.wait(s, direction, task),
            Step::Watch(s, direction, task) => {
                let source = &self.sources[s];
                let poll = |cx: &mut Context<'_>| source.poll_watch(cx, direction, Ready::ERROR);
                assert!(self.poll_as(task, poll).is_pending());
                let wait = &mut self.waits[s][direction as usize];
                let is_taken = matches!(*wait, Waits::For(other) if other != task);
                if self.ownership == Ownership::Sole && !is_taken {
                    *wait = Waits::Watching(task);
                }
            }
            Step::GiveUp(s, direction, task, other) => {
                let source = &self.sources[s];
                let mut io = source.io(direction, |cx| source.poll_ready(cx, direction));
                let poll = self.poll_as(task, |cx| Pin::new(&mut io).poll(cx));
                assert!(poll.is_pending());
                if let Some(other) = other {
                    let poll = self.poll_as(other, |cx| source.poll_ready(cx, direction));
                    assert!(poll.is_pending());
                }
                drop(io);
                self.waits[s][direction as usize] = other.map_or(Waits::No, Waits::For);
            }
            Step::Cancel(s, direction) => {
                self.sources[s].cancel(direction);
                self.waits[s][direction as usize] = Waits::No;
            }
            Step::Reference(s, referenced) => self.sources[s].set_referenced(referenced),
            Step::Mark(s, ready) => self.mark(s, ready),
            Step::WakeWaiting(s) => {
                self.sources[s].wake_waiting();
                self.end(s, |_, _| true);
            }
            Step::WakeAll => {
                self.handle.wake_waiting();
                (0..SOURCES).for_each(|s| self.end(s, |_, _| true));
            }
            Step::Replace(s) => {
                self.sources[s] = source(&self.handle, self.ownership);
                self.waits[s] = [Waits::No; 2];
            }
        }
    }

    /// The number of waits that keep the loop alive.
    fn count(&self) -> usize {
        let referenced = self.sources.iter().map(Source::is_referenced);
        let waits = referenced.zip(&self.waits).filter(|(is, _)| *is);
        let waits = waits.flat_map(|(_, waits)| waits);
        waits.filter(|wait| matches!(wait, Waits::For(_))).count()
    }
}

fn source(handle: &Handle, ownership: Ownership) -> Source {
    let (fd, _) = UnixStream::pair().unwrap();
    Source::new(handle, fd.into(), Interest::READ, ownership).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever replaces, cancels, ends or unreferences waits and watches: exactly the waits on
    /// referenced sources are counted, and each is woken once.
    #[test]
    fn waits_and_watches_behave_as_the_model(
        is_shared in any::<bool>(),
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let _entered = Entered::new(&handle.state);
        let before = handle.state.waits.get();
        let ownership = if is_shared { Ownership::Shared } else { Ownership::Sole };
        let mut model = Model::new(handle.clone(), ownership);
        let spawned = model.wakes(); // each task is queued once for its first run
        model.queued.fill(0);
        prop_assert_eq!(spawned, [0, 0, 1, 1]);
        for step in steps {
            let before_step = model.wakes;
            model.take(step);
            for (wakes, before) in model.wakes.iter_mut().zip(before_step).skip(FOREIGN) {
                *wakes = (*wakes).min(before + 1); // a task is queued once, however often it is woken
            }
            prop_assert_eq!(handle.state.waits.get() - before, model.count());
            prop_assert_eq!(model.wakes(), model.wakes);
        }
        drop(model);
        prop_assert_eq!(handle.state.waits.get(), before);
    }
}

thread_local! {
    static COMES_BACK: RefCell<Option<Box<dyn FnOnce()>>> = RefCell::default();
}

/// The drop of its last waker calls the function in `COMES_BACK`.
struct ComesBack;

impl Wake for ComesBack {
    fn wake(self: Arc<Self>) {}
}

impl Drop for ComesBack {
    fn drop(&mut self) {
        if let Some(call) = COMES_BACK.take() {
            call();
        }
    }
}

#[test]
fn a_waker_whose_drop_calls_the_source_is_counted_right() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let before = handle.state.waits.get();
    let source = Rc::new(source(&handle, Ownership::Sole));
    let read = Direction::Read;
    for was_watch in [false, true] {
        for becomes_watch in [false, true] {
            for waits_again in [false, true] {
                let poll = |waker: &Waker, watches: bool| {
                    let mut cx = Context::from_waker(waker);
                    let is_pending = match watches {
                        true => source.poll_watch(&mut cx, read, Ready::ERROR).is_pending(),
                        false => source.poll_ready(&mut cx, read).is_pending(),
                    };
                    assert!(is_pending);
                };
                poll(&Arc::new(ComesBack).into(), was_watch);
                let inner = Rc::clone(&source);
                COMES_BACK.set(Some(Box::new(move || {
                    inner.cancel(read);
                    if waits_again {
                        let mut cx = Context::from_waker(Waker::noop());
                        assert!(inner.poll_ready(&mut cx, read).is_pending());
                    }
                })));
                if !becomes_watch || was_watch {
                    poll(Waker::noop(), becomes_watch); // replaces the first, which comes back
                } else {
                    source.cancel(read);
                }
                assert!(COMES_BACK.take().is_none(), "it has come back");
                assert_eq!(handle.state.waits.get() - before, usize::from(waits_again));
                source.cancel(read);
                assert_eq!(handle.state.waits.get(), before);
            }
        }
    }
}

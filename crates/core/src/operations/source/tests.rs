//! Waits and watches against a model, and with wakers whose drops call the source.

use super::*;
use crate::EventLoop; // a test may look up: it runs the whole loop
use proptest::prelude::*;
use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

const SOURCES: usize = 2;
const TASKS: usize = 3;

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
struct Task {
    wakes: AtomicUsize,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sources of one ownership, and a model of their waiters.
struct Model {
    handle: Handle,
    ownership: Ownership,
    sources: Vec<Source>,
    tasks: Vec<Arc<Task>>,
    waits: Vec<[Waits; 2]>,
    wakes: [usize; TASKS],
}

impl Model {
    fn new(handle: Handle, ownership: Ownership) -> Self {
        let sources = (0..SOURCES).map(|_| source(&handle, ownership)).collect();
        Model {
            handle,
            ownership,
            sources,
            tasks: (0..TASKS).map(|_| Arc::default()).collect(),
            waits: vec![[Waits::No; 2]; SOURCES],
            wakes: [0; TASKS],
        }
    }

    fn waker(&self, task: usize) -> Waker {
        Arc::clone(&self.tasks[task]).into()
    }

    fn wait(&mut self, s: usize, direction: Direction, task: usize) {
        let waker = self.waker(task);
        let poll = self.sources[s].poll_ready(&mut Context::from_waker(&waker), direction);
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
        let mut wakers = VecDeque::new();
        let ended = self.sources[s].registration.mark(ready, &mut wakers);
        self.handle.state.end_waits(ended);
        wakers.into_iter().for_each(Waker::wake);
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
                let waker = self.waker(task);
                let mut cx = Context::from_waker(&waker);
                let end = Ready::ERROR;
                assert!(
                    self.sources[s]
                        .poll_watch(&mut cx, direction, end)
                        .is_pending()
                );
                let wait = &mut self.waits[s][direction as usize];
                let is_taken = matches!(*wait, Waits::For(other) if other != task);
                if self.ownership == Ownership::Sole && !is_taken {
                    *wait = Waits::Watching(task);
                }
            }
            Step::GiveUp(s, direction, task, other) => {
                let wakers = [Some(task), other].map(|task| task.map(|task| self.waker(task)));
                let source = &self.sources[s];
                let mut io = source.io(direction, |cx| source.poll_ready(cx, direction));
                let [waker, successor] = wakers.each_ref().map(|waker| waker.as_ref());
                let mut cx = Context::from_waker(waker.expect("there is a task"));
                assert!(Pin::new(&mut io).poll(&mut cx).is_pending());
                if let Some(waker) = successor {
                    let mut cx = Context::from_waker(waker);
                    assert!(source.poll_ready(&mut cx, direction).is_pending());
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
        let before = handle.state.waits.get();
        let ownership = if is_shared { Ownership::Shared } else { Ownership::Sole };
        let mut model = Model::new(handle.clone(), ownership);
        for step in steps {
            model.take(step);
            prop_assert_eq!(handle.state.waits.get() - before, model.count());
            let wakes = model.tasks.iter().map(|task| task.wakes.load(Ordering::Relaxed));
            prop_assert!(wakes.eq(model.wakes));
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

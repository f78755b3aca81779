//! What a subscriber sees of tasks: their spans, runs, wakes and wakers, as text.

use oneloop::aio::{spawn, yield_now};
use oneloop::sync::Event;
use oneloop::{EventLoop, callback, green};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event as TraceEvent, Metadata, Subscriber, dispatcher};

/// Keeps what it receives, with a number for each span.
#[derive(Default)]
struct Collected {
    log: Vec<String>,
    spans: Vec<BTreeMap<String, String>>,
}

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Collected>>);

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
}

impl Collector {
    fn note(&self, what: String) {
        self.0.lock().unwrap().log.push(what);
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().log.join(", ")
    }

    fn span(&self, number: usize) -> BTreeMap<String, String> {
        self.0.lock().unwrap().spans[number - 1].clone()
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tokio::task")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        assert!(attributes.is_root());
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let metadata = attributes.metadata();
        fields.0.insert("span".into(), metadata.name().into());
        fields.0.insert("target".into(), metadata.target().into());
        let mut collected = self.0.lock().unwrap();
        collected.spans.push(fields.0);
        let number = collected.spans.len();
        collected.log.push(format!("spawn {number}"));
        Id::from_u64(number as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &TraceEvent<'_>) {
        assert_eq!(event.metadata().target(), "tokio::task::waker");
        let mut fields = Fields::default();
        event.record(&mut fields);
        let op = fields.0["op"].trim_start_matches("waker.").to_owned();
        self.note(format!("{op} {}", fields.0["task.id"]));
    }

    fn enter(&self, span: &Id) {
        self.note(format!("run {}", span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        self.note(format!("wait {}", span.into_u64()));
    }

    fn try_close(&self, span: Id) -> bool {
        self.note(format!("end {}", span.into_u64()));
        true
    }
}

/// With a single subscriber, tracing asks only the thread that meets a callsite first. If that is
/// another test's, without a subscriber, the callsite stays off on all threads.
fn have_another_subscriber() {
    static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
    ANOTHER.get_or_init(|| Dispatch::new(Collector::default()));
}

/// Runs a program on a loop whose tasks are traced, under a collector.
fn collect(program: impl FnOnce(&mut EventLoop)) -> Collector {
    have_another_subscriber();
    let collector = Collector::default();
    dispatcher::with_default(&Dispatch::new(collector.clone()), || {
        let mut event_loop = EventLoop::new().unwrap();
        oneloop::tracing::trace_tasks(&event_loop.handle());
        program(&mut event_loop);
    });
    collector
}

async fn yields() {
    yield_now().await;
}

#[test]
fn a_span_has_tokios_names_and_is_entered_for_each_run() {
    let line = line!() + 2;
    let collector = collect(|event_loop| {
        event_loop.handle().spawn(yields());
        event_loop.run().unwrap();
    });
    assert_eq!(
        collector.text(),
        "spawn 1, run 1, wake_by_ref 1, wait 1, run 1, wait 1, end 1"
    );
    let span = collector.span(1);
    assert_eq!(span["span"], "runtime.spawn");
    assert_eq!(span["target"], "tokio::task");
    assert_eq!(span["kind"], "local");
    assert_eq!(span["task.name"], "spans::yields");
    assert!(span["loc.file"].ends_with("spans.rs"), "{span:?}");
    assert_eq!(span["loc.line"], line.to_string());
    assert!(span.contains_key("loc.col") && span.contains_key("task.id"));
    assert!(span["size.bytes"].parse::<usize>().unwrap() > 0);
}

#[test]
fn a_waker_that_a_task_gave_away_is_a_clone_until_it_wakes_or_is_dropped() {
    let collector = collect(|event_loop| {
        event_loop.block_on(async {
            let event = Event::new();
            let waits = event.until_set();
            let task = spawn(waits);
            yield_now().await;
            event.set();
            task.await.unwrap();
        });
    });
    assert_eq!(
        collector.text(),
        "spawn 1, run 1, wait 1, clone 1, wake 1, run 1, wait 1, end 1"
    );
}

#[test]
fn a_task_whose_waker_is_dropped_has_none_left() {
    let kept = Rc::new(RefCell::new(None));
    let mut keeps = Some(Rc::clone(&kept));
    let collector = collect(|event_loop| {
        let handle = event_loop.handle();
        let task = handle.spawn(poll_fn(move |cx| {
            if let Some(first) = keeps.take() {
                first.replace(Some(cx.waker().clone()));
            }
            Poll::<()>::Pending
        }));
        event_loop.run_nowait().unwrap();
        kept.take();
        handle.wake_task(handle.dump_tasks()[0].key);
        event_loop.run_nowait().unwrap();
        task.cancel();
    });
    assert_eq!(
        collector.text(),
        "spawn 1, run 1, wait 1, clone 1, run 1, wait 1, drop 1, end 1"
    );
}

#[test]
fn a_wake_from_another_thread_is_an_event_there() {
    let collector = collect(|event_loop| {
        event_loop.block_on(async {
            let mut waker = None;
            let (sender, receiver) = std::sync::mpsc::channel();
            let task = spawn(poll_fn(move |cx| match waker.replace(()) {
                Some(()) => Poll::Ready(()),
                None => {
                    sender.send(cx.waker().clone()).unwrap();
                    Poll::Pending
                }
            }));
            let dispatch = dispatcher::get_default(Dispatch::clone);
            let thread = std::thread::spawn(move || {
                let waker = receiver.recv().unwrap();
                dispatcher::with_default(&dispatch, || waker.wake_by_ref());
            });
            task.await.unwrap();
            thread.join().unwrap();
        });
    });
    let text = collector.text();
    assert!(text.contains("wake_by_ref 1"), "{text}");
    assert!(text.ends_with("end 1"), "{text}");
}

#[test]
fn the_span_of_a_task_that_panics_or_is_canceled_ends() {
    let collector = collect(|event_loop| {
        event_loop.block_on(async {
            let panics = spawn(async { panic!("on purpose") });
            assert!(panics.await.is_err());
            let waits = spawn(pending::<()>());
            yield_now().await;
            waits.cancel();
        });
    });
    assert_eq!(
        collector.text(),
        "spawn 1, run 1, wait 1, end 1, spawn 2, run 2, wait 2, end 2"
    );
}

#[test]
fn green_threads_and_callbacks_run_in_spans_as_well() {
    let collector = collect(|event_loop| {
        green::run_on(event_loop, || {
            let named = green::Builder::new().name("reader");
            named.spawn(green::yield_now).unwrap().join().unwrap();
        })
        .unwrap();
    });
    let names = &collector.0.lock().unwrap().spans;
    let is_reader = |span: &&BTreeMap<String, String>| span["task.name"].contains("reader");
    assert_eq!(names.iter().filter(is_reader).count(), 1, "{names:?}");

    let collector = collect(|event_loop| {
        let code = callback::run_on(event_loop, || {
            callback::set_timeout(|| {}, 1);
        });
        assert_eq!(code.unwrap(), 0);
    });
    assert!(collector.text().contains("run 1"), "{}", collector.text());
}

#[test]
fn a_task_that_no_subscriber_asks_for_is_not_seen() {
    let mut event_loop = EventLoop::new().unwrap();
    oneloop::tracing::trace_tasks(&event_loop.handle());
    let task = event_loop.handle().spawn(yields());
    have_another_subscriber();
    let collector = Collector::default();
    dispatcher::with_default(&Dispatch::new(collector.clone()), || {
        event_loop.block_on(task).unwrap();
    });
    assert_eq!(collector.text(), "");
}

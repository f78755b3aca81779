//! The pages that watch: one clock for all of them, and only while there is one.

use crate::answer::Answer;
use crate::asked::Asked;
use crate::connections::{ConnectionAction, Connections};
use crate::frame::{self, LoopView};
use crate::probe::{Loops, Probe};
use hyper::StatusCode;
use hyper::body::Bytes;
use oneloop_aio::{sleep_until, spawn, timeout};
use oneloop_core::Stream;
use oneloop_sync::ShutdownToken;
use oneloop_sync::watch::{Receiver, Sender};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// The time between two frames.
const FRAME: Duration = Duration::from_millis(250);
/// How many frames come for each list of tasks and connections.
const FRAMES_PER_LIST: u32 = 4;
/// The longest wait for a list of connections.
const LIST_MAX: Duration = Duration::from_secs(1);
/// The share of time that lists of connections may take: one part in so many.
const LIST_SHARE: u32 = 50;
/// Sentences that are shown.
const ADVICE_MAX: usize = 8;
/// Connections that are shown.
const CONNECTIONS_MAX: usize = 200;

/// The pages that watch.
pub(crate) struct Watch {
    loops: Loops,
    connections: Option<Box<dyn Connections>>,
    frames: Sender<Bytes>,
    watchers_max: usize,
    shutdown: ShutdownToken,
    runs: Cell<bool>,
    views: RefCell<HashMap<usize, LoopView>>,
    /// The next time at which connections are listed.
    list_due: Cell<Option<Instant>>,
    /// A list of connections that no frame had yet.
    listed: RefCell<Option<Bytes>>,
}

impl Watch {
    pub(crate) fn new(
        loops: Loops,
        connections: Option<Box<dyn Connections>>,
        watchers_max: usize,
        shutdown: ShutdownToken,
    ) -> Rc<Self> {
        Rc::new(Watch {
            loops,
            connections,
            frames: Sender::new(Bytes::new()),
            watchers_max,
            shutdown,
            runs: Cell::new(false),
            views: RefCell::default(),
            list_due: Cell::new(None),
            listed: RefCell::default(),
        })
    }

    /// Frames without end, for one page.
    pub(crate) fn events(self: &Rc<Self>) -> Answer {
        if self.frames.receiver_count() >= self.watchers_max {
            let text = format!("{} pages watch already\n", self.watchers_max);
            return Answer::text(text).with_status(StatusCode::SERVICE_UNAVAILABLE);
        }
        let receiver = self.frames.subscribe();
        let frames = Frames::new(self.greeting(), receiver, self.shutdown.clone());
        if !self.runs.replace(true) {
            spawn(run(Rc::clone(self)));
        }
        Answer::pieces("text/event-stream", frames)
    }

    fn greeting(&self) -> Bytes {
        let program = std::env::args().next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default();
        event(
            "hello",
            &json!({
                "program": program,
                "pid": std::process::id(),
                "version": env!("CARGO_PKG_VERSION"),
                "phases": frame::phases(),
                "has_connections": self.connections.is_some(),
            }),
        )
    }

    /// Asks all loops, and makes a frame of what they said last.
    fn frame(self: &Rc<Self>, with_lists: bool) -> Bytes {
        let probes = self.loops.probes();
        for probe in &probes {
            if probe.ask().is_err() {
                self.loops.remove(probe);
                self.views.borrow_mut().remove(&key_of(probe));
            }
            probe.shared.gate.renew();
        }
        let now = Instant::now();
        let mut views = self.views.borrow_mut();
        let (mut loops, mut advice, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        for probe in &probes {
            let view = views.entry(key_of(probe));
            let view = view.or_insert_with(|| LoopView::new(now));
            if with_lists {
                tasks.extend(view.tasks(probe));
            }
            let (value, of_loop) = view.frame(now, probe);
            loops.push(value);
            advice.extend(of_loop);
        }
        advice.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        let advice = advice.into_iter().take(ADVICE_MAX);
        let advice = advice.map(|(weight, text)| json!({ "weight": weight.name(), "text": text }));
        let advice: Vec<Value> = advice.collect();
        let frame = json!({ "loops": loops, "advice": advice });
        let mut bytes = Vec::from(event("frame", &frame));
        if !tasks.is_empty() {
            bytes.extend(event("tasks", &Value::from(tasks)));
        }
        bytes.extend(self.listed.take().unwrap_or_default());
        if with_lists {
            self.list_connections();
        }
        bytes.into()
    }

    /// Asks for the connections, for one of the next frames.
    fn list_connections(self: &Rc<Self>) {
        let now = Instant::now();
        let Some(connections) = &self.connections else {
            return;
        };
        if self.list_due.get().is_some_and(|due| now < due) {
            return;
        }
        let listing = connections.list(CONNECTIONS_MAX);
        self.list_due.set(Some(now + LIST_MAX));
        let watch = Rc::clone(self);
        spawn(async move {
            if let Ok(list) = timeout(LIST_MAX, listing).await {
                let listed = event("connections", &frame::connections(&list));
                *watch.listed.borrow_mut() = Some(listed);
            }
            // A list of very many takes its time on their loops, and comes less often.
            watch
                .list_due
                .set(Some(Instant::now() + now.elapsed() * LIST_SHARE));
        });
    }

    /// What a page asks of a loop: `motion=free`, `slow`, `hold` or `step`.
    pub(crate) fn motion(&self, asked: &Asked) -> Answer {
        let name = asked.parameter("loop").unwrap_or_default();
        let probes = self.loops.probes();
        let Some(probe) = probes.iter().find(|probe| probe.name == name) else {
            let text = format!("there is no loop '{name}'\n");
            return Answer::text(text).with_status(StatusCode::NOT_FOUND);
        };
        let gate = &probe.shared.gate;
        let motion = asked.parameter("motion").unwrap_or_default();
        if motion != "free" && !self.runs.get() {
            let text = "no page watches, so nothing would let the loop on: open the page first\n";
            return Answer::text(text).with_status(StatusCode::CONFLICT);
        }
        match motion.as_str() {
            "free" => gate.free(),
            "hold" => gate.hold(),
            "step" => gate.step(),
            "slow" => {
                let pace_ms = asked.parameter("pace_ms").and_then(|ms| ms.parse().ok());
                gate.slow(Duration::from_millis(
                    pace_ms.unwrap_or(400).clamp(10, 2000),
                ));
            }
            _ => {
                let text = format!("motion is free, slow, hold or step, not '{motion}'\n");
                return Answer::text(text).with_status(StatusCode::BAD_REQUEST);
            }
        }
        Answer::text("ok\n")
    }

    /// What a page asks of a connection: `number=N` and `action=pause`, `resume` or `close`.
    pub(crate) fn act(&self, asked: &Asked) -> Answer {
        let Some(connections) = &self.connections else {
            return Answer::text("this program lists no connections\n")
                .with_status(StatusCode::NOT_FOUND);
        };
        let number = asked
            .parameter("number")
            .and_then(|number| number.parse().ok());
        let action = asked.parameter("action").unwrap_or_default();
        let (Some(number), Some(action)) = (number, ConnectionAction::of(&action)) else {
            let text = "give number=N and action=pause, resume or close\n";
            return Answer::text(text).with_status(StatusCode::BAD_REQUEST);
        };
        connections.act(number, action);
        Answer::text("ok\n")
    }
}

fn key_of(probe: &Probe) -> usize {
    Arc::as_ptr(&probe.shared).addr()
}

/// Sends frames until no page is left.
async fn run(watch: Rc<Watch>) {
    let mut number = 0;
    let mut due = oneloop_aio::now();
    while watch.frames.receiver_count() > 0 {
        let frame = watch.frame(number % FRAMES_PER_LIST == 0);
        watch.frames.send_replace(frame);
        number += 1;
        // The next one keeps its distance, also after a frame that took long.
        due = oneloop_aio::now().max(due + FRAME);
        sleep_until(due).await;
    }
    watch.loops.probes().iter().for_each(Probe::leave);
    watch.views.take();
    watch.listed.take();
    watch.runs.set(false);
}

/// An event in the format of server-sent events.
fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// A frame, and where the next one comes from.
type NextFrame = (Bytes, Receiver<Bytes>);

/// The frames of one page. hyper asks for one when the browser takes it: a slow browser misses
/// frames, and no memory grows.
struct Frames {
    next: Pin<Box<dyn Future<Output = Option<NextFrame>>>>,
    shutdown: ShutdownToken,
}

impl Frames {
    fn new(greeting: Bytes, frames: Receiver<Bytes>, shutdown: ShutdownToken) -> Self {
        Frames {
            next: Box::pin(async { Some((greeting, frames)) }),
            shutdown,
        }
    }
}

impl Stream for Frames {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        let Some((bytes, mut frames)) = ready!(this.next.as_mut().poll(cx)) else {
            this.next = Box::pin(pending());
            return Poll::Ready(None);
        };
        let shutdown = this.shutdown.clone();
        this.next = Box::pin(async move {
            shutdown.run(frames.changed()).await?.ok()?;
            Some((frames.borrow_and_update().clone(), frames))
        });
        Poll::Ready(Some(bytes))
    }
}

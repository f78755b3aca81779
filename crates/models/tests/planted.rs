//! Plants one bug after the other in a copy of the crates, and shows that a model finds each:
//! `make planted`. `make test` checks that each model has a bug, and each bug its place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bug: a line of text in a file and what replaces it, and the model that has to fail then.
struct Bug {
    name: &'static str,
    file: &'static str,
    text: &'static str,
    planted: &'static str,
    model: &'static str,
}

const INBOX: &str = "crates/core/src/mechanisms/inbox.rs";
const WAKER: &str = "crates/core/src/tasks/waker.rs";
const COLLECT: &str = "crates/core/src/event_loop/collect.rs";
const EVENT_LOOP: &str = "crates/core/src/event_loop.rs";
const PARKED: &str = "crates/core/src/operations/parked.rs";
const WORKERS: &str = "crates/core/src/mechanisms/workers.rs";
const OFFLOAD: &str = "crates/core/src/operations/offload.rs";
const DISTANT: &str = "crates/sync/src/distant.rs";
const CHANNEL: &str = "crates/sync/src/distant_channel.rs";
const LOADS: &str = "crates/cluster/src/loads.rs";
const SEATS: &str = "crates/posix/src/seats.rs";

#[rustfmt::skip] // one bug is five lines
const BUGS: &[Bug] = &[
    Bug {
        name: "the inbox forgets the ring after it has taken the mail",
        file: INBOX,
        text: "self.rung.store(false, Ordering::Release);\n        mem::take(&mut mail.content)",
        planted: "let content = mem::take(&mut mail.content);\n        drop(mail);\n        \
            self.rung.store(false, Ordering::Release);\n        content",
        model: "loops::a_loop_does_what_was_sent_before_its_last_remote_went_and_ends",
    },
    Bug {
        name: "the loop looks for mail before it looks for senders",
        file: INBOX,
        text: "self.senders.load(Ordering::Acquire) > 0 || self.rung.load(Ordering::Acquire)",
        planted: "self.rung.load(Ordering::Acquire) || self.senders.load(Ordering::Acquire) > 0",
        model: "loops::a_loop_does_what_was_sent_before_its_last_remote_went_and_ends",
    },
    Bug {
        name: "the last sender leaves without a ring",
        file: INBOX,
        text: "            self.send(|_| ());",
        planted: "",
        model: "loops::a_loop_does_what_was_sent_before_its_last_remote_went_and_ends",
    },
    Bug {
        name: "a closed inbox takes mail",
        file: INBOX,
        text: "mail.closed = true;",
        planted: "",
        model: "loops::a_job_is_dropped_whether_it_came_before_or_after_the_end_of_the_loop",
    },
    Bug {
        name: "the arrival of a wake does not acquire what the thread wrote",
        file: WAKER,
        text: "self.sent.swap(false, Ordering::AcqRel);",
        planted: "self.sent.store(false, Ordering::Relaxed);",
        model: "loops::a_wake_counts_while_an_earlier_one_is_on_its_way",
    },
    Bug {
        name: "a wake does not release what the thread wrote",
        file: WAKER,
        text: "!self.sent.swap(true, Ordering::AcqRel)",
        planted: "!self.sent.swap(true, Ordering::Relaxed)",
        model: "loops::a_wake_counts_while_an_earlier_one_is_on_its_way",
    },
    Bug {
        name: "a wake never arrives, so the next one is not sent",
        file: COLLECT,
        text: "waker.arrive();",
        planted: "",
        model: "loops::a_wake_counts_while_an_earlier_one_is_on_its_way",
    },
    Bug {
        name: "a wake arrives after its task was queued and the task ran",
        file: WAKER,
        text: "self.queued.store(false, Ordering::Relaxed);",
        planted: "",
        model: "loops::a_task_sees_what_each_of_two_threads_wrote_before_its_wake",
    },
    Bug {
        name: "a waker is reused while another thread still has it",
        file: WAKER,
        text: "if Arc::strong_count(queue) != 2 || queue.is_queued() {",
        planted: "if queue.is_queued() {",
        model: "loops::a_task_with_the_waker_of_an_ended_one_gets_its_own_wake_and_no_other",
    },
    Bug {
        name: "a stop from another thread is ignored",
        file: COLLECT,
        text: "if arrivals.stop {",
        planted: "if false {",
        model: "loops::a_loop_that_is_stopped_by_another_thread_ends",
    },
    Bug {
        name: "the jobs of an inbox are done from its end",
        file: COLLECT,
        text: "for job in arrivals.jobs {",
        planted: "for job in arrivals.jobs.into_iter().rev() {",
        model: "distant::an_answer_reaches_the_thread_that_asks",
    },
    Bug {
        name: "the end of a loop leaves its parked values to its last handle",
        file: EVENT_LOOP,
        text: "state.drop_parked();",
        planted: "",
        model: "parked::a_value_whose_name_another_thread_drops_is_dropped_once_by_its_loop_or_with_it",
    },
    Bug {
        name: "a name that another thread drops leaves its value to the end of the loop",
        file: PARKED,
        text: "self.inbox\n            .send(|arrivals| arrivals.jobs.push(Box::new(remove)));",
        planted: "drop(remove);",
        model: "parked::a_loop_that_waits_is_woken_to_drop_a_value",
    },
    Bug {
        name: "no idle thread is notified of a job",
        file: WORKERS,
        text: "self.queue.changed.notify_one();",
        planted: "",
        model: "pool::a_job_waits_for_no_thread_that_is_at_work_while_another_may_start",
    },
    Bug {
        name: "a notified thread counts as idle for a second job",
        file: WORKERS,
        text: "let has_idle = queued.idle >= queued.jobs.len();",
        planted: "let has_idle = queued.idle > 0;",
        model: "pool::a_job_waits_for_no_thread_that_is_at_work_while_another_may_start",
    },
    Bug {
        name: "a new job takes the place that is kept for a ticket",
        file: WORKERS,
        text: "queued.jobs.len() + queued.kept < self.queued_max",
        planted: "queued.jobs.len() < self.queued_max",
        model: "pool::jobs_that_find_no_room_begin_in_their_order",
    },
    Bug {
        name: "a job that leaves the queue admits no ticket",
        file: WORKERS,
        text: "let admitted = queued.admit();",
        planted: "let admitted: Option<Waker> = None;",
        model: "pool::jobs_that_find_no_room_begin_in_their_order",
    },
    Bug {
        name: "an admitted ticket that is given up admits no other",
        file: WORKERS,
        text: "            queued.admit()\n",
        planted: "            None\n",
        model: "pool::a_job_that_gives_up_its_ticket_leaves_its_place_to_the_next",
    },
    Bug {
        name: "the end of the pool notifies no thread",
        file: WORKERS,
        text: "self.queue.changed.notify_all();",
        planted: "",
        model: "pool::each_job_runs_or_is_dropped_at_the_end_of_the_pool",
    },
    Bug {
        name: "the end of the pool does not wait for its threads",
        file: WORKERS,
        text: "if self.class.is_joined() {",
        planted: "if false {",
        model: "pool::each_job_runs_or_is_dropped_at_the_end_of_the_pool",
    },
    Bug {
        name: "the result of a job comes between the look and the waker",
        file: OFFLOAD,
        text: "                let before = result.waker.replace(waker);\n                drop(result);",
        planted: "                drop(result);\n                \
            let before = lock(&self.result).waker.replace(waker);",
        model: "pool::jobs_that_find_no_room_begin_in_their_order",
    },
    Bug {
        name: "a job that was canceled before it began runs all the same",
        file: OFFLOAD,
        text: "    if lock(result).canceled {\n        return;\n    }\n",
        planted: "",
        model: "pool::a_job_that_is_canceled_does_not_begin_or_continues_alone",
    },
    Bug {
        name: "a job runs under the lock of its result",
        file: OFFLOAD,
        text: "let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(JoinError::Panicked);\n    \
            let mut result = lock(result);",
        planted: "let mut result = lock(result);\n    \
            let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(JoinError::Panicked);",
        model: "pool::a_job_that_is_canceled_does_not_begin_or_continues_alone",
    },
    Bug {
        name: "an answer comes between the look and the waker",
        file: DISTANT,
        text: "        let before = exchange.asker.replace(waker);\n        drop(exchange);",
        planted: "        drop(exchange);\n        \
            let before = lock(&self.exchange).asker.replace(waker);",
        model: "distant::an_answer_that_comes_after_a_wait_at_home_reaches_the_asker",
    },
    Bug {
        name: "the drop of an ask comes between the look and the waker",
        file: DISTANT,
        text: "let before = exchange.answerer.replace(waker);\n        \
            let is_canceled = exchange.is_over;",
        planted: "let is_canceled = exchange.is_over;\n        drop(exchange);\n        \
            let mut exchange = lock(&self.exchange);\n        \
            let before = exchange.answerer.replace(waker);",
        model: "distant::an_ask_that_is_dropped_ends_the_wait_at_home",
    },
    Bug {
        name: "a task at home that is dropped sends no answer",
        file: DISTANT,
        text: "        self.send(Err(JoinError::Canceled));",
        planted: "",
        model: "distant::an_asker_gets_an_answer_when_the_home_loop_is_dropped",
    },
    Bug {
        name: "a canceled ask does not look for an answer",
        file: DISTANT,
        text: "        let answer = exchange.answer.take();\n        let wakers = (exchange.answerer",
        planted: "        let answer = None;\n        let wakers = (exchange.answerer",
        model: "distant::an_ask_that_is_canceled_returns_an_answer_that_has_come_and_no_other",
    },
    Bug {
        name: "the last name looks for its value on its own thread",
        file: DISTANT,
        text: "if thread::current().id() == self.thread {",
        planted: "if true {",
        model: "distant::the_last_name_drops_the_value_at_home",
    },
    Bug {
        name: "a value comes between the look of the receiver and its waker",
        file: CHANNEL,
        text: "channel.change(|state, wakes| match state.take(channel, wakes) {\n            \
            Ok(value) => (Poll::Ready(Some(value)), None),\n            \
            Err(TryReceiveError::Closed) => (Poll::Ready(None), None),\n            \
            Err(TryReceiveError::Empty) => (Poll::Pending, state.receiver.replace(waker)),\n        \
            });",
        planted: "match channel.change(|state, wakes| state.take(channel, wakes)) {\n            \
            Ok(value) => (Poll::Ready(Some(value)), None),\n            \
            Err(TryReceiveError::Closed) => (Poll::Ready(None), None),\n            \
            Err(TryReceiveError::Empty) => (Poll::Pending, channel.lock().receiver.replace(waker)),\n        \
            };",
        model: "channels::a_value_reaches_a_loop_that_waits_for_it",
    },
    Bug {
        name: "the last sender leaves without a wake of the receiver",
        file: CHANNEL,
        text: "            if state.senders == 0 {\n                wakes.add(state.receiver.take());",
        planted: "            if state.senders == 0 {\n                let _ = wakes;",
        model: "channels::a_value_reaches_a_loop_that_waits_for_it",
    },
    Bug {
        name: "a send that comes when there is room overtakes those that were admitted to it",
        file: CHANNEL,
        text: "if position < state.room(channel.capacity) {",
        planted: "if state.room(channel.capacity) > 0 {",
        model: "channels::sends_that_wait_for_room_continue_in_their_order",
    },
    Bug {
        name: "the receiver looks for values, and then under another lock for senders",
        file: CHANNEL,
        text: "        let (polled, replaced) = channel.change(|state, wakes| match state.take",
        planted: "        let is_empty = channel.lock().values.is_empty();\n        \
            if is_empty && channel.lock().senders == 0 { return Poll::Ready(None); }\n        \
            let (polled, replaced) = channel.change(|state, wakes| match state.take",
        model: "channels::two_threads_that_send_at_once_lose_no_value",
    },
    Bug {
        name: "a send looks for the close before it takes the lock",
        file: CHANNEL,
        text: "        self.channel.change(|state, wakes| {\n            if state.is_closed {\n                \
            return Err(TrySendError::Closed(value));\n            }",
        planted: "        if self.is_closed() { return Err(TrySendError::Closed(value)); }\n        \
            self.channel.change(|state, wakes| {",
        model: "channels::a_value_is_sent_before_the_close_or_returned",
    },
    Bug {
        name: "a receiver that is dropped drops the values before it closes the channel",
        file: CHANNEL,
        text: "self.close(); // first, so that no value comes after those that are dropped here\n        \
            self.drain().for_each(drop_guarded);",
        planted: "self.drain().for_each(drop_guarded);\n        self.close();",
        model: "channels::a_send_that_waits_learns_that_the_receiver_is_gone",
    },
    Bug {
        name: "the close of a channel wakes the receiver only",
        file: CHANNEL,
        text: "            for waiting in mem::take(&mut state.line) {\n                \
            wakes.add(waiting.waker);\n            }\n",
        planted: "",
        model: "channels::a_send_that_waits_learns_that_the_channel_was_closed",
    },
    Bug {
        name: "a connection is counted by a look and an addition",
        file: LOADS,
        text: "        count\n            \
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)\n            .is_ok()",
        planted: "        let is_fair = add(count.load(Ordering::Relaxed)).is_some();\n        \
            count.fetch_add(usize::from(is_fair), Ordering::Relaxed);\n        is_fair",
        model: "loads::threads_that_place_connections_at_once_give_no_loop_more_than_is_fair",
    },
    Bug {
        name: "a connection that is more than fair is counted for a moment",
        file: LOADS,
        text: "        count\n            \
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)\n            .is_ok()",
        planted: "        let is_fair = add(count.fetch_add(1, Ordering::Relaxed)).is_some();\n        \
            count.fetch_sub(usize::from(!is_fair), Ordering::Relaxed);\n        is_fair",
        model: "loads::threads_that_place_connections_at_once_give_no_loop_more_than_is_fair",
    },
    Bug {
        name: "the end of a connection is counted by a load and a store",
        file: LOADS,
        text: "self.counts[index].0.fetch_sub(1, Ordering::Relaxed) - 1",
        planted: "let left = self.get(index) - 1;\n        \
            self.counts[index].0.store(left, Ordering::Relaxed);\n        left",
        model: "loads::a_connection_that_ends_while_another_is_placed_is_counted_once",
    },
    Bug {
        name: "a listener does not wait for the handlers that notify it",
        file: SEATS,
        text: "while self.notifying.load(Ordering::SeqCst) > 0 {",
        planted: "while false {",
        model: "signals::no_handler_writes_to_an_eventfd_after_its_listener_has_left",
    },
    Bug {
        name: "a handler counts itself after it has looked",
        file: SEATS,
        text: "self.notifying.fetch_add(1, Ordering::SeqCst);\n        let eventfd = self.eventfd();",
        planted: "let eventfd = self.eventfd();\n        \
            self.notifying.fetch_add(1, Ordering::SeqCst);",
        model: "signals::no_handler_writes_to_an_eventfd_after_its_listener_has_left",
    },
    Bug {
        name: "the handler and the listener that leaves do not agree on an order",
        file: SEATS,
        text: "self.eventfd.store(EMPTY, Ordering::SeqCst);\n        \
            while self.notifying.load(Ordering::SeqCst) > 0 {",
        planted: "self.eventfd.store(EMPTY, Ordering::Release);\n        \
            while self.notifying.load(Ordering::Acquire) > 0 {",
        model: "signals::no_handler_writes_to_an_eventfd_after_its_listener_has_left",
    },
    Bug {
        name: "a walk that found no listener is not repeated",
        file: SEATS,
        text: "if has_listener || self.taken.load(Ordering::SeqCst) == taken {",
        planted: "let _ = taken;\n            {",
        model: "signals::a_signal_finds_a_listener_while_one_relieves_the_other",
    },
    Bug {
        name: "a walk that found a listener is repeated, too, when another one comes",
        file: SEATS,
        text: "if has_listener || self.taken.load(Ordering::SeqCst) == taken {",
        planted: "if self.taken.load(Ordering::SeqCst) == taken {",
        model: "signals::a_listener_that_was_there_all_the_while_is_notified_once",
    },
    Bug {
        name: "a listener that takes a seat counts its handlers from zero",
        file: SEATS,
        text: "        seat.eventfd.store(eventfd, Ordering::SeqCst);",
        planted: "        seat.notifying.store(0, Ordering::SeqCst);\n        \
            seat.eventfd.store(eventfd, Ordering::SeqCst);",
        model: "signals::a_handler_meets_listeners_that_come_and_go_on_two_threads",
    },
];

impl Bug {
    fn is_alone_in(&self, text: &str) -> bool {
        text.matches(self.text).count() == 1
    }

    /// The command that plants this bug alone.
    fn again(&self) -> String {
        format!("again: ONELOOP_PLANTED='{}' make planted", self.name)
    }
}

/// The workspace that has no bug.
fn original() -> PathBuf {
    let original = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    original.canonicalize().unwrap()
}

/// A workspace whose crates may be changed.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let original = original();
        // Not the target of `make models`: to cargo, a crate and its copy are the same, so models
        // that are built later would have the last bug.
        let target = original.join("target/planted");
        let root = target.join("copy");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).unwrap();
        for part in ["Cargo.lock", "README.md", "crates", "conformance", "docs"] {
            let from = original.join(part);
            let copied = Command::new("cp").arg("-r").arg(from).arg(&root).status();
            assert!(copied.unwrap().success(), "cannot copy {part}");
        }
        fs::copy(original.join("Cargo.toml"), root.join("Cargo.toml")).unwrap();
        Copy { root, target }
    }

    /// Plants the bug. The original text, for its end.
    fn plant(&self, bug: &Bug) -> String {
        let path = self.root.join(bug.file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replacen(bug.text, bug.planted, 1)).unwrap();
        text
    }

    /// Builds the models, or runs one. True if that succeeds.
    fn models(&self, arguments: &[&str]) -> bool {
        let mut cargo = Command::new("timeout");
        cargo.args(["600", env!("CARGO"), "test", "--quiet", "--offline"]);
        cargo.args(["--profile", "models", "-p", "oneloop-models"]);
        cargo.args(["--test", "models"]).args(arguments);
        cargo.current_dir(&self.root);
        cargo.env("CARGO_TARGET_DIR", &self.target);
        cargo.env("RUSTFLAGS", "--cfg loom");
        cargo.env("RUST_BACKTRACE", "0");
        let ended = cargo.output().expect("cargo and timeout run").status;
        assert_ne!(ended.code(), Some(124), "{arguments:?} takes ten minutes");
        ended.success()
    }

    /// True if the bug's model fails.
    fn finds(&self, bug: &Bug) -> bool {
        let original = self.plant(bug);
        let again = bug.again();
        assert!(
            self.models(&["--no-run"]),
            "{} does not compile; {again}",
            bug.name
        );
        let is_found = !self.models(&["--", "--exact", bug.model]);
        fs::write(self.root.join(bug.file), original).unwrap();
        is_found
    }
}

#[test]
fn each_model_finds_a_bug() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models"));
    let mut models = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for test in text.split("#[test]\nfn ").skip(1) {
            let (name, _) = test.split_once('(').unwrap();
            models.insert(format!("{module}::{name}"));
        }
    }
    let found = BUGS.iter().map(|bug| bug.model.to_owned()).collect();
    let without: Vec<_> = models.difference(&found).collect();
    assert!(
        without.is_empty(),
        "no bug shows that these find one: {without:#?}"
    );
    let unknown: Vec<_> = found.difference(&models).collect();
    assert!(unknown.is_empty(), "no models: {unknown:#?}");
}

#[test]
fn each_bug_has_its_place() {
    for bug in BUGS {
        let text = fs::read_to_string(original().join(bug.file)).unwrap();
        let (name, file) = (bug.name, bug.file);
        assert!(
            bug.is_alone_in(&text),
            "{file} changed: mend the bug {name:?} in tests/planted.rs, and run \
             ONELOOP_PLANTED='{name}' make planted"
        );
    }
}

#[test]
#[ignore = "it builds the models once for each bug: make planted"]
fn each_planted_bug_is_found() {
    let copy = Copy::new();
    assert!(
        copy.models(&[]),
        "a model fails without a bug; again: make models"
    );
    let only = std::env::var("ONELOOP_PLANTED").unwrap_or_default();
    let is_chosen = |bug: &&Bug| bug.name.contains(&only) || bug.model.contains(&only);
    assert!(BUGS.iter().any(|bug| is_chosen(&bug)), "no bug: {only}");
    let mut missed = Vec::new();
    for bug in BUGS.iter().filter(is_chosen) {
        let is_found = copy.finds(bug);
        let word = if is_found { "found" } else { "MISSED" };
        println!("{word}: {}", bug.name);
        if !is_found {
            missed.push(format!("{} by {}; {}", bug.name, bug.model, bug.again()));
        }
    }
    assert!(missed.is_empty(), "the models miss {missed:#?}");
}

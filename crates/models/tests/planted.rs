//! Plants one bug after the other in a copy of the crates, and shows that a model finds each:
//! `make planted`.

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
const WORKERS: &str = "crates/core/src/mechanisms/workers.rs";
const OFFLOAD: &str = "crates/core/src/operations/offload.rs";
const DISTANT: &str = "crates/sync/src/distant.rs";
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
        text: "let is_sole = Arc::strong_count(&queue) == 2;",
        planted: "let is_sole = true;",
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
];

/// A workspace whose crates may be changed.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let original = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let original = original.canonicalize().unwrap();
        let target = original.join("target/models");
        let root = target.join("planted");
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
        let places = text.matches(bug.text).count();
        assert_eq!(places, 1, "{}: its place in {} changed", bug.name, bug.file);
        fs::write(path, text.replacen(bug.text, bug.planted, 1)).unwrap();
        text
    }

    /// Builds the models, or runs one. True if that succeeds.
    fn models(&self, arguments: &[&str]) -> bool {
        let mut cargo = Command::new("timeout");
        cargo.args(["300", env!("CARGO"), "test", "--quiet", "--offline"]);
        cargo.args([
            "--profile",
            "models",
            "-p",
            "oneloop-models",
            "--test",
            "models",
        ]);
        cargo.args(arguments);
        cargo.current_dir(&self.root);
        cargo.env("CARGO_TARGET_DIR", &self.target);
        cargo
            .env("RUSTFLAGS", "--cfg loom")
            .env("RUST_BACKTRACE", "0");
        cargo
            .output()
            .expect("cargo and timeout run")
            .status
            .success()
    }
}

#[test]
fn each_planted_bug_is_found() {
    let copy = Copy::new();
    let only = std::env::var("ONELOOP_PLANTED").unwrap_or_default();
    let mut missed = Vec::new();
    for bug in BUGS.iter().filter(|bug| bug.name.contains(&only)) {
        let original = copy.plant(bug);
        assert!(copy.models(&["--no-run"]), "{}: does not compile", bug.name);
        let is_found = !copy.models(&["--", "--exact", bug.model]);
        fs::write(copy.root.join(bug.file), original).unwrap();
        println!(
            "{}: {}",
            if is_found { "found" } else { "MISSED" },
            bug.name
        );
        if !is_found {
            missed.push(bug.name);
        }
    }
    assert!(
        missed.is_empty(),
        "the models miss {missed:#?}; one alone: ONELOOP_PLANTED='NAME' make planted"
    );
}

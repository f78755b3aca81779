//! SIGHUP: reads the file of `--config` again, and changes what can change while the server runs.
//!
//! ```text
//!   SIGHUP ──▶ a thread of the pool reads and checks ──▶ what all threads share changes
//!                      │                                        │
//!                      └─ a problem: one line,                  └─ each loop copies it, and wakes
//!                         and everything stays                     its clients
//! ```

use crate::bind;
use crate::commands;
use crate::configuration;
use crate::limits;
use crate::logging;
use crate::messages::Refusal;
use crate::options::Options;
use crate::peer::Peers;
use crate::plan::{Plan, PlannedService};
use crate::self_connect::OwnListener;
use crate::serving_loop::ServingLoop;
use crate::shared_service::SharedService;
use crate::values::to_bytes;
use crate::waiters::Waiters;
use crate::work::Work;
use oneloop::core::{Class, Phase, Signals};
use std::env;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tracing::{error, info, warn};

/// The options that a reload changes, by their ids. All others need a restart. What an option of a
/// service changes is in [`SharedService::change`]; of the process, in [`change`].
const RELOADED: &[&str] = &[
    "accept_rate",
    "allow",
    "connect_timeout",
    "deny",
    "drain",
    "handshake_timeout",
    "idle_timeout",
    "log_level",
    "max_conns",
    "max_per_source",
    "out_hard",
    "out_soft",
    "out_total",
    "proxy_from",
    "proxy_protocol",
    "rate_per_source",
    "raw",
    "send_proxy",
    "source_bits",
    "to",
    "when_full",
    "write_timeout",
];

/// What happens around a reload, for a service manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReloadEvent {
    /// The file is about to be read.
    Begins,
    /// The new configuration is in force, or the old one still is.
    Ended,
}

/// The work of each service, from the last reload. All loops share it.
#[derive(Debug, Default)]
pub(crate) struct Reloaded {
    /// How many reloads there were.
    count: AtomicU64,
    /// Empty before the first reload.
    works: Mutex<Vec<Option<Work>>>,
    /// Woken by each reload.
    waiters: Waiters,
}

impl Reloaded {
    fn works(&self) -> MutexGuard<'_, Vec<Option<Work>>> {
        // No code that holds the lock can panic half-way through a change.
        self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, works: Vec<Option<Work>>) {
        *self.works() = works;
        self.count.fetch_add(1, Ordering::AcqRel);
        self.waiters.wake();
    }

    /// Ready once there were more reloads than `seen`: with how many.
    fn poll_newer(&self, cx: &mut Context<'_>, seen: u64) -> Poll<u64> {
        self.waiters.add(cx.waker()); // before the look: see there
        match self.count.load(Ordering::Acquire) {
            count if count > seen => Poll::Ready(count),
            _ => Poll::Pending,
        }
    }
}

/// Makes a loop follow each reload.
pub(crate) fn follow(serving: &Rc<ServingLoop>, reloaded: &Arc<Reloaded>) {
    let (inside, reloaded) = (Rc::clone(serving), Arc::clone(reloaded));
    serving.spawn_endless(async move {
        let mut seen = 0;
        loop {
            seen = poll_fn(|cx| reloaded.poll_newer(cx, seen)).await;
            // A client must not take this for the request of a second report.
            while inside
                .services()
                .any(|service| service.reports.is_collecting())
            {
                inside.handle.phase(Phase::Check).await;
            }
            apply(&inside, &reloaded);
        }
    });
}

fn apply(serving: &ServingLoop, reloaded: &Reloaded) {
    let works = reloaded.works().clone();
    for (dispatcher, work) in serving.dispatchers.iter().zip(works) {
        if let Some(work) = work {
            dispatcher.set_work(work);
        }
        dispatcher.service.follow_settings();
    }
    serving.handle.wake_waiting();
    serving.server.wake_permit_waiters(); // which wait for no source
}

/// What a reload compares with.
#[derive(Debug)]
pub(crate) struct Running {
    /// The options in force, one for each service.
    services: Vec<Options>,
    /// Where the server itself listens.
    own_listeners: Arc<Vec<OwnListener>>,
    /// How many connections there are fds for.
    connections_fit: u64,
}

impl Running {
    pub(crate) fn new(plan: &Plan, own_listeners: Vec<OwnListener>, connections_fit: u64) -> Self {
        let services = plan.services.iter().map(|service| service.options.clone());
        Running {
            services: services.collect(),
            own_listeners: Arc::new(own_listeners),
            connections_fit,
        }
    }

    fn has_file(&self) -> bool {
        self.services[0].process.has_file()
    }
}

/// Reloads at each signal. `notify` is called around each reload.
pub(crate) fn listen(
    serving: &Rc<ServingLoop>,
    reloaded: &Arc<Reloaded>,
    mut running: Running,
    signals: Signals,
    notify: impl Fn(ReloadEvent) + 'static,
) {
    let (inside, reloaded) = (Rc::clone(serving), Arc::clone(reloaded));
    serving.spawn_endless(async move {
        while signals.recv().await.is_ok() {
            if !running.has_file() {
                info!("SIGHUP reloads nothing: there is no --config");
                continue;
            }
            notify(ReloadEvent::Begins);
            reload(&inside, &reloaded, &mut running).await;
            notify(ReloadEvent::Ended);
        }
    });
}

async fn reload(serving: &ServingLoop, reloaded: &Reloaded, running: &mut Running) {
    let own = Arc::clone(&running.own_listeners);
    let read = serving
        .handle
        .offload_to(Class::Fs, move || read(&own))
        .await;
    let problems = match read {
        Ok(Ok(plan)) => return change(serving, reloaded, running, plan),
        Ok(Err(Refusal::Problems(problems))) => problems,
        Ok(Err(Refusal::Clap(message))) => {
            let text = message.to_string();
            let first = text.lines().next().unwrap_or_default();
            vec![first.trim_start_matches("error: ").to_owned()]
        }
        Err(panic) => vec![panic.to_string()],
    };
    let others = Some(problems.len().saturating_sub(1)).filter(|others| *others > 0);
    let problem = problems.first().map(String::as_str).unwrap_or_default();
    error!(
        others,
        "not reloaded, and the old configuration stays: {problem}"
    );
}

/// Reads the options again, and checks them. Blocks.
fn read(own_listeners: &[OwnListener]) -> Result<Plan, Refusal> {
    let args: Vec<_> = env::args_os().collect();
    let configuration = configuration::parse(&commands::tree(), &args)?;
    // No name is looked up: the addresses stay until a restart.
    let plan = Plan::with_addrs(configuration, |options| {
        bind::check(options).map(|()| Vec::new())
    })?;
    plan.check_upstreams(own_listeners).map_err(Refusal::from)?;
    Ok(plan)
}

/// Puts a plan into force.
fn change(serving: &ServingLoop, reloaded: &Reloaded, running: &mut Running, plan: Plan) {
    let server = &serving.server;
    let mut report = Report::default();
    let process = plan.process().clone();
    server.set_connections_max(limits::connections_max(
        plan.first(),
        running.connections_fit,
    ));
    server.set_drain(process.drain.into());
    let mut planned = plan.services;
    let services = server.services.iter().zip(&mut running.services);
    let works = services.map(|(shared, running)| {
        let mut names = planned.iter().map(|planned| &planned.options.name);
        match names.position(|name| *name == running.name) {
            Some(index) => change_service(shared, running, planned.remove(index), &mut report),
            None => {
                report.waiting.push(format!("the end of {}", name(running)));
                None
            }
        }
    });
    let works = works.collect();
    for new in planned {
        report
            .waiting
            .push(format!("the start of {}", name(&new.options)));
    }
    server.limit_output(to_bytes(process.out_total));
    if let Err(problem) = logging::set_level(process.log_level) {
        error!("the log level stays: {problem}");
    }
    reloaded.publish(works);
    report.log();
}

/// Changes one service; returns its work if further clients get another one.
fn change_service(
    shared: &SharedService,
    running: &mut Options,
    new: PlannedService,
    report: &mut Report,
) -> Option<Work> {
    let PlannedService { options, work, .. } = new;
    for id in running.origins.changed_to(&options.origins) {
        if RELOADED.contains(&&*id) {
            report.changed.push(options.origins.name(&id));
            running.origins.adopt(&id, &options.origins);
        } else {
            report.waiting.push(options.origins.name(&id));
        }
    }
    shared.change(&options);
    // What a new mode needs comes with the restart.
    let is_same_mode = options.service.mode == shared.mode;
    Some(work).filter(|work| is_same_mode && matches!(work, Work::Relay(Peers::Upstream(_))))
}

fn name(options: &Options) -> String {
    match &options.name {
        Some(name) => format!("the service '{name}'"),
        None => "the service without a name".to_owned(),
    }
}

/// What a reload has changed, and what waits for a restart.
#[derive(Debug, Default)]
struct Report {
    changed: Vec<String>,
    waiting: Vec<String>,
}

impl Report {
    fn log(self) {
        match list(self.changed) {
            Some(changed) => info!(changed, "reloaded"),
            None => info!("reloaded: nothing has changed"),
        }
        if let Some(waiting) = list(self.waiting) {
            warn!("only a restart changes {waiting}");
        }
    }
}

/// A list without repetitions; `None` if it is empty. Options of the process come with each service.
fn list(mut names: Vec<String>) -> Option<String> {
    names.sort();
    names.dedup();
    (!names.is_empty()).then(|| names.join(", "))
}

//! The server's life: listen, serve, drain, end.

use crate::acceptor;
use crate::admin::Window;
use crate::adopted;
use crate::bind::{self, in_words, listen_all};
use crate::dispatch;
use crate::failure::Failure;
use crate::inspect;
use crate::limits;
use crate::logging::TURN;
use crate::options::ProcessOptions;
use crate::plan::{Plan, PlannedService};
use crate::program::GRACE;
use crate::reload::{self, Reloaded, Running};
use crate::self_connect::OwnListener;
use crate::server::{Lifecycle, Server};
use crate::serving_loop::ServingLoop;
use crate::shared_service::SharedService;
use crate::stop::StopRequests;
use crate::work::Work;
use oneloop::cluster::{Cluster, ClusterListener, ClusterThreads, Member, StartError};
use oneloop::core::Signals;
use oneloop::net::Listener;
use oneloop::signal::number::{SIGHUP, SIGUSR1};
use oneloop::{EventLoop, Handle};
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use tracing::{Level, debug, enabled, error, info, warn};

/// Serves until a signal stops the server, or until its last listener is lost.
///
/// # Errors
/// The server cannot start, or one of its threads panicked.
pub(crate) fn run(plan: Plan) -> Result<ExitCode, Failure> {
    // Before any socket is opened: the listeners count against the limit of open files, too.
    let connections_fit = limits::prepare(&plan);
    let connections_max = limits::connections_max(plan.first(), connections_fit);
    let window = Window::open(plan.first())?;
    let of_first = plan.first().clone();
    let options = plan.process().clone();
    let mut event_loop = new_loop(&options)?;
    let handle = event_loop.handle();
    let member = Member::join(&Cluster::new(options.threads.into()), 0, &handle);
    let mut files = Vec::new();
    let addrs: Vec<_> = plan.services.iter().map(PlannedService::addrs).collect();
    let listeners = listen_all(&handle, &addrs, &mut files)?;
    // Only now are the ports known that the kernel chose, and the files of Unix sockets there.
    let own: Vec<_> = listeners
        .iter()
        .flatten()
        .filter_map(OwnListener::of)
        .collect();
    plan.check_upstreams(&own).map_err(Failure::usage)?;
    // Before the threads start and the address is announced: a signal that a parent sends as soon
    // as it reads "listening on" must drain the server, not kill it.
    let stop = StopRequests::listen(&handle).map_err(explain_signals)?;
    let report_requests = Signals::new(&handle, &[SIGUSR1]).map_err(explain_signals)?;
    let reload_requests = Signals::new(&handle, &[SIGHUP]).map_err(explain_signals)?;
    let reaping = adopted::reap_in_background(&handle).map_err(explain_signals)?;
    let services = plan.services.iter().zip(&listeners);
    let services = services
        .map(|(service, listeners)| SharedService::new(&service.options, addrs_of(listeners)));
    let server = Server::new(options, connections_max, services.collect());
    let listeners = share(&member, listeners, &plan)?;
    let (running, reloaded) = (Running::new(&plan, own, connections_fit), Arc::default());
    let works: Vec<_> = plan
        .services
        .into_iter()
        .map(|service| service.work)
        .collect();
    // Before the announcement as well: a client that connects at once may reach any thread.
    let threads = start_threads(&server, &reloaded, &works, &member, &listeners, &window)?;
    // Dropped when this function returns: operators see the drain to its end.
    let _admin = window.answer(&of_first, &handle)?;
    announce(&server.listening_on());
    let entered = dispatch::enter(&server, &handle);
    let relays = works.iter().any(Work::relays);
    let serving = serve_on(&server, &member, &handle, works, listeners);
    let seen = window.show(0, &serving);
    inspect::listen(&serving, report_requests);
    reload::follow(&serving, &reloaded);
    reload::listen(&serving, &reloaded, running, reload_requests, |_| ());
    if let Some(task) = reaping {
        serving.add_endless(task);
    }
    // The loop catches the panics of tasks, so this one would be its own. Even then the other
    // threads must end, and the files of the sockets be removed.
    let lived = catch_unwind(AssertUnwindSafe(|| {
        event_loop.block_on(live(&serving, &stop, relays))
    }));
    drop((entered, seen));
    serving.cancel_endless();
    // From here on the drain is over, but the signals are still ours: see there.
    stop.outlive_the_server();
    server.advance(Lifecycle::Stopped);
    // All threads are joined before the first failure is reported.
    let panicked = threads.join().iter().any(Result::is_err);
    // All loops have ended, and their timers with them, so the pending lines would be lost.
    server.notices.flush();
    // After the threads: as long as one of them serves, the path belongs to this server.
    drop(files);
    match lived {
        // The first thread's panic hides the others': one sentence is enough for an exit code of
        // 1.
        Err(_) => Err("the server's first thread panicked".to_owned().into()),
        Ok(_) if panicked => Err("a thread of the server panicked".to_owned().into()),
        Ok(code) => Ok(code),
    }
}

/// Shares the listeners of each service with the other threads.
fn share(
    member: &Member,
    listeners: Vec<Vec<Listener>>,
    plan: &Plan,
) -> Result<Vec<Vec<ClusterListener>>, String> {
    let services = plan.services.iter().zip(listeners);
    let shared = services.map(|(service, listeners)| {
        let listeners = listeners.into_iter();
        listeners
            .map(|listener| bind::share(member, listener, &service.options))
            .collect()
    });
    let shared: io::Result<_> = shared.collect();
    shared.map_err(|error| format!("cannot listen: {}", in_words(&error)))
}

fn new_loop(options: &ProcessOptions) -> Result<EventLoop, String> {
    let event_loop = EventLoop::new()
        .map_err(|error| format!("cannot make an event loop: {}", in_words(&error)))?;
    if enabled!(Level::DEBUG) {
        event_loop.handle().on_unfinished(|unfinished| {
            for task in &unfinished.tasks {
                debug!(%task, "left when its loop ended");
            }
        });
    }
    // Without --trace no observer is set, and the loop then builds no reports at all.
    if options.trace {
        event_loop
            .handle()
            .observe(Some(|report: &_| info!(target: TURN, "{report}")));
    }
    Ok(event_loop)
}

fn explain_signals(error: io::Error) -> String {
    format!("cannot listen for signals: {}", in_words(&error))
}

fn addrs_of(listeners: &[Listener]) -> Vec<String> {
    let addrs = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok());
    addrs.map(|addr| addr.to_string()).collect()
}

/// Prints the one line on stdout. A parent that has closed our stdout is no reason not to serve.
fn announce(listening_on: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "listening on {listening_on}").and_then(|()| stdout.flush());
}

/// Serves these listeners of each service on this loop.
fn serve_on(
    server: &Arc<Server>,
    member: &Member,
    handle: &Handle,
    works: Vec<Work>,
    listeners: Vec<Vec<ClusterListener>>,
) -> Rc<ServingLoop> {
    let serving = ServingLoop::new(server, handle, member, works);
    for (dispatcher, listeners) in serving.dispatchers.iter().zip(listeners) {
        acceptor::start(dispatcher, listeners);
    }
    inspect::answer(&serving);
    serving
}

/// From the first client to the end of the drain.
async fn live(serving: &ServingLoop, stop: &StopRequests, relays: bool) -> ExitCode {
    let server = &serving.server;
    for service in &server.services {
        let (name, threads) = (service.name.as_deref(), server.options.threads);
        info!(service = name, mode = %service.mode, threads, "serving");
    }
    let connections = || server.connections();
    // Without a listener no client can come any more, so the process would look alive and be
    // useless; a supervisor can restart it once it has ended with exit code 1.
    let clean = match until_stopped_or_deaf(serving, stop).await {
        Some(signal) => {
            info!(
                signal,
                connections = connections(),
                "draining: accepting no more, answering what was received"
            );
            ExitCode::SUCCESS
        }
        None => {
            error!(
                connections = connections(),
                "no listener is left: answering what was received, then stopping"
            );
            ExitCode::FAILURE
        }
    };
    // Both at the same time: the second signal must count from the moment of the first one.
    advance(serving, Lifecycle::Draining);
    let mut drained = pin!(drain(serving, clean, relays));
    let mut stopped = pin!(stop.second());
    poll_fn(|cx| match drained.as_mut().poll(cx) {
        Poll::Pending => stopped.as_mut().poll(cx).map(stop_at_once),
        ended => ended,
    })
    .await
}

/// Advances the lifecycle of the server, and of this loop.
fn advance(serving: &ServingLoop, lifecycle: Lifecycle) {
    serving.server.advance(lifecycle);
    serving.advance(lifecycle);
}

/// The signal that asks the server to stop; `None` once it has lost its last listener.
async fn until_stopped_or_deaf(serving: &ServingLoop, stop: &StopRequests) -> Option<i32> {
    let mut stopped = pin!(stop.first());
    poll_fn(|cx| match stopped.as_mut().poll(cx) {
        Poll::Pending => serving.server.poll_deaf(cx).map(|()| None),
        stopped => stopped.map(Some),
    })
    .await
}

/// Waits for the last client to end, but no longer than `--drain`.
async fn drain(serving: &ServingLoop, clean: ExitCode, relays: bool) -> ExitCode {
    let server = &serving.server;
    let drained = poll_fn(|cx| server.poll_drained(cx));
    let drain_max = server.drain();
    // When the time is over, clients that have not received everything are reset: those of the
    // server itself as their loops end, those with a peer before, because their peers are reset too.
    if serving.handle.timeout(drain_max, drained).await.is_ok() {
        let (accepted, refused) = server.totals();
        info!(accepted, refused, "stopped");
        clean
    } else {
        let left = server.connections();
        warn!(
            left,
            "stopped: --drain is over, closing the connections that are left"
        );
        advance(serving, Lifecycle::CuttingOff);
        if relays {
            until_cut_off(serving).await;
        }
        ExitCode::FAILURE
    }
}

fn stop_at_once(signal: i32) -> ExitCode {
    warn!(signal, "stopped at once by a second signal");
    ExitCode::from(128 + u8::try_from(signal).unwrap_or(0))
}

/// Waits until the connections to peers are closed, and programs that would outlive the server have
/// ended. Those have a moment for it, and are killed then.
async fn until_cut_off(serving: &ServingLoop) {
    let ended = poll_fn(|cx| serving.server.poll_drained(cx));
    // Once GRACE for SIGTERM, and as long for what comes after SIGKILL.
    let _ = serving.handle.timeout(2 * GRACE, ended).await;
}

/// Starts all threads but the first; returns once all of them listen.
fn start_threads(
    server: &Arc<Server>,
    reloaded: &Arc<Reloaded>,
    works: &[Work],
    first: &Member,
    listeners: &[Vec<ClusterListener>],
    window: &Window,
) -> Result<ClusterThreads<()>, String> {
    let (server, options) = (Arc::clone(server), Arc::clone(server));
    let shared_of = |listeners: &Vec<ClusterListener>| {
        let listeners = listeners.iter();
        listeners
            .map(|listener| listener.shared().clone())
            .collect()
    };
    let shared: Vec<Vec<_>> = listeners.iter().map(shared_of).collect();
    let (works, reloaded) = (works.to_vec(), Arc::clone(reloaded));
    let window = window.clone();
    let new_loop = move |_| new_loop(&options.options);
    let setup = move |member: &Member| {
        // Dropped when the thread unwinds: by a panic that the loop has not caught.
        let loss = LogsLoss;
        let join = |listeners: &Vec<_>| {
            let listeners = listeners.iter();
            listeners.map(|at| bind::join(member, at)).collect()
        };
        let listeners: Result<Vec<Vec<_>>, _> = shared.iter().map(join).collect();
        let handle = Handle::current();
        let entered = dispatch::enter(&server, &handle);
        let serving = serve_on(&server, member, &handle, works.clone(), listeners?);
        reload::follow(&serving, &reloaded);
        let seen = window.show(member.id(), &serving);
        Ok(async move {
            let _ends_last = (loss, entered, seen);
            live_with_the_first(&serving).await;
            serving.cancel_endless();
        })
    };
    let started = first.cluster().start(new_loop, setup);
    started.map_err(|problem| match problem {
        StartError::Thread(number, error) => format!("cannot start thread {number}: {error}"),
        StartError::Loop(_, problem) => problem,
    })
}

/// Follows the first thread through the lifecycle, to its end.
async fn live_with_the_first(serving: &ServingLoop) {
    // One after the other, although the server may have skipped some: a client must see the drain
    // before it is cut off.
    for lifecycle in [
        Lifecycle::Draining,
        Lifecycle::CuttingOff,
        Lifecycle::Stopped,
    ] {
        poll_fn(|cx| serving.server.poll_lifecycle(cx, lifecycle)).await;
        serving.advance(lifecycle);
    }
}

/// Logs when a thread of the server unwinds.
struct LogsLoss;

impl Drop for LogsLoss {
    fn drop(&mut self) {
        if thread::panicking() {
            let thread = thread::current();
            error!(
                thread = thread.name().unwrap_or_default(),
                "lost a thread and its clients: the other threads keep serving"
            );
        }
    }
}

//! The server's life: listen, serve, drain, end.

use crate::acceptor;
use crate::access::Identity;
use crate::admin::Window;
use crate::adopted;
use crate::bind::{self, NamedListener, Opened, listen_all};
use crate::dispatch;
use crate::failure::{Failure, in_words};
use crate::inspect;
use crate::limits;
use crate::logging::TURN;
use crate::options::ProcessOptions;
use crate::plan::{Plan, PlannedService};
use crate::program::GRACE;
use crate::reload::{self, ReloadEvent, Reloaded, Running};
use crate::self_connect::OwnListener;
use crate::server::{Lifecycle, Server};
use crate::serving_loop::ServingLoop;
use crate::shared_service::SharedService;
use crate::stop::StopRequests;
use crate::systemd::loops;
use crate::systemd::passed::Passed;
use crate::systemd::process_life::{Held, ProcessLife, Started};
use crate::work::Work;
use oneloop::cluster::{Cluster, ClusterThreads, Member, StartError};
use oneloop::core::Signals;
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
pub(crate) fn run(plan: Plan, mut passed: Passed) -> Result<ExitCode, Failure> {
    let started = Started::of(&mut passed);
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
    let places: Vec<_> = plan.services.iter().map(PlannedService::places).collect();
    let listeners = listen_all(&handle, &places, &mut passed, &mut files)?;
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
    let mut life = ProcessLife::begin(&handle, started).map_err(explain_signals)?;
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
    let identity = plan.identity;
    // Before the announcement as well: a client that connects at once may reach any thread.
    let threads = start_threads(&server, &reloaded, &works, &member, &listeners, &window)?;
    // Dropped when this function returns: operators see the drain to its end.
    let admin = window.answer(&of_first, &handle, &mut passed)?;
    passed.close_rest();
    // Once all threads listen, as they need the rights for that, and before one of them accepts.
    if let Some(Err(problem)) = identity.as_ref().map(Identity::assume) {
        server.advance(Lifecycle::Stopped);
        threads.join();
        return Err(problem.into());
    }
    // Nothing can fail from here on, so a predecessor may go.
    let held = Held { files, admin };
    life.take_over(&held);
    server.advance(Lifecycle::Serving);
    announce(&server.listening_on());
    let entered = dispatch::enter(&server, &handle);
    let relays = works.iter().any(Work::relays);
    let serving = serve_on(&server, &member, &handle, works, listeners);
    let seen = window.show(0, &serving);
    inspect::listen(&serving, report_requests);
    life.serve(&serving);
    reload::follow(&serving, &reloaded);
    let notify = life.reloads(&server);
    let notify = move |event| notify(event == ReloadEvent::Begins);
    reload::listen(&serving, &reloaded, running, reload_requests, notify);
    if let Some(task) = reaping {
        serving.add_endless(task);
    }
    // The loop catches the panics of tasks, so this one would be its own. Even then the other
    // threads must end, and the files of the sockets be removed.
    let lived = catch_unwind(AssertUnwindSafe(|| {
        event_loop.block_on(live(&serving, &stop, &life, &held, relays))
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
    drop(held);
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
    listeners: Vec<Vec<Opened>>,
    plan: &Plan,
) -> Result<Vec<Vec<NamedListener>>, String> {
    let services = plan.services.iter().zip(listeners);
    let shared = services.map(|(service, listeners)| {
        let mut shared = Vec::new();
        for listener in listeners {
            shared.extend(bind::share(member, listener, &service.options)?);
        }
        Ok(shared)
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

fn addrs_of(listeners: &[Opened]) -> Vec<String> {
    listeners.iter().filter_map(Opened::label).collect()
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
    listeners: Vec<Vec<NamedListener>>,
) -> Rc<ServingLoop> {
    let serving = ServingLoop::new(server, handle, member, works);
    let mut names = Vec::new();
    for (dispatcher, listeners) in serving.dispatchers.iter().zip(listeners) {
        let listeners = listeners.into_iter().map(|(name, listener)| {
            names.push((name, Rc::downgrade(&listener.listener())));
            listener
        });
        acceptor::start(dispatcher, listeners.collect());
    }
    loops::answer(&serving, member.id(), names);
    inspect::answer(&serving);
    serving
}

/// From the first client to the end of the drain.
async fn live(
    serving: &ServingLoop,
    stop: &StopRequests,
    life: &ProcessLife,
    held: &Held,
    relays: bool,
) -> ExitCode {
    let server = &serving.server;
    for service in &server.services {
        let (name, threads) = (service.name.as_deref(), server.options.threads);
        info!(service = name, mode = %service.mode, threads, "serving");
    }
    let connections = || server.connections();
    // Without a listener no client can come any more, so the process would look alive and be
    // useless; a supervisor can restart it once it has ended with exit code 1.
    let clean = match until_over(serving, stop, life, held).await {
        Over::Stopped(signal) => {
            info!(
                signal,
                connections = connections(),
                "draining: accepting no more, answering what was received"
            );
            ExitCode::SUCCESS
        }
        Over::Replaced => {
            serve_to_the_end(serving, stop).await;
            info!(
                connections = connections(),
                "draining: answering what was received"
            );
            ExitCode::SUCCESS
        }
        Over::Deaf => {
            error!(
                connections = connections(),
                "no listener is left: answering what was received, then stopping"
            );
            ExitCode::FAILURE
        }
    };
    life.stopping(server);
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

/// Why the server accepts no more.
enum Over {
    /// A signal asked it to stop.
    Stopped(i32),
    /// It has lost its last listener.
    Deaf,
    /// A successor accepts.
    Replaced,
}

async fn until_over(
    serving: &ServingLoop,
    stop: &StopRequests,
    life: &ProcessLife,
    held: &Held,
) -> Over {
    let mut stopped = pin!(stop.first());
    let mut replaced = pin!(life.until_replaced(serving, held));
    poll_fn(|cx| {
        if let Poll::Ready(signal) = stopped.as_mut().poll(cx) {
            return Poll::Ready(Over::Stopped(signal));
        }
        if replaced.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Over::Replaced);
        }
        serving.server.poll_deaf(cx).map(|()| Over::Deaf)
    })
    .await
}

/// Serves the clients that are there while a successor accepts new ones: until the last one ends, but
/// no longer than `--drain`, or a signal.
async fn serve_to_the_end(serving: &ServingLoop, stop: &StopRequests) {
    let server = &serving.server;
    server.set_successor();
    advance(serving, Lifecycle::Leaving);
    let mut ended = pin!(poll_fn(|cx| server.poll_drained(cx)));
    let mut stopped = pin!(stop.first());
    let over = poll_fn(|cx| match ended.as_mut().poll(cx) {
        Poll::Pending => stopped.as_mut().poll(cx).map(|_| ()),
        ended => ended,
    });
    // What it waits for is over in any case: a drain follows.
    let _ = serving.handle.timeout(server.drain(), over).await;
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
    listeners: &[Vec<NamedListener>],
    window: &Window,
) -> Result<ClusterThreads<()>, String> {
    let (server, options) = (Arc::clone(server), Arc::clone(server));
    let shared_of = |listeners: &Vec<NamedListener>| {
        let listeners = listeners.iter();
        listeners
            .map(|(name, listener)| (name.clone(), listener.shared().clone()))
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
            let join = |(name, at): &(String, _)| {
                let listener = bind::join(member, at);
                listener.map(|listener| (name.clone(), listener))
            };
            listeners.map(join).collect()
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
        Lifecycle::Leaving,
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

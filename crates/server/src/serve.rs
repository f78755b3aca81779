//! The server's life: listen, serve, drain, end.

use crate::acceptor;
use crate::adopted;
use crate::bind::{self, in_words, listen_all};
use crate::dispatch::{self, Dispatcher};
use crate::failure::Failure;
use crate::inspect;
use crate::limits;
use crate::logging::TURN;
use crate::options::Options;
use crate::peer::Peers;
use crate::program::GRACE;
use crate::self_connect;
use crate::server::{Lifecycle, Server};
use crate::service::Service;
use crate::stop::StopRequests;
use crate::work::Work;
use oneloop::cluster::{Cluster, ClusterListener, ClusterThreads, Member, StartError};
use oneloop::core::Signals;
use oneloop::net::{Addr, Listener};
use oneloop::signal::number::SIGUSR1;
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
pub(crate) fn run(options: Options, work: Work, addrs: &[Addr]) -> Result<ExitCode, Failure> {
    // Before any socket is opened: the listeners count against the limit of open files, too.
    let connections_max = limits::prepare(&options, addrs.len(), &work);
    let mut event_loop = new_loop(&options)?;
    let handle = event_loop.handle();
    let member = Member::join(&Cluster::new(options.threads.into()), 0, &handle);
    let mut files = Vec::new();
    let listeners = listen_all(&handle, addrs, &options, &mut files)?;
    // Only now are the ports known that the kernel chose, and the files of Unix sockets there.
    if let Work::Relay(Peers::Upstream(upstream)) = &work {
        self_connect::check(upstream, &listeners)
            .map_err(|problem| Failure::usage(options.origins.blame("to", problem)))?;
    }
    // Before the threads start and the address is announced: a signal that a parent sends as soon
    // as it reads "listening on" must drain the server, not kill it.
    let stop = StopRequests::listen(&handle).map_err(explain_signals)?;
    let report_requests = Signals::new(&handle, &[SIGUSR1]).map_err(explain_signals)?;
    let reaping = adopted::reap_in_background(&handle).map_err(explain_signals)?;
    let server = Server::new(options, connections_max, addrs_of(&listeners));
    let listeners = listeners.into_iter();
    let listeners: io::Result<Vec<_>> = listeners
        .map(|listener| bind::share(&member, listener, &server.options))
        .collect();
    let listeners = listeners.map_err(|error| format!("cannot listen: {}", in_words(&error)))?;
    // Before the announcement as well: a client that connects at once may reach any thread.
    let threads = start_threads(&server, &work, &member, &listeners)?;
    announce(&server.listening_on);
    let entered = dispatch::enter(&server.options, &handle);
    let relays = work.relays();
    let service = serve_on(&server, &member, &handle, work, listeners);
    inspect::listen(&service, report_requests);
    if let Some(task) = reaping {
        service.add_endless(task);
    }
    // The loop catches the panics of tasks, so this one would be its own. Even then the other
    // threads must end, and the files of the sockets be removed.
    let lived = catch_unwind(AssertUnwindSafe(|| {
        event_loop.block_on(live(&service, &stop, relays))
    }));
    drop(entered);
    service.cancel_endless();
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

fn new_loop(options: &Options) -> Result<EventLoop, String> {
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
fn announce(listening_on: &[String]) {
    let mut stdout = io::stdout().lock();
    let _ =
        writeln!(stdout, "listening on {}", listening_on.join(", ")).and_then(|()| stdout.flush());
}

/// Serves these listeners on this loop.
fn serve_on(
    server: &Arc<Server>,
    member: &Member,
    handle: &Handle,
    work: Work,
    listeners: Vec<ClusterListener>,
) -> Rc<Service> {
    let service = Service::new(server, handle, member);
    acceptor::start(Dispatcher::new(&service, work), listeners);
    inspect::answer(&service);
    service
}

/// From the first client to the end of the drain.
async fn live(service: &Service, stop: &StopRequests, relays: bool) -> ExitCode {
    let server = &service.server;
    info!(mode = %server.options.mode, threads = server.options.threads, "serving");
    let connections = || server.connections();
    // Without a listener no client can come any more, so the process would look alive and be
    // useless; a supervisor can restart it once it has ended with exit code 1.
    let clean = match until_stopped_or_deaf(service, stop).await {
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
    advance(service, Lifecycle::Draining);
    let mut drained = pin!(drain(service, clean, relays));
    let mut stopped = pin!(stop.second());
    poll_fn(|cx| match drained.as_mut().poll(cx) {
        Poll::Pending => stopped.as_mut().poll(cx).map(stop_at_once),
        ended => ended,
    })
    .await
}

/// Advances the lifecycle of the server, and of this loop.
fn advance(service: &Service, lifecycle: Lifecycle) {
    service.server.advance(lifecycle);
    service.advance(lifecycle);
}

/// The signal that asks the server to stop; `None` once it has lost its last listener.
async fn until_stopped_or_deaf(service: &Service, stop: &StopRequests) -> Option<i32> {
    let mut stopped = pin!(stop.first());
    poll_fn(|cx| match stopped.as_mut().poll(cx) {
        Poll::Pending => service.server.poll_deaf(cx).map(|()| None),
        stopped => stopped.map(Some),
    })
    .await
}

/// Waits for the last client to end, but no longer than `--drain`.
async fn drain(service: &Service, clean: ExitCode, relays: bool) -> ExitCode {
    let server = &service.server;
    let drained = poll_fn(|cx| server.poll_drained(cx));
    let drain_max = server.options.drain.into();
    // When the time is over, clients that have not received everything are reset: those of the
    // server itself as their loops end, those with a peer before, because their peers are reset too.
    if service.handle.timeout(drain_max, drained).await.is_ok() {
        let (accepted, refused) = server.totals();
        info!(accepted, refused, "stopped");
        clean
    } else {
        let left = server.connections();
        warn!(
            left,
            "stopped: --drain is over, closing the connections that are left"
        );
        advance(service, Lifecycle::CuttingOff);
        if relays {
            until_cut_off(service).await;
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
async fn until_cut_off(service: &Service) {
    let ended = poll_fn(|cx| service.server.poll_drained(cx));
    // Once GRACE for SIGTERM, and as long for what comes after SIGKILL.
    let _ = service.handle.timeout(2 * GRACE, ended).await;
}

/// Starts all threads but the first; returns once all of them listen.
fn start_threads(
    server: &Arc<Server>,
    work: &Work,
    first: &Member,
    listeners: &[ClusterListener],
) -> Result<ClusterThreads<()>, String> {
    let (server, options) = (Arc::clone(server), Arc::clone(server));
    let listeners = listeners.iter().map(|listener| listener.shared().clone());
    let (work, shared) = (work.clone(), listeners.collect::<Vec<_>>());
    let new_loop = move |_| new_loop(&options.options);
    let setup = move |member: &Member| {
        // Dropped when the thread unwinds: by a panic that the loop has not caught.
        let loss = LogsLoss;
        let listeners: Result<Vec<_>, _> = shared.iter().map(|at| bind::join(member, at)).collect();
        let handle = Handle::current();
        let entered = dispatch::enter(&server.options, &handle);
        let service = serve_on(&server, member, &handle, work.clone(), listeners?);
        Ok(async move {
            let _ends_last = (loss, entered);
            live_with_the_first(&service).await;
            service.cancel_endless();
        })
    };
    let started = first.cluster().start(new_loop, setup);
    started.map_err(|problem| match problem {
        StartError::Thread(number, error) => format!("cannot start thread {number}: {error}"),
        StartError::Loop(_, problem) => problem,
    })
}

/// Follows the first thread through the lifecycle, to its end.
async fn live_with_the_first(service: &Service) {
    // One after the other, although the server may have skipped some: a client must see the drain
    // before it is cut off.
    for lifecycle in [
        Lifecycle::Draining,
        Lifecycle::CuttingOff,
        Lifecycle::Stopped,
    ] {
        poll_fn(|cx| service.server.poll_lifecycle(cx, lifecycle)).await;
        service.advance(lifecycle);
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

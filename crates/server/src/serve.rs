//! The server's life: listen, serve, drain, end.

use crate::acceptor;
use crate::adopted;
use crate::bind::{ListenerSpec, in_words, listen_all};
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
use std::sync::{Arc, mpsc};
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
    // Before the announcement as well: a client that connects at once may reach any thread.
    let threads = start_threads(&server, &work, &listeners)?;
    announce(&server.listening_on);
    let entered = dispatch::enter(&server.options, &handle);
    let relays = work.relays();
    let service = serve_on(&server, &handle, work, listeners);
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
    let panics = threads.into_iter().filter_map(|thread| thread.join().err());
    let panicked = panics.count() > 0;
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
    handle: &Handle,
    work: Work,
    listeners: Vec<Listener>,
) -> Rc<Service> {
    let service = Service::new(server, handle);
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
    listeners: &[Listener],
) -> Result<Vec<thread::JoinHandle<()>>, String> {
    let (started, starts) = mpsc::channel();
    let mut threads = Vec::new();
    for number in 1..server.options.threads {
        let specs: io::Result<Vec<_>> = listeners.iter().map(ListenerSpec::of).collect();
        let specs = specs.map_err(|error| format!("cannot listen on thread {number}: {error}"))?;
        let (server, work, started) = (Arc::clone(server), work.clone(), started.clone());
        let thread = thread::Builder::new()
            .name(format!("loop-{number}"))
            .spawn(move || serve_on_thread(&server, work, specs, started))
            .map_err(|error| format!("cannot start thread {number}: {error}"))?;
        threads.push(thread);
    }
    drop(started); // or the loop below would wait for a last message forever
    starts.into_iter().collect::<Result<Vec<()>, String>>()?;
    Ok(threads)
}

fn serve_on_thread(
    server: &Arc<Server>,
    work: Work,
    specs: Vec<ListenerSpec>,
    started: mpsc::Sender<Result<(), String>>,
) {
    let listen = |handle: &Handle| -> Result<Vec<Listener>, String> {
        specs
            .into_iter()
            .map(|spec| spec.listen(handle, &server.options))
            .collect()
    };
    let start = new_loop(&server.options).and_then(|event_loop| {
        let listeners = listen(&event_loop.handle())?;
        Ok((event_loop, listeners))
    });
    // Dropped after the loop: a panic that unwinds through here is one that the loop has not
    // caught.
    let _loss = LogsLoss;
    let (mut event_loop, listeners) = match start {
        Ok(start) => start,
        Err(problem) => {
            let _ = started.send(Err(problem)); // the first thread ends the program
            return;
        }
    };
    let handle = event_loop.handle();
    let _entered = dispatch::enter(&server.options, &handle);
    let service = serve_on(server, &handle, work, listeners);
    let _stopped_from_outside = handle.keep_alive(); // by the first thread
    let _ = started.send(Ok(()));
    drop(started);
    event_loop.block_on(async {
        // One after the other, although the server may have skipped some: a client must see the
        // drain before it is cut off.
        for lifecycle in [
            Lifecycle::Draining,
            Lifecycle::CuttingOff,
            Lifecycle::Stopped,
        ] {
            poll_fn(|cx| server.poll_lifecycle(cx, lifecycle)).await;
            service.advance(lifecycle);
        }
    });
    service.cancel_endless();
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

//! The server's life: listen, serve, drain, end.

use crate::adopted;
use crate::bind::{Place, in_words, listen_all};
use crate::callbacks;
use crate::inspect;
use crate::limits;
use crate::logging::TURN;
use crate::options::Options;
use crate::peer::Peers;
use crate::program::GRACE;
use crate::service::{Service, Shared, Stage};
use crate::stop::StopRequests;
use crate::to_itself;
use crate::work::Work;
use oneloop::net::{Addr, Listener};
use oneloop::signal::number::SIGUSR1;
use oneloop::{EventLoop, Handle, Signals};
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use tracing::{error, info, warn};

/// Serves until it is told to stop.
pub(crate) fn run(options: Options, work: Work, addrs: &[Addr]) -> Result<ExitCode, String> {
    let connections_max = limits::prepare(&options, addrs.len(), &work);
    let mut event_loop = new_loop(&options)?;
    let handle = event_loop.handle();
    let mut files = Vec::new();
    let listeners = listen_all(&handle, addrs, &options, &mut files)?;
    // Only now are ports that the kernel chose known, and the files of Unix sockets there.
    if let Work::Relay(Peers::Upstream(upstream)) = &work
        && let Err(problem) = to_itself::check(upstream, &listeners)
    {
        let problem = options.origins.blame("to", problem);
        return Ok(crate::fail(&problem, &[], 2));
    }
    let stop = StopRequests::listen(&handle).map_err(explain_signals)?;
    let questions = Signals::new(&handle, &[SIGUSR1]).map_err(explain_signals)?;
    adopted::reap_in_background(&handle).map_err(explain_signals)?;
    let listening_on = in_words_all(&listeners);
    let shared = Shared::new(options, work, connections_max, listening_on);
    let threads = start_threads(&shared, &listeners)?;
    announce(&shared.listening_on);
    inspect::listen(&shared, &handle, questions);
    let service = Service::start(&shared, &handle, listeners);
    inspect::answer(&service);
    let entered = callbacks::enter(&service.shared.options, &handle);
    // A task's panic is caught by the loop, so this one would be the loop's own. The other threads are
    // to hear of it, and the sockets' files to go.
    let lived = catch_unwind(AssertUnwindSafe(|| {
        event_loop.block_on(live(&service, &stop))
    }));
    drop(entered);
    stop.outlive_the_server();
    shared.enter(Stage::Stopped);
    // All of them are joined before anything is said.
    let lost = threads
        .into_iter()
        .filter_map(|thread| thread.join().err())
        .count();
    shared.news.flush();
    drop(files);
    let code = lived.map_err(|_| "the server's first thread panicked".to_owned())?;
    match lost {
        0 => Ok(code),
        _ => Err("a thread of the server panicked".to_owned()),
    }
}

fn new_loop(options: &Options) -> Result<EventLoop, String> {
    let event_loop = EventLoop::new()
        .map_err(|error| format!("cannot make an event loop: {}", in_words(&error)))?;
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

fn in_words_all(listeners: &[Listener]) -> Vec<String> {
    let addrs = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok());
    addrs.map(|addr| addr.to_string()).collect()
}

/// The one line on stdout.
fn announce(listening_on: &[String]) {
    let mut stdout = io::stdout().lock();
    // Whoever started us may have closed stdout; that is no reason not to serve.
    let _ =
        writeln!(stdout, "listening on {}", listening_on.join(", ")).and_then(|()| stdout.flush());
}

/// From the first client to the end of the drain.
async fn live(service: &Service, stop: &StopRequests) -> ExitCode {
    let options = &service.shared.options;
    info!(mode = %options.mode, threads = options.threads, "serving");
    let connections = || service.shared.connections();
    let clean = match until_told_or_deaf(service, stop).await {
        Some(signal) => {
            info!(
                signal,
                connections = connections(),
                "draining: accepting no more, finishing what was received"
            );
            ExitCode::SUCCESS
        }
        None => {
            error!(
                connections = connections(),
                "no listener is left: finishing what was received, and stopping"
            );
            ExitCode::FAILURE
        }
    };
    service.shared.enter(Stage::Draining);
    service.enter(Stage::Draining);
    let (mut drained, mut stopped) = (pin!(drain(service, clean)), pin!(stop.second()));
    poll_fn(|cx| match drained.as_mut().poll(cx) {
        Poll::Pending => stopped.as_mut().poll(cx).map(stop_at_once),
        ended => ended,
    })
    .await
}

/// The signal that asks the server to stop; none once it has lost its last listener.
async fn until_told_or_deaf(service: &Service, stop: &StopRequests) -> Option<i32> {
    let mut told = pin!(stop.first());
    poll_fn(|cx| match told.as_mut().poll(cx) {
        Poll::Pending => service.shared.poll_deaf(cx).map(|()| None),
        told => told.map(Some),
    })
    .await
}

/// Waits for the last client to end, but no longer than `--drain`.
async fn drain(service: &Service, clean: ExitCode) -> ExitCode {
    let drained = poll_fn(|cx| service.shared.poll_drained(cx));
    let drain_max = service.shared.options.drain.into();
    if service.handle.timeout(drain_max, drained).await.is_ok() {
        let (accepted, refused) = service.shared.totals();
        info!(accepted, refused, "stopped");
        clean
    } else {
        let left = service.shared.connections();
        warn!(left, "stopped: --drain is over, closing what is left");
        cut_off(service).await;
        ExitCode::FAILURE
    }
}

fn stop_at_once(signal: i32) -> ExitCode {
    warn!(signal, "stopped at once by a second signal");
    ExitCode::from(128 + u8::try_from(signal).unwrap_or(0))
}

/// Has programs end that would run on without the server; they have a moment for it.
async fn cut_off(service: &Service) {
    if service.shared.has_programs() {
        service.shared.enter(Stage::CuttingOff);
        service.enter(Stage::CuttingOff);
        let ended = poll_fn(|cx| service.shared.poll_drained(cx));
        let _ = service.handle.timeout(2 * GRACE, ended).await; // then they are killed
    }
}

/// Starts all threads but the first; returns once all of them listen.
fn start_threads(
    shared: &Arc<Shared>,
    listeners: &[Listener],
) -> Result<Vec<thread::JoinHandle<()>>, String> {
    let (started, starts) = mpsc::channel();
    let mut threads = Vec::new();
    for number in 1..shared.options.threads {
        let places: io::Result<Vec<_>> = listeners.iter().map(Place::of).collect();
        let places =
            places.map_err(|error| format!("cannot listen on thread {number}: {error}"))?;
        let (shared, started) = (Arc::clone(shared), started.clone());
        let thread = thread::Builder::new()
            .name(format!("loop-{number}"))
            .spawn(move || serve_on_thread(&shared, places, started))
            .map_err(|error| format!("cannot start thread {number}: {error}"))?;
        threads.push(thread);
    }
    drop(started);
    starts.into_iter().collect::<Result<Vec<()>, String>>()?;
    Ok(threads)
}

fn serve_on_thread(
    shared: &Arc<Shared>,
    places: Vec<Place>,
    started: mpsc::Sender<Result<(), String>>,
) {
    let listen = |handle: &Handle| -> Result<Vec<Listener>, String> {
        places
            .into_iter()
            .map(|place| place.listen(handle, &shared.options))
            .collect()
    };
    let start = new_loop(&shared.options).and_then(|event_loop| {
        let listeners = listen(&event_loop.handle())?;
        Ok((event_loop, listeners))
    });
    let _loss = TellsOfLoss;
    let (mut event_loop, listeners) = match start {
        Ok(start) => start,
        Err(problem) => {
            let _ = started.send(Err(problem)); // the first thread ends the program
            return;
        }
    };
    let _entered = callbacks::enter(&shared.options, &event_loop.handle());
    let service = Service::start(shared, &event_loop.handle(), listeners);
    inspect::answer(&service);
    let _ = started.send(Ok(()));
    drop(started);
    event_loop.block_on(async {
        for stage in [Stage::Draining, Stage::CuttingOff, Stage::Stopped] {
            poll_fn(|cx| shared.poll_stage(cx, stage)).await;
            service.enter(stage);
        }
    });
}

/// Says so when a thread of the server unwinds.
struct TellsOfLoss;

impl Drop for TellsOfLoss {
    fn drop(&mut self) {
        if thread::panicking() {
            let thread = thread::current();
            let name = thread.name().unwrap_or_default();
            error!(
                thread = name,
                "lost a thread and its clients: the others serve on"
            );
        }
    }
}

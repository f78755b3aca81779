//! The server's life: listen, serve, drain, end.

use crate::bind::{Place, SocketFiles, in_words, listen_all};
use crate::callbacks;
use crate::inspect;
use crate::limits;
use crate::logging::TURN;
use crate::options::Options;
use crate::program::GRACE;
use crate::service::{Service, Shared, Stage};
use crate::work::Work;
use oneloop::net::{Addr, Listener};
use oneloop::signal::number::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use oneloop::signal::{Disposition, disposition};
use oneloop::{EventLoop, Handle, Signals, Sleep};
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use tracing::{info, warn};

/// Serves until it is told to stop.
pub(crate) fn run(options: Options, work: Work, addrs: &[Addr]) -> Result<ExitCode, String> {
    let connections_max = limits::prepare(&options, addrs.len(), &work);
    let mut event_loop = new_loop(&options)?;
    let handle = event_loop.handle();
    let mut files = SocketFiles::default();
    let listeners = listen_all(&handle, addrs, &options, &mut files)?;
    let signals = hear(&handle, &ending_signals())?;
    let questions = hear(&handle, &[SIGUSR1])?;
    let shared = Shared::new(options, work, connections_max);
    let threads = start_threads(&shared, &listeners)?;
    announce(&listeners);
    inspect::listen(&shared, &handle, questions);
    inspect::answer(&shared, &handle);
    let service = Service::start(&shared, &handle, listeners);
    let entered = callbacks::enter(&service.shared.options, &handle);
    let code = event_loop.block_on(live(&service, &signals));
    drop(entered);
    shared.enter(Stage::Stopped);
    for thread in threads {
        thread
            .join()
            .map_err(|_| "a thread of the server panicked".to_owned())?;
    }
    drop(files);
    Ok(code)
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

fn hear(handle: &Handle, numbers: &[i32]) -> Result<Signals, String> {
    let signals = Signals::new(handle, numbers);
    signals.map_err(|error| format!("cannot listen for signals: {}", in_words(&error)))
}

/// The signals that end the server. SIGHUP is one, unless whoever started us had it ignored, as
/// `nohup` does.
fn ending_signals() -> Vec<i32> {
    let mut signals = vec![SIGTERM, SIGINT];
    if !matches!(disposition(SIGHUP), Ok(Disposition::Ignored)) {
        signals.push(SIGHUP);
    }
    signals
}

/// The one line on stdout.
fn announce(listeners: &[Listener]) {
    let addrs = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok());
    let addrs: Vec<_> = addrs.map(|addr| addr.to_string()).collect();
    let mut stdout = io::stdout().lock();
    // Whoever started us may have closed stdout; that is no reason not to serve.
    let _ = writeln!(stdout, "listening on {}", addrs.join(", ")).and_then(|()| stdout.flush());
}

/// From the first client to the end of the drain.
async fn live(service: &Service, signals: &Signals) -> ExitCode {
    let options = &service.shared.options;
    info!(mode = %options.mode, threads = options.threads, "serving");
    let signal = signals.recv().await.unwrap_or(SIGTERM);
    info!(
        signal,
        connections = service.shared.connections(),
        "draining: accepting no more, finishing what was received"
    );
    service.shared.enter(Stage::Draining);
    service.enter(Stage::Draining);
    match drained(service, signals, service.handle.sleep(options.drain.into())).await {
        Drained::Clean => {
            let (accepted, refused) = service.shared.totals();
            info!(accepted, refused, "stopped");
            ExitCode::SUCCESS
        }
        Drained::TooLate => {
            let left = service.shared.connections();
            warn!(left, "stopped: --drain is over, closing what is left");
            cut_off(service).await;
            ExitCode::FAILURE
        }
        Drained::Interrupted(signal) => {
            warn!(signal, "stopped at once by a second signal");
            ExitCode::from(128 + u8::try_from(signal).unwrap_or(0))
        }
    }
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

enum Drained {
    Clean,
    TooLate,
    Interrupted(i32),
}

async fn drained(service: &Service, signals: &Signals, mut deadline: Sleep) -> Drained {
    poll_fn(|cx| {
        if service.shared.poll_drained(cx).is_ready() {
            return Poll::Ready(Drained::Clean);
        }
        if let Poll::Ready(signal) = signals.poll_recv(cx) {
            return Poll::Ready(Drained::Interrupted(signal.unwrap_or(SIGTERM)));
        }
        Pin::new(&mut deadline).poll(cx).map(|()| Drained::TooLate)
    })
    .await
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
    let (mut event_loop, listeners) = match start {
        Ok(start) => start,
        Err(problem) => {
            let _ = started.send(Err(problem)); // the first thread ends the program
            return;
        }
    };
    let _ = started.send(Ok(()));
    drop(started);
    let _entered = callbacks::enter(&shared.options, &event_loop.handle());
    inspect::answer(shared, &event_loop.handle());
    let service = Service::start(shared, &event_loop.handle(), listeners);
    event_loop.block_on(async {
        for stage in [Stage::Draining, Stage::CuttingOff, Stage::Stopped] {
            poll_fn(|cx| shared.poll_stage(cx, stage)).await;
            service.enter(stage);
        }
    });
}

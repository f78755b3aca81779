//! Keeps a server running: `cargo run -p oneloop-guide --bin supervisor_tokio ./main`.

use futures_util::StreamExt;
use nix::sys::signal::{Signal, kill as send_signal};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, io};
use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::select;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;

const LINE_BYTES_MAX: usize = 64 * 1024;
const READY_MAX: Duration = Duration::from_secs(10);
const PROBE_MAX: Duration = Duration::from_secs(2);
const PROBE_PERIOD: Duration = Duration::from_millis(500);
const STOP_MAX: Duration = Duration::from_secs(15);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Prints the server's lines with its process ID, and reports the address that it listens on.
async fn relay(
    id: u32,
    output: impl AsyncRead + Unpin,
    ready: mpsc::UnboundedSender<String>,
) -> Result<(), LinesCodecError> {
    let mut lines = FramedRead::new(output, LinesCodec::new_with_max_length(LINE_BYTES_MAX));
    while let Some(line) = lines.next().await.transpose()? {
        println!("[{id}] {line}");
        if let Some(addrs) = line.strip_prefix("listening on ") {
            let addr = addrs.split(", ").next().unwrap_or_default();
            let _ = ready.send(addr.to_owned());
        }
    }
    Ok(())
}

/// Probes the server, and returns what is wrong once it does not answer.
async fn watch(mut ready: mpsc::UnboundedReceiver<String>) -> String {
    let Ok(Some(addr)) = timeout(READY_MAX, ready.recv()).await else {
        return "not ready in time".to_owned();
    };
    println!("ready on {addr}");
    loop {
        match timeout(PROBE_MAX, TcpStream::connect(&addr)).await {
            Ok(Ok(_)) => sleep(PROBE_PERIOD).await,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "no answer in time".to_owned(),
        }
    }
}

/// Passes SIGTERM on, and waits for the server to finish.
async fn stop(server: &mut Child) -> io::Result<ExitStatus> {
    // No ID any more: the server has ended by itself.
    if let Some(id) = server.id() {
        send_signal(Pid::from_raw(id as i32), Signal::SIGTERM)?;
    }
    match timeout(STOP_MAX, server.wait()).await {
        Ok(status) => status,
        Err(_) => kill(server).await,
    }
}

async fn kill(server: &mut Child) -> io::Result<ExitStatus> {
    server.start_kill()?;
    server.wait().await
}

/// Runs the server once. Its exit status is the result if it was asked to stop.
async fn run(
    command: &mut Command,
    shutdown: &CancellationToken,
) -> io::Result<Option<ExitStatus>> {
    let mut server = command.spawn()?;
    let id = server.id().expect("it runs");
    let (ready, address) = mpsc::unbounded_channel();
    let mut logs = JoinSet::new();
    let stdout = server.stdout.take().expect("it is piped");
    logs.spawn(relay(id, stdout, ready.clone()));
    let stderr = server.stderr.take().expect("it is piped");
    logs.spawn(relay(id, stderr, ready.clone()));
    let status = select! {
        () = shutdown.cancelled() => Some(stop(&mut server).await?),
        status = server.wait() => {
            println!("the server ended: {}", status?);
            None
        }
        problem = watch(address) => {
            println!("the server is killed: {problem}");
            kill(&mut server).await?;
            None
        }
    };
    // The last lines are often the reason of the end.
    logs.join_all().await;
    Ok(status)
}

async fn supervise(command: &mut Command) -> io::Result<u8> {
    let shutdown = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let requested = shutdown.clone();
    tokio::spawn(async move {
        select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        requested.cancel();
    });
    let mut pause = PAUSE_MIN;
    loop {
        let began = Instant::now();
        if let Some(status) = run(command, &shutdown).await? {
            let code = status.code().or(status.signal().map(|number| 128 + number));
            return Ok(code.map_or(1, |code| code as u8));
        }
        if began.elapsed() > PAUSE_MAX {
            pause = PAUSE_MIN; // it has served for a while
        }
        println!("restarting in {pause:?}");
        if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
            return Ok(0);
        }
        pause = PAUSE_MAX.min(2 * pause);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<ExitCode> {
    let mut args = env::args_os().skip(1);
    let Some(program) = args.next() else {
        eprintln!("usage: supervisor PROGRAM [ARGS…]");
        return Ok(ExitCode::from(2));
    };
    let mut command = Command::new(program);
    command.args(args).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    supervise(&mut command).await.map(ExitCode::from)
}

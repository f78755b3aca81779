//! Keeps a server running: `cargo run --example supervisor ./main --listen 127.0.0.1:8080`.

use oneloop::Elapsed;
use oneloop::aio::process::{Child, Command, Stdio};
use oneloop::aio::{JoinSet, TcpStream, block_on, select, sleep, timeout};
use oneloop::net::PipeReader;
use oneloop::signal::{SIGINT, SIGTERM};
use oneloop::sync::{OneShot, ShutdownToken};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};
use std::{env, io};

const LINE_BYTES_MAX: usize = 64 * 1024;
const READY_MAX: Duration = Duration::from_secs(10);
const PROBE_MAX: Duration = Duration::from_secs(2);
const PROBE_PERIOD: Duration = Duration::from_millis(500);
const STOP_MAX: Duration = Duration::from_secs(15);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Prints the server's lines with its process ID, and reports the address that it listens on.
async fn relay(id: u32, output: PipeReader, ready: OneShot<String>) -> io::Result<()> {
    let mut lines = output.lines(LINE_BYTES_MAX);
    while let Some(line) = lines.next().await? {
        println!("[{id}] {line}");
        if let Some(addrs) = line.strip_prefix("listening on ") {
            let addr = addrs.split(", ").next().unwrap_or_default();
            let _ = ready.send(addr.to_owned());
        }
    }
    Ok(())
}

/// Probes the server, and returns what is wrong once it does not answer.
async fn watch(ready: OneShot<String>) -> String {
    let Ok(addr) = timeout(READY_MAX, ready.get()).await else {
        return "not ready in time".to_owned();
    };
    println!("ready on {addr}");
    loop {
        match timeout(PROBE_MAX, TcpStream::connect(&addr)).await {
            Ok(Ok(_)) => sleep(PROBE_PERIOD).await,
            Ok(Err(error)) => return error.to_string(),
            Err(Elapsed) => return "no answer in time".to_owned(),
        }
    }
}

/// Passes SIGTERM on, and waits for the server to finish.
async fn stop(server: &mut Child) -> io::Result<ExitStatus> {
    server.signal(SIGTERM)?;
    match timeout(STOP_MAX, server.wait()).await {
        Ok(status) => status,
        Err(Elapsed) => kill(server).await,
    }
}

async fn kill(server: &mut Child) -> io::Result<ExitStatus> {
    server.kill()?;
    server.wait().await
}

/// Runs the server once. Its exit status is the result if it was asked to stop.
async fn run(command: &mut Command, shutdown: &ShutdownToken) -> io::Result<Option<ExitStatus>> {
    let mut server = command.spawn()?;
    let (id, ready, mut logs) = (server.id(), OneShot::new(), JoinSet::new());
    for output in [server.stdout.take(), server.stderr.take()] {
        logs.spawn(relay(id, output.expect("it is piped"), ready.clone()));
    }
    let status = select! {
        () = shutdown.requested() => Some(stop(&mut server).await?),
        status = server.wait() => {
            println!("the server ended: {}", status?);
            None
        }
        problem = watch(ready) => {
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
    let shutdown = ShutdownToken::on_signals(&[SIGINT, SIGTERM])?;
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
        if shutdown.run(sleep(pause)).await.is_none() {
            return Ok(0);
        }
        pause = PAUSE_MAX.min(2 * pause);
    }
}

fn main() -> io::Result<ExitCode> {
    let mut args = env::args_os().skip(1);
    let Some(program) = args.next() else {
        eprintln!("usage: supervisor PROGRAM [ARGS…]");
        return Ok(ExitCode::from(2));
    };
    let mut command = Command::new(program);
    command.args(args).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    block_on(supervise(&mut command)).map(ExitCode::from)
}

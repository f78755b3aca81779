#![forbid(unsafe_code)]
//! Measures Oneloop's echo server side by side with servers in C, tokio and mio.

mod bench;
mod callgrind;
mod cli;
mod comparators;
mod connection;
mod contenders;
mod cores;
mod count;
mod echo;
mod fair;
mod flood;
mod green;
mod http;
mod idle;
mod launch;
mod listening;
mod load;
mod memory_row;
mod process;
mod program;
mod progress;
mod report;
mod sample;
mod server;
mod spread;
mod strace;
mod syscalls;
mod tasks;
mod web;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::bench::Bench;
use crate::cli::{
    Cli, EchoOptions, FairOptions, GreenOptions, HttpOptions, IdleOptions, RoundOptions,
    ServerOptions, SyscallOptions, Task, defaults,
};
use crate::contenders::{Comparator, HttpRuntime, Protocol};
use crate::program::Found;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oneloop-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::All { servers, rounds } => measure(&servers, |bench| all(bench, rounds)),
        Task::Echo { servers, options } => measure(&servers, |bench| echo::run(bench, &options)),
        Task::Idle { servers, options } => measure(&servers, |bench| idle::run(bench, &options)),
        Task::Fair { servers, options } => measure(&servers, |bench| fair::run(bench, &options)),
        Task::Syscalls { servers, options } => {
            measure(&servers, |bench| syscalls::run(bench, &options))
        }
        Task::Count {
            options,
            main,
            json,
        } => {
            let servers = ServerOptions {
                servers: count::SERVERS.to_vec(),
                main,
                json,
            };
            measure(&servers, |bench| count::run(bench, &options))
        }
        Task::Http { options, json } => {
            measure(&no_echo_servers(json), |bench| http::run(bench, &options))
        }
        Task::Green { options, json } => {
            measure(&no_echo_servers(json), |bench| green::run(bench, &options))
        }
        Task::Serve { server, listen } => serve(server, listen).map(|never| match never {}),
        Task::ServeHttp {
            runtime,
            protocol,
            listen,
        } => serve_http(runtime, protocol, listen).map(|never| match never {}),
        Task::Tasks { runtime } => tasks::serve(runtime),
        Task::Launch {
            core,
            parent,
            program,
        } => launch::launch(core, parent, &program),
    }
}

fn no_echo_servers(json: Option<PathBuf>) -> ServerOptions {
    ServerOptions {
        servers: Vec::new(),
        main: None,
        json,
    }
}

/// Runs one benchmark or several; results from before an error are written, too.
fn measure(options: &ServerOptions, body: impl FnOnce(&mut Bench) -> Result<()>) -> Result<()> {
    let mut bench = Bench::start(options)?;
    let outcome = body(&mut bench);
    if let Some(path) = &options.json {
        bench.report.write_json(path)?;
    }
    outcome
}

fn all(bench: &mut Bench, rounds: RoundOptions) -> Result<()> {
    echo::run(
        bench,
        &EchoOptions {
            rounds,
            ..defaults()
        },
    )?;
    idle::run(
        bench,
        &IdleOptions {
            rounds,
            ..defaults()
        },
    )?;
    fair::run(
        bench,
        &FairOptions {
            rounds,
            ..defaults()
        },
    )?;
    syscalls::run(bench, &defaults::<SyscallOptions>())?;
    http::run(bench, &defaults::<HttpOptions>())?;
    green::run(
        bench,
        &GreenOptions {
            rounds,
            ..defaults()
        },
    )
}

fn serve(server: Comparator, address: SocketAddr) -> Result<Infallible> {
    ensure_loopback(address)?;
    match server {
        Comparator::C => serve_c(address),
        Comparator::Tokio => comparators::tokio::serve(address).context("the tokio server failed"),
        Comparator::Mio => comparators::mio::serve(address).context("the mio server failed"),
        Comparator::May => comparators::may::serve(address).context("the may server failed"),
    }
}

fn serve_http(runtime: HttpRuntime, protocol: Protocol, address: SocketAddr) -> Result<Infallible> {
    ensure_loopback(address)?;
    web::serve(runtime, protocol, address)
        .with_context(|| format!("the {} server failed", runtime.name()))
}

fn ensure_loopback(address: SocketAddr) -> Result<()> {
    ensure!(
        address.ip().is_loopback(),
        "the comparators serve on loopback only, not on {address}"
    );
    Ok(())
}

fn serve_c(address: SocketAddr) -> Result<Infallible> {
    match server::find_c()? {
        Found::Command(command) => {
            let program = &command[0];
            let error = Command::new(program).arg(address.to_string()).exec();
            Err(error).with_context(|| format!("cannot start {}", program.display()))
        }
        Found::Missing(why) => bail!(why),
    }
}

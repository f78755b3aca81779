//! Signals reach all loops. They belong to the process, so these tests have their own.

use oneloop::aio::signals;
use oneloop::cluster::{ClusterOptions, cluster, cluster_with};
use oneloop::signal::{SIGTERM, SIGUSR2};
use rustix::process::{Signal, getpid, kill_process};
use std::io;
use std::sync::Arc;
use std::sync::Barrier;
use std::time::Duration;

#[test]
fn a_signal_reaches_every_loop_that_listens_to_it() {
    let all_listen = Arc::new(Barrier::new(4));
    cluster(4, move |member| {
        let all_listen = Arc::clone(&all_listen);
        async move {
            let received = signals(&[SIGUSR2])?;
            all_listen.wait();
            if member.id() == 2 {
                kill_process(getpid(), Signal::USR2)?;
            }
            assert_eq!(received.recv().await?, SIGUSR2);
            io::Result::Ok(())
        }
    })
    .unwrap();
}

#[test]
fn a_stop_signal_stops_all_loops_even_after_the_first_loop_has_ended() {
    let options = ClusterOptions {
        stop_signals: vec![SIGTERM],
        drain: Duration::from_secs(60),
        ..ClusterOptions::default()
    };
    cluster_with(3, options, |member| async move {
        match member.id() {
            0 => return Ok(()),
            1 => kill_process(getpid(), Signal::TERM)?,
            _ => {}
        }
        member.shutdown().requested().await;
        io::Result::Ok(())
    })
    .unwrap();
}

#[test]
fn a_second_stop_signal_ends_the_drain() {
    let options = ClusterOptions {
        stop_signals: vec![SIGTERM],
        drain: Duration::from_secs(3600),
        ..ClusterOptions::default()
    };
    cluster_with(2, options, |member| async move {
        if member.id() == 1 {
            kill_process(getpid(), Signal::TERM)?;
            member.shutdown().requested().await;
            kill_process(getpid(), Signal::TERM)?;
        }
        std::future::pending::<io::Result<()>>().await
    })
    .unwrap();
}

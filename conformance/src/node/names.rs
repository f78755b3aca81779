//! `dns.lookup` and its like.

use super::say;
use oneloop::callback::dns::{self, Family, LookupOptions, promises};
use oneloop::callback::process::on_exit;
use oneloop::callback::{Error, Thrown, next_tick, queue_microtask, set_timeout, spawn_micro};

const V4: LookupOptions = LookupOptions {
    family: Some(Family::V4),
    order: dns::Order::Verbatim,
};

pub(super) fn dns_lookup() {
    let any = LookupOptions::default();
    dns::lookup("127.0.0.1", any, |found| {
        println!("literal {}", found?);
        queue_microtask(say("micro"));
        next_tick(say("late tick"));
        Ok::<_, Error>(())
    });
    next_tick(say("tick"));
    dns::lookup_all("::1", any, |found| {
        let found: Vec<_> = found?.iter().map(ToString::to_string).collect();
        println!("all {}", found.join(","));
        Ok::<_, Error>(())
    });
    println!("sync");
    set_timeout(names, 1);
    on_exit(|_| println!("exit"));
}

fn names() {
    dns::lookup("localhost", V4, |found| {
        println!("localhost {}", found?);
        next_tick(say("tick in lookup"));
        queue_microtask(say("micro in lookup"));
        missing();
        Ok::<_, Error>(())
    });
}

fn missing() {
    dns::lookup("no such name", LookupOptions::default(), |found| {
        let e = found.expect_err("there is no such name");
        println!(
            "{} {} {} {} {e}",
            e.code().unwrap_or(""),
            e.errno().unwrap_or(0),
            e.syscall().unwrap_or(""),
            e.hostname().unwrap_or("")
        );
        service();
    });
}

fn service() {
    dns::lookup_service([127, 0, 0, 1].into(), 0, |found| {
        let (host, service) = found?;
        println!("service {} {service}", host.split('.').next().unwrap_or(""));
        drop(spawn_micro(promised()));
        Ok::<_, Error>(())
    });
}

async fn promised() -> Result<(), Thrown> {
    let found = promises::lookup("localhost".to_owned(), V4).await?;
    println!("promise {found}");
    let missing = promises::lookup("no such name".to_owned(), LookupOptions::default()).await;
    let code = missing.err().and_then(|e| e.code().map(str::to_owned));
    println!("rejected {}", code.unwrap_or_default());
    Ok(())
}

//! Promises that are awaited late, several times, or just in time.

use super::say;
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::timers::promises;
use oneloop::callback::{
    Promise, Thrown, next_tick, queue_microtask, set_immediate, set_timeout, spawn_micro,
};
use oneloop::core::yield_now;
use std::cell::RefCell;
use std::rc::Rc;

fn tell_uncaught() {
    on_uncaught_exception(|e, origin| println!("heard {e} {origin}"));
}

/// `(async()=>{throw new Error(message)})()`
fn fail(message: &'static str) -> Promise {
    spawn_micro(async move { Err::<(), _>(message) })
}

/// `async()=>{try{await p}catch(e){console.log(name,e.message)}}`
fn catch(name: &'static str, promise: Promise) {
    drop(spawn_micro(async move {
        if let Err(e) = promise.await {
            println!("{name} {e}");
        }
    }));
}

pub(super) fn late_await() {
    tell_uncaught();
    let mut promise = fail("boom");
    let late = move || {
        drop(spawn_micro(async move {
            match (&mut promise).await {
                Ok(()) => println!("no"),
                Err(e) => println!("late {e}"),
            }
            match (&mut promise).await {
                Ok(()) => println!("no"),
                Err(e) => println!("again {e}"),
            }
        }));
    };
    set_timeout(late, 20);
}

pub(super) fn late_awaits() {
    tell_uncaught();
    let promise = spawn_micro(async {
        yield_now().await;
        Err::<(), _>("boom")
    });
    let catch = |name: &'static str, promise: Promise| {
        drop(spawn_micro(async move {
            if let Err(e) = promise.await {
                println!("{name} {e}");
            }
            println!("{name} done");
        }));
    };
    let (early, late) = (promise.clone(), promise);
    set_immediate(move || {
        catch("a", early.clone());
        catch("b", early);
        next_tick(say("tick"));
        queue_microtask(|| queue_microtask(say("micro")));
    });
    set_timeout(move || catch("c", late), 150);
}

pub(super) fn awaits_before() {
    tell_uncaught();
    let promise = spawn_micro(async {
        promises::set_timeout(5, None).await?;
        Err::<(), Thrown>("boom".into())
    });
    let late = promise.clone();
    catch("a", promise.clone());
    catch("b", promise.clone());
    drop(spawn_micro(async move {
        println!("c");
        promise.await?;
        println!("no");
        Ok::<(), Thrown>(())
    }));
    set_timeout(move || catch("late", late), 50);
}

pub(super) fn awaited_in_time() {
    tell_uncaught();
    let (a, b, c) = (fail("a"), fail("b"), fail("c"));
    queue_microtask(|| queue_microtask(|| catch("micro", a)));
    queue_microtask(|| next_tick(|| catch("tick", b)));
    set_immediate(|| catch("imm", c));
}

pub(super) fn awaited_while_handled() {
    let b = Rc::new(RefCell::new(None));
    let inside = Rc::clone(&b);
    on_uncaught_exception(move |e, origin| {
        println!("heard {e} {origin}");
        if e.message() == "a"
            && let Some(b) = inside.take()
        {
            catch("late", b);
        }
    });
    drop(fail("a"));
    b.replace(Some(fail("b")));
}

//! Queues of every kind.

use super::{ms, truth};
use oneloop::green::{JoinHandle, Wait, join_all, sleep, spawn, spawn_after, yield_now};
use oneloop::sync::{Full, Queue, TaskDoneTooOften};
use std::fmt::Debug;
use std::iter;

pub(super) fn alternates() {
    let queue = Queue::bounded(1);
    let producer = || {
        let queue = queue.clone();
        spawn(move || {
            for number in 0..4 {
                queue.put(Some(number)).wait();
                println!("put {number}");
            }
            queue.put(None).wait();
            println!("producer ends");
        })
    };
    let consumer = || {
        let queue = queue.clone();
        spawn(move || {
            while let Some(number) = queue.get().wait() {
                println!("got {number}");
            }
            println!("consumer ends");
        })
    };
    join_all([producer(), consumer()]);
    println!("the consumer first");
    join_all([consumer(), producer()]);

    let getter = |name| {
        let queue = queue.clone();
        spawn(move || println!("{name} got {}", queue.get().wait().unwrap()))
    };
    let tasks = ["a", "b", "c"].map(getter);
    yield_now();
    for number in 0..3 {
        queue.put(Some(number)).wait();
        println!("put {number}");
    }
    join_all(tasks);
}

const STOP: &str = "stop";

pub(super) fn limits() {
    fn got(name: &str, item: Option<&str>) {
        println!("{name}: {}", item.unwrap_or("empty"));
    }
    fn put(name: &str, is_put: bool) {
        println!("{name}: {}", if is_put { "done" } else { "full" });
    }
    let queue = Queue::unbounded();
    for number in 0..100 {
        queue.put(number).wait();
    }
    println!("no limit: {} full {}", queue.len(), truth(queue.is_full()));
    let small = Queue::bounded(2);
    got("get at once", small.try_get());
    got("get in 20 ms", small.get().wait_timeout(ms(20)).ok());
    put("put", small.put("a").wait_timeout(ms(20)).is_ok());
    put("put", small.put("b").wait_timeout(ms(20)).is_ok());
    put("put at once", small.try_put("c") != Err(Full("c")));
    put("put in 20 ms", small.put("c").wait_timeout(ms(20)).is_ok());
    got("peek", Some(small.peek().wait()));
    got("peek again", Some(small.peek().wait()));
    println!("size {} full {}", small.len(), truth(small.is_full()));
    got("get", Some(small.get().wait()));
    got("get", Some(small.get().wait()));
    got("peek at once", small.try_peek());
    let put_later = |item| {
        let small = small.clone();
        spawn_after(ms(20), move || small.put(item).wait());
    };
    put_later("late");
    got("get waits", Some(small.get().wait()));
    for item in ["x", "y", STOP] {
        put_later(item);
    }
    let items = iter::repeat_with(|| small.get().wait()).take_while(|item| *item != STOP);
    println!("iterated: {}", items.collect::<Vec<_>>().join(" "));
}

pub(super) fn lifo_priority() {
    fn get_all<T: Debug>(queue: &Queue<T>, count: usize) -> Vec<T> {
        (0..count).map(|_| queue.get().wait()).collect()
    }
    for queue in [Queue::unbounded(), Queue::lifo(None), Queue::priority(None)] {
        for number in [3, 1, 2] {
            queue.put(number).wait();
        }
        println!("{:?}", get_all(&queue, 3));
    }

    let queue = Queue::priority(Some(2));
    let put = |number| {
        let queue = queue.clone();
        spawn(move || {
            queue.put(number).wait();
            println!("put {number}");
        })
    };
    let tasks = [5, 4, 3, 2].map(put);
    yield_now();
    println!("peek {}", queue.peek().wait());
    println!("got {:?}", get_all(&queue, 4));
    join_all(tasks);

    let get = |name| {
        let queue = queue.clone();
        spawn(move || println!("{name} got {}", queue.get().wait()))
    };
    let tasks = ["a", "b"].map(get);
    yield_now();
    queue.put(9).wait();
    queue.put(1).wait();
    join_all(tasks);
}

pub(super) fn joinable() {
    let queue = Queue::<u64>::unbounded();
    let worker = |name| -> JoinHandle<()> {
        let queue = queue.clone();
        spawn(move || {
            loop {
                let item = queue.get().wait();
                sleep(ms(40 * item));
                println!("{name} did {item}");
                queue.task_done().unwrap();
            }
        })
    };
    let workers = ["a", "b"].map(worker);
    let joined = queue.join().wait_timeout(ms(0)).is_ok();
    println!("nothing to do: {}", truth(joined));
    for item in [1, 4, 2] {
        queue.put(item).wait();
    }
    let timed_out = truth(queue.join().wait_timeout(ms(10)).is_err());
    let unfinished = queue.unfinished();
    println!("timed out, unfinished: {timed_out} {unfinished}");
    queue.join().wait();
    println!("joined, unfinished: {}", queue.unfinished());
    if queue.task_done() == Err(TaskDoneTooOften) {
        println!("done more often than put");
    }
    queue.put(1).wait();
    let also = queue.clone();
    spawn(move || {
        also.join().wait();
        println!("another one joined, too");
    });
    queue.join().wait();
    println!("joined again");
    yield_now();
    workers.iter().for_each(|worker| worker.kill());
}

pub(super) fn channel() {
    let channel = Queue::rendezvous();
    let producer = |name| {
        let channel = channel.clone();
        spawn(move || {
            for number in [1, 2] {
                println!("{name} puts {number}");
                channel.put(format!("{name}{number}")).wait();
                println!("{name} has put {number}");
            }
        })
    };
    let consumer = |count| {
        let channel = channel.clone();
        spawn(move || {
            for _ in 0..count {
                println!("got {}", channel.get().wait());
            }
        })
    };
    println!("the producer first");
    join_all([producer("a"), consumer(2)]);
    println!("the consumer first");
    join_all([consumer(2), producer("a")]);
    println!("two producers");
    join_all([producer("a"), producer("b"), consumer(4)]);
    if channel.put("x".to_owned()).wait_timeout(ms(20)).is_err() {
        println!("nobody gets");
    }
    if channel.get().wait_timeout(ms(20)).is_err() {
        println!("nobody puts");
    }
}

pub(super) fn two_consumers() {
    let jobs = Queue::unbounded();
    let consumer = |name| {
        let jobs = jobs.clone();
        spawn(move || {
            while let Some(job) = jobs.get().wait() {
                println!("{name} takes {job}");
                if job == "long" {
                    sleep(ms(20));
                }
            }
            println!("{name} ends");
        })
    };
    let consumers = ["a", "b", "c"].map(consumer);
    yield_now();
    for job in ["1", "2", "long", "3", "long", "4", "long", "5"] {
        jobs.put(Some(job)).wait();
    }
    for _ in 0..3 {
        jobs.put(None).wait();
    }
    join_all(consumers);

    let get = jobs.clone();
    let taken = spawn(move || get.get().wait());
    yield_now();
    jobs.put(Some("quick")).wait();
    let quick = jobs.try_get().flatten();
    println!("taken before it runs: {}", quick.unwrap());
    jobs.put(Some("its own")).wait();
    println!("it waited on: {}", taken.join().unwrap().unwrap());

    let small = Queue::bounded(2);
    let producer = |name| {
        let small = small.clone();
        spawn(move || {
            for number in 0..3 {
                small.put(format!("{name} {number}")).wait();
                println!("{name} put {number}");
            }
        })
    };
    let producers = ["a", "b"].map(producer);
    yield_now();
    for _ in 0..6 {
        println!("got {}", small.get().wait());
        yield_now();
    }
    join_all(producers);
    let put = |item: &str| small.put(item.to_owned());
    put("first").wait();
    put("second").wait();
    let third = put("third");
    let waits = spawn(move || third.wait());
    yield_now();
    small.get().wait();
    put("fourth").wait();
    if put("fifth").wait_timeout(ms(20)).is_err() {
        let waits = truth(!waits.is_finished());
        println!("the room was taken before it ran: {waits}");
    }
    let got = [0; 3].map(|_| small.get().wait());
    println!("{}", got.join(" "));
    if small.try_get().is_none() {
        println!("empty");
    }
}

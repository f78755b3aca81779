//! Queues of every kind.

use super::{ms, py};
use oneloop::green::{Wait, eventlet, join_all, sleep, spawn, timeout};
use oneloop::sync::{Queue, TaskDoneTooOften};
use std::time::Duration;

pub(super) fn queue() {
    let queue = Queue::unbounded();
    for number in 0..100 {
        queue.put(number).wait();
    }
    println!(
        "no limit: size {} full {}",
        queue.len(),
        py(queue.is_full())
    );
    let got = (0..100).map(|_| queue.get().wait());
    println!("in order: {}", py(got.eq(0..100)));
    if queue.try_get().is_none() {
        println!("at once empty");
    }
    if queue.get().wait_timeout(ms(20)).is_err() {
        println!("in 20 ms empty");
    }

    let queue = Queue::<Option<String>>::unbounded();
    let items = queue.clone();
    let consumer = spawn(move || {
        while let Some(item) = items.get().wait() {
            println!("got {item}");
        }
        println!("consumer ends");
    });
    sleep(Duration::ZERO);
    println!("getting {}", queue.getters());
    for number in 1..=3 {
        queue.put(Some(number.to_string())).wait();
        println!("put {number}");
    }
    println!("size {}", queue.len());
    sleep(Duration::ZERO);
    let put_after = |delay_ms, item: Option<&str>| {
        let put = queue.put(item.map(str::to_owned));
        eventlet::spawn_after(ms(delay_ms), || put.wait());
    };
    put_after(20, Some("late"));
    put_after(40, None);
    consumer.join().expect("it only prints");
    println!("getting {} size {}", queue.getters(), queue.len());
}

pub(super) fn queue_rendezvous() {
    let queue = Queue::rendezvous();
    let producer = || {
        let queue = queue.clone();
        spawn(move || {
            for number in ["1", "2"] {
                println!("puts {number}");
                queue.put(number).wait();
                println!("has put {number}");
            }
        })
    };
    let consumer = || {
        let queue = queue.clone();
        spawn(move || {
            for _ in 0..2 {
                println!("got {}", queue.get().wait());
            }
        })
    };
    println!(
        "empty {} full {}",
        py(queue.is_empty()),
        py(queue.is_full())
    );
    println!("the producer first");
    join_all([producer(), consumer()]);
    println!("the consumer first");
    join_all([consumer(), producer()]);
    if queue.try_put("x").is_err() {
        println!("put at once full");
    }
    if queue.try_get().is_none() {
        println!("get at once empty");
    }
    if queue.put("x").wait_timeout(ms(20)).is_err() {
        println!("put in 20 ms full");
    }
    if queue.get().wait_timeout(ms(20)).is_err() {
        println!("get in 20 ms empty");
    }
    let get = queue.get();
    let waiting = spawn(|| get.wait());
    sleep(Duration::ZERO);
    queue.try_put("taken at once").expect("the getter waits");
    println!("{}", waiting.join().expect("it gets it"));
}

pub(super) fn queue_bounded() {
    let queue = Queue::handing_over(1);
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
    println!("the producer first");
    join_all([producer(), consumer()]);
    println!("the consumer first");
    join_all([consumer(), producer()]);

    let small = Queue::handing_over(2);
    small.put("a").wait();
    small.put("b").wait();
    if small.try_put("c").is_err() {
        println!("put at once full");
    }
    if small.put("c").wait_timeout(ms(20)).is_err() {
        println!("put in 20 ms full");
    }
    let put = small.put("c");
    let waiting = spawn(|| put.wait());
    sleep(Duration::ZERO);
    println!("putting {} size {}", small.putters(), small.len());
    println!("got {} size {}", small.get().wait(), small.len());
    waiting.join().expect("there is room");
    println!("putting {} size {}", small.putters(), small.len());
}

pub(super) fn queue_kinds() {
    fn get_three(queue: &Queue<u32>) -> [u32; 3] {
        [(); 3].map(|()| queue.get().wait())
    }
    let kinds = [
        ("queue", Queue::unbounded as fn() -> Queue<u32>),
        ("light", Queue::unbounded),
        ("lifo", || Queue::lifo(None)),
        ("priority", || Queue::priority(None)),
    ];
    for (name, kind) in kinds {
        let queue = kind();
        for number in [3, 1, 2] {
            queue.put(number).wait();
        }
        println!(
            "{name} {:?} empty {}",
            get_three(&queue),
            py(queue.is_empty())
        );
    }
    for (name, kind) in &kinds[2..] {
        let queue = kind();
        let getting = queue.clone();
        let getter = spawn(move || get_three(&getting));
        sleep(Duration::ZERO);
        for number in [2, 1, 3] {
            queue.put(number).wait();
        }
        let got = getter.join().expect("there are three");
        println!("{name} with somebody waiting {got:?}");
    }

    let light = Queue::handing_over(1);
    light.put("a").wait();
    let put = light.put("b");
    let putter = spawn(|| put.wait());
    sleep(Duration::ZERO);
    light.set_capacity(Some(2));
    putter.join().expect("there is room");
    println!("resized, size {} full {}", light.len(), py(light.is_full()));
}

pub(super) fn task_done() {
    let queue = Queue::<u32>::unbounded();
    queue.join().wait();
    println!("nothing to do");
    let items = queue.clone();
    let worker = spawn(move || {
        loop {
            let item = items.get().wait();
            sleep(ms(20) * item);
            println!("a did {item}");
            items.task_done().expect("it was put");
        }
    });
    for item in [1, 2, 1] {
        queue.put(item).wait();
    }
    println!("unfinished {}", queue.unfinished());
    let _ = timeout(ms(40), || {
        queue.join().wait();
        println!("never printed");
    });
    println!("timed out, unfinished {}", queue.unfinished());
    queue.join().wait();
    println!("joined, unfinished {}", queue.unfinished());
    if queue.task_done() == Err(TaskDoneTooOften) {
        println!("done more often than put");
    }
    queue.put(1).wait();
    queue.join().wait();
    println!("joined again");
    eventlet::kill(&worker);
}

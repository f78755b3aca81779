//! One pool of green threads that every style submits to.

use oneloop::callback::{run_on, set_timeout, spawn_micro};
use oneloop::green::{Pool, Wait, sleep, spawn};
use oneloop::{EventLoop, Options, aio};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn callbacks_async_tasks_and_green_threads_share_a_pool() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let say = {
        let lines = Rc::clone(&lines);
        move |line: &'static str| lines.borrow_mut().push(line)
    };
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let pool = Pool::new(1);
    let code = run_on(&mut event_loop, move || {
        // A permit is free, so even a spawn works in a callback.
        let first = pool.spawn(|| sleep(10 * MS));
        let job = |line| {
            let say = say.clone();
            move || {
                sleep(MS);
                say(line);
                line
            }
        };
        let (inside, by_task) = (pool.clone(), job("by a task"));
        let _task = aio::spawn(async move { inside.submit(by_task).await });
        let (inside, by_thread) = (pool.clone(), job("by a green thread"));
        drop(spawn(move || inside.submit(by_thread).wait().unwrap()));
        let by_callback = job("by a callback");
        set_timeout(
            move || {
                let job = pool.submit(by_callback);
                assert_eq!(pool.queued(), 3);
                let _reported = spawn_micro(async move {
                    first.await.unwrap();
                    say(job.await.unwrap());
                });
            },
            1,
        );
    });
    assert_eq!(code.unwrap(), 0);
    let expected = [
        "by a task",
        "by a green thread",
        "by a callback",
        "by a callback",
    ];
    assert_eq!(*lines.borrow(), expected);
}

use crate::*;
use oneloop_core::{JoinError, yield_now};
use std::sync::mpsc;
use std::thread;

/// Starts a loop on another thread, with a value, and returns the value's name. The loop runs until
/// the name is dropped.
fn elsewhere<P: 'static>(
    make: impl FnOnce() -> P + Send + 'static,
) -> (Distant<P>, thread::JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let mut event_loop = EventLoop::new().unwrap();
        sender
            .send(Distant::new(&event_loop.handle(), make()))
            .unwrap();
        drop(sender);
        event_loop.run().unwrap();
    });
    (receiver.recv().unwrap(), thread)
}

#[test]
fn an_answer_comes_to_another_loop_which_lives_until_then() {
    let (queue, thread) = elsewhere(Queue::unbounded);
    let feed = queue.clone();
    let text = trace(|handle, log| {
        let log = log.clone();
        handle.spawn(async move {
            let ask = queue.ask(|queue| queue.get());
            drop(queue);
            log.note(ask.await.unwrap());
        });
        handle.spawn(async move { feed.run(|queue| queue.try_put(7).unwrap()) });
    });
    assert_eq!(text, "7");
    thread.join().unwrap();
}

#[test]
fn ask_blocking_blocks_a_thread_without_a_loop_until_the_answer_comes() {
    let (event, thread) = elsewhere(Event::new);
    let set = event.clone();
    let other = thread::spawn(move || set.run(|event| event.set()));
    event.ask_blocking(|event| event.until_set()).unwrap();
    drop(event);
    other.join().unwrap().unwrap();
    thread.join().unwrap();
}

#[test]
fn a_dropped_ask_ends_the_wait_at_home() {
    let (queue, thread) = elsewhere(Queue::unbounded);
    drop(queue.ask(|queue| queue.get()));
    let first = queue.ask(|queue| queue.get());
    let waiting = |queue: &Queue<i32>| std::future::ready(queue.getters());
    while queue.ask_blocking(waiting).unwrap() != 1 {}
    drop(first);
    while queue.ask_blocking(waiting).unwrap() != 0 {}
    queue.run(|queue| queue.try_put(1).unwrap()).unwrap();
    assert_eq!(queue.ask_blocking(|queue| queue.get()).unwrap(), 1);
    drop(queue);
    thread.join().unwrap();
}

#[test]
fn cancel_returns_an_answer_that_has_come() {
    let (queue, thread) = elsewhere(Queue::unbounded);
    queue.run(|queue| queue.try_put(1).unwrap()).unwrap();
    let ask = queue.ask(|queue| queue.get());
    queue.ask_blocking(|_| yield_now()).unwrap(); // by then the first question is answered
    assert_eq!(ask.cancel().unwrap().unwrap(), 1);
    assert!(queue.ask(|queue| queue.get()).cancel().is_none());
    drop(queue);
    thread.join().unwrap();
}

#[test]
fn a_panic_at_home_is_the_answer() {
    let (event, thread) = elsewhere(Event::new);
    let panics = event.ask_blocking(|_| -> std::future::Ready<()> { panic!("in the function") });
    assert_eq!(panics.unwrap_err().panic_message(), Some("in the function"));
    let panics = event.ask_blocking(|_| async { panic!("in the future") });
    assert_eq!(panics.unwrap_err().panic_message(), Some("in the future"));
    drop(event);
    thread.join().unwrap();
}

#[test]
fn asking_a_loop_that_is_dropped_fails() {
    let event_loop = EventLoop::new().unwrap();
    let event = Distant::new(&event_loop.handle(), Event::new());
    let before = event.ask(|event| event.until_set());
    drop(event_loop);
    assert!(event.run(|event| event.set()).is_err());
    for ask in [before, event.ask(|event| event.until_set())] {
        assert!(matches!(now(ask), Err(JoinError::Canceled)));
    }
}

#[test]
fn the_drop_of_the_last_name_drops_the_value_at_home() {
    struct ReportsItsDrop(mpsc::Sender<thread::ThreadId>);
    impl Drop for ReportsItsDrop {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }
    let (sender, receiver) = mpsc::channel();
    let (value, thread) = elsewhere(move || ReportsItsDrop(sender));
    let other = value.clone();
    drop(value);
    assert!(receiver.try_recv().is_err());
    drop(other);
    assert_eq!(receiver.recv().unwrap(), thread.thread().id());
    thread.join().unwrap();
}

#[test]
fn a_distant_sender_keeps_the_channel_open() {
    let mut event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = channel(None);
    let sender = Distant::new(&event_loop.handle(), sender);
    let thread = thread::spawn(move || sender.run(|sender| sender.try_send(1).unwrap()));
    let received = event_loop.block_on(async {
        let first = receiver.receive().await;
        (first, receiver.receive().await)
    });
    assert_eq!(received, (Some(1), None));
    thread.join().unwrap().unwrap();
}

#[test]
fn each_primitive_has_a_remote_name() {
    fn is_for_all<T: Send + Sync + Clone>(_: T) {}
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let (sender, receiver) = channel::<Rc<()>>(None);
        is_for_all((sender.remote(), receiver.remote()));
        is_for_all((Event::new().remote(), OneShot::<Rc<()>>::new().remote()));
        is_for_all((Semaphore::new(1).remote(), RLock::new().remote()));
        is_for_all((
            BoundedSemaphore::new(1).remote(),
            CappedSemaphore::new(1, 1).remote(),
        ));
        is_for_all((
            Condition::new().remote(),
            Queue::<Rc<()>>::default().remote(),
        ));
        is_for_all(ResourcePool::new(1, || ()).remote());
    });
}

#[test]
#[should_panic(expected = "would block the loop")]
fn ask_blocking_panics_inside_a_loop() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let _ = Event::new()
            .remote()
            .ask_blocking(|event| event.until_set());
    });
}

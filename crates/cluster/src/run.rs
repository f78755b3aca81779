//! Running a whole cluster, from the first loop to the end of the last.

use crate::cluster::Cluster;
use crate::member::Member;
use crate::pin::Pin;
use crate::threads::{ClusterThreads, StartError};
use oneloop_core::{CancelHandle, EventLoop, Handle, Signals};
use oneloop_sync::{DistantSender, distant_channel};
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How to run a cluster.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Each loop has a core of its own among those that the process may use
    /// (`sched_setaffinity(2)`). With more loops than cores, they share.
    pub pins: bool,
    /// The signals that stop the cluster ([`number`](oneloop_core::signal::number)); a second one
    /// ends it at once. Empty by default: then they do what they did before.
    pub stop_signals: Vec<i32>,
    /// How long connections may take to end when a signal stops the cluster: 10 s.
    pub drain: Duration,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        ClusterOptions {
            pins: false,
            stop_signals: Vec::new(),
            drain: Duration::from_secs(10),
        }
    }
}

/// Runs a program on several loops, each with a thread of its own: calls `main` on each of them,
/// and returns when all have ended.
///
/// The first loop runs on the calling thread. On each thread `main` gets its [`Member`], and makes
/// what belongs to this loop alone: an `Rc` is fine. What all loops share is captured by the
/// closure, in an `Arc`. A loop ends when the future of `main` is ready and its connections have
/// ended.
///
/// **An error or a panic of one loop ends all**: the other loops are stopped at once, as
/// [`Cluster::stop`] with no drain does, and `cluster` returns the error or continues the panic.
/// (The panic of a task ends that task, as in any loop.)
///
/// Channels between the loops: [`distant_channel`](oneloop_sync::distant_channel), and
/// [`Mesh`](crate::Mesh) for all pairs.
///
/// ```
/// use oneloop::net::TcpStream;
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// oneloop::cluster(2, |member| async move {
///     let listener = member.listen("127.0.0.1:0")?;
///     if member.id() == 0 {
///         let client = TcpStream::connect(listener.local_addr().inet().unwrap()).await?;
///         oneloop::aio::spawn(async move {
///             client.write_all(b"hello").await.unwrap();
///             member.stop(Duration::from_secs(1));
///         });
///     }
///     // One of the two loops gets the client, and both end when the cluster stops.
///     while let Some(connection) = listener.accept().await? {
///         assert_eq!(connection.read_text(100).await?, "hello");
///     }
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
/// The first error of a loop, that of `main` included; those of
/// [`EventLoop::new`](oneloop_core::EventLoop::new), and of starting a thread.
///
/// # Panics
/// With the first panic of a loop; if `loops` is 0; inside of a running loop.
#[doc(alias("cluster.fork", "LocalExecutorPoolBuilder", "workers", "gunicorn"))]
#[doc(alias("Builder::new_multi_thread", "worker_threads", "thread-per-core"))]
pub fn cluster<F, Fut, E>(loops: usize, main: F) -> Result<(), E>
where
    F: Fn(Member) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>>,
    E: From<io::Error> + Send + 'static,
{
    cluster_with(loops, ClusterOptions::default(), main)
}

/// Runs a program on several loops, with options: see [`cluster`].
///
/// ```no_run
/// use oneloop::cluster::{ClusterOptions, cluster_with};
/// use oneloop::signal::{SIGINT, SIGTERM};
///
/// fn main() -> std::io::Result<()> {
///     let options = ClusterOptions {
///         pins: true,
///         stop_signals: vec![SIGINT, SIGTERM],
///         ..ClusterOptions::default()
///     };
///     cluster_with(8, options, |member| async move {
///         let listener = member.listen("[::]:8080")?;
///         while let Some(connection) = listener.accept().await? {
///             // …
/// #           drop(connection);
///         }
///         Ok(())
///     })
/// }
/// ```
///
/// # Errors
/// As [`cluster`]; those of `sched_setaffinity(2)` and of [`Signals::new`].
///
/// # Panics
/// As [`cluster`].
pub fn cluster_with<F, Fut, E>(loops: usize, options: ClusterOptions, main: F) -> Result<(), E>
where
    F: Fn(Member) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>>,
    E: From<io::Error> + Send + 'static,
{
    let cluster = Cluster::new(loops);
    let mut event_loop = EventLoop::new()?;
    // Before the other threads start: a signal that comes now must stop them, too.
    let listening = stop_on_signals(&cluster, &event_loop.handle(), &options)?;
    let main = Arc::new(main);
    let (alive, mut others_end) = distant_channel::<()>(1);
    let others = start_others(&cluster, &options, &main, alive)?;
    let first = catch_unwind(AssertUnwindSafe(|| {
        let _pin = options.pins.then(|| Pin::new(0)).transpose()?;
        let member = Member::join(&cluster, 0, &event_loop.handle());
        let future = event_loop.enter(|| main(member.clone()));
        let ended = member.run(&mut event_loop, live(member.clone(), future));
        // This loop listens to the signals, so it runs as long as the others.
        event_loop.block_on(others_end.receive());
        ended.unwrap_or(Ok(()))
    }));
    if !matches!(first, Ok(Ok(()))) {
        end(&cluster, 0);
    }
    listening.iter().for_each(CancelHandle::cancel);
    drop(event_loop); // with the tasks that were cut off
    let mut ends = vec![first];
    let others = others.join().into_iter();
    ends.extend(others.map(|ended| ended.map(|ended| ended.unwrap_or(Ok(())))));
    // The failure that came first is the cause of those that followed.
    match ends.swap_remove(cluster.shared.failed().unwrap_or(0)) {
        Ok(ended) => ended,
        Err(panic) => resume_unwind(panic),
    }
}

/// Starts the threads of all loops but the first. Each of them holds `alive` while it runs.
fn start_others<F, Fut, E>(
    cluster: &Cluster,
    options: &ClusterOptions,
    main: &Arc<F>,
    alive: DistantSender<()>,
) -> Result<ClusterThreads<Result<(), E>>, E>
where
    F: Fn(Member) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>>,
    E: From<io::Error> + Send + 'static,
{
    let (pins, main) = (options.pins, Arc::clone(main));
    let new_loop = move |id| -> Result<EventLoop, E> {
        if pins {
            mem::forget(Pin::new(id)?); // for as long as the thread lives
        }
        Ok(EventLoop::new()?)
    };
    let setup = move |member: &Member| {
        let _alive = &alive; // moves it here
        let panics = EndsAll {
            cluster: member.cluster().clone(),
            id: member.id(),
        };
        let live = live(member.clone(), main(member.clone()));
        Ok(async move {
            let _panics = panics;
            live.await
        })
    };
    let started = cluster.start(new_loop, setup);
    started.map_err(|problem| match problem {
        StartError::Thread(_, error) => error.into(),
        StartError::Loop(_, error) => error,
    })
}

/// Stops the cluster at the first of the signals, and ends it at the second.
fn stop_on_signals(
    cluster: &Cluster,
    handle: &Handle,
    options: &ClusterOptions,
) -> io::Result<Option<CancelHandle>> {
    if options.stop_signals.is_empty() {
        return Ok(None);
    }
    let signals = Signals::new(handle, &options.stop_signals)?;
    let (cluster, drain) = (cluster.clone(), options.drain);
    let listening = handle.spawn(async move {
        for drain in [drain, Duration::ZERO] {
            let _ = signals.recv().await; // an error: no signal would arrive any more
            cluster.stop(drain);
        }
    });
    Ok(Some(listening.cancel_handle()))
}

/// Runs the future of a loop, and then its connections to their ends. An error ends the whole
/// cluster.
async fn live<E>(member: Member, main: impl Future<Output = Result<(), E>>) -> Result<(), E> {
    let ended = main.await;
    match ended {
        Ok(()) => member.until_idle().await,
        Err(_) => end(member.cluster(), member.id()),
    }
    ended
}

/// Ends the whole cluster if the thread unwinds.
struct EndsAll {
    cluster: Cluster,
    id: usize,
}

impl Drop for EndsAll {
    fn drop(&mut self) {
        if thread::panicking() {
            end(&self.cluster, self.id);
        }
    }
}

fn end(cluster: &Cluster, id: usize) {
    cluster.shared.fail(id);
    cluster.stop(Duration::ZERO);
}

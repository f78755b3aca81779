//! Futures of one task, of which only those are polled that were woken.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Futures of one task, each with a waker of its own: a wake of one does not poll the others.
///
/// ```text
///  future 3's waker ──▶ woken: [3] ──▶ the task's waker ──▶ poll ──▶ future 3
/// ```
pub(crate) struct WokenFutures<F> {
    members: Vec<Member<F>>,
    woken: Arc<Woken<usize>>,
}

struct Member<F> {
    /// `None` once it is done.
    // Boxed, because safe code pins nothing within a `Vec`.
    future: Option<Pin<Box<F>>>,
    waker: Arc<MemberWaker<usize>>,
}

/// The waker of one future of a task, which knows that future by a name.
pub(crate) struct MemberWaker<N> {
    name: N,
    is_queued: AtomicBool,
    woken: Arc<Woken<N>>,
}

impl<N: Copy + Send + Sync + 'static> MemberWaker<N> {
    /// Returns the waker for a poll. From here on, a wake queues the future again.
    pub(crate) fn begin_poll(self: &Arc<Self>) -> Waker {
        self.is_queued.store(false, Ordering::Release);
        Waker::from(Arc::clone(self))
    }
}

impl<N: Copy + Send + Sync + 'static> Wake for MemberWaker<N> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.woken.queue(Some(self.name));
        }
    }
}

/// The names of the futures that were woken, in the order of their wakes.
pub(crate) struct Woken<N>(Mutex<WokenList<N>>);

struct WokenList<N> {
    names: Vec<N>,
    /// The last list, empty: the next one is collected in it.
    spare: Vec<N>,
    /// The waker of the task; `None` after it was woken.
    waker: Option<Waker>,
}

impl<N: Copy + Send + Sync + 'static> Woken<N> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Woken(Mutex::new(WokenList {
            names: Vec::new(),
            spare: Vec::new(),
            waker: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, WokenList<N>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a waker for the future with this name, and queues that for its first poll.
    pub(crate) fn add(self: &Arc<Self>, name: N) -> Arc<MemberWaker<N>> {
        self.queue(Some(name));
        Arc::new(MemberWaker {
            name,
            is_queued: AtomicBool::new(true),
            woken: Arc::clone(self),
        })
    }

    /// Wakes the task.
    pub(crate) fn wake_task(&self) {
        self.queue(None);
    }

    fn queue(&self, name: Option<N>) {
        let mut list = self.lock();
        list.names.extend(name);
        let waker = list.waker.take();
        drop(list); // a waker is foreign code
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the names of the futures that were woken since the last call. A wake from here on
    /// wakes the task of this context.
    pub(crate) fn take(&self, cx: &mut Context<'_>) -> Vec<N> {
        let waker = cx.waker().clone(); // foreign code, as is the drop of the one before
        let mut list = self.lock();
        let before = list.waker.replace(waker);
        let spare = std::mem::take(&mut list.spare);
        let names = std::mem::replace(&mut list.names, spare);
        drop(list);
        drop(before);
        names
    }

    /// Keeps the memory of a list that [`Woken::take`] returned.
    pub(crate) fn keep(&self, mut names: Vec<N>) {
        names.clear();
        self.lock().spare = names;
    }
}

impl<F: Future> WokenFutures<F> {
    pub(crate) fn new(futures: impl IntoIterator<Item = F>) -> Self {
        let woken = Woken::new();
        let member = |(index, future)| Member {
            future: Some(Box::pin(future)),
            waker: woken.add(index),
        };
        let members = futures.into_iter().enumerate().map(member).collect();
        WokenFutures { members, woken }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Polls the futures that were woken since the last poll, in the order of their wakes, and
    /// passes each output to `done` with the index of its future, until that breaks.
    pub(crate) fn poll<B>(
        &mut self,
        cx: &mut Context<'_>,
        mut done: impl FnMut(usize, F::Output) -> ControlFlow<B>,
    ) -> Poll<B> {
        let indexes = self.woken.take(cx);
        // One pass: a future that wakes itself wakes the task, which runs again after the others.
        for &index in &indexes {
            let member = &mut self.members[index];
            let waker = member.waker.begin_poll();
            let Some(future) = &mut member.future else {
                continue; // woken after it was done
            };
            let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) else {
                continue;
            };
            member.future = None;
            if let ControlFlow::Break(result) = done(index, output) {
                return Poll::Ready(result);
            }
        }
        self.woken.keep(indexes);
        Poll::Pending
    }
}

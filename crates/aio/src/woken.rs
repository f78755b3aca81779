//! A collection of futures that polls only those that were woken.

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
    woken: Arc<Woken>,
    /// The last list of woken futures, empty: the next list is collected in it.
    spare: Vec<usize>,
}

struct Member<F> {
    /// `None` once it is done.
    // Boxed, because safe code pins nothing within a `Vec`.
    future: Option<Pin<Box<F>>>,
    waker: Arc<MemberWaker>,
}

struct MemberWaker {
    index: usize,
    is_queued: AtomicBool,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(Mutex<WokenList>);

#[derive(Default)]
struct WokenList {
    indexes: Vec<usize>,
    /// The waker of the task; `None` after it was woken.
    waker: Option<Waker>,
}

impl Woken {
    fn lock(&self) -> MutexGuard<'_, WokenList> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for MemberWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut list = self.woken.lock();
        list.indexes.push(self.index);
        let waker = list.waker.take();
        drop(list); // a waker is foreign code
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<F: Future> WokenFutures<F> {
    pub(crate) fn new(futures: impl IntoIterator<Item = F>) -> Self {
        let woken = Arc::new(Woken::default());
        let member = |(index, future)| Member {
            future: Some(Box::pin(future)),
            waker: Arc::new(MemberWaker {
                index,
                is_queued: AtomicBool::new(true), // for its first poll
                woken: Arc::clone(&woken),
            }),
        };
        let members: Vec<_> = futures.into_iter().enumerate().map(member).collect();
        woken.lock().indexes = (0..members.len()).collect();
        WokenFutures {
            members,
            woken,
            spare: Vec::new(),
        }
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
        let waker = cx.waker().clone(); // foreign code, as is the drop of the one before
        let mut list = self.woken.lock();
        let before = list.waker.replace(waker);
        let mut indexes = std::mem::replace(&mut list.indexes, std::mem::take(&mut self.spare));
        drop(list);
        drop(before);
        // One pass: a future that wakes itself wakes the task, which runs again after the others.
        for index in indexes.drain(..) {
            let member = &mut self.members[index];
            member.waker.is_queued.store(false, Ordering::Release);
            let Some(future) = &mut member.future else {
                continue; // woken after it was done
            };
            let waker = Waker::from(Arc::clone(&member.waker));
            let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) else {
                continue;
            };
            member.future = None;
            if let ControlFlow::Break(result) = done(index, output) {
                return Poll::Ready(result);
            }
        }
        self.spare = indexes;
        Poll::Pending
    }
}

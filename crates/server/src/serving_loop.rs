//! One loop of the server, with all services on it.

use crate::dispatch::Dispatcher;
use crate::server::{Lifecycle, Server};
use crate::service::Service;
use crate::work::Work;
use oneloop::Handle;
use oneloop::cluster::Member;
use oneloop::core::CancelHandle;
use oneloop::sync::Semaphore;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// One loop, with all services on it.
#[derive(Debug)]
pub(crate) struct ServingLoop {
    pub(crate) server: Arc<Server>,
    pub(crate) handle: Handle,
    /// One for each service, in the order of the configuration.
    pub(crate) dispatchers: Vec<Rc<Dispatcher>>,
    /// Held by what makes the clients report.
    pub(crate) asking: Semaphore,
    /// Tasks without an end of their own.
    endless: RefCell<Vec<CancelHandle>>,
}

impl ServingLoop {
    /// A loop that does this work for the services of the server.
    pub(crate) fn new(
        server: &Arc<Server>,
        handle: &Handle,
        member: &Member,
        works: Vec<Work>,
    ) -> Rc<Self> {
        let services = server.services.iter().zip(works);
        let dispatcher = |(shared, work)| {
            let service = Service::new(server, shared, handle, member);
            Rc::new(Dispatcher::new(&service, work))
        };
        let serving = Rc::new(ServingLoop {
            server: Arc::clone(server),
            handle: handle.clone(),
            dispatchers: services.map(dispatcher).collect(),
            asking: Semaphore::new(1),
            endless: RefCell::default(),
        });
        for dispatcher in &serving.dispatchers {
            if let Some(task) = dispatcher.background() {
                serving.spawn_endless(task);
            }
        }
        serving
    }

    /// Each service, in the order of the configuration.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Rc<Service>> {
        self.dispatchers
            .iter()
            .map(|dispatcher| &dispatcher.service)
    }

    /// Starts a task that runs until [`ServingLoop::cancel_endless`].
    #[track_caller]
    pub(crate) fn spawn_endless(&self, task: impl Future<Output = ()> + 'static) {
        self.add_endless(self.handle.spawn(task).cancel_handle());
    }

    /// Adds a task that [`ServingLoop::cancel_endless`] cancels.
    pub(crate) fn add_endless(&self, task: CancelHandle) {
        self.endless.borrow_mut().push(task);
    }

    /// Cancels the tasks that have no end of their own: a report of unfinished tasks is not about
    /// them.
    pub(crate) fn cancel_endless(&self) {
        self.endless.take().iter().for_each(CancelHandle::cancel);
    }

    /// Notifies everything on this loop of the next state of the lifecycle. A list of connections
    /// would cost each of them memory for this one moment, so all tasks are woken and look for
    /// themselves what the state means for them.
    pub(crate) fn advance(&self, lifecycle: Lifecycle) {
        // First the state, then the wake-up: the tasks run after this phase, but callbacks run
        // right here.
        self.services()
            .for_each(|service| service.set_lifecycle(lifecycle));
        self.handle.wake_waiting();
        if lifecycle >= Lifecycle::Draining {
            self.services().for_each(|service| service.clients.drain());
        }
    }
}

//! One client, as what every mode needs of it: its socket, its place, and how long it may do nothing.

use crate::budget::Crowded;
use crate::chat::Lost;
use crate::inspect::Report;
use crate::notice::Notice;
use crate::patience::{Expired, Patience};
use crate::service::Service;
use oneloop::net::{Addr, Chunk, ReadHalf, Shutdown, Socket};
use oneloop::{Direction, Ready, callback};
use oneloop_posix::Refusal;
use rustix::io::Errno;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tracing::debug;

/// Why a connection ended before its time.
#[derive(Debug)]
pub(crate) enum Broken {
    Io(io::Error),
    Expired(Expired),
    /// More than `--out-hard` waits for the client.
    TooSlow,
    /// More than `--out-total` waits for all clients, and the most of it for this one: the count of
    /// clients that had to go.
    Crowded(u64),
    /// It is the peer that failed: the upstream, or the program.
    Peer(io::Error),
    /// The time to drain is over.
    CutOff,
}

impl Broken {
    /// True if the client has not heard all that its peer had to say.
    pub(crate) fn cuts_peer_off(&self) -> bool {
        matches!(
            self,
            Broken::Peer(_) | Broken::CutOff | Broken::Expired(Expired::Write)
        )
    }

    /// True if the peer has not heard all that the client had to say.
    pub(crate) fn cuts_client_off(&self) -> bool {
        matches!(self, Broken::Io(_) | Broken::Expired(Expired::HangUp))
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Broken::Io(error)
    }
}

impl From<Lost> for Broken {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::TooSlow => Broken::TooSlow,
            Lost::Crowded(times) => Broken::Crowded(times),
        }
    }
}

impl From<Crowded> for Broken {
    fn from(crowded: Crowded) -> Self {
        Broken::Crowded(crowded.times)
    }
}

impl From<Expired> for Broken {
    fn from(expired: Expired) -> Self {
        Broken::Expired(expired)
    }
}

/// Tells how a connection ended.
pub(crate) fn log_end(
    service: &Service,
    number: u64,
    end: &Result<(), Broken>,
    peer: impl Fn() -> Option<Addr>,
) {
    let news = &service.shared.news;
    let who = || {
        let peer = peer().map_or_else(|| "gone".to_owned(), |peer| peer.to_string());
        (number, peer)
    };
    let tell = |notice: &Notice<_>| notice.tell(&service.handle, who());
    match end {
        Ok(()) => debug!(number, "closed"),
        Err(Broken::Io(error) | Broken::Peer(error)) if is_forbidden(error) => {
            let told = (number, error.to_string());
            news.forbidden.tell(&service.handle, told);
        }
        Err(Broken::Io(error)) => debug!(number, %error, "closed"),
        Err(Broken::Peer(error)) => debug!(number, %error, "closed: its peer failed"),
        Err(Broken::CutOff) => debug!(number, "closed: --drain is over"),
        Err(Broken::Expired(Expired::HangUp)) => {
            debug!(
                number,
                "closed: the client had hung up, and its peer took no more"
            );
        }
        Err(Broken::Expired(Expired::Linger)) => debug!(number, "closed: the client did not"),
        Err(Broken::Expired(Expired::Idle)) => tell(&news.idle),
        Err(Broken::Expired(Expired::Write)) => tell(&news.write),
        Err(Broken::TooSlow) => tell(&news.too_slow),
        Err(Broken::Crowded(times)) => news.crowded.tell(&service.handle, (*times, who())),
    }
}

/// True if a sandbox has refused a system call that there is no way around.
fn is_forbidden(error: &io::Error) -> bool {
    let of_callbacks = || error.get_ref()?.downcast_ref::<callback::Error>()?.errno();
    let errno = error
        .raw_os_error()
        .or_else(|| of_callbacks().map(i32::saturating_neg));
    let refusal = errno.and_then(|errno| Refusal::of(Errno::from_raw_os_error(errno)));
    refusal == Some(Refusal::Everywhere)
}

/// A place among the connections that may be open, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    service: Rc<Service>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.service.close();
    }
}

impl Place {
    /// One that was counted.
    pub(crate) fn taken(service: &Rc<Service>) -> Self {
        Place {
            service: Rc::clone(service),
        }
    }

    pub(crate) fn service(&self) -> &Rc<Service> {
        &self.service
    }
}

/// A connection that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Free before the client can see the end: it may come again at once.
    pub(crate) place: Place,
    pub(crate) socket: Socket,
    /// Which of the server's clients this is.
    pub(crate) number: u64,
}

/// Waits until a client from which nothing is read has gone: it has reset the connection, or closed it with
/// nothing left to be read. Only of a Unix client can the kernel tell that it has closed.
pub(crate) fn poll_gone(client: &Socket, cx: &mut Context<'_>) -> Poll<io::Error> {
    let reset = client.poll_reset(cx);
    if reset.is_pending() && is_hung_up(client) && matches!(client.unread_bytes(), Ok(0)) {
        return Poll::Ready(io::ErrorKind::BrokenPipe.into());
    }
    reset
}

fn is_hung_up(client: &Socket) -> bool {
    client.source().ready().contains(Ready::HANG_UP)
}

/// A client, in the styles that wait.
#[derive(Debug)]
pub(crate) struct Client {
    accepted: Accepted,
    /// Only where a time-out can come.
    patience: Option<Box<Patience>>,
    /// Bytes that were read from it.
    received: u64,
    /// When it was accepted, in tenths of a second of the server's life.
    accepted_at: u32,
    /// The last round of reports in which it was heard.
    reported: u32,
}

impl Client {
    pub(crate) fn new(accepted: Accepted) -> Self {
        let service = &accepted.place.service;
        let may_expire = !service.limits.are_off();
        let patience = may_expire.then(|| Box::new(Patience::new(service.limits, &service.handle)));
        Client {
            received: 0,
            accepted_at: service.shared.age(),
            reported: service.reports.round(),
            accepted,
            patience,
        }
    }

    pub(crate) fn service(&self) -> &Rc<Service> {
        self.accepted.place.service()
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.accepted.socket
    }

    /// Which of the server's clients this is.
    pub(crate) fn number(&self) -> u64 {
        self.accepted.number
    }

    /// Closes the connection; its place stays taken for as long as what is given lives.
    pub(crate) fn into_place(self) -> Place {
        self.accepted.place
    }

    /// Reads at most so much, and at least a byte; `None` when the client has sent its last.
    #[inline]
    pub(crate) fn poll_input(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<io::Result<Option<Chunk>>> {
        self.look_if_draining();
        let input = ready!(self.socket().poll_read_chunk(cx, bytes_max.max(1)))?;
        self.received += input.as_ref().map_or(0, |input| input.len() as u64);
        self.note_activity();
        Poll::Ready(Ok(input))
    }

    /// In a drain, what was received before it is read even if the loop has not heard of it.
    #[inline]
    pub(crate) fn look_if_draining(&self) {
        if self.service().is_draining() {
            self.socket().source().assume_ready(Direction::Read);
        }
    }

    /// True when nothing received is left that could still be answered.
    pub(crate) fn is_drained(&self) -> bool {
        self.service().is_draining() && !self.socket().source().is_ready(Direction::Read)
    }

    /// True once both directions are shut, though something it has sent may not be read yet: a Unix client
    /// that has closed, or a TCP client that has ended after its peer.
    pub(crate) fn is_hung_up(&self) -> bool {
        is_hung_up(self.socket())
    }

    /// The client has hung up: its peer has little time left to take its last words, and to end.
    pub(crate) fn note_hang_up(&mut self) {
        self.patience_for_all().note_hang_up();
    }

    /// For what has a limit whatever the time-outs are.
    fn patience_for_all(&mut self) -> &mut Patience {
        let service = &self.accepted.place.service;
        self.patience
            .get_or_insert_with(|| Box::new(Patience::new(service.limits, &service.handle)))
    }

    /// True if a time-out can come.
    #[inline]
    pub(crate) fn may_expire(&self) -> bool {
        self.patience.is_some()
    }

    /// Bytes came or went.
    pub(crate) fn note_activity(&mut self) {
        if let Some(patience) = &mut self.patience {
            patience.note_activity(&self.accepted.place.service.handle);
        }
    }

    /// Output waits, or does not; `taken` says that the client took some just now.
    pub(crate) fn note_output(&mut self, waits: bool, taken: bool) {
        if let Some(patience) = &mut self.patience {
            patience.note_output(&self.accepted.place.service.handle, waits, taken);
        }
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        match &mut self.patience {
            None => Poll::Pending,
            Some(patience) => patience.poll_expired(cx, &self.accepted.place.service.handle),
        }
    }

    /// True once for each time that SIGUSR1 asks.
    #[inline]
    fn is_asked_to_report(&mut self) -> bool {
        let reports = &self.accepted.place.service.reports;
        reports.is_asked(&mut self.reported)
    }

    /// Bytes that were read from it.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Tells how it ended.
    pub(crate) fn log_end(&self, end: &Result<(), Broken>) {
        log_end(self.service(), self.number(), end, || {
            self.socket().peer_addr().ok()
        });
    }
}

/// A client with what is done for it.
pub(crate) trait Served: Sized {
    /// The client.
    fn client(&mut self) -> &mut Client;

    /// Tries to send what waits for the client, though nobody has told that there is room. True if it has
    /// taken something after all.
    fn try_to_send(&mut self, cx: &mut Context<'_>) -> bool;

    /// Has the budget know how much waits for the client.
    ///
    /// # Errors
    /// The client has to go.
    fn note_queue(&mut self, cx: &mut Context<'_>) -> Result<(), Crowded>;

    /// Bytes that were received from the client and sent to it, those that wait to be sent, and what
    /// the client waits for.
    fn traffic(&mut self) -> (u64, u64, usize, &'static str);

    /// Says what the client is at, as SIGUSR1 asks.
    #[cold]
    fn report(&mut self) {
        let (received, sent, queued, waits) = self.traffic();
        let client = self.client();
        let service = client.service();
        let report = Report {
            received,
            sent,
            queued,
            age: service.shared.age().saturating_sub(client.accepted_at),
            waits,
        };
        let peer = client.socket().peer_addr().ok();
        service.reports.add(client.number(), peer, report);
    }

    /// Polls something that has to be ready before the client's time is over.
    #[inline]
    fn poll_in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<Result<T, Broken>>,
    ) -> Poll<Result<T, Broken>> {
        loop {
            let polled = poll(self, cx);
            if polled.is_ready() {
                return polled;
            }
            if self.client().is_asked_to_report() {
                self.report();
            }
            self.note_queue(cx)?;
            let expired = ready!(self.client().poll_expired(cx));
            let is_gone = matches!(expired, Expired::Linger | Expired::HangUp);
            if is_gone || !self.try_to_send(cx) {
                return Poll::Ready(Err(expired.into()));
            }
        }
    }

    /// Ends the server's side. From here on the client has little time left: until it closes, too, its
    /// input is read and dropped, as to close with input unread would reset the connection, and with it
    /// what is on its way.
    fn begin_lingering(&mut self) -> Result<(), Broken> {
        let client = self.client();
        match client.socket().shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(error.into()),
            _ => {} // who is gone already need not be told
        }
        let handle = client.service().handle.clone();
        client.patience_for_all().note_lingering(&handle);
        Ok(())
    }

    /// Ready once the client has sent its last.
    fn poll_lingering(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while ready!(self.client().poll_input(cx, usize::MAX))?.is_some() {}
        Poll::Ready(Ok(()))
    }
}

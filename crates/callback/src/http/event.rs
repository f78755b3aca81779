//! The events of servers, messages and requests. Each is a type, for `on` and `once` of its emitter:
//! `req.once(event::Data, |(req, bytes)| …)`.

use super::{ClientRequest, IncomingMessage, Information, Server, ServerResponse};
use crate::events::KeptAs;
use crate::net::{Socket, event::Dropped};
use crate::stream::Readable as Source;
use crate::tables::emitter;

/// An event of an [`IncomingMessage`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of this message",
    label = "for 'data', write `on_data(…)`, or `on(event::Data, …)`",
    note = "an event is a type, in `oneloop::callback::http::event`"
)]
pub trait IncomingEvent: KeptAs<IncomingListener> {}

/// An event of a [`Server`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of this server",
    label = "for 'request', write `on_request(…)`, or `on(event::Request, …)`",
    note = "an event is a type, in `oneloop::callback::http::event`"
)]
pub trait ServerEvent: KeptAs<ServerListener> {}

/// An event of a [`ServerResponse`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of this response",
    label = "for 'finish', write `on_finish(…)`, or `on(event::Finish, …)`",
    note = "an event is a type, in `oneloop::callback::http::event`"
)]
pub trait ResponseEvent: KeptAs<ResponseListener> {}

/// An event of a [`ClientRequest`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event of this request",
    label = "for 'response', write `on_response(…)`, or `on(event::Response, …)`",
    note = "an event is a type, in `oneloop::callback::http::event`"
)]
pub trait RequestEvent: KeptAs<RequestListener> {}

emitter! { IncomingMessage emits IncomingEvent kept as IncomingListener in KeptOfIncoming {
    /// `'data'`: the next bytes of the body. With a listener the message flows from the next tick,
    /// unless it was paused.
    Data(message: IncomingMessage, bytes: &'a [u8]) => on_data;
    /// `'readable'`: there is something to [`read`](IncomingMessage::read), or the end. With a
    /// listener the message does not flow.
    Readable(message: IncomingMessage) => on_readable;
    /// `'end'`: the whole message was read.
    End(message: IncomingMessage) => on_end;
    /// `'pause'`: the message stops flowing.
    Pause(message: IncomingMessage);
    /// `'resume'`: the message begins to flow.
    Resume(message: IncomingMessage);
    /// `'timeout'`: no I/O on the connection for as long as its timeout allows.
    Timeout(message: IncomingMessage) => on_timeout;
    /// `'aborted'`: the connection was closed before the whole message was read.
    Aborted(message: IncomingMessage) => on_aborted;
    /// `'error'`: the message was cut off, or destroyed for an error. As in Node, nothing is thrown
    /// without a listener.
    Error(message: IncomingMessage, error: &'a crate::Error) => on_error;
    /// `'close'`: the message emits no more.
    Close(message: IncomingMessage) => on_close;
} }

emitter! { Server emits ServerEvent kept as ServerListener in KeptOfServer {
    /// `'listening'`: the server accepts connections.
    Listening(server: Server) => on_listening;
    /// `'connection'`: a client has connected.
    Connection(socket: Socket) => on_connection;
    /// `'request'`: the head of a request has arrived.
    Request(req: IncomingMessage, res: ServerResponse) => on_request;
    /// `'checkContinue'`: a request with `Expect: 100-continue`, whose client waits for
    /// [`write_continue`](ServerResponse::write_continue) or another answer. Without a listener, the
    /// server tells it to continue, and emits 'request'.
    CheckContinue(req: IncomingMessage, res: ServerResponse) => on_check_continue;
    /// `'checkExpectation'`: a request that expects something else. Without a listener, the answer
    /// is 417.
    CheckExpectation(req: IncomingMessage, res: ServerResponse) => on_check_expectation;
    /// `'upgrade'`: a client wants to speak another protocol on this connection, which is the
    /// listener's from now on; `head` holds the first bytes of that protocol. Without a listener,
    /// the request is as any other.
    Upgrade(req: IncomingMessage, socket: Socket, head: &'a [u8]) => on_upgrade;
    /// `'connect'`: a request with the method `CONNECT`; the connection is the listener's from now
    /// on. Without a listener, it is closed.
    Connect(req: IncomingMessage, socket: Socket, head: &'a [u8]) => on_connect;
    /// `'dropRequest'`: a request beyond the limit of its connection was answered with 503.
    DropRequest(req: IncomingMessage, socket: Socket) => on_drop_request;
    /// `'clientError'`: what a client sends is no HTTP, or too much, or too slow; or its connection
    /// failed. The listener answers and closes the socket. Without one, the server answers 400, 408,
    /// 413 or 431, and closes it.
    ClientError(error: &'a crate::Error, socket: Socket) => on_client_error;
    /// `'timeout'`: no I/O on a connection for as long as [`Server::set_timeout`] allows. Without a
    /// listener here, or on the message or the response, the connection is closed.
    ServerTimeout(socket: Socket) => on_timeout;
    /// `'drop'`: a connection beyond [`Server::set_max_connections`] was closed at once.
    Drop(server: Server, dropped: Dropped) => on_drop;
    /// `'error'`: the server does not listen, or no longer. Without a listener, the error is thrown.
    ServerError(server: Server, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`: the server accepts no more, and its last connection is closed.
    ServerClose(server: Server) => on_close;
} }

emitter! { ServerResponse emits ResponseEvent kept as ResponseListener in KeptOfResponse {
    /// `'drain'`: there is room again, after a write that returned false.
    Drain(res: ServerResponse) => on_drain;
    /// `'finish'`: the response was ended, and all of it is handed to the kernel.
    Finish(res: ServerResponse) => on_finish;
    /// `'pipe'`: a source is piped into the response from now on.
    Pipe(res: ServerResponse, source: Source) => on_pipe;
    /// `'unpipe'`: a source is no longer piped into the response.
    Unpipe(res: ServerResponse, source: Source) => on_unpipe;
    /// `'timeout'`: no I/O on the connection for as long as its timeout allows.
    ResponseTimeout(res: ServerResponse) => on_timeout;
    /// `'error'`: a write after the end. Without a listener, the error is thrown.
    ResponseError(res: ServerResponse, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`: the response has finished, or its connection was closed before.
    ResponseClose(res: ServerResponse) => on_close;
} }

emitter! { ClientRequest emits RequestEvent kept as RequestListener in KeptOfRequest {
    /// `'socket'`: the request has its connection, which may still be connecting.
    RequestSocket(socket: Socket) => on_socket;
    /// `'response'`: the head of the response has arrived. Without a listener, its body is dropped.
    Response(res: IncomingMessage) => on_response;
    /// `'continue'`: the server waits for the body: `100 Continue`.
    Continue(req: ClientRequest) => on_continue;
    /// `'information'`: the server has sent a status below 200, `100 Continue` included.
    InformationReceived(req: ClientRequest, information: &'a Information) => on_information;
    /// `'upgrade'`: the server speaks another protocol on this connection, which is the listener's
    /// from now on; `head` holds the first bytes of that protocol. Without a listener, the
    /// connection is closed.
    ClientUpgrade(res: IncomingMessage, socket: Socket, head: &'a [u8]) => on_upgrade;
    /// `'connect'`: the answer to a request with the method `CONNECT`; the connection is the
    /// listener's from now on. Without a listener, it is closed.
    ClientConnect(res: IncomingMessage, socket: Socket, head: &'a [u8]) => on_connect;
    /// `'timeout'`: no I/O on the connection for as long as its timeout allows. The request stays:
    /// a listener may destroy it.
    RequestTimeout(req: ClientRequest) => on_timeout;
    /// `'abort'`: the program has called [`abort`](ClientRequest::abort).
    Abort(req: ClientRequest) => on_abort;
    /// `'drain'`: there is room again, after a write that returned false.
    RequestDrain(req: ClientRequest) => on_drain;
    /// `'finish'`: the request was ended, and all of it is handed to the kernel.
    RequestFinish(req: ClientRequest) => on_finish;
    /// `'pipe'`: a source is piped into the request from now on.
    RequestPipe(req: ClientRequest, source: Source) => on_pipe;
    /// `'unpipe'`: a source is no longer piped into the request.
    RequestUnpipe(req: ClientRequest, source: Source) => on_unpipe;
    /// `'error'`: there is no connection, no response, or none that is HTTP. Without a listener, the
    /// error is thrown.
    RequestError(req: ClientRequest, error: &'a crate::Error) => on_error, else throws error;
    /// `'close'`: the request emits no more.
    RequestClose(req: ClientRequest) => on_close;
} }

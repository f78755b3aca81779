//! One HTTP connection: hyper, and the limits that hyper has not.

use crate::access::{Access, Verdict};
use crate::answer::{Answer, AnswerBody, Pace};
use crate::asked::Asked;
use crate::options::AdminOptions;
use crate::routes::Routes;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use oneloop_aio::hyper::LoopTimer;
use oneloop_aio::{Either, race, sleep, sleep_until, spawn};
use oneloop_net::Socket;
use oneloop_sync::ShutdownToken;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;

/// The largest head of a request; a larger one gets 431.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) routes: Rc<Routes>,
    pub(crate) access: Access,
    pub(crate) options: AdminOptions,
    pub(crate) shutdown: ShutdownToken,
}

/// Serves one connection until its client ends it, is too slow, or the admin thread ends.
pub(crate) async fn serve(socket: Socket, shared: Rc<Serving>) {
    let pace = Pace::begin();
    let service = service_fn(|request| answer(request, &shared, &pace));
    let mut builder = http1::Builder::new();
    builder
        .timer(LoopTimer)
        .header_read_timeout(shared.options.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(socket, service));
    let ending = race(shared.shutdown.requested(), stalls(&pace, &shared.options));
    if let Either::Second(Either::First(_requested)) = race(connection.as_mut(), ending).await {
        connection.as_mut().graceful_shutdown();
        // Streams never end, so the rest gets a moment and no more.
        let _ = race(connection, sleep(shared.options.head_timeout)).await;
    }
    // An error here is a client that has left, or sent what is no HTTP and has its 400.
}

/// Ready once a connection has made no progress for too long.
async fn stalls(pace: &Pace, options: &AdminOptions) {
    loop {
        let last = pace.last();
        sleep_until(last + options.stall_timeout).await;
        if pace.last() == last {
            return;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: &Rc<Serving>,
    pace: &Pace,
) -> Result<Response<AnswerBody>, Infallible> {
    pace.note();
    let asked = Asked::of(&request);
    let answer = match shared.access.judge(&asked) {
        Verdict::Allowed => answer_or_panic(asked, shared).await,
        Verdict::SetsCookie => set_cookie(&shared.access),
        Verdict::NoToken => Answer::text(NO_TOKEN)
            .with_status(StatusCode::UNAUTHORIZED)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        Verdict::Foreign => Answer::text(FOREIGN).with_status(StatusCode::FORBIDDEN),
    };
    let answer = SECURITY.iter().fold(answer, |answer, (name, value)| {
        let name = HeaderName::from_static(name);
        answer.with_header(name, HeaderValue::from_static(value))
    });
    Ok(answer.into_response(pace.clone()))
}

const NO_TOKEN: &str = "a token is required: Authorization: Bearer TOKEN, or ?token=TOKEN\n";
const FOREIGN: &str = "this request is on behalf of a page of another site\n";

/// What keeps pages of other sites out of ours, and ours from loading anything else.
const SECURITY: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

fn set_cookie(access: &Access) -> Answer {
    let answer = Answer::text("").with_status(StatusCode::SEE_OTHER);
    let answer = answer.with_header(LOCATION, HeaderValue::from_static("/"));
    match HeaderValue::from_str(&access.cookie()) {
        Ok(cookie) => answer.with_header(SET_COOKIE, cookie),
        Err(_) => answer, // a token has plain characters only: see `problem_of_token`
    }
}

/// The route's answer; 500 if the route panics, whose message is on stderr by then.
async fn answer_or_panic(asked: Asked, shared: &Rc<Serving>) -> Answer {
    let path = asked.path.clone();
    let routes = Rc::clone(&shared.routes);
    // A task of its own, which catches the panic; it ends with a connection that ends early.
    let answering = spawn(async move { routes.answer(asked).await }).cancel_on_drop();
    answering.await.unwrap_or_else(|_| {
        let text = format!("{path} failed: the program's stderr has the reason\n");
        Answer::text(text).with_status(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

//! Which function answers which path.

use crate::answer::Answer;
use crate::asked::Asked;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, StatusCode};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// The future of an answer, on the admin thread.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer>>>;

type Handler = Box<dyn Fn(Asked) -> Answering>;
type SendHandler = Box<dyn Fn(Asked) -> Answering + Send>;

/// The methods that a route knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The route shows something: `GET` and `HEAD`.
    Reads,
    /// The route changes something: `POST`.
    Changes,
}

impl Shows {
    fn allows(self, method: &Method) -> bool {
        match self {
            Shows::Reads => method == Method::GET || method == Method::HEAD,
            Shows::Changes => method == Method::POST,
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Shows::Reads => "GET, HEAD",
            Shows::Changes => "POST",
        }
    }
}

/// The routes of the program, on their way to the admin thread.
#[derive(Default)]
pub(crate) struct ProgramRoutes(BTreeMap<String, (Shows, SendHandler)>);

impl fmt::Debug for ProgramRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ProgramRoutes {
    /// Adds a route, in place of one with the same path.
    pub(crate) fn add<F>(
        &mut self,
        path: &str,
        shows: Shows,
        handler: impl Fn(Asked) -> F + Send + 'static,
    ) where
        F: Future<Output = Answer> + 'static,
    {
        let handler = Box::new(move |asked| Box::pin(handler(asked)) as Answering);
        self.0.insert(path.to_owned(), (shows, handler));
    }
}

/// The functions that answer, by their paths.
pub(crate) struct Routes(BTreeMap<String, (Shows, Handler)>);

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl From<ProgramRoutes> for Routes {
    fn from(routes: ProgramRoutes) -> Self {
        let routes = routes.0.into_iter();
        Routes(
            routes
                .map(|(path, (shows, handler))| (path, (shows, handler as _)))
                .collect(),
        )
    }
}

impl Routes {
    /// Adds a route, unless the program has one with that path.
    pub(crate) fn add_missing<F>(
        &mut self,
        path: &str,
        shows: Shows,
        handler: impl Fn(Asked) -> F + 'static,
    ) where
        F: Future<Output = Answer> + 'static,
    {
        let handler = Box::new(move |asked| Box::pin(handler(asked)) as Answering);
        self.0.entry(path.to_owned()).or_insert((shows, handler));
    }

    pub(crate) fn answer(self: &Rc<Self>, asked: Asked) -> Answering {
        let Some((shows, handler)) = self.0.get(&asked.path) else {
            let text = format!("there is no {}; there are: {}\n", asked.path, self.paths());
            let answer = Answer::text(text).with_status(StatusCode::NOT_FOUND);
            return Box::pin(async { answer });
        };
        if !shows.allows(&asked.method) {
            let text = format!("{} takes {}\n", asked.path, shows.methods());
            let answer = Answer::text(text)
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
                .with_header(ALLOW, HeaderValue::from_static(shows.methods()));
            return Box::pin(async { answer });
        }
        handler(asked)
    }

    fn paths(&self) -> String {
        self.0
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

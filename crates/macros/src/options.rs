//! The options in the brackets of an attribute.

use crate::fault::Fault;
use proc_macro::{Span, TokenStream, TokenTree};

/// The options of `#[oneloop::main]`.
pub(crate) struct MainOptions {
    /// The path of the facade.
    pub(crate) krate: String,
}

impl MainOptions {
    /// Reads them as far as they are valid.
    pub(crate) fn parse(tokens: TokenStream) -> (Vec<Fault>, Self) {
        let (mut faults, given) = given(tokens);
        let mut options = MainOptions {
            krate: "::oneloop".to_owned(),
        };
        for option in given {
            let set = match option.name.as_str() {
                "crate" => option.path().map(|path| options.krate = path),
                "flavor" | "worker_threads" => {
                    Err(option.fault("a loop has one thread: remove it"))
                }
                "start_paused" | "virtual_time" => Err(option
                    .fault("a program runs on the kernel's clock, and a test on virtual time")),
                _ => Err(option.fault("unknown option; `#[oneloop::main]` needs none")),
            };
            faults.extend(set.err());
        }
        (faults, options)
    }
}

/// The options of `#[oneloop::test]`.
pub(crate) struct TestOptions {
    /// The path of the facade.
    pub(crate) krate: String,
    pub(crate) virtual_time: bool,
    /// The number of seeds.
    pub(crate) chaos: Option<u64>,
}

impl TestOptions {
    /// Reads them as far as they are valid.
    pub(crate) fn parse(tokens: TokenStream) -> (Vec<Fault>, Self) {
        let (mut faults, given) = given(tokens);
        let mut options = TestOptions {
            krate: "::oneloop".to_owned(),
            virtual_time: true,
            chaos: None,
        };
        for option in given {
            let set = match option.name.as_str() {
                "crate" => option.path().map(|path| options.krate = path),
                "virtual_time" => option.flag().map(|is_on| options.virtual_time = is_on),
                "chaos" => option.count().map(|seeds| options.chaos = Some(seeds)),
                "flavor" | "worker_threads" => Err(option.fault("a loop has one thread: remove it")),
                "start_paused" => Err(option.fault(
                    "time is virtual by default: remove it, or write `virtual_time = false` for the \
                     kernel's clock",
                )),
                _ => Err(option.fault(
                    "unknown option; `#[oneloop::test]` has `virtual_time`, `chaos` and `crate`",
                )),
            };
            let set = set.and_then(
                |()| match options.chaos.is_some() && !options.virtual_time {
                    true => Err(option.fault("chaos runs on virtual time: remove one of the two")),
                    false => Ok(()),
                },
            );
            faults.extend(set.err());
        }
        (faults, options)
    }
}

/// An option: `name = value`.
struct Given {
    name: String,
    span: Span,
    /// The value as code; empty if there is none.
    value: String,
}

impl Given {
    fn fault(&self, message: &str) -> Fault {
        Fault::new(self.span, format!("`{}`: {message}", self.name))
    }

    fn flag(&self) -> Result<bool, Fault> {
        let flag = self.value.parse();
        flag.map_err(|_| self.fault("the value is `true` or `false`"))
    }

    fn count(&self) -> Result<u64, Fault> {
        let count = self.value.replace('_', "").parse().ok();
        count
            .filter(|count| *count > 0)
            .ok_or_else(|| self.fault("the value is a number of seeds, such as 200"))
    }

    fn path(&self) -> Result<String, Fault> {
        let path = self
            .value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let is_path = |path: &&str| {
            let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            !path.is_empty() && path.chars().all(is_part)
        };
        let path = path.filter(is_path).map(str::to_owned);
        path.ok_or_else(|| self.fault("the value is a path, such as \"renamed\""))
    }
}

/// The options as they are written.
fn given(tokens: TokenStream) -> (Vec<Fault>, Vec<Given>) {
    let (mut faults, mut given) = (Vec::<Fault>::new(), Vec::<Given>::new());
    let tokens: Vec<_> = tokens.into_iter().collect();
    for option in tokens.split(|token| is_punct(token, ',')) {
        let (name, value) = match option {
            [] => continue, // behind the last comma
            [name, equals, value @ ..] if is_punct(equals, '=') => (name, value),
            [name, ..] => (name, &option[1..]),
        };
        let value: TokenStream = value.iter().cloned().collect();
        let option = Given {
            name: name.to_string(),
            span: name.span(),
            value: value.to_string(),
        };
        match given.iter().any(|before| before.name == option.name) {
            true => faults.push(option.fault("it is given twice")),
            false => given.push(option),
        }
    }
    (faults, given)
}

fn is_punct(token: &TokenTree, symbol: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == symbol)
}

//! An async function without arguments, as tokens.

use crate::fault::Fault;
use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// An `async fn` without arguments.
///
/// ```text
/// #[ignore] pub async fn name() -> io::Result<()> { … }
/// ╰── outer ──╯       ╰ name ╯  ╰──── output ───╯ body
/// ```
pub(crate) struct AsyncFunction {
    /// The attributes and the visibility.
    outer: TokenStream,
    name: Ident,
    output: TokenStream,
    body: Group,
}

impl AsyncFunction {
    /// Reads the function of `#[oneloop::ATTRIBUTE]`.
    pub(crate) fn parse(attribute: &str, item: TokenStream) -> Result<Self, Fault> {
        let attribute = format!("`#[oneloop::{attribute}]`");
        let no_function = |span| {
            let message = format!("{attribute} stands above a function: `async fn name() {{ … }}`");
            Fault::new(span, message)
        };
        let mut rest = item.into_iter().peekable();
        let mut outer = Vec::new();
        let mut is_async = false;
        let function = loop {
            let token = rest.next().ok_or_else(|| no_function(Span::call_site()))?;
            match token.to_string().as_str() {
                "fn" => break token,
                "async" => is_async = true,
                "unsafe" | "const" | "extern" => {
                    let message = format!("{attribute}: the function cannot be `{token}`");
                    return Err(Fault::new(token.span(), message));
                }
                "pub" | "#" => outer.push(token),
                // Of an attribute, and of `pub(crate)`.
                _ if matches!(token, TokenTree::Group(_)) => {
                    if is_test_attribute(&token) {
                        let message = format!("{attribute} adds `#[test]`: remove this one");
                        return Err(Fault::new(token.span(), message));
                    }
                    outer.push(token);
                }
                _ => return Err(no_function(token.span())),
            }
        };
        if !is_async {
            let message = format!("{attribute} needs an `async fn`: write `async` before `fn`");
            return Err(Fault::new(function.span(), message));
        }
        let Some(TokenTree::Ident(name)) = rest.next() else {
            return Err(no_function(function.span()));
        };
        let arguments = match rest.next() {
            Some(TokenTree::Group(arguments)) => arguments,
            other => {
                let span = other.map_or(function.span(), |token| token.span());
                let message = format!("{attribute}: the function cannot be generic");
                return Err(Fault::new(span, message));
            }
        };
        if let Some(argument) = arguments.stream().into_iter().next() {
            let message = format!("{attribute}: nothing calls the function with arguments");
            return Err(Fault::new(argument.span(), message));
        }
        let mut output: Vec<_> = rest.collect();
        match output.pop() {
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                Ok(AsyncFunction {
                    outer: outer.into_iter().collect(),
                    name,
                    output: output.into_iter().collect(),
                    body,
                })
            }
            _ => Err(no_function(name.span())),
        }
    }

    /// A function that does nothing.
    pub(crate) fn empty(name: &str) -> Self {
        AsyncFunction {
            outer: TokenStream::new(),
            name: Ident::new(name, Span::call_site()),
            output: TokenStream::new(),
            body: Group::new(Delimiter::Brace, TokenStream::new()),
        }
    }

    pub(crate) fn name(&self) -> String {
        self.name.to_string()
    }

    /// A function of the same name, with these attributes, that contains the async one and calls
    /// it:
    ///
    /// ```text
    /// #[ignore] pub fn name() -> io::Result<()> {
    ///     async fn name() -> io::Result<()> { … }
    ///     oneloop::aio::block_on(name())
    /// }
    /// ```
    // The async function stays whole, and its result is written twice: with an async block instead,
    // the compiler would infer the result from the body, and blame the wrong place.
    pub(crate) fn around(&self, attributes: &str, call: &str, returns: Returns) -> TokenStream {
        let function = |keywords: &str, output: TokenStream, body: Group| {
            let keywords = tokens(keywords);
            let name = TokenStream::from(TokenTree::from(self.name.clone()));
            let parts = [
                keywords,
                name,
                tokens("()"),
                output,
                TokenTree::from(body).into(),
            ];
            TokenStream::from_iter(parts)
        };
        let inner = function("async fn", self.output.clone(), self.body.clone());
        let body = Group::new(
            Delimiter::Brace,
            [inner, tokens(call)].into_iter().collect(),
        );
        let output = match returns {
            Returns::ItsOutput => self.output.clone(),
            Returns::Nothing => TokenStream::new(),
        };
        let outer = [
            tokens(attributes),
            self.outer.clone(),
            function("fn", output, body),
        ];
        TokenStream::from_iter(outer)
    }
}

/// What the function around an async one returns.
#[derive(Clone, Copy)]
pub(crate) enum Returns {
    /// The output of the async function.
    ItsOutput,
    /// Nothing: the call has judged the output.
    Nothing,
}

/// The tokens of our own code.
fn tokens(code: &str) -> TokenStream {
    code.parse()
        .expect("this code is ours, and has balanced brackets")
}

/// True for the brackets of `#[test]`.
fn is_test_attribute(token: &TokenTree) -> bool {
    let TokenTree::Group(brackets) = token else {
        return false;
    };
    brackets.delimiter() == Delimiter::Bracket && brackets.stream().to_string() == "test"
}

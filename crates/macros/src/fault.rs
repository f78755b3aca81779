//! What is wrong with a use of an attribute, as an error of the compiler.

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// A mistake, where it is, and what to write instead.
pub(crate) struct Fault {
    span: Span,
    message: String,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        Fault { span, message }
    }

    /// Behind the errors, the item: it prevents errors of the code that uses it.
    pub(crate) fn all(faults: Vec<Fault>, item: TokenStream) -> TokenStream {
        let errors = faults.into_iter().flat_map(Fault::into_error);
        errors.chain(item).collect()
    }

    /// `::core::compile_error! { "…" }`, at the place of the mistake.
    fn into_error(self) -> TokenStream {
        let span = self.span;
        let punct = |symbol, spacing| {
            let mut punct = Punct::new(symbol, spacing);
            punct.set_span(span);
            TokenTree::from(punct)
        };
        let mut message = Literal::string(&self.message);
        message.set_span(span);
        let message = TokenStream::from(TokenTree::from(message));
        let mut braces = Group::new(Delimiter::Brace, message);
        braces.set_span(span);
        TokenStream::from_iter([
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            Ident::new("core", span).into(),
            punct(':', Spacing::Joint),
            punct(':', Spacing::Alone),
            Ident::new("compile_error", span).into(),
            punct('!', Spacing::Alone),
            braces.into(),
        ])
    }
}

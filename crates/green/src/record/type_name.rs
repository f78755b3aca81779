//! Names of types as a dump shows them.

/// Leaves out the modules and lifetimes of a type's name: `core::sleep::Sleep` is `Sleep`, and
/// `sync::Get<'_, alloc::string::String>` is `Get<String>`.
pub(super) fn short_type_name(path: &str) -> String {
    // Braces would end a word below, and an elided lifetime says nothing about the wait.
    let path = path.replace("{{closure}}", "closure");
    let path = path.replace("<'_>", "").replace("'_, ", "");
    let mut short = String::with_capacity(path.len());
    let mut word = String::new();
    for c in path.chars() {
        match c {
            ':' => word.clear(), // it was a module
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                short.push_str(&word);
                word.clear();
                short.push(c);
            }
        }
    }
    short + &word
}

#[cfg(test)]
mod tests {
    use super::short_type_name;

    #[test]
    fn a_short_name_has_no_modules_and_no_lifetimes() {
        assert_eq!(short_type_name("a::b::Sleep"), "Sleep");
        assert_eq!(
            short_type_name("q::Get<alloc::string::String>"),
            "Get<String>"
        );
        assert_eq!(short_type_name("&mut x::Io<'_, o::Fd>"), "&mut Io<Fd>");
        assert_eq!(short_type_name("a::Get<b::Borrowed<'_>>"), "Get<Borrowed>");
    }
}

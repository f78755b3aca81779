//! The documentation of each public wait says whether it is cancel safe.
//!
//! A wait is a public `async fn`, a public function that returns a future (a type that implements
//! `Future`, or `impl Future`), or a public type that implements `Future`. A type may stand in
//! `pin_project!`; what other macros generate is not seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, Ident, ImplItemFn, ItemFn, ItemImpl, ItemMacro, ItemMod, ItemStruct, Lit, Meta,
};
use syn::{ReturnType, Signature, Type, TypeParamBound, Visibility};

/// The crates of which users await functions. `docs/operations.md` has a rule for `fs`.
const CRATES: [&str; 5] = ["aio", "core", "net", "process", "sync"];

#[test]
fn the_documentation_of_each_public_wait_says_whether_it_is_cancel_safe() {
    let futures = future_types(&CRATES.map(files).concat());
    assert!(futures.contains("Race") && futures.contains("Get"));
    let mut silent = Vec::new();
    let mut count = 0;
    for path in CRATES.map(files).concat() {
        let waits = waits(&fs::read_to_string(&path).unwrap(), &futures);
        count += waits.len();
        let unsaid = waits.iter().filter(|wait| !wait.says);
        silent.extend(unsaid.map(|wait| format!("{}: {}", path.display(), wait.name)));
    }
    assert!(count > 120, "only {count} waits were found");
    assert!(silent.is_empty(), "\n{}\n", silent.join("\n"));
}

#[test]
fn a_wait_without_a_word_about_it_is_found_in_each_form() {
    let text = "
        pub struct Until;
        impl Future for Until { type Output = (); }
        pin_project! {
            pub struct Pinned { #[pin] future: Until }
        }
        impl Future for Pinned { type Output = (); }
        pub async fn one() {}
        pub fn two() -> Until { Until }
        pub fn three() -> impl Future<Output = ()> { Until }
        impl Until { pub async fn four() {} }
        /// Waits.
        ///
        /// Not cancel safe: bytes are lost.
        pub async fn said() {}
        async fn private() {}
        pub(crate) async fn inner() {}
        /// Returns no future.
        pub fn no_wait() -> u32 { 0 }
        #[cfg(test)]
        mod tests { pub async fn in_a_test() {} }
    ";
    let futures = BTreeSet::from(["Until", "Pinned"].map(str::to_owned));
    let waits = waits(text, &futures);
    let silent = waits.iter().filter(|wait| !wait.says);
    let silent: Vec<_> = silent.map(|wait| wait.name.as_str()).collect();
    assert_eq!(silent, ["Until", "Pinned", "one", "two", "three", "four"]);
    assert_eq!(waits.len(), 7);
}

/// The files of a crate.
fn files(name: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{name}/src"));
    let (mut files, mut folders) = (Vec::new(), vec![src]);
    while let Some(folder) = folders.pop() {
        let paths = fs::read_dir(folder).unwrap();
        for path in paths.map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files
}

/// The names of the types that implement `Future`.
fn future_types(files: &[PathBuf]) -> BTreeSet<String> {
    let mut futures = Futures::default();
    for path in files {
        let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
        futures.visit_file(&file);
    }
    // Of the names that a function returns: a task runs whether it is joined or not.
    futures.0.remove("JoinHandle");
    futures.0
}

#[derive(Default)]
struct Futures(BTreeSet<String>);

impl Visit<'_> for Futures {
    fn visit_item_impl(&mut self, item: &ItemImpl) {
        if let Some((of, _)) = &item.trait_
            && of
                .segments
                .last()
                .is_some_and(|last| last.ident == "Future")
        {
            self.0.extend(type_name(&item.self_ty));
        }
    }
}

/// The items in `pin_project!`.
fn pinned(item: &ItemMacro) -> Option<syn::File> {
    let is_pinned = item.mac.path.is_ident("pin_project");
    is_pinned.then(|| item.mac.parse_body().expect("its text is Rust"))
}

fn type_name(of: &Type) -> Option<String> {
    let Type::Path(path) = of else { return None };
    Some(path.path.segments.last()?.ident.to_string())
}

/// One function that waits.
struct WaitingFn {
    name: String,
    /// Its documentation says whether it is cancel safe.
    says: bool,
}

/// The public waits of a file.
fn waits(text: &str, futures: &BTreeSet<String>) -> Vec<WaitingFn> {
    let waits = Vec::new();
    let mut reader = Reader { futures, waits };
    reader.visit_file(&syn::parse_file(text).unwrap());
    reader.waits
}

struct Reader<'a> {
    futures: &'a BTreeSet<String>,
    waits: Vec<WaitingFn>,
}

impl Reader<'_> {
    fn read(&mut self, visibility: &Visibility, attributes: &[Attribute], signature: &Signature) {
        let is_public = matches!(visibility, Visibility::Public(_));
        if is_public && (signature.asyncness.is_some() || self.returns_future(signature)) {
            self.note(&signature.ident, attributes);
        }
    }

    fn note(&mut self, name: &Ident, attributes: &[Attribute]) {
        let text = documentation(attributes).to_lowercase();
        // The documentation of that function says it.
        let is_named_after_its_function = text.starts_with("the future of [`");
        self.waits.push(WaitingFn {
            name: name.to_string(),
            says: is_named_after_its_function || text.contains("cancel safe"), // or "cancel safety"
        });
    }

    fn returns_future(&self, signature: &Signature) -> bool {
        let ReturnType::Type(_, returned) = &signature.output else {
            return false;
        };
        let Type::ImplTrait(opaque) = &**returned else {
            return type_name(returned).is_some_and(|name| self.futures.contains(&name));
        };
        opaque.bounds.iter().any(|bound| match bound {
            TypeParamBound::Trait(bound) => {
                let last = bound.path.segments.last();
                last.is_some_and(|last| last.ident == "Future")
            }
            _ => false,
        })
    }
}

impl Visit<'_> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &ItemMod) {
        if !module.attrs.iter().any(is_for_tests) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_struct(&mut self, item: &ItemStruct) {
        if matches!(item.vis, Visibility::Public(_))
            && self.futures.contains(&item.ident.to_string())
        {
            self.note(&item.ident, &item.attrs);
        }
    }

    fn visit_item_macro(&mut self, item: &ItemMacro) {
        if let Some(items) = pinned(item) {
            self.visit_file(&items);
        }
    }

    fn visit_item_fn(&mut self, function: &ItemFn) {
        self.read(&function.vis, &function.attrs, &function.sig);
    }

    fn visit_impl_item_fn(&mut self, function: &ImplItemFn) {
        self.read(&function.vis, &function.attrs, &function.sig);
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

/// The text of the `///` lines, on one line.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        let Expr::Lit(literal) = &pair.value else {
            return None;
        };
        let Lit::Str(line) = &literal.lit else {
            return None;
        };
        let line = line.value().trim().to_owned();
        pair.path.is_ident("doc").then_some(line)
    });
    lines.collect::<Vec<_>>().join(" ")
}

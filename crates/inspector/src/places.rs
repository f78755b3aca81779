//! Places in the sources, as texts.

use std::panic::Location;

/// A file and a line. Several `Location`s may be one place.
pub(crate) type SourceLine = (&'static str, u32);

pub(crate) fn place_of(at: &'static Location<'static>) -> SourceLine {
    (at.file(), at.line())
}

/// The text of the place that spawned a task; only the main future has none.
pub(crate) fn place_text(place: Option<SourceLine>) -> String {
    place.map_or("the main future".to_owned(), |(file, line)| {
        format!("{}:{line}", short(file))
    })
}

/// How many parts of a path are shown.
const PARTS: usize = 3;

/// The end of a path, which names the crate for most files.
fn short(file: &str) -> &str {
    let mut slashes = file.rmatch_indices('/');
    slashes
        .nth(PARTS - 1)
        .map_or(file, |(index, _)| &file[index + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_is_shown() {
        assert_eq!(
            short("/home/a/.cargo/registry/tool/src/main.rs"),
            "tool/src/main.rs"
        );
        assert_eq!(short("src/main.rs"), "src/main.rs");
        assert_eq!(place_text(Some(("main.rs", 7))), "main.rs:7");
        assert_eq!(place_text(None), "the main future");
    }
}

//! The pages that show a program beside its peer, part by part.

use crate::harness::{guide, pairs, read};
use std::fs;

/// The program of one column, which is quoted from top to bottom.
struct Column {
    path: String,
    lines: Vec<String>,
    /// The language of the code blocks.
    language: &'static str,
    /// The first line that no cell quotes yet.
    next: usize,
}

impl Column {
    fn new(path: &str) -> Self {
        let text = read(path);
        // The sentence at the top of a Rust file is not part of the quote.
        let lines = text.lines().skip_while(|line| line.starts_with("//!"));
        let lines = lines.skip_while(|line| line.is_empty());
        Column {
            path: path.to_owned(),
            lines: lines.map(str::to_owned).collect(),
            language: match path.rsplit('.').next() {
                // The files are compiled; a part of a file is not.
                Some("rs") => "rust,ignore",
                Some("js" | "mjs") => "js",
                _ => "python",
            },
            next: 0,
        }
    }

    /// The position of the line with which a cell begins.
    fn find(&self, first: &str) -> usize {
        let rest = self.lines[self.next..].iter();
        let offset = rest.into_iter().position(|line| line == first);
        self.next + offset.unwrap_or_else(|| panic!("{} has no line {first:?} here", self.path))
    }

    /// The content of a cell: the lines up to `end`.
    fn quote(&mut self, end: usize) -> String {
        let lines = self.lines[self.next..end].join("\n");
        self.next = end;
        match lines.trim_end() {
            "" => String::new(),
            code => format!("```{}\n{code}\n```\n\n", self.language),
        }
    }
}

/// Completes each cell of a page that has a first line.
fn filled(page: &str, mut columns: [Column; 2]) -> String {
    let mut parts = page.split("<td>\n");
    let mut filled = parts.next().unwrap().to_owned();
    let cells: Vec<_> = parts
        .map(|part| part.split_once("</td>").unwrap())
        .collect();
    let firsts: Vec<_> = cells.iter().map(|(cell, _)| first_line(cell)).collect();
    for (index, (_, rest)) in cells.iter().enumerate() {
        let column = &mut columns[index % 2];
        let quote = firsts[index].map(|first| {
            let start = column.find(first);
            assert_eq!(start, column.next, "{}: {first:?} is not next", column.path);
            let later = firsts.iter().skip(index + 2).step_by(2).flatten().next();
            column.next += 1; // a cell may begin as the one before it
            let end = later.map_or(column.lines.len(), |first| column.find(first));
            column.next = start;
            column.quote(end)
        });
        filled += &format!("<td>\n\n{}</td>{rest}", quote.unwrap_or_default());
    }
    for column in columns {
        assert_eq!(column.next, column.lines.len(), "{}", column.path);
    }
    // Parts of different lengths begin at the same height.
    filled.replace("<tr><td>", "<tr valign=\"top\"><td>")
}

/// The line with which a cell's code begins.
fn first_line(cell: &str) -> Option<&str> {
    let mut lines = cell.lines().skip_while(|line| line.is_empty());
    lines.next()?.strip_prefix("```")?;
    lines.next()
}

/// Compares a page with what it should be, or replaces it: `UPDATE_PAGES=1 cargo test -p
/// oneloop-guide --test programs`.
pub(crate) fn matches_or_update(path: &str, expected: String) {
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(guide().join(path), expected).unwrap();
    } else {
        let differs = "run UPDATE_PAGES=1 cargo test -p oneloop-guide --test programs";
        assert!(
            read(path) == expected,
            "{path} is not up to date: {differs}"
        );
    }
}

#[test]
fn each_page_quotes_both_programs_from_top_to_bottom() {
    for pair in pairs() {
        let path = format!("src/programs/{}.md", pair.name);
        let columns = [&pair.ours, &pair.peers].map(|path| Column::new(path));
        let page = filled(&read(&path), columns);
        matches_or_update(&path, page);
    }
}

#[test]
fn a_cell_ends_where_the_next_one_below_it_begins() {
    let column = |lines: &[&str]| Column {
        path: "a program".into(),
        lines: lines.iter().map(|line| line.to_string()).collect(),
        language: "js",
        next: 0,
    };
    let cell = |first: &str| match first {
        "" => "<td>\n\n</td>".to_owned(),
        first => format!("<td>\n\n```js\n{first}\n```\n\n</td>"),
    };
    let columns = || {
        [
            column(&["a", "b", "", "c"]),
            column(&["x", "", "y", "x", "z"]),
        ]
    };
    let rows = [["a", "x"], ["c", "y"], ["", "x"]];
    let page: String = rows.concat().into_iter().map(cell).collect();
    let page = filled(&page, columns());
    let expected = [["a\nb", "x"], ["c", "y"], ["", "x\nz"]];
    let expected: String = expected.concat().into_iter().map(cell).collect();
    assert_eq!(page, expected);
    assert_eq!(filled(&page, columns()), page);
}

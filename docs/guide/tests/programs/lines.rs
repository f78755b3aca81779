//! How long each program is: the lines of its code, the table on the index page, the goal.

use crate::harness::{Pair, pairs, read};
use crate::pages::matches_or_update;

/// How comments begin and end; those without an end are one line.
const COMMENTS: [(&str, &str); 5] = [
    ("//", ""),
    ("# ", ""),
    ("#!/", ""), // the line that names the interpreter
    ("/*", "*/"),
    ("\"\"\"", "\"\"\""),
];

/// The number of lines that are neither blank nor a comment.
fn code_lines(code: &str) -> usize {
    let (mut count, mut open) = (0, None);
    for line in code.lines().map(str::trim) {
        if let Some(end) = open {
            open = (!line.contains(end)).then_some(end);
            continue;
        }
        let comment = COMMENTS.iter().find(|(start, _)| line.starts_with(start));
        match comment {
            None => count += usize::from(!line.is_empty()),
            Some((start, end)) => open = (!line[start.len()..].contains(end)).then_some(*end),
        }
    }
    count
}

#[test]
fn blank_lines_and_comments_do_not_count() {
    let rust = "//! A file.\n\n/// A function.\n#[test]\nfn f() {} // it counts\n";
    assert_eq!(code_lines(rust), 2);
    let node = "#!/usr/bin/env node\n/* One. */\n/*\n * Two.\n\n */\nf(); /* it counts */\nf();\n";
    assert_eq!(code_lines(node), 2);
    let python = "\"\"\"One.\"\"\"\n\"\"\"\nTwo.\n\"\"\"\n# Three.\nf()\n";
    assert_eq!(code_lines(python), 1);
}

/// The row of a program in the table of the index page.
fn row(pair: &Pair) -> String {
    let [ours, peers] = [&pair.ours, &pair.peers].map(|path| code_lines(&read(path)));
    let (name, peer, ratio) = (&pair.name, pair.peer.name, ours as f64 / peers as f64);
    let goal = pair.peer.ratio_max;
    assert!(
        ratio <= goal,
        "{name} has {ours} lines, and {peer}'s {peers}"
    );
    format!("| [`{name}`]({name}.md) | {peer} | {ours} | {peers} | {ratio:.2} | {goal:.1} |\n")
}

#[test]
fn the_index_counts_the_lines_and_each_program_reaches_its_goal() {
    let path = "src/programs/index.md";
    let page = read(path);
    let start = page.find("| ---").or(page.find("|---")).unwrap();
    let head = start + page[start..].find('\n').unwrap() + 1;
    let tail = head + page[head - 1..].find("\n\n").unwrap();
    let rows: String = pairs().iter().map(row).collect();
    matches_or_update(path, format!("{}{rows}{}", &page[..head], &page[tail..]));
}

/// Short because the library helps, not because the lines are dense.
#[test]
fn no_line_of_a_peer_is_longer_than_rustfmt_allows_ours() {
    for pair in pairs() {
        let text = read(&pair.peers);
        let long = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None, "{}", pair.peers);
    }
}

//! The file of `--config`.

use crate::config_file::parse;

/// A text is refused with a sentence for each problem, which names its line, or its keys are
/// accepted by the command line as well.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines = text.split('\n').count();
    match parse("x.toml", &text) {
        Ok(sections) => {
            assert!(!sections.is_empty());
            for value in sections.iter().flat_map(|section| section.values.values()) {
                assert!(!value.values.is_empty(), "{value:?}");
                assert!((1..=lines).contains(&line_of(&value.at)), "{value:?}");
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                assert!((1..=lines).contains(&line_of(problem)), "{problem}");
                assert_eq!(problem.lines().count(), 1, "{problem}");
            }
        }
    }
}

/// The line in `x.toml:7: …`.
fn line_of(text: &str) -> usize {
    let line = text.strip_prefix("x.toml:").expect("it names the file");
    let digits = line.split(':').next().unwrap_or(line);
    digits.parse().expect("it names the line")
}

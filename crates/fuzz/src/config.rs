//! The file of `--config`.

use crate::config_file::parse;
use crate::configuration::options;
use crate::options::Options;
use clap::CommandFactory;
use clap::builder::Resettable;

/// A text is refused with a sentence for each problem, which names its line, or its keys are
/// accepted by the command line as well.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines = text.split('\n').count();
    match parse("x.toml", &text) {
        Ok(sections) => {
            assert!(!sections.is_empty());
            let command = Options::command().mut_args(|arg| arg.env(Resettable::Reset));
            for section in sections {
                for value in section.values.values() {
                    assert!(!value.values.is_empty(), "{value:?}");
                    assert!((1..=lines).contains(&line_of(&value.at)), "{value:?}");
                }
                let name = section.name.clone();
                let options = options(&command, &["oneloop".into()], section);
                assert_eq!(options.expect("each value was checked").name, name);
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

//! A progress bar on stderr, if stderr is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Steps toward the next table. Its drop removes the bar.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar of `steps` steps.
    pub(crate) fn start(steps: usize) -> Progress {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}")
            .expect("the template above is valid");
        Progress(ProgressBar::new(steps as u64).with_style(style))
    }

    /// Names the step that begins now.
    pub(crate) fn step(&self, what: String) {
        self.0.set_message(what);
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

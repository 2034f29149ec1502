//! How far long work is, for people: on standard error, and only where that is a terminal.

use core::time::Duration;
use std::io::{IsTerminal, Read, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work on fewer bytes than this is done before anybody could read how far it is.
const LARGE: u64 = 4 << 20;
/// How often something moves where it cannot be told how far the work is.
const TICK: Duration = Duration::from_millis(120);

/// A line that says how far the work is. It is gone when this is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Work on so many bytes, `None` where that is not known before.
    pub(crate) fn bytes(what: &'static str, total: Option<u64>) -> Self {
        if total.is_some_and(|total| total < LARGE) {
            return Self(ProgressBar::hidden());
        }
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{msg} {wide_bar} {bytes} of {total_bytes}, {eta}",
            ),
            None => (ProgressBar::no_length(), "{msg} {bytes}, {elapsed}"),
        };
        Self::shown(bar, what, template)
    }

    /// Work on so many bytes at once, in the midst of which it cannot be told how far it is.
    pub(crate) fn at_once(what: &'static str, total: usize) -> Self {
        if u64::try_from(total).is_ok_and(|total| total < LARGE) {
            return Self(ProgressBar::hidden());
        }
        Self::waiting(what)
    }

    /// Something that takes as long as others take.
    pub(crate) fn waiting(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner();
        let progress = Self::shown(bar, what, "{spinner} {msg}, {elapsed}");
        if !progress.0.is_hidden() {
            progress.0.enable_steady_tick(TICK);
        }
        progress
    }

    fn shown(bar: ProgressBar, what: &'static str, template: &str) -> Self {
        if stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(bar)
    }

    /// So many bytes more are done.
    #[allow(dead_code, reason = "for work that is not reading")]
    pub(crate) fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Counts what is read.
    pub(crate) fn reading<R: Read>(&self, from: R) -> impl Read + use<R> {
        self.0.wrap_read(from)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

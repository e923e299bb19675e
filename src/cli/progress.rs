//! Progress on standard error: a spinner for a stage, a bar for runs. Where standard error is no terminal, plain lines,
//! and few of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressState, ProgressStyle};

use super::output::{Output, tell};
use crate::domain::report::escape::visible;
use crate::domain::report::numbers;

/// How often a bar says something where lines stay.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It moves.
    Moving,
    /// Lines that stay.
    Lines,
    /// Not at all: a program reads what is printed.
    Silent,
}

impl Mode {
    fn of(output: &Output) -> Self {
        match (output.has_terminal(), output.is_json()) {
            (true, _) => Self::Moving,
            (false, false) => Self::Lines,
            (false, true) => Self::Silent,
        }
    }

    /// A bar that is drawn, or one that only keeps count.
    fn bar(self, style: ProgressStyle) -> ProgressBar {
        let bar = match self {
            Self::Moving => ProgressBar::no_length(),
            Self::Lines | Self::Silent => ProgressBar::hidden(),
        };
        bar.with_style(style).with_finish(ProgressFinish::AndClear)
    }
}

/// Something that takes a while and has no measure: `Building urban/simple-tax`.
#[derive(Debug)]
pub(crate) struct Stage {
    title: String,
    mode: Mode,
    spinner: ProgressBar,
}

impl Stage {
    /// Begins the stage.
    pub(crate) fn begin(output: &Output, title: &str) -> Self {
        let title = visible(title);
        let mode = Mode::of(output);
        let spinner = mode.bar(stage_style());
        match mode {
            Mode::Moving => {
                spinner.set_message(title.clone());
                spinner.enable_steady_tick(TICK);
            }
            Mode::Lines => tell(&format!("{title} ...\n")),
            Mode::Silent => {}
        }
        Self { title, mode, spinner }
    }

    /// Ends it well; `outcome` says how.
    pub(crate) fn done(self, outcome: &str) {
        self.end("\u{1b}[32m✓\u{1b}[0m", outcome);
    }

    /// Ends it badly; `stage` says where.
    pub(crate) fn failed(self, stage: &str) {
        self.end("\u{1b}[31m✗\u{1b}[0m", &format!("failed in {stage}"));
    }

    fn end(self, mark: &str, outcome: &str) {
        let took = self.spinner.elapsed();
        self.spinner.finish_and_clear();
        if self.mode != Mode::Silent {
            tell(&ended(mark, &self.title, outcome, took, self.mode));
        }
    }
}

/// The line that a stage leaves. Short stages are not worth a time.
fn ended(mark: &str, title: &str, outcome: &str, took: Duration, mode: Mode) -> String {
    let mark = if mode == Mode::Moving { format!("{mark} ") } else { String::new() };
    let time = if took < Duration::from_secs(1) { String::new() } else { format!(", {}", shown(took)) };
    format!("{mark}{title}: {}{time}\n", visible(outcome))
}

/// The runs of a sweep.
#[derive(Debug)]
pub(crate) struct RunsBar {
    name: String,
    total: u64,
    mode: Mode,
    bar: ProgressBar,
    /// Runs whose result was known when the bar began, plus one; 0 before the first count.
    known: AtomicU64,
    /// When the last line was printed, in milliseconds since the beginning.
    told_ms: AtomicU64,
    /// How many runs had ended by then.
    told_done: AtomicU64,
    failed: AtomicU64,
}

impl RunsBar {
    /// Begins the bar of the sweep `name` with `total` runs.
    pub(crate) fn begin(output: &Output, name: &str, total: u64) -> Self {
        let mode = Mode::of(output);
        let bar = mode.bar(runs_style());
        bar.set_length(total);
        if mode == Mode::Moving {
            bar.set_prefix(visible(name));
            bar.enable_steady_tick(TICK);
        }
        let zero = || AtomicU64::new(0);
        Self {
            name: visible(name),
            total,
            mode,
            bar,
            known: zero(),
            told_ms: zero(),
            told_done: zero(),
            failed: zero(),
        }
    }

    /// Tells how many runs have a good result by now, and how many failed.
    pub(crate) fn set(&self, succeeded: u64, failed: u64) {
        let done = succeeded.saturating_add(failed);
        self.failed.store(failed, Ordering::Relaxed);
        let _ = self.known.compare_exchange(0, done + 1, Ordering::Relaxed, Ordering::Relaxed);
        self.bar.set_position(done);
        match self.mode {
            Mode::Moving => self.bar.set_message(moving_message(&self.pace(), failed)),
            Mode::Lines => {
                let elapsed = millis(self.bar.elapsed());
                let told = self.told_ms.load(Ordering::Relaxed);
                let is_time = elapsed.saturating_sub(told) >= millis(LINE_EVERY);
                if is_time && self.is_news(done) && done < self.total {
                    self.told_ms.store(elapsed, Ordering::Relaxed);
                    self.told_done.store(done, Ordering::Relaxed);
                    tell(&self.line(done));
                }
            }
            Mode::Silent => {}
        }
    }

    /// Ends the bar and leaves its last count as a line.
    pub(crate) fn end(self) {
        let done = self.bar.position();
        let line = self.last_line(done);
        self.bar.finish_and_clear();
        let is_worth_a_line = match self.mode {
            Mode::Moving => true,
            Mode::Lines => done < self.total || self.is_news(done),
            Mode::Silent => false,
        };
        if is_worth_a_line {
            tell(&line);
        }
    }

    /// Whether the line that was printed last says something else. Lines stay, so no line is printed twice.
    fn is_news(&self, done: u64) -> bool {
        done != self.told_done.load(Ordering::Relaxed)
    }

    fn line(&self, done: u64) -> String {
        let pace = self.pace();
        format!("{}{}\n", self.counts(done), if pace.is_empty() { pace } else { format!(", {pace}") })
    }

    /// The line that stays. Where not all runs have ended, nothing is left that would come.
    fn last_line(&self, done: u64) -> String {
        if done >= self.total {
            return self.line(done);
        }
        format!("{}, stopped after {}\n", self.counts(done), shown(self.bar.elapsed()))
    }

    fn counts(&self, done: u64) -> String {
        let failed = match self.failed.load(Ordering::Relaxed) {
            0 => String::new(),
            failed => format!(", {} failed", numbers::count(failed)),
        };
        format!("{}: {} of {}{failed}", self.name, numbers::count(done), numbers::plural(self.total, "run"))
    }

    fn pace(&self) -> String {
        let known = self.known.load(Ordering::Relaxed).saturating_sub(1);
        pace(self.bar.position(), known, self.total, self.bar.elapsed())
    }
}

/// How fast it goes and how long it still takes: `3.2 a second, 5 s left`; how long it took once all is done.
fn pace(done: u64, known: u64, total: u64, elapsed: Duration) -> String {
    let new = done.saturating_sub(known);
    if done >= total {
        return format!("in {}", shown(elapsed));
    }
    if new == 0 {
        return String::new();
    }
    let left = u128::from(millis(elapsed)) * u128::from(total - done) / u128::from(new);
    let left = numbers::duration(u64::try_from(left).unwrap_or(u64::MAX));
    format!("{}, {left} left", numbers::rate(new, millis(elapsed)))
}

fn moving_message(pace: &str, failed: u64) -> String {
    match failed {
        0 => pace.to_owned(),
        failed => format!("\u{1b}[31m{} failed\u{1b}[0m {pace}", numbers::count(failed)),
    }
}

fn stage_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is fixed and valid")
}

fn runs_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {bar:30.cyan/dim} {counts} {wide_msg}")
        .expect("the template is fixed and valid")
        .progress_chars("━╸─")
        .with_key("counts", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{} of {}", numbers::count(state.pos()), numbers::count(state.len().unwrap_or(0)));
        })
}

fn shown(duration: Duration) -> String {
    numbers::duration(millis(duration))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_count_new_runs_only() {
        let pace = |done, elapsed| pace(done, 2, 21, Duration::from_secs(elapsed));
        assert_eq!(pace(2, 4), "");
        assert_eq!(pace(10, 4), "2 a second, 5.5 s left");
        assert_eq!(pace(21, 12), "in 12 s");
    }

    #[test]
    fn a_line_tells_counts_and_failures() {
        let bar = RunsBar {
            name: "standard-deduction".to_owned(),
            total: 21,
            mode: Mode::Lines,
            bar: ProgressBar::hidden(),
            known: AtomicU64::new(0),
            told_ms: AtomicU64::new(0),
            told_done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        bar.set(2, 0);
        assert!(bar.is_news(2));
        bar.told_done.store(2, Ordering::Relaxed);
        assert!(!bar.is_news(2) && bar.is_news(3));
        assert_eq!(bar.line(2), "standard-deduction: 2 of 21 runs\n");
        bar.set(9, 1_200);
        assert!(bar.line(9).starts_with("standard-deduction: 9 of 21 runs, 1,200 failed"), "{}", bar.line(9));
        let last = bar.last_line(9);
        assert!(last.starts_with("standard-deduction: 9 of 21 runs, 1,200 failed, stopped after "), "{last}");
        assert!(!last.contains("left") && !bar.last_line(21).contains("stopped"), "{last}");
    }

    #[test]
    fn a_stage_leaves_one_line() {
        let line =
            |took, mode| ended("✓", "Building urban/simple-tax", "version 9c31", Duration::from_millis(took), mode);
        assert_eq!(line(4_200, Mode::Moving), "✓ Building urban/simple-tax: version 9c31, 4.2 s\n");
        assert_eq!(line(400, Mode::Lines), "Building urban/simple-tax: version 9c31\n");
    }

    #[test]
    fn the_templates_are_valid() {
        let bar = Mode::Moving.bar(runs_style());
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        bar.set_position(1);
        Mode::Lines.bar(stage_style()).tick();
    }
}

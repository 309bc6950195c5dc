//! Runs checks one after the other and prints a line for each that the host can trust.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::{Result, anyhow};

/// The figures that one check compared. It passes when each observed figure is the expected one.
#[derive(Default)]
pub struct Figures {
    lines: Vec<String>,
    differing: usize,
    skipped: Option<String>,
}

impl Figures {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "figures: what is compared is read once"
    )]
    pub fn equal<T: PartialEq + Display>(&mut self, what: &str, expected: T, observed: T) {
        let same = expected == observed;
        self.line(
            same,
            format!("{what}: expected {expected} observed {observed}"),
        );
    }

    /// For long lists: worth a word only when they differ.
    pub fn equal_quietly<T: PartialEq + Display>(&mut self, what: &str, expected: T, observed: T) {
        if expected != observed {
            self.equal(what, expected, observed);
        }
    }

    pub fn holds(&mut self, what: &str, observed: bool) {
        self.line(observed, what.to_owned());
    }

    /// For long lists: worth a word only when it does not hold.
    pub fn holds_quietly(&mut self, what: &str, observed: bool) {
        if !observed {
            self.line(false, what.to_owned());
        }
    }

    /// Something worth reading beside the figures that decides nothing.
    pub fn note(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }

    /// This kernel cannot do what the check is about, and the agent has nothing to say about it.
    pub fn skip(&mut self, reason: impl Into<String>) {
        self.skipped = Some(reason.into());
    }

    fn line(&mut self, good: bool, text: String) {
        self.differing += usize::from(!good);
        self.lines
            .push(if good { text } else { format!("WRONG {text}") });
    }
}

pub struct Report {
    nonce: String,
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Report {
    pub fn new() -> Report {
        // Without a nonce (a hand-started run) the lines cannot be mistaken for a verdict.
        let nonce = std::env::var("DAXSCOPE_NONCE").unwrap_or_else(|_| "no-nonce".to_owned());
        Report {
            nonce,
            passed: 0,
            failed: 0,
            skipped: 0,
        }
    }

    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Run one check. An error or a panic in it fails it and stops nothing else.
    pub fn check(&mut self, name: &str, check: impl FnOnce(&mut Figures) -> Result<()>) {
        let begun = Instant::now();
        let mut figures = Figures::default();
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&mut figures)));
        let error = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(panic) => Some(anyhow!("panicked: {}", panic_text(panic.as_ref()))),
        };
        if let Some(error) = error {
            figures.line(false, format!("{error:#}"));
        }
        let word = match (
            &figures.skipped,
            figures.differing,
            figures.lines.is_empty(),
        ) {
            (_, 1.., _) => "fail",
            (Some(_), ..) => "skip",
            // A check that compared nothing has proven nothing.
            (None, 0, true) => {
                figures.note("compared nothing");
                "fail"
            }
            (None, 0, false) => "pass",
        };
        *match word {
            "pass" => &mut self.passed,
            "skip" => &mut self.skipped,
            _ => &mut self.failed,
        } += 1;
        let detail = figures
            .skipped
            .into_iter()
            .chain(figures.lines)
            .collect::<Vec<_>>()
            .join("; ");
        let detail = detail.replace(['\n', '\r'], " ");
        println!(
            "DAXSCOPE-CHECK {} {word} {name} {detail} ({:.1} s)",
            self.nonce,
            begun.elapsed().as_secs_f64()
        );
    }

    pub fn finish(self) {
        println!(
            "DAXSCOPE-RESULT {} {} {} {}",
            self.nonce, self.passed, self.failed, self.skipped
        );
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_figure_an_error_a_panic_and_an_empty_check_fail() {
        let mut report = Report {
            nonce: "n".into(),
            passed: 0,
            failed: 0,
            skipped: 0,
        };
        report.check("a/same", |figures| {
            figures.equal("pages", 1, 1);
            Ok(())
        });
        report.check("a/differs", |figures| {
            figures.equal("pages", 1, 2);
            Ok(())
        });
        report.check("a/error", |_| Err(anyhow!("no")));
        report.check("a/panic", |_| panic!("oh"));
        report.check("a/empty", |_| Ok(()));
        report.check("a/skip", |figures| {
            figures.skip("cannot");
            Ok(())
        });
        report.check("a/skip-with-wrong", |figures| {
            figures.holds("false", false);
            figures.skip("cannot");
            Ok(())
        });
        assert_eq!((report.passed, report.failed, report.skipped), (1, 5, 1));
    }
}

//! What was found: for people, as JSON, as JUnit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::requirement::Requirement;

/// How a requirement fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not; in words of the kit, never of the peer.
    Failed(String),
    /// It could not be found out.
    NotReached(String),
}

/// Outcomes by the number of the requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(BTreeMap<&'static str, Outcome>);

impl Findings {
    /// Notes an outcome. What has failed stays failed.
    pub(crate) fn note(&mut self, id: &'static str, holds: bool, otherwise: impl FnOnce() -> String) {
        let outcome = if holds { Outcome::Passed } else { Outcome::Failed(otherwise()) };
        let failed = matches!(self.0.get(id), Some(Outcome::Failed(_)));
        if !failed {
            self.0.insert(id, outcome);
        }
    }

    /// Notes for these requirements that are still open why they were not reached.
    pub(crate) fn leave(&mut self, ids: impl Iterator<Item = &'static str>, why: &str) {
        for id in ids {
            self.0.entry(id).or_insert_with(|| Outcome::NotReached(why.to_owned()));
        }
    }

    /// Takes over what others found. What has failed stays failed, whoever else passed.
    pub(crate) fn merge(&mut self, other: Self) {
        for (id, outcome) in other.0 {
            if !matches!(self.0.get(id), Some(Outcome::Failed(_))) {
                self.0.insert(id, outcome);
            }
        }
    }
}

/// A report over requirements of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    lines: Vec<(&'static Requirement, Outcome)>,
}

impl Report {
    /// The findings in the order of the requirements.
    #[must_use]
    pub fn new(of: impl Iterator<Item = &'static Requirement>, findings: &Findings) -> Self {
        let outcome = |requirement: &'static Requirement| {
            let found = findings.0.get(requirement.id).cloned();
            (requirement, found.unwrap_or_else(|| Outcome::NotReached("not tried".to_owned())))
        };
        Self { lines: of.map(outcome).collect() }
    }

    /// Requirements with their outcomes.
    pub fn lines(&self) -> impl Iterator<Item = (&'static Requirement, &Outcome)> {
        self.lines.iter().map(|(requirement, outcome)| (*requirement, outcome))
    }

    /// Those that failed.
    pub fn failures(&self) -> impl Iterator<Item = &'static Requirement> {
        let failed = |(_, outcome): &&(_, Outcome)| matches!(outcome, Outcome::Failed(_));
        self.lines.iter().filter(failed).map(|(requirement, _)| *requirement)
    }

    /// How many passed, failed, were not reached.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        self.lines.iter().fold((0, 0, 0), |(passed, failed, open), (_, outcome)| match outcome {
            Outcome::Passed => (passed + 1, failed, open),
            Outcome::Failed(_) => (passed, failed + 1, open),
            Outcome::NotReached(_) => (passed, failed, open + 1),
        })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (requirement, outcome) in &self.lines {
            let (word, why) = words(outcome);
            let Requirement { id, rule, script, text: what, .. } = requirement;
            let _ = writeln!(text, "{id}  {word:11} [{rule}] {what} ({script})");
            if !why.is_empty() {
                let _ = writeln!(text, "      {why}");
            }
        }
        let (passed, failed, open) = self.counts();
        let _ = writeln!(text, "{passed} passed, {failed} failed, {open} not reached");
        text
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let line = |(requirement, outcome): &(&'static Requirement, Outcome)| {
            let (word, why) = words(outcome);
            json!({
                "id": requirement.id,
                "rule": requirement.rule,
                "side": requirement.side.name(),
                "script": requirement.script,
                "text": requirement.text,
                "outcome": word.replace(' ', "_"),
                "why": (!why.is_empty()).then_some(why),
            })
        };
        let (passed, failed, open) = self.counts();
        let lines: Vec<_> = self.lines.iter().map(line).collect();
        json!({ "passed": passed, "failed": failed, "not_reached": open, "requirements": lines })
    }

    /// As JUnit's XML.
    #[must_use]
    pub fn junit(&self) -> String {
        let (_, failed, open) = self.counts();
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let tests = self.lines.len();
        let _ = writeln!(
            text,
            "<testsuite name=\"quorate conformance\" tests=\"{tests}\" failures=\"{failed}\" skipped=\"{open}\">"
        );
        for (requirement, outcome) in &self.lines {
            let name = escaped(&format!("{} [{}] {}", requirement.id, requirement.rule, requirement.text));
            let class = requirement.script;
            let _ = match outcome {
                Outcome::Passed => writeln!(text, "  <testcase classname=\"{class}\" name=\"{name}\"/>"),
                Outcome::Failed(why) => {
                    let why = escaped(why);
                    writeln!(
                        text,
                        "  <testcase classname=\"{class}\" name=\"{name}\"><failure message=\"{why}\"/></testcase>"
                    )
                }
                Outcome::NotReached(why) => {
                    let why = escaped(why);
                    writeln!(
                        text,
                        "  <testcase classname=\"{class}\" name=\"{name}\"><skipped message=\"{why}\"/></testcase>"
                    )
                }
            };
        }
        text.push_str("</testsuite>\n");
        text
    }
}

fn words(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Passed => ("passed", ""),
        Outcome::Failed(why) => ("failed", why),
        Outcome::NotReached(why) => ("not reached", why),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirement::PARTY;

    #[test]
    fn a_report_counts_and_tells() {
        let mut findings = Findings::default();
        findings.note("P-01", true, String::new);
        findings.note("P-04", false, || "a \"<b>\" & c".to_owned());
        findings.note("P-04", true, String::new);
        findings.leave(["P-01", "P-05"].into_iter(), "it went away");
        let mut other = Findings::default();
        other.note("P-04", true, String::new);
        findings.merge(other);
        let some = || PARTY.iter().filter(|requirement| ["P-01", "P-04", "P-05"].contains(&requirement.id));
        let report = Report::new(some(), &findings);
        assert_eq!(report.counts(), (1, 1, 1));
        assert_eq!(report.failures().map(|failed| failed.rule).collect::<Vec<_>>(), ["SIG-1"]);
        assert_eq!(report.json()["requirements"][2]["outcome"], "not_reached");
        let junit = report.junit();
        assert!(junit.contains("tests=\"3\" failures=\"1\" skipped=\"1\""));
        assert!(junit.contains("message=\"a &quot;&lt;b&gt;&quot; &amp; c\""));
        assert!(report.text().contains("P-05  not reached [WIRE-3]"));
    }
}

//! The exposition format by hand: one family after the other, escaped labels.

use std::fmt::Write as _;

use crate::histogram::Histogram;

/// What a family is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A text that grows.
#[derive(Default)]
pub(super) struct Text {
    text: String,
    family: &'static str,
}

impl Text {
    /// Begins a family; samples belong to it until the next.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = name;
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A family with one sample that only grows.
    pub(super) fn counter(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(name, Kind::Counter, help);
        self.sample(&[], value);
    }

    /// A family with one sample.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: u64) {
        self.family(name, Kind::Gauge, help);
        self.sample(&[], value);
    }

    /// A sample of the family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        self.line("", labels, &value.to_string());
    }

    /// A sample given in milliseconds, written in seconds.
    pub(super) fn sample_ms(&mut self, labels: &[(&str, &str)], ms: u64) {
        self.line("", labels, &seconds(ms));
    }

    /// A histogram of the family, told apart by one label.
    pub(super) fn histogram(&mut self, label: (&str, &str), histogram: &Histogram) {
        for (bound, count) in histogram.classes() {
            self.line("_bucket", &[label, ("le", &seconds(bound))], &count.to_string());
        }
        self.line("_bucket", &[label, ("le", "+Inf")], &histogram.total().to_string());
        self.line("_sum", &[label], &seconds(histogram.sum_ms()));
        self.line("_count", &[label], &histogram.total().to_string());
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: &str) {
        let _ = write!(self.text, "{}{suffix}", self.family);
        for (at, (name, value)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{name}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(value));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// Exact, without the detour of a float.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

//! Several runs of one job side by side, as for `--compare plain,masked`.

use serde::{Deserialize, Serialize};

use super::Run;

/// One line for each run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The runs, in the order given.
    pub rows: Vec<ComparisonRow>,
}

/// What is compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComparisonRow {
    /// Name of the run.
    pub label: String,
    /// Test accuracy of the last model.
    pub accuracy: Option<f64>,
    /// The best after any round.
    pub best_accuracy: Option<f64>,
    /// Contributions counted.
    pub included: u64,
    /// Asked, but not counted.
    pub dropped: u64,
    /// Rounds without a result.
    pub aborted_rounds: u64,
    /// Wall time, s.
    pub wall_s: f64,
    /// Virtual time, s.
    pub virtual_s: f64,
    /// Bytes a participant sends in a round.
    pub upload_bytes: u64,
    /// Bytes a member receives and sends in a round.
    pub member_bytes: u64,
    /// Largest deviation of the mean.
    pub max_mean_error: Option<f64>,
    /// Its bound.
    pub mean_error_bound: Option<f64>,
    /// Whether every sum was exact.
    pub exact: bool,
}

impl Comparison {
    /// Compares runs.
    pub fn of(runs: &[Run<'_>]) -> Self {
        Self { rows: runs.iter().map(ComparisonRow::of).collect() }
    }

    /// Column titles for tables.
    pub const TITLES: [&'static str; 11] = [
        "run",
        "accuracy",
        "best",
        "included",
        "dropped",
        "wall",
        "virtual",
        "upload",
        "member traffic",
        "largest error of the mean",
        "its bound",
    ];

    /// The table's cells as text, a row for each run, in the order of [`Self::TITLES`].
    pub fn cells(&self) -> Vec<[String; 11]> {
        self.rows.iter().map(ComparisonRow::cells).collect()
    }
}

impl ComparisonRow {
    fn of(run: &Run<'_>) -> Self {
        let s = run.summary;
        Self {
            label: run.label.to_owned(),
            accuracy: s.accuracy,
            best_accuracy: s.best_accuracy,
            included: s.included,
            dropped: s.dropped,
            aborted_rounds: s.aborted_rounds,
            wall_s: s.wall_s,
            virtual_s: s.virtual_s,
            upload_bytes: s.upload_bytes,
            member_bytes: s.member_download_bytes.saturating_add(s.member_upload_bytes),
            max_mean_error: s.max_mean_error,
            mean_error_bound: s.mean_error_bound,
            exact: s.exact,
        }
    }

    fn cells(&self) -> [String; 11] {
        [
            self.label.clone(),
            text::percent(self.accuracy),
            text::percent(self.best_accuracy),
            text::count(self.included),
            text::count(self.dropped),
            text::seconds(self.wall_s),
            text::seconds(self.virtual_s),
            text::bytes(self.upload_bytes),
            text::bytes(self.member_bytes),
            text::scientific(self.max_mean_error),
            text::scientific(self.mean_error_bound),
        ]
    }
}

/// Figures as people read them; a dash for what is unknown or not finite.
pub(super) mod text {
    const UNKNOWN: &str = "–";

    pub(crate) fn percent(value: Option<f64>) -> String {
        finite(value, |x| format!("{:.2} %", 100.0 * x))
    }

    pub(crate) fn scientific(value: Option<f64>) -> String {
        finite(value, |x| if x == 0.0 { "0".to_owned() } else { format!("{x:.2e}") })
    }

    pub(crate) fn seconds(value: f64) -> String {
        finite(Some(value), |x| match x {
            x if x >= 7200.0 => format!("{:.1} h", x / 3600.0),
            x if x >= 300.0 => format!("{:.1} min", x / 60.0),
            x if x >= 10.0 => format!("{x:.1} s"),
            x => format!("{x:.2} s"),
        })
    }

    pub(crate) fn milliseconds(value: f64) -> String {
        finite(Some(value), |x| if x < 10.0 { format!("{x:.2} ms") } else { format!("{x:.1} ms") })
    }

    /// Decimal units.
    pub(crate) fn bytes(value: u64) -> String {
        let x = value as f64;
        match value {
            0..1_000 => format!("{value} B"),
            1_000..1_000_000 => format!("{:.1} kB", x / 1e3),
            1_000_000..1_000_000_000 => format!("{:.2} MB", x / 1e6),
            _ => format!("{:.2} GB", x / 1e9),
        }
    }

    /// Thousands set apart by thin spaces.
    pub(crate) fn count(value: u64) -> String {
        let digits = value.to_string();
        let mut out = String::with_capacity(digits.len() * 2);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push('\u{202f}');
            }
            out.push(digit);
        }
        out
    }

    fn finite(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
        value.filter(|x| x.is_finite()).map_or_else(|| UNKNOWN.to_owned(), show)
    }
}

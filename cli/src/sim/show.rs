//! The live table, the progress bar and the closing words of a run.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_protocol::manifest::Mode;
use quorate_sim::config::SimConfig;
use quorate_sim::report::{Comparison, RoundRow, Summary};
use quorate_sim::world::Progress;

use super::quic;

/// Shows a run while it goes on: on standard error, so that standard output stays for results.
pub struct Screen {
    bar: ProgressBar,
    rounds: u32,
    quiet: bool,
    round: Cell<u64>,
}

impl Screen {
    /// Introduces the run. With `--json` only the bar is shown.
    pub fn new(config: &SimConfig, json: bool) -> Self {
        let bar =
            ProgressBar::with_draw_target(Some(u64::from(config.per_round)), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let screen = Self { bar, rounds: config.rounds, quiet: json, round: Cell::new(0) };
        if !json {
            introduce(config);
        }
        screen
    }

    /// Moves the bar.
    pub fn progress(&self, at: Progress) {
        if self.round.replace(at.round) != at.round {
            self.bar.reset();
            self.bar.set_length(at.sampled as u64);
            self.bar.set_prefix(format!("round {}/{}", at.round, self.rounds));
        }
        self.bar.set_position(at.done as u64);
        self.bar.set_message(format!("{:.0} s virtual", at.virtual_ms as f64 / 1e3));
    }

    /// Moves the bar of a run over QUIC.
    pub fn real(&self, at: &quic::Progress, since: Duration) {
        let joining = at.joined < at.participants;
        let round = if joining { 0 } else { at.round };
        let (done, length) = match round {
            0 => (u64::from(at.joined), u64::from(at.participants)),
            _ => (at.done as u64, u64::from(at.sampled)),
        };
        if self.round.replace(round) != round || self.bar.length() != Some(length) {
            self.bar.reset();
            self.bar.set_length(length);
        }
        self.bar.set_prefix(match round {
            0 => "enrolment".to_owned(),
            round => format!("round {round}/{}", self.rounds),
        });
        self.bar.set_position(done);
        self.bar.set_message(format!("{:.0} s", since.as_secs_f64()));
    }

    /// One finished round.
    pub fn row(&self, row: &RoundRow) {
        if self.quiet {
            return;
        }
        let accuracy = row.accuracy.map_or_else(|| "–".to_owned(), |x| format!("{:.2} %", 100.0 * x));
        let line = format!(
            "{:>5} {:>8} {:>9} {:>8} {:>11} {:>10} {:>9.2}  {}",
            row.round,
            row.sampled,
            row.included,
            row.dropped,
            row.complaints,
            accuracy,
            row.wall_s,
            row.aborted.as_deref().unwrap_or(""),
        );
        self.bar.suspend(|| eprintln!("{}", line.trim_end()));
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn introduce(config: &SimConfig) {
    let protection = match config.mode {
        Mode::Plain => "plain, no protection".to_owned(),
        Mode::Masked => format!("masked, suite {}, committee of {}", config.suite.name(), config.committee),
        Mode::Homomorphic => {
            let caveat = config.mode.caveat().unwrap_or_default();
            format!("homomorphic, collective key of {} holders; {caveat}", config.committee)
        }
    };
    eprintln!(
        "{}: {} participants, {} a round, {} coordinates of {} bits, {:.0} % drop-out, seed {}\n{protection}",
        config.task,
        config.participants,
        config.per_round,
        config.dim,
        config.bits,
        100.0 * config.dropout,
        config.seed,
    );
    for note in config.notes() {
        eprintln!("note: {note}");
    }
    eprintln!("\nround  sampled  included  dropped  complaints   accuracy   seconds");
}

/// The closing words of one run.
pub fn summary(summary: &Summary, is_virtual: bool, folder: &Path) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let accuracy =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |x| format!("{:.2} %", 100.0 * x));
    let kilobytes = |bytes: u64| format!("{:.1} kB", bytes as f64 / 1e3);
    let rows = [
        (
            "accuracy, last and best",
            format!("{}, {}", accuracy(summary.accuracy), accuracy(summary.best_accuracy)),
        ),
        ("sums", sums(summary, is_virtual).to_owned()),
        ("included, dropped", format!("{}, {}", summary.included, summary.dropped)),
        ("aborted rounds", summary.aborted_rounds.to_string()),
        ("wall time", format!("{:.1} s", summary.wall_s)),
        (
            "CPU a participant and round",
            format!(
                "{:.2} ms (95 %: {:.2} ms)",
                summary.participant_cpu_ms.p50, summary.participant_cpu_ms.p95
            ),
        ),
        (
            "CPU a member and round",
            format!("{:.2} ms (95 %: {:.2} ms)", summary.member_cpu_ms.p50, summary.member_cpu_ms.p95),
        ),
        ("upload of a participant", kilobytes(summary.upload_bytes)),
        (
            "member, down and up",
            format!(
                "{}, {}",
                kilobytes(summary.member_download_bytes),
                kilobytes(summary.member_upload_bytes)
            ),
        ),
        (if is_virtual { "trace hash" } else { "last model" }, summary.trace_hash.clone()),
        ("report", folder.join("report.html").display().to_string()),
    ];
    let unknown = ["CPU a participant and round", "CPU a member and round", "member, down and up"];
    for (name, value) in rows.into_iter().filter(|(name, _)| is_virtual || !unknown.contains(name)) {
        table.add_row([name.to_owned(), value]);
    }
    println!("\n{table}");
}

/// What was seen of the sums; nothing, if no round was opened.
const fn sums(summary: &Summary, is_virtual: bool) -> &'static str {
    match (summary.exact, summary.included) {
        (false, _) => "WRONG",
        (true, 0) => "none was opened",
        (true, _) if is_virtual => "exact, every one",
        (true, _) => "every mean within the bound of rounding",
    }
}

/// One table of several runs.
pub fn comparison(comparison: &Comparison, folder: &Path) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(Comparison::TITLES);
    for cells in comparison.cells() {
        table.add_row(cells);
    }
    println!("\n{table}\nreport: {}", folder.join("report.html").display());
}

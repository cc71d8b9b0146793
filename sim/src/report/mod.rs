//! Reports: what a simulated job did, as data, table and pages.
//!
//! | file | content | made by |
//! | --- | --- | --- |
//! | `summary.json` | one [`Summary`] | [`Summary::to_json`] |
//! | `metrics.csv` | one line for each [`RoundRow`] | [`csv::metrics`] |
//! | `report.html` | plots and tables of one or more runs, opens offline | [`html::render`] |
//!
//! [`write_run`] writes the three. Every file goes through [`write_atomic`]: a reader sees the old file or the new
//! one, never half of it. The simulator reads no clock, so every duration comes in as an argument.
//!
//! # Security
//!
//! Reports carry counts, sizes, times and accuracies; never updates, masks, shares or keys. Text from a run is
//! escaped wherever it goes; the page has no script and loads nothing.

mod compare;
pub mod csv;
pub mod html;
mod plot;
mod summary;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;

pub use compare::{Comparison, ComparisonRow};
pub use summary::{KeySummary, Quantiles, RoundRow, StageSeconds, Summary};

/// One run with a name, for pages that show one run or several.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// What the run is called in legends and tables, such as `masked`.
    pub label: &'a str,
    /// The whole job.
    pub summary: &'a Summary,
    /// Its rounds, in order.
    pub rounds: &'a [RoundRow],
}

/// Writes `summary.json`, `metrics.csv` and `report.html` of one run into a folder that exists.
pub fn write_run(folder: &Path, run: Run<'_>) -> io::Result<()> {
    write_atomic(&folder.join("summary.json"), run.summary.to_json()?.as_bytes())?;
    write_atomic(&folder.join("metrics.csv"), csv::metrics(run.rounds).as_bytes())?;
    write_atomic(&folder.join("report.html"), html::render(&[run]).as_bytes())
}

/// Replaces the file at `path` by `bytes` in one step: a temporary file beside it, flushed to disk, then renamed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".quorate-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

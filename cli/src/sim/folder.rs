//! The run folder: new or empty, checked to be writable before any work starts.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_protocol::manifest::Mode;
use quorate_sim::config::SimConfig;
use quorate_sim::report::write_atomic;

use super::default_root;
use crate::error::Failure;

/// Makes the folder of a run.
pub fn prepare(wanted: Option<&Path>, config: &SimConfig, compare: bool) -> Result<PathBuf, Failure> {
    let folder = match wanted {
        Some(folder) => {
            if !is_free(folder) {
                return Err(Failure::usage(format!(
                    "{} is not an empty folder; choose another --out, or go on with: quorate sim resume {}",
                    folder.display(),
                    folder.display()
                )));
            }
            folder.to_owned()
        }
        None => free_default(config, compare),
    };
    let failed = |error| {
        Failure::usage(format!(
            "cannot write to {}: {error}; choose another folder with --out",
            folder.display()
        ))
    };
    fs::create_dir_all(&folder).map_err(failed)?;
    tempfile::tempfile_in(&folder).map_err(failed)?;
    Ok(folder)
}

/// Notes which runs a comparison is made of, so that it can be resumed as a whole.
pub fn note_modes(folder: &Path, modes: &[Mode]) -> Result<(), Failure> {
    let text: String = modes.iter().map(|&mode| format!("{}\n", mode.name())).collect();
    write_atomic(&folder.join(MODES), text.as_bytes())
        .map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))
}

/// The runs of a comparison; `None` if the folder holds none.
pub fn noted_modes(folder: &Path) -> Result<Option<Vec<Mode>>, Failure> {
    let Ok(text) = fs::read_to_string(folder.join(MODES)) else { return Ok(None) };
    let known = |line: &str| Mode::ALL.into_iter().find(|mode| mode.name() == line);
    let modes: Option<Vec<Mode>> = text.lines().map(known).collect();
    let unknown = || Failure::usage(format!("{}: not a file of this version", folder.join(MODES).display()));
    modes.filter(|modes| !modes.is_empty() && modes.len() <= Mode::ALL.len()).map(Some).ok_or_else(unknown)
}

/// One mode a line.
const MODES: &str = "modes.txt";

/// Absent, or a folder with nothing in it.
fn is_free(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    }
}

/// `quorate-runs/TASK-MODE-seedSEED`, with a number behind it from the second time on.
fn free_default(config: &SimConfig, compare: bool) -> PathBuf {
    let mode = if compare { "compare" } else { config.mode.name() };
    let name = format!("{}-{mode}-seed{}", config.task, config.seed);
    let first = default_root().join(&name);
    let numbered = |n: u32| default_root().join(format!("{name}-{n}"));
    std::iter::once(first).chain((2..).map(numbered)).find(|folder| is_free(folder)).unwrap_or_default()
}

//! The run folder: new or empty, checked to be writable before any work starts.

use std::fs;
use std::path::{Path, PathBuf};

use quorate_sim::config::SimConfig;

use super::{default_root, label};
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

/// Absent, or a folder with nothing in it.
fn is_free(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    }
}

/// `quorate-runs/TASK-MODE-seedSEED`, with a number behind it from the second time on.
fn free_default(config: &SimConfig, compare: bool) -> PathBuf {
    let mode = if compare { "compare" } else { label(config.mode) };
    let name = format!("{}-{mode}-seed{}", config.task, config.seed);
    let first = default_root().join(&name);
    let numbered = |n: u32| default_root().join(format!("{name}-{n}"));
    std::iter::once(first).chain((2..).map(numbered)).find(|folder| is_free(folder)).unwrap_or_default()
}

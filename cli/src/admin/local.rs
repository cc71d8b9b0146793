//! A coordinator on this machine: its configuration says where its admin port is and what opens it.

use std::path::{Path, PathBuf};

use quorate_coordinator::config::{Config, Environment, Place};

use super::args::Access;
use crate::error::Failure;

/// What a configuration says about the admin port.
pub struct Local {
    /// `http://HOST:PORT`.
    pub base: String,
    /// Where the token is, if it is in a file.
    pub token: Option<PathBuf>,
}

/// The coordinator of `--config`, of `QUORATE_CONFIG`, or of `coordinator.toml` here; `None` if there is none.
pub fn find(access: &Access) -> Result<Option<Local>, Failure> {
    let here = || Some(PathBuf::from("coordinator.toml")).filter(|file| file.exists());
    let variable = || std::env::var_os("QUORATE_CONFIG").map(PathBuf::from);
    let Some(file) = access.config.clone().or_else(variable).or_else(here) else { return Ok(None) };
    let config = Config::load(&file, &Environment::of_process()).map_err(Failure::usage)?;
    let Some(admin) = &config.admin else {
        return Err(Failure::usage(format!(
            "{} has no section [admin]: there is nothing to ask",
            file.display()
        )));
    };
    let token = match &admin.token {
        Place::File(path) => Some(path.clone()),
        Place::Variable(_) => None,
    };
    let base = running(&config.folder).unwrap_or_else(|| format!("http://{}", admin.listen));
    Ok(Some(Local { base, token }))
}

/// Where the one that runs listens: the configuration may leave the port to the system.
fn running(folder: &Path) -> Option<String> {
    let note = std::fs::read(folder.join("running.json")).ok()?;
    let facts: serde_json::Value = serde_json::from_slice(&note).ok()?;
    facts.get("admin")?.as_str().map(ToOwned::to_owned)
}

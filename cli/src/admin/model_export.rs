//! `quorate model export`: a signed version as a folder that anybody can verify, here and with the public tool.

use std::fs;
use std::path::Path;

use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::keeper::MODEL_FILE;
use quorate_coordinator::models;
use quorate_coordinator::strongroom::Cover;
use quorate_keys::audit::Value;
use quorate_keys::model_signature::Bundle;
use quorate_keys::model_signature::statement::SIGNATURE_FILE;

use super::args::ExportArgs;
use crate::coordinator::load;
use crate::error::Failure;

/// Copies model and signature into a new folder, and the key's public half beside it if that is asked for.
pub fn export(args: &ExportArgs) -> Result<(), Failure> {
    let config = load(&args.log.at.file())?;
    let folder = config.models().join(&args.job);
    let version = match args.version {
        Some(version) => version,
        None => newest(&folder)?,
    };
    let path = folder.join(format!("{version:010}.sig"));
    let signature = fs::read(&path)
        .map_err(|error| Failure::failed(format!("{}: {error}: see \"quorate model ls\"", path.display())))?;
    let model = stored(&config, &args.job, version)?;
    let bundle = Bundle::parse(&signature).map_err(Failure::failed)?;
    if let Some(file) = &args.key_out {
        let id = bundle.key_hint().ok_or_else(|| Failure::failed("the signature names no key"))?;
        let told = crate::keys::told(&args.log)?;
        let Some(Value::P256(key)) = told.public.get(id) else {
            return Err(Failure::failed(format!("{id}: the audit log has no such key")));
        };
        let pem = key.to_pem().map_err(Failure::failed)?;
        fs::write(file, pem).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    }
    write(&args.out, &[(MODEL_FILE, &model), (SIGNATURE_FILE, &signature)])?;
    eprintln!("{}: version {version} of {}, with its signature", args.out.display(), args.job);
    Ok(())
}

/// A version's file, out of its envelope.
fn stored(config: &Config, job: &str, version: u64) -> Result<Vec<u8>, Failure> {
    let cover = Cover::look(config, &Environment::of_process()).map_err(Failure::usage)?;
    let stored = models::stored(&config.models(), &cover, (job, version)).map_err(Failure::failed)?;
    stored.ok_or_else(|| {
        Failure::failed(format!("version {version} of {job} is not there: see \"quorate model ls\""))
    })
}

/// The newest version that is signed.
fn newest(folder: &Path) -> Result<u64, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", folder.display()));
    let mut newest = None;
    for entry in fs::read_dir(folder).map_err(|error| wrong(&error))? {
        let name = entry.map_err(|error| wrong(&error))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".sig")?.parse::<u64>().ok());
        newest = newest.max(number);
    }
    newest.ok_or_else(|| wrong(&"no version is signed: one is when a round has been opened"))
}

/// All files or no folder.
fn write(folder: &Path, files: &[(&str, &[u8])]) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| Failure::usage(format!("{}: {error}", folder.display()));
    if folder.exists() {
        return Err(Failure::usage(format!("{}: is there already: choose another", folder.display())));
    }
    let parent = folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let staging = tempfile::tempdir_in(parent).map_err(wrong)?;
    for (name, bytes) in files {
        fs::write(staging.path().join(name), bytes).map_err(wrong)?;
    }
    fs::rename(staging.keep(), folder).map_err(wrong)
}

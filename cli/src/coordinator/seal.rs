//! `seal`, `unseal`, `migrate-keys`: what is done about a coordinator's secrets by hand.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use quorate_coordinator::config::{Environment, Place};
use quorate_coordinator::control::{Answer, Order, ask};
use quorate_coordinator::strongroom::Unlock;
use quorate_coordinator::strongroom::migrate::{MigrateError, migrate};
use zeroize::Zeroizing;

use super::args::{At, MigrateArgs, UnsealArgs};
use super::load;
use crate::error::Failure;

/// `seal`
pub fn seal(at: &At) -> Result<(), Failure> {
    told(&at.file(), &Order::Seal)
}

/// `unseal`
pub fn unseal(args: &UnsealArgs) -> Result<(), Failure> {
    let unlock = match args.from.as_deref() {
        None | Some("-") => from_input()?,
        Some(text) => read(&place(text)?)?,
    };
    told(&args.at.file(), &Order::Unseal(unlock))
}

/// `migrate-keys`
pub fn migrate_keys(args: &MigrateArgs) -> Result<(), Failure> {
    let config = load(&args.at.file())?;
    let unlock = match &args.unlock {
        Some(text) => place(text)?,
        None => beside(&config.folder)?,
    };
    let done = match migrate(&config, &unlock, &Environment::of_process()) {
        Err(error @ (MigrateError::Nothing | MigrateError::InUse)) => return Err(Failure::usage(error)),
        done => done.map_err(Failure::failed)?,
    };
    for key in &done.keys {
        println!("{key}");
    }
    for file in &done.shredded {
        eprintln!("shredded {}", file.display());
    }
    for name in &done.variables {
        eprintln!("{name} still holds a key: unset it");
    }
    let (unlock, made) = &done.unlock;
    eprintln!("{} the unlock secret in {}", if *made { "made" } else { "used" }, shown(unlock));
    Ok(())
}

/// `file:PATH` or `env:NAME`.
pub fn place(text: &str) -> Result<Place, Failure> {
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(Place::File(path.into())),
        Some(("env", name)) if !name.is_empty() => Ok(Place::Variable(name.to_owned())),
        _ => Err(Failure::usage("a place of a secret is written file:PATH or env:NAME")),
    }
}

/// A place in words.
pub fn shown(place: &Place) -> String {
    match place {
        Place::File(path) => path.display().to_string(),
        Place::Variable(name) => format!("the variable {name}"),
    }
}

/// The secret at a place.
pub fn read(place: &Place) -> Result<Unlock, Failure> {
    Unlock::read(place, &Environment::of_process()).map_err(Failure::usage)
}

/// `FOLDER.unlock`, beside the folder.
fn beside(folder: &Path) -> Result<Place, Failure> {
    let folder = folder.canonicalize().map_err(Failure::usage)?;
    let name = folder.file_name().and_then(|name| name.to_str());
    let above = folder.parent();
    let (Some(name), Some(above)) = (name, above) else {
        return Err(Failure::usage("this folder has no name to put a file beside it: give --unlock"));
    };
    Ok(Place::File(above.join(format!("{name}.unlock"))))
}

/// The secret on standard input, not shown while it is typed.
fn from_input() -> Result<Unlock, Failure> {
    let typed = std::io::stdin().is_terminal();
    let echo = |how: &str| {
        let _ = Command::new("stty").arg(how).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
    };
    let mut text = Zeroizing::new(String::with_capacity(LONGEST));
    let read = if typed {
        eprintln!("unlock secret, then Enter:");
        echo("-echo");
        let read = std::io::stdin().read_line(&mut text);
        echo("echo");
        read
    } else {
        std::io::stdin().take(LONGEST as u64).read_to_string(&mut text)
    };
    read.map_err(|error| Failure::usage(format!("standard input: {error}")))?;
    Unlock::new(&text).map_err(Failure::usage)
}

/// Asks the coordinator of a configuration and says what it answered.
fn told(file: &Path, order: &Order) -> Result<(), Failure> {
    let config = load(file)?;
    let folder = config.folder.display();
    let failed = |error| Failure::failed(format!("the control socket in {folder}: {error}"));
    match ask(&config.folder, order, |_| {}).map_err(failed)? {
        None => Err(Failure::failed(format!("no coordinator runs in {folder}"))),
        Some(Answer { done: Some(true), message, .. }) => {
            eprintln!("{message}");
            Ok(())
        }
        Some(answer) => Err(Failure::failed(answer.message)),
    }
}

/// Longest secret that is read, in bytes.
const LONGEST: usize = 4 << 10;

//! Plain key files of an older deployment into a strongroom, and its models into envelopes.
//!
//! ```text
//! plain files ─▶ strongroom ─▶ opened anew and compared ─▶ [keys] into the configuration ─▶ plain files shredded
//! plain models ─▶ envelopes ─▶ opened anew and compared ───────┘
//! ```
//!
//! Stopped anywhere: the same command goes on. Until the configuration has its section, the plain files are the keys;
//! from then on the strongroom is.
//!
//! # Security
//!
//! A plain file goes only after its sealed one has opened and is the same. What was in the plain before lingers in
//! backups, snapshots and free blocks: who had read it still has it, and only other keys help.

use std::path::{Path, PathBuf};

use quorate_keys::KeyId;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Cover, Shared, Strongroom, StrongroomError, Unlock, shred};
use crate::audit::{self, AuditError};
use crate::config::{Config, Environment, Findings, KeysConfig, Place, ProviderPlan};
use crate::folder::Folder;
use crate::keeper::{PlainRoom, Room as _};
use crate::models::ModelError;
use crate::secrets::{SecretError, authority_id, hex};

/// What a migration did.
#[derive(Debug)]
pub struct Migrated {
    /// Keys that are in the strongroom.
    pub keys: Vec<KeyId>,
    /// Plain files that are gone.
    pub shredded: Vec<PathBuf>,
    /// Environment variables that still hold a key, to be removed by whoever set them.
    pub variables: Vec<String>,
    /// Where the unlock secret is, and whether it was made.
    pub unlock: (Place, bool),
}

/// Why keys were not moved; the plain ones are still there.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// It runs.
    #[error("the coordinator runs: stop it first")]
    InUse,
    /// No plain keys, no strongroom to go on with.
    #[error("there are no plain keys and models to move: the strongroom has them all")]
    Nothing,
    /// What was sealed is not what was plain.
    #[error("{0} is not what its plain file says: the plain file stays; is it of this coordinator?")]
    Differs(KeyId),
    /// A plain key does not read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// That of the audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The strongroom.
    #[error(transparent)]
    Strongroom(#[from] StrongroomError),
    /// The configuration with its new section does not check.
    #[error("the configuration with its section [keys] does not check: {0}")]
    Config(#[from] Findings),
    /// The models.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A key in the plain.
struct Plain {
    id: KeyId,
    secret: Zeroizing<Vec<u8>>,
    place: Place,
}

/// Moves the keys of a coordinator that stands still.
///
/// # Errors
/// [`MigrateError`]; what is not sealed yet is still there in the plain.
pub fn migrate(config: &Config, unlock: &Place, environment: &Environment) -> Result<Migrated, MigrateError> {
    let _still = Folder::open(&config.ledger())?.ok_or(MigrateError::InUse)?;
    let base = config.file.parent().unwrap_or(Path::new("")).to_owned();
    let keys = config.keys.clone().unwrap_or_else(|| KeysConfig {
        folder: base.join("keys"),
        files: vec![config.models(), config.ledger()],
        unlock: Some(unlock.clone()),
        provider: ProviderPlan::File,
    });
    let plain = plain(config, environment)?;
    if plain.is_empty() && !crate::models::any_plain(&config.models())? {
        return Err(MigrateError::Nothing);
    }
    let place = keys.unlock.clone().unwrap_or_else(|| unlock.clone());
    let (unlock, made) = Unlock::read_or_make(&place, environment)?;
    let mut room = match Strongroom::create(&keys, &config.deployment, &unlock) {
        Err(StrongroomError::There) => Strongroom::open(&keys, &config.deployment, &unlock)?,
        made => made?,
    };
    for key in &plain {
        match room.put(&key.id, &key.secret) {
            Err(StrongroomError::Exists(id)) => return Err(MigrateError::Differs(id)),
            put => put?,
        }
    }
    let room = Shared::new(Some(room));
    let models = crate::models::seal_plain(&config.models(), &Cover::new(&room))?;
    drop(room);
    let room = Strongroom::look(&keys, &config.deployment, &unlock)?;
    for key in &plain {
        if *room.get(&key.id)? != *key.secret {
            return Err(MigrateError::Differs(key.id.clone()));
        }
    }
    if config.keys.is_none() {
        configure(&config.file, &place, environment)?;
    }
    let mut done =
        Migrated { keys: room.list(), shredded: Vec::new(), variables: Vec::new(), unlock: (place, made) };
    for key in plain {
        match key.place {
            Place::File(path) => {
                shred(&path)?;
                done.shredded.push(path);
            }
            Place::Variable(name) => done.variables.push(name),
        }
    }
    for path in models {
        shred(&path)?;
        done.shredded.push(path);
    }
    Ok(done)
}

/// The plain keys that are there. With a strongroom in use, those that are gone already are none.
fn plain(config: &Config, environment: &Environment) -> Result<Vec<Plain>, MigrateError> {
    let mut found = Vec::new();
    let places = [
        ("secrets.identity", &config.secrets.identity, audit::identity()),
        ("secrets.authority_key", &config.secrets.authority_key, authority_id()),
    ];
    for (key, place, id) in places {
        let gone = matches!(place, Place::File(path) if !path.exists());
        if gone && config.keys.is_some() {
            continue;
        }
        found.push(Plain { id, secret: hex(key, place, environment)?, place: place.clone() });
    }
    let room = PlainRoom::new(&config.key_room());
    for id in room.list()? {
        let secret = room.get(&id).map_err(AuditError::from)?;
        let place = Place::File(room.path(&id));
        found.push(Plain { id, secret, place });
    }
    Ok(found)
}

/// Writes the section into the configuration, if the whole of it checks then.
fn configure(file: &Path, place: &Place, environment: &Environment) -> Result<(), MigrateError> {
    let said = match place {
        Place::Variable(name) => format!("env:{name}"),
        Place::File(path) => format!("file:{}", std::path::absolute(path)?.display()),
    };
    let said = said.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = std::fs::read_to_string(file)?;
    text.push_str(&format!(
        "\n# The coordinator's own keys rest sealed in this folder; written by migrate-keys.\n\
         [keys]\nfolder = \"keys\"\nprovider = \"file\"\nunlock = \"{said}\"\n"
    ));
    let new = file.with_added_extension("new");
    std::fs::write(&new, &text)?;
    std::fs::set_permissions(&new, std::fs::metadata(file)?.permissions())?;
    std::fs::File::open(&new)?.sync_all()?;
    if let Err(findings) = Config::load(&new, environment) {
        std::fs::remove_file(&new)?;
        return Err(findings.into());
    }
    std::fs::rename(&new, file)?;
    crate::init::sync(
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
    )?;
    Ok(())
}

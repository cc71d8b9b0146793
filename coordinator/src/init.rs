//! A new coordinator: keys, configuration, database, ledger.
//!
//! ```text
//! FOLDER.unlock    the unlock secret of the strongroom, beside the folder or where the operator says
//! FOLDER/.init/…   everything else is made here, coordinator.toml last
//! FOLDER/…         then moved here, one by one, coordinator.toml last: with it the coordinator exists
//! ```
//!
//! An interrupted init is done again by the same command: what was not complete is made anew, what was is moved on.
//!
//! # Security
//!
//! The folder has mode 0700 and every secret file 0600. Nothing that exists is overwritten: a second identity would
//! be another deployment, and an unlock secret that is there is used. The folder holds no key in the plain but the
//! credential of the admin API; the unlock secret is never in it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use getrandom::SysRng;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{DeploymentId, Registry};
use quorate_transport::{Authority, AuthorityError, Pin};
use rand_core::{Rng as _, UnwrapErr};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::audit;
use crate::config::{Config, Environment, Findings, KeysConfig, Place, ProviderPlan, is_name};
use crate::folder::Folder;
use crate::secrets::{SecretError, Secrets, authority_id, to_hex};
use crate::service::{Service, ServiceError};
use crate::store::{SqliteStore, StoreError};
use crate::strongroom::{Strongroom, StrongroomError, Unlock};

/// What the operator may choose.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Name of the deployment.
    pub name: String,
    /// Where parties connect.
    pub listen: SocketAddr,
    /// Where the admin API listens.
    pub admin: SocketAddr,
    /// Parties that will enrol at first; committee and target follow from it.
    pub parties: u32,
    /// What the first job is made for.
    pub first: FirstJob,
    /// Where the unlock secret is, or is to be made; none: in a file beside the folder.
    pub unlock: Option<Place>,
}

/// The numbers of a job, and the model it begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstJob {
    /// Coordinates of an update.
    pub dim: u32,
    /// Bound of a coordinate.
    pub clip: f64,
    /// Largest weight.
    pub weight_bound: u32,
    /// A safetensors file; without it all coordinates are 0.
    pub model: Option<Vec<u8>>,
}

impl Default for FirstJob {
    fn default() -> Self {
        Self { dim: 7_850, clip: 1.0, weight_bound: 1_000, model: None }
    }
}

impl InitOptions {
    /// The configuration, its first job beginning with this model.
    #[must_use]
    pub fn text(&self, model: &str) -> String {
        TEMPLATE
            .replace("{parties}", &self.parties.to_string())
            .replace("{ceremony}", &self.parties.min(8).to_string())
            .replace("{committee}", &self.committee().to_string())
            .replace("{dim}", &self.first.dim.to_string())
            .replace("{clip}", &format!("{:?}", self.first.clip))
            .replace("{weight_bound}", &self.first.weight_bound.to_string())
            .replace("{target}", &self.parties.to_string())
            .replace("{model}", model)
            .replace("{name}", &self.name)
            .replace("{listen}", &self.listen.to_string())
            .replace("{admin}", &self.admin.to_string())
            .replace("{unlock}", &self.unlock_text())
    }

    /// As a configuration says it, within quotes.
    fn unlock_text(&self) -> String {
        let plain = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        match &self.unlock {
            Some(Place::Variable(name)) => format!("env:{}", plain(name)),
            Some(Place::File(path)) => format!("file:{}", plain(&path.display().to_string())),
            None => "file:../coordinator.unlock".to_owned(),
        }
    }

    /// A committee as the simulator chooses it: three quarters of a small deployment, at most 16.
    fn committee(&self) -> u32 {
        if self.parties <= 5 { self.parties } else { (self.parties * 3 / 4).min(16) }
    }
}

/// A coordinator that was made.
#[derive(Clone, Debug)]
pub struct Initialised {
    /// What parties pin, beside their tokens.
    pub pin: Pin,
    /// The deployment.
    pub deployment: DeploymentId,
    /// Where its unlock secret is.
    pub unlock: Place,
    /// Whether that was made, or was there.
    pub made_unlock: bool,
}

/// Why no coordinator was made.
#[derive(Debug, Error)]
pub enum InitError {
    /// There is one.
    #[error("the folder holds a coordinator already: choose another folder")]
    Exists,
    /// Other files are there.
    #[error("the folder is not empty: choose a new or an empty one")]
    NotEmpty,
    /// Another init is at work.
    #[error("another init is at work in this folder: let it end")]
    InUse,
    /// The name cannot be one.
    #[error("a deployment's name has 1 to 64 bytes without white space, quotes or backslashes")]
    Name,
    /// Reading or writing failed.
    #[error("the folder: {0}")]
    Io(#[from] io::Error),
    /// Keys or certificate.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Ledger.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// What was written does not read: an error of this program.
    #[error("the new configuration does not check: {0}")]
    Config(#[from] Findings),
    /// The same, of the secrets.
    #[error("the new secrets do not read: {0}")]
    Secrets(#[from] SecretError),
    /// The unlock secret would be in the folder that it protects.
    #[error("the unlock secret must not be in the folder it opens: choose another place with --unlock")]
    UnlockWithin,
    /// There is no place beside the folder.
    #[error("this folder has no name to put a file beside it: choose a place with --unlock")]
    UnlockWhere,
    /// The strongroom.
    #[error(transparent)]
    Strongroom(#[from] StrongroomError),
}

/// Makes a coordinator in a folder.
///
/// # Errors
/// [`InitError`]; nothing that was there is changed.
pub async fn init(folder: &Path, options: &InitOptions) -> Result<Initialised, InitError> {
    let plain = |letter: char| letter != '"' && letter != '\\';
    if !is_name(&options.name) || !options.name.chars().all(plain) {
        return Err(InitError::Name);
    }
    if folder.join(CONFIG).exists() {
        return Err(InitError::Exists);
    }
    let staging = folder.join(STAGING);
    let empty = !folder.exists() || fs::read_dir(folder)?.next().is_none();
    if !empty && !staging.exists() {
        return Err(InitError::NotEmpty);
    }
    make_folder(folder)?;
    make_folder(&staging)?;
    let lock = Folder::open(&staging)?.ok_or(InitError::InUse)?;
    let (configured, place) = unlock_place(folder, options.unlock.as_ref())?;
    let options = InitOptions { unlock: Some(configured), ..options.clone() };
    let (unlock, made_unlock) = Unlock::read_or_make(&place, &Environment::of_process())?;
    if !staging.join(CONFIG).exists() {
        clear(&staging)?;
        make(&staging, &options, &unlock).await?;
    }
    publish(&staging, folder)?;
    drop(lock);
    fs::remove_dir_all(&staging)?;
    let environment = Environment::from([]);
    let config = Config::load(&folder.join(CONFIG), &environment)?;
    let keys = config.keys.as_ref().ok_or_else(|| StrongroomError::Absent(folder.to_owned()))?;
    let room = Strongroom::look(keys, &config.deployment, &unlock)?;
    let secrets = Secrets::sealed(&config, &environment, &room)?;
    let (pin, deployment) = (secrets.authority.pin(), *secrets.authority.deployment());
    Ok(Initialised { pin, deployment, unlock: place, made_unlock })
}

/// The place of the unlock secret, as the configuration names it and as it is seen from here.
fn unlock_place(folder: &Path, wanted: Option<&Place>) -> Result<(Place, Place), InitError> {
    let folder = folder.canonicalize()?;
    match wanted {
        Some(Place::Variable(name)) => Ok((Place::Variable(name.clone()), Place::Variable(name.clone()))),
        Some(Place::File(path)) => {
            let path = std::path::absolute(path)?;
            // The folder above may be a link into the folder.
            let above = path.parent().and_then(|above| above.canonicalize().ok());
            if path.starts_with(&folder) || above.is_some_and(|above| above.starts_with(&folder)) {
                return Err(InitError::UnlockWithin);
            }
            Ok((Place::File(path.clone()), Place::File(path)))
        }
        None => {
            let name = folder.file_name().and_then(|name| name.to_str()).ok_or(InitError::UnlockWhere)?;
            let name = format!("{name}.unlock");
            let here = folder.parent().ok_or(InitError::UnlockWhere)?.join(&name);
            Ok((Place::File(Path::new("..").join(name)), Place::File(here)))
        }
    }
}

/// Everything, the configuration last.
async fn make(staging: &Path, options: &InitOptions, unlock: &Unlock) -> Result<(), InitError> {
    let mut rng = UnwrapErr(SysRng);
    let identity = SigningKey::generate(&mut rng);
    let deployment = DeploymentId::new(&options.name, identity.public());
    let authority = Authority::generate(deployment, identity.public())?;
    let keys = KeysConfig {
        folder: staging.join(KEYS),
        files: Vec::new(),
        unlock: None,
        provider: ProviderPlan::File,
    };
    let mut room = Strongroom::create(&keys, &options.name, unlock)?;
    room.put(&audit::identity(), identity.to_bytes().as_slice())?;
    room.put(&authority_id(), &authority.key())?;
    drop(room);
    let mut token = Zeroizing::new([0; 32]);
    rng.fill_bytes(token.as_mut());
    private(&staging.join("authority.certificate"), &to_hex(authority.certificate()))?;
    private(&staging.join(DEPLOYMENT), &deployment.to_hex())?;
    private(&staging.join("admin.token"), &to_hex(token.as_slice()))?;
    SqliteStore::open(&staging.join("quorate.db")).await?.close().await;
    drop(Service::create(identity, Registry::new(deployment), &staging.join("ledger"))?);
    let model = match &options.first.model {
        Some(file) => {
            private_bytes(&staging.join(INITIAL), file)?;
            INITIAL
        }
        None => "zeros",
    };
    let text = options.text(model);
    private(&staging.join("coordinator.toml.new"), &text)?;
    fs::rename(staging.join("coordinator.toml.new"), staging.join(CONFIG))?;
    sync(staging)?;
    Ok(())
}

/// Moves everything to its place; the configuration last.
fn publish(staging: &Path, folder: &Path) -> Result<(), InitError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(staging)? {
        names.push(entry?.file_name());
    }
    names.retain(|name| name != LOCK);
    names.sort_by_key(|name| name == CONFIG);
    for name in names {
        let to = folder.join(&name);
        if to.exists() {
            return Err(InitError::NotEmpty);
        }
        fs::rename(staging.join(&name), to)?;
    }
    sync(folder)?;
    Ok(())
}

fn clear(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false if entry.file_name() == LOCK => {}
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A new file for its owner's eyes.
pub(crate) fn private(path: &Path, text: &str) -> io::Result<()> {
    private_bytes(path, &[text.as_bytes(), b"\n"].concat())
}

/// The same of bytes.
fn private_bytes(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

const TEMPLATE: &str = include_str!("template.toml");
const CONFIG: &str = "coordinator.toml";
const KEYS: &str = "keys";
const INITIAL: &str = "initial.safetensors";
/// Id of the deployment: no secret.
pub(crate) const DEPLOYMENT: &str = "deployment.id";
const STAGING: &str = ".init";
const LOCK: &str = "lock";

#[cfg(test)]
mod tests;

//! `quorate trust`: the trust root, made and signed by people, verified by anybody ([KL-13] to [KL-15]).

mod args;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use getrandom::SysRng;
use quorate_coordinator::config::{Config, parse_duration};
use quorate_coordinator::keeper::Roots;
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::{PublicKey, SigningKey};
use quorate_keys::audit::{Text, Value};
use quorate_keys::root::{Hash, Key, Root, RootError, SignedRoot, TrustRoot};
use quorate_keys::{Class, KeyId};
use quorate_sim::report::write_atomic;
use rand_core::UnwrapErr;
use serde_json::json;
use zeroize::Zeroizing;

pub use args::TrustArgs;
use args::{ContentArgs, TrustCommand};

use crate::coordinator::{load, now, private_file};
use crate::error::Failure;
use crate::keys::told;

/// Runs `quorate trust …`.
pub fn run(args: &TrustArgs) -> Result<(), Failure> {
    match &args.command {
        TrustCommand::Key { key, out } => make_key(key, out),
        TrustCommand::New { content } => {
            let config = load(&content.log.at.file())?;
            let threshold = content.threshold.ok_or_else(|| Failure::usage("give --threshold"))?;
            write_root(content, &config, (1, threshold, BTreeMap::new()))
        }
        TrustCommand::Next { current, content, remove } => next(current, content, remove),
        TrustCommand::Sign { file, key } => sign(file, key),
        TrustCommand::Show { file, json } => show(file, *json),
        TrustCommand::Verify { files, pin, json } => verify(files, pin, *json),
        TrustCommand::Install { file, at } => install(file, &load(&at.file())?),
    }
}

fn make_key(id: &KeyId, out: &Path) -> Result<(), Failure> {
    if id.class() != Class::Root {
        return Err(Failure::usage(format!("{id}: a root key is called root/NAME@VERSION")));
    }
    let key = SigningKey::generate(&mut UnwrapErr(SysRng));
    let secret = Zeroizing::new(Digest::from_bytes(*key.to_bytes()).to_hex());
    private_file(out, &secret).map_err(|error| at(out, error))?;
    println!("{id}={}", Digest::from_bytes(*key.public().as_bytes()).to_hex());
    eprintln!("{}: the private key; keep it off every machine that is on a network", out.display());
    Ok(())
}

fn next(current: &Path, content: &ContentArgs, remove: &[KeyId]) -> Result<(), Failure> {
    let config = load(&content.log.at.file())?;
    let before = read(current)?;
    let mut keys = before.unverified().keys.clone();
    for id in remove {
        if keys.remove(id).is_none() {
            return Err(Failure::usage(format!("{id} is not in {}", current.display())));
        }
    }
    let version = before.unverified().version.saturating_add(1);
    let threshold = content.threshold.unwrap_or(before.unverified().threshold);
    write_root(content, &config, (version, threshold, keys))
}

/// Root keys as given, all other keys as the audit log tells them.
fn write_root(
    content: &ContentArgs,
    config: &Config,
    (version, threshold, mut keys): (u64, u32, BTreeMap<KeyId, Key>),
) -> Result<(), Failure> {
    for text in &content.root {
        let (id, key) = id_and(text)?;
        let bytes = Digest::from_hex(key).ok_or_else(|| Failure::usage(format!("{text}: no public key")))?;
        let key =
            PublicKey::parse(bytes.as_bytes()).map_err(|error| Failure::usage(format!("{text}: {error}")))?;
        keys.insert(id, Key(key));
    }
    let ttl = parse_duration(&content.ttl).ok_or_else(|| Failure::usage("--ttl is a time, as 730d"))?;
    let told = told(&content.log)?;
    let of = |class: Class| -> BTreeMap<KeyId, Key> {
        let works = |id: &KeyId| told.inventory.key(id).is_some_and(|key| key.state.processes());
        let keys = told.public.iter().filter(|(id, _)| id.class() == class && works(id));
        keys.filter_map(|(id, value)| match value {
            Value::Key(key) => Some((id.clone(), Key(key.clone()))),
            _ => None,
        })
        .collect()
    };
    let root = Root {
        v: 1,
        deployment: Text::new(&config.deployment).map_err(Failure::usage)?,
        version,
        expires: (now() / 1_000).saturating_add(ttl.as_secs()),
        threshold,
        keys,
        coordinator: of(Class::Coordinator),
        audit: of(Class::Audit),
        model: told.model_keys(&config.rotation.policy),
        policy: Hash(config.rotation.policy.hash()),
    };
    let root = SignedRoot::new(root).map_err(Failure::usage)?;
    write(&content.out, &root)?;
    eprintln!(
        "{}: version {version}; {threshold} of its keys must sign it, and as many of the root before as that asks for",
        content.out.display()
    );
    Ok(())
}

fn sign(file: &Path, keys: &[String]) -> Result<(), Failure> {
    let mut root = read(file)?;
    for text in keys {
        let (id, path) = id_and(text)?;
        let path = Path::new(path);
        let secret = Zeroizing::new(fs::read_to_string(path).map_err(|error| at(path, error))?);
        let seed = Digest::from_hex(secret.trim()).ok_or_else(|| at(path, "is no root key"))?;
        root.sign(&id, &SigningKey::from_bytes(seed.as_bytes())).map_err(Failure::failed)?;
    }
    write(file, &root)
}

fn show(file: &Path, as_json: bool) -> Result<(), Failure> {
    let root = read(file)?;
    let says = root.unverified();
    if as_json {
        println!("{}", json!(root));
        return Ok(());
    }
    println!(
        "deployment   {}\nversion      {}\nexpires      {}",
        says.deployment, says.version, says.expires
    );
    println!("threshold    {} of {}", says.threshold, says.keys.len());
    println!("policy       {}", says.policy.0.to_hex());
    println!("fingerprint  {}", root.fingerprint().map_err(Failure::failed)?.to_hex());
    let all =
        says.keys.keys().chain(says.coordinator.keys()).chain(says.audit.keys()).chain(says.model.keys());
    for id in all {
        println!("key          {id}");
    }
    println!("signed by    {}", root.signers().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    eprintln!("note: nothing of this is verified; \"quorate trust verify\" does");
    Ok(())
}

fn verify(files: &[PathBuf], pin: &str, as_json: bool) -> Result<(), Failure> {
    let pin = Digest::from_hex(pin).ok_or_else(|| Failure::usage("--pin is 64 hexadecimal digits"))?;
    let result = chain(files, &pin);
    if as_json {
        let answer = match &result {
            Ok(root) => {
                json!({ "verified": true, "version": root.get().version, "expires": root.get().expires })
            }
            Err((file, error)) => json!({ "verified": false, "file": file, "problem": error.to_string() }),
        };
        println!("{answer}");
    }
    let root = result.map_err(|(file, error)| Failure::failed(format!("{}: {error}", file.display())))?;
    if !as_json {
        println!(
            "verified: version {} of {}, valid until {}",
            root.get().version,
            root.get().deployment,
            root.get().expires
        );
    }
    Ok(())
}

fn chain<'a>(files: &'a [PathBuf], pin: &Digest) -> Result<TrustRoot, (&'a Path, RootError)> {
    let (mut root, mut last): (Option<TrustRoot>, &Path) = (None, Path::new(""));
    for file in files {
        last = file;
        let parsed = fs::read(file).map_err(|_| RootError::Form).and_then(|bytes| SignedRoot::parse(&bytes));
        let step = parsed.and_then(|signed| match &root {
            None => TrustRoot::pin(signed, pin),
            Some(before) => before.step(signed),
        });
        root = Some(step.map_err(|error| (file.as_path(), error))?);
    }
    let root = root.ok_or((last, RootError::Form))?;
    root.current(now() / 1_000).map_err(|error| (last, error))?;
    Ok(root)
}

fn install(file: &Path, config: &Config) -> Result<(), Failure> {
    let root = read(file)?;
    let version = root.unverified().version;
    let roots = Roots::new(&config.roots());
    roots.install(root, &config.deployment, now() / 1_000).map_err(Failure::failed)?;
    eprintln!("version {version} is there; a running coordinator takes it up within seconds");
    Ok(())
}

fn id_and(text: &str) -> Result<(KeyId, &str), Failure> {
    let (id, rest) = text.split_once('=').ok_or_else(|| Failure::usage(format!("{text}: write KEY=…")))?;
    Ok((id.parse().map_err(|error| Failure::usage(format!("{text}: {error}")))?, rest))
}

fn read(file: &Path) -> Result<SignedRoot, Failure> {
    let bytes = fs::read(file).map_err(|error| at(file, error))?;
    SignedRoot::parse(&bytes).map_err(|error| at(file, error))
}

/// Whole or not at all.
fn write(file: &Path, root: &SignedRoot) -> Result<(), Failure> {
    let bytes = root.to_bytes().map_err(Failure::failed)?;
    write_atomic(file, &bytes).map_err(|error| at(file, error))
}

fn at(file: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {error}", file.display()))
}

//! `quorate model verify`: a signed model on disk against a pinned trust root, or against an audit log.
//!
//! Exit code 0 says that the model may be used; each other verdict has exit code 1 ([KL-22]).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use quorate_crypto::hash::Digest;
use quorate_keys::KeyId;
use quorate_keys::model_signature::statement::{SIGNATURE_FILE, file_digest};
use quorate_keys::model_signature::{Bundle, FileName, ModelKey, ModelTrust, Verdict, Verified};
use quorate_keys::policy::Template;
use quorate_keys::root::TrustRoot;
use serde_json::json;

use super::args::VerifyArgs;
use crate::error::Failure;
use crate::keys::{LogAt, signed_at};

/// `quorate model verify`.
pub fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::usage)?.as_secs();
    let keys = match &args.root {
        Some(file) => {
            let root = TrustRoot::load(&read(file)?, args.root_version, now)
                .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
            root.get().model.clone()
        }
        None => logged(&args.log)?,
    };
    let result = judge(args, &keys, now);
    if args.log.json {
        let answer = match &result {
            Ok(verified) => json!({
                "verified": true,
                "usable": verified.verdict.usable(),
                "verdict": word(verified.verdict),
                "key": verified.key,
                "rounds": verified.statement.claims.rounds,
                "manifest": verified.statement.claims.manifest.to_hex(),
                "policy": verified.statement.claims.policy.to_hex(),
                "expires": verified.statement.claims.expires,
            }),
            Err(failure) => json!({ "verified": false, "problem": failure }),
        };
        println!("{answer}");
    }
    let Verified { verdict, key, statement } = result.map_err(Failure::failed)?;
    if !verdict.usable() && !args.accept_archived {
        return Err(Failure::failed(format!(
            "genuine but {}, signed by {key}: --accept-archived takes it all the same",
            word(verdict)
        )));
    }
    if !args.log.json {
        let rounds = statement.claims.rounds;
        println!("verified: {}, signed by {key}, rounds {} to {}", word(verdict), rounds.first, rounds.last);
    }
    Ok(())
}

fn judge(args: &VerifyArgs, keys: &BTreeMap<KeyId, ModelKey>, now: u64) -> Result<Verified, String> {
    let signature = args.folder.join(SIGNATURE_FILE);
    let bytes = fs::read(&signature).map_err(|error| format!("{}: {error}", signature.display()))?;
    let bundle = Bundle::parse(&bytes).map_err(|error| error.to_string())?;
    let trust = |logged_at| ModelTrust { keys, seen_round: args.seen_round, now, logged_at };
    let verify = |logged_at| bundle.verify(&trust(logged_at)).map_err(|error| error.to_string());
    // Before everything: what is signed is authentic then, and the log can be asked about it.
    let mut verified = verify(Some(0))?;
    if verified.verdict == Verdict::BeforeCompromise {
        let has_log = args.root.is_none() || args.log.audit.is_some();
        let logged = has_log.then(|| signed_at(&args.log, &verified.key, &verified.statement));
        verified = verify(logged.transpose().map_err(|failure| failure.message().to_owned())?.flatten())?;
    }
    let mut files = BTreeMap::new();
    digests(&args.folder, "", &mut files)?;
    verified.statement.matches(&files).map_err(|error| error.to_string())?;
    Ok(verified)
}

/// The keys that an audit log tells, each as its state is; how long they go on is for the policy to say.
fn logged(log: &LogAt) -> Result<BTreeMap<KeyId, ModelKey>, Failure> {
    let policy = crate::coordinator::load(&log.at.file()).map_or_else(
        |_| Template::Default.policy().map_err(Failure::failed),
        |config| Ok(config.rotation.policy),
    )?;
    let told = crate::keys::told(log)?;
    Ok(told.model_keys(&policy))
}

/// Digests of all files of a folder; anything else than files and folders is refused.
fn digests(folder: &Path, prefix: &str, found: &mut BTreeMap<FileName, Digest>) -> Result<(), String> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    for entry in fs::read_dir(folder).map_err(|error| wrong(folder, &error))? {
        let entry = entry.map_err(|error| wrong(folder, &error))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| wrong(&path, &"not a name"))?;
        let kind = entry.file_type().map_err(|error| wrong(&path, &error))?;
        if kind.is_dir() {
            digests(&path, &format!("{prefix}{name}/"), found)?;
        } else if kind.is_file() {
            let digest = File::open(&path).and_then(|mut file| file_digest(&mut file));
            let name = FileName::new(&format!("{prefix}{name}")).map_err(|error| wrong(&path, &error))?;
            found.insert(name, digest.map_err(|error| wrong(&path, &error))?);
        } else {
            return Err(wrong(&path, &"neither file nor folder"));
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Current => "current",
        Verdict::Grace => "in its grace time",
        Verdict::Archived => "archived",
        Verdict::BeforeCompromise => "signed before its key was compromised",
    }
}

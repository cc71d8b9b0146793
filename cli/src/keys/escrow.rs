//! `quorate keys escrow`: the wrapping key of a strongroom among custodians, and back by a ceremony on files.
//!
//! ```text
//! split ──▶ OUT/record.txt, OUT/NAME/{package.txt, key.txt, passphrase}     one folder for each custodian
//! request ──▶ DIR/{request.txt, record.txt, key.txt, passphrase}
//!    request.txt ── approve, twice ──▶ request.txt ── answer, t times ──▶ DIR/answer-NAME.txt
//! recover DIR ──▶ the strongroom opens by a new unlock secret; burnt until it is split anew
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use getrandom::SysRng;
use quorate_coordinator::audit;
use quorate_coordinator::config::Environment;
use quorate_coordinator::strongroom::{Strongroom, Unlock, escrow};
use quorate_keys::audit::What;
use quorate_keys::escrow::text::Portable;
use quorate_keys::escrow::{
    Answer, Approval, Custodian, EscrowError, Package, Record, Request, Requested, Terms,
};
use quorate_keys::provider::Tag;
use rand_core::UnwrapErr;

use super::custody::{Custody, KEY, private, read};
use super::settings;
use crate::coordinator::{At, load, now, seal};
use crate::error::Failure;

/// Split the wrapping key among custodians, and bring it back
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct EscrowArgs {
    #[command(subcommand)]
    command: EscrowCommand,
}

const EXAMPLES: &str = "Examples:
  quorate keys escrow split --custodians ada,bo,cy --threshold 2 --out shares
  quorate keys escrow request --reason fire --out recovery
  quorate keys escrow approve recovery/request.txt --record recovery/record.txt --key ada/key.txt
  quorate keys escrow answer recovery/request.txt --record recovery/record.txt --key ada/key.txt
  quorate keys escrow recover recovery --unlock file:new.unlock

The coordinator stands still meanwhile. Only for provider \"file\": key services keep their own backups.";

#[derive(Subcommand)]
enum EscrowCommand {
    /// Split the wrapping key in use; a folder for each custodian, to be handed out and removed
    #[command(after_help = EXAMPLES)]
    Split(SplitArgs),
    /// Begin a recovery: what approvers sign and custodians answer
    #[command(after_help = EXAMPLES)]
    Request(RequestArgs),
    /// Approve of a recovery, as one of two different custodians; signs in the request's file
    #[command(after_help = EXAMPLES)]
    Approve(ApproveArgs),
    /// Answer an approved recovery with one's share, sealed to it alone
    #[command(after_help = EXAMPLES)]
    Answer(AnswerArgs),
    /// Put the answers together; the coordinator then waits for a new split
    #[command(after_help = EXAMPLES)]
    Recover(RecoverArgs),
}

#[derive(Args)]
struct SplitArgs {
    #[command(flatten)]
    at: At,
    /// Names of the custodians: a-z, 0-9, '-'; each may also approve of recoveries
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required = true)]
    custodians: Vec<String>,
    /// How many of them bring the key back, 2 at the least
    #[arg(long, value_name = "N")]
    threshold: u8,
    /// Folder for what they get, new
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args)]
struct RequestArgs {
    #[command(flatten)]
    at: At,
    /// Why, for approvers, custodians and the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Folder of the recovery, new
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Args)]
struct Own {
    /// The request
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    /// The record of the split
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    /// One's own key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Its passphrase [default: the file passphrase beside the key]
    #[arg(long, value_name = "FILE")]
    passphrase: Option<PathBuf>,
}

#[derive(Args)]
struct ApproveArgs {
    #[command(flatten)]
    own: Own,
}

#[derive(Args)]
struct AnswerArgs {
    #[command(flatten)]
    own: Own,
    /// One's package [default: package.txt beside the key]
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
    /// Where the answer goes [default: answer-NAME.txt beside the request]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct RecoverArgs {
    /// Folder of the recovery, with the approved request and the answers in it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The new unlock secret, made there if it is a file that is not there; the section keys must name it [default: the one
    /// that the configuration names]
    #[arg(long, value_name = "PLACE")]
    unlock: Option<String>,
    #[command(flatten)]
    at: At,
}

/// Runs `quorate keys escrow …`.
pub fn run(args: EscrowArgs) -> Result<(), Failure> {
    match args.command {
        EscrowCommand::Split(args) => split(&args),
        EscrowCommand::Request(args) => request(&args),
        EscrowCommand::Approve(args) => approve(&args.own),
        EscrowCommand::Answer(args) => answer(&args),
        EscrowCommand::Recover(args) => recover(&args),
    }
}

fn split(args: &SplitArgs) -> Result<(), Failure> {
    let config = load(&args.at.file())?;
    let tags: Vec<Tag> =
        args.custodians.iter().map(|name| name.parse()).collect::<Result<_, _>>().map_err(Failure::usage)?;
    let mut room = super::open(&config)?;
    let custody: Vec<_> = tags.iter().map(|_| Custody::generate()).collect();
    let custodian = |(name, own): (&Tag, &Custody)| Custodian {
        name: name.clone(),
        region: name.clone(),
        public: own.pair.public().clone(),
    };
    let custodians = tags.iter().zip(&custody).map(custodian).collect();
    let approvers = custody.iter().map(|own| own.approver.public().clone()).collect();
    let threshold = args.threshold;
    let mut failed = None;
    let made = room.split(
        |key, split| Terms { key, split, threshold, custodians, approvers },
        |record, packages| {
            let delivered = deliver(&args.out, record, (&tags, &custody), packages);
            delivered.map_err(|failure| {
                failed = Some(failure);
                std::io::Error::other("not delivered")
            })
        },
    );
    let record = match (made, failed) {
        (_, Some(failure)) => return Err(failure),
        (made, None) => made.map_err(Failure::usage)?,
    };
    let (key, number) = (record.terms().key.id().clone(), record.terms().split);
    audit::record(&config, &mut room, (What::EscrowSplit, key.clone()), "split among custodians")
        .map_err(Failure::failed)?;
    println!("split {number} of {key}: {threshold} of {} bring it back", tags.len());
    eprintln!(
        "hand the folders in {} out, the passphrases by another way, and remove them here; keep record.txt",
        args.out.display()
    );
    Ok(())
}

fn deliver(
    out: &Path,
    record: &Record,
    (tags, custody): (&[Tag], &[Custody]),
    packages: &[Package],
) -> Result<(), Failure> {
    folder(out)?;
    private(&out.join(RECORD), record.to_text().as_bytes())?;
    for ((name, own), package) in tags.iter().zip(custody).zip(packages) {
        let theirs = out.join(name.as_str());
        folder(&theirs)?;
        private(&theirs.join(PACKAGE), package.to_text().as_bytes())?;
        own.write(&theirs)?;
    }
    Ok(())
}

fn request(args: &RequestArgs) -> Result<(), Failure> {
    let config = load(&args.at.file())?;
    let record = escrow::record(settings(&config)?).map_err(Failure::usage)?;
    let own = Custody::generate();
    folder(&args.out)?;
    own.write(&args.out)?;
    let (begun, _) =
        Requested::new(record.clone(), own.pair, &args.reason, now() / 1_000).map_err(Failure::usage)?;
    private(&args.out.join(RECORD), record.to_text().as_bytes())?;
    private(&args.out.join(REQUEST), begun.request().to_text().as_bytes())?;
    println!("{}", begun.request().id());
    eprintln!("two approve of {}, then {} custodians answer", REQUEST, record.terms().threshold);
    Ok(())
}

fn approve(own: &Own) -> Result<(), Failure> {
    let (record, mut request) = (text::<Record>(&own.record)?, text::<Request>(&own.request)?);
    let custody = Custody::read(&own.key, own.passphrase.as_deref())?;
    let approval = Approval::sign(&request, &custody.approver);
    if !record.terms().approvers.contains(&approval.approver) {
        return Err(Failure::failed(EscrowError::NotAnApprover));
    }
    if request.approvals.iter().any(|known| known.approver == approval.approver) {
        return Err(Failure::failed(EscrowError::ApprovedTwice));
    }
    request.approvals.push(approval);
    // Whoever else signed is looked at too: a request with a wrong approval is no use to anybody.
    match request.check(&record) {
        Ok(()) | Err(EscrowError::NotApproved { .. }) => {}
        Err(error) => return Err(Failure::failed(error)),
    }
    quorate_sim::report::write_atomic(&own.request, request.to_text().as_bytes()).map_err(Failure::usage)?;
    println!("approved by {} of 2: {}", request.approvals.len(), request.reason);
    Ok(())
}

fn answer(args: &AnswerArgs) -> Result<(), Failure> {
    let own = &args.own;
    let (record, request) = (text::<Record>(&own.record)?, text::<Request>(&own.request)?);
    let custody = Custody::read(&own.key, own.passphrase.as_deref())?;
    let beside = own.key.with_file_name(PACKAGE);
    let package: Package = text(args.package.as_deref().unwrap_or(&beside))?;
    let holding = package.open(&record, &custody.pair).map_err(Failure::failed)?;
    let answer = holding.answer(&request, &record, &mut UnwrapErr(SysRng)).map_err(Failure::failed)?;
    let name = who(&record, answer.index);
    let out = args.out.clone().unwrap_or_else(|| own.request.with_file_name(format!("{ANSWER}{name}.txt")));
    private(&out, answer.to_text().as_bytes())?;
    println!("{}", out.display());
    Ok(())
}

fn recover(args: &RecoverArgs) -> Result<(), Failure> {
    let config = load(&args.at.file())?;
    let keys = settings(&config)?;
    let place = args.unlock.as_deref().map(seal::place).transpose()?.or_else(|| keys.unlock.clone());
    let place = place.ok_or_else(|| Failure::usage("keys.unlock is not set: give --unlock"))?;
    let record = escrow::record(keys).map_err(Failure::usage)?;
    let request: Request = text(&args.folder.join(REQUEST))?;
    let own = Custody::read(&args.folder.join(KEY), None)?;
    let begun = Requested::resume(record.clone(), own.pair, request).map_err(Failure::failed)?;
    let mut approved = begun.proceed().map_err(|(_, error)| Failure::failed(error))?;
    let mut wrong = Vec::new();
    for file in answers(&args.folder)? {
        let answer: Answer = text(&file)?;
        match approved.submit(&answer) {
            Ok(_) => {}
            Err(EscrowError::WrongShare(index)) => {
                eprintln!("the share of custodian {} is wrong ({})", who(&record, index), file.display());
                wrong.push(who(&record, index));
            }
            Err(error) => return Err(Failure::failed(format!("{}: {error}", file.display()))),
        }
    }
    let recovered = approved.combine().map_err(|(_, error)| match wrong.as_slice() {
        [] => Failure::failed(error),
        wrong => Failure::failed(format!("{error}; wrong: {}", wrong.join(", "))),
    })?;
    let environment = Environment::of_process();
    let (unlock, made) = Unlock::read_or_make(&place, &environment).map_err(Failure::usage)?;
    let key = recovered.burnt.key.id().clone();
    escrow::restore(keys, &unlock, recovered).map_err(Failure::failed)?;
    let mut room = Strongroom::open(keys, &config.deployment, &unlock).map_err(Failure::failed)?;
    for (what, reason) in [
        (What::EscrowRecovered, "recovered with the custodians"),
        (What::EscrowBurnt, "its shares have been in one place"),
    ] {
        audit::record(&config, &mut room, (what, key.clone()), reason).map_err(Failure::failed)?;
    }
    println!("recovered {key}");
    eprintln!(
        "{} the unlock secret in {}; name it in [keys]\nthe coordinator does not start before the key is split \
         anew: quorate keys escrow split",
        if made { "made" } else { "used" },
        seal::shown(&place)
    );
    Ok(())
}

/// The answers in a folder, in the order of their names.
fn answers(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let listed =
        fs::read_dir(folder).map_err(|error| Failure::usage(format!("{}: {error}", folder.display())))?;
    let named = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(ANSWER))
    };
    let mut found: Vec<_> = listed.filter_map(|entry| Some(entry.ok()?.path())).filter(named).collect();
    found.sort();
    Ok(found)
}

fn who(record: &Record, index: u8) -> String {
    let custodian = usize::from(index).checked_sub(1).and_then(|at| record.terms().custodians.get(at));
    custodian.map_or_else(|| index.to_string(), |custodian| custodian.name.to_string())
}

fn text<T: Portable>(path: &Path) -> Result<T, Failure> {
    T::from_text(&read(path)?).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// A new folder for its owner's eyes; one that is there and empty will do.
fn folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

const RECORD: &str = "record.txt";
const REQUEST: &str = "request.txt";
const PACKAGE: &str = "package.txt";
const ANSWER: &str = "answer-";

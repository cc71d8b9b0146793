//! `quorate coordinator`: setting up, running and looking after a coordinator, on its files and its database.
//!
//! All but `run` may be done while the coordinator runs: it looks into its database every second.

mod args;
pub mod rewrapping;
pub mod seal;
mod serve;
mod store;

use std::future::Future;
use std::path::Path;
use std::time::SystemTime;

use quorate_coordinator::config::{Config, Environment, schema};
use quorate_coordinator::init::{FirstJob, InitError, InitOptions, init};
use quorate_coordinator::secrets::Secrets;
use quorate_sim::task::{TaskKind, TaskOptions};

pub use args::{At, CoordinatorArgs};
use args::{CheckArgs, CoordinatorCommand, InitArgs};

use crate::error::Failure;
use crate::participant::TaskName;

/// Runs `quorate coordinator …`.
pub fn run(args: CoordinatorArgs) -> Result<(), Failure> {
    match args.command {
        CoordinatorCommand::Init(args) => make(&args),
        CoordinatorCommand::Run(args) => serve::run(&args),
        CoordinatorCommand::CheckConfig(args) => check(&args),
        CoordinatorCommand::Schema => {
            println!("{:#}", schema());
            Ok(())
        }
        CoordinatorCommand::Pin(at) => {
            let config = load(&at.file())?;
            let secrets = Secrets::load(&config, &Environment::of_process()).map_err(Failure::usage)?;
            println!("{}", secrets.authority.pin());
            Ok(())
        }
        CoordinatorCommand::Seal(at) => seal::seal(&at),
        CoordinatorCommand::Unseal(args) => seal::unseal(&args),
        CoordinatorCommand::MigrateKeys(args) => seal::migrate_keys(&args),
        CoordinatorCommand::Token(args) => store::token(args.command),
        CoordinatorCommand::Evict(args) => store::evict(&args),
        CoordinatorCommand::Allow(args) => store::allow(args.command),
    }
}

fn make(args: &InitArgs) -> Result<(), Failure> {
    let first = args.task.map(first_job).transpose()?.unwrap_or_default();
    let options = InitOptions {
        name: args.name.clone(),
        listen: args.listen,
        admin: args.admin,
        parties: args.parties,
        first,
        unlock: args.unlock.as_deref().map(seal::place).transpose()?,
    };
    let made = wait(init(&args.folder, &options)).map_err(|error| match error {
        InitError::Exists
        | InitError::NotEmpty
        | InitError::InUse
        | InitError::Name
        | InitError::UnlockWithin
        | InitError::UnlockWhere => Failure::usage(error),
        error => Failure::failed(error),
    })?;
    println!("{}", made.pin);
    let file = args.folder.join("coordinator.toml");
    let file = file.display();
    let how = if made.made_unlock { "made" } else { "was there" };
    eprintln!(
        "made a coordinator of deployment {:?}; its pin, above, goes to every party beside its token\n\
         next:\n  edit {file}\n  quorate coordinator check-config {file}\n  \
         quorate coordinator token create --config {file} --site NAME --ttl 24h\n\
         its keys rest sealed in {}; what opens them is in {} ({how}): back up both, apart from each other, for \
         without them the deployment ends",
        args.name,
        args.folder.join("keys").display(),
        seal::shown(&made.unlock),
    );
    Ok(())
}

/// The first job of a built-in task. Whatever the shards are, no device has more than all examples.
fn first_job(name: TaskName) -> Result<FirstJob, Failure> {
    let task = TaskKind::from(name).build(&TaskOptions::default()).map_err(Failure::usage)?;
    Ok(FirstJob {
        dim: u32::try_from(task.dim()).map_err(Failure::usage)?,
        clip: task.default_clip(),
        weight_bound: EXAMPLES,
        model: Some(task.safetensors(&task.initial_model())),
    })
}

/// Training images of the built-in tasks.
const EXAMPLES: u32 = 10_000;

fn check(args: &CheckArgs) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let findings = match Config::load(&args.file, &environment) {
        Ok(_) if args.json => {
            println!("{}", serde_json::json!({ "ok": true, "findings": [] }));
            return Ok(());
        }
        Ok(config) => {
            println!("{}: fine, {} job(s)", args.file.display(), config.plans.len());
            return Ok(());
        }
        Err(findings) => findings,
    };
    if args.json {
        println!("{}", findings.to_json());
    } else {
        println!("{findings}");
    }
    Err(Failure::failed(format!("{} finding(s)", findings.0.len())))
}

/// A checked configuration, or everything that is wrong with it.
pub fn load(file: &Path) -> Result<Config, Failure> {
    Config::load(file, &Environment::of_process()).map_err(Failure::usage)
}

/// Runs one piece of work to its end.
pub fn wait<T, E: From<std::io::Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// A new file for its owner's eyes; one that is there is not touched.
pub fn private_file(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(format!("{text}\n").as_bytes())?;
    file.sync_all()
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

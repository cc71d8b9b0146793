//! Orders: written, approved, given to the coordinator through its database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::{Table, presets};
use getrandom::SysRng;
use quorate_coordinator::config::Config;
use quorate_coordinator::keeper::{Order, SignedOrder};
use quorate_coordinator::store::{Change, OrderRow, SqliteStore, Store as _, StoreError};
use quorate_crypto::hash::Digest;
use quorate_crypto::sign::SigningKey;
use quorate_keys::inventory::word::Actor;
use quorate_sim::report::write_atomic;
use rand_core::{Rng as _, UnwrapErr};
use serde_json::json;
use zeroize::Zeroizing;

use super::args::OrderArgs;
use super::seconds;
use crate::coordinator::{At, load, now, private_file, wait};
use crate::error::Failure;

/// Writes an order, and gives it to the coordinator or into a file.
pub fn give(order: Order, args: &OrderArgs) -> Result<(), Failure> {
    let config = load(&args.at.file())?;
    let deployment = config
        .deployment_id()
        .map_err(|error| Failure::usage(format!("{}/deployment.id: {error}", config.folder.display())))?;
    let mut nonce = [0; 32];
    UnwrapErr(SysRng).fill_bytes(&mut nonce);
    let nonce = Digest::from_bytes(nonce);
    let mut signed =
        SignedOrder { deployment: *deployment, nonce, created: seconds(), order, approvals: BTreeMap::new() };
    sign(&mut signed, &args.approver)?;
    match &args.out {
        Some(file) => {
            write(file, &signed)?;
            let need = signed.order.approvers().saturating_sub(signed.approvals.len());
            eprintln!("{}: {need} approval(s) to go, then \"quorate keys submit\"", file.display());
            Ok(())
        }
        None => submit(&config, &signed, args.wait),
    }
}

/// `quorate keys approve`.
pub fn approve(file: &Path, approvers: &[(String, PathBuf)]) -> Result<(), Failure> {
    let mut signed = read(file)?;
    eprintln!("approving: {}", json!(signed.order));
    sign(&mut signed, approvers)?;
    write(file, &signed)
}

/// `quorate keys submit`.
pub fn submit_file(file: &Path, at: &At, seconds: u64) -> Result<(), Failure> {
    submit(&load(&at.file())?, &read(file)?, seconds)
}

/// `quorate keys orders`.
pub fn list(at: &At, as_json: bool) -> Result<(), Failure> {
    let config = load(&at.file())?;
    let orders = with(&config, async |store| store.orders(false).await)?;
    if as_json {
        println!("{}", json!(orders));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["ORDER", "WHAT", "OUTCOME"]);
    for row in orders {
        let what = SignedOrder::parse(row.body.as_bytes()).map(|signed| json!(signed.order).to_string());
        let outcome = row.outcome.unwrap_or_else(|| "waits for the coordinator".to_owned());
        table.add_row([row.digest.to_hex()[..12].to_owned(), what.unwrap_or_default(), outcome]);
    }
    println!("{table}");
    Ok(())
}

/// `quorate keys approver`.
pub fn approver(name: &str, out: &Path) -> Result<(), Failure> {
    actor(name)?;
    let key = SigningKey::generate(&mut UnwrapErr(SysRng));
    let secret = Digest::from_bytes(*key.to_bytes());
    private_file(out, &Zeroizing::new(secret.to_hex()))
        .map_err(|error| Failure::usage(format!("{}: {error}", out.display())))?;
    println!("[approvers.{name}]\nkey = \"{}\"", Digest::from_bytes(*key.public().as_bytes()).to_hex());
    eprintln!("{}: the private key; it stays with {name}", out.display());
    Ok(())
}

fn actor(name: &str) -> Result<Actor, Failure> {
    let plain = name.len() <= 32 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let actor = Actor::new(&format!("operator:{name}")).ok().filter(|_| plain && !name.is_empty());
    actor
        .ok_or_else(|| Failure::usage(format!("{name:?} is no name: 1 to 32 letters, digits, '-', '_', '.'")))
}

fn sign(signed: &mut SignedOrder, approvers: &[(String, PathBuf)]) -> Result<(), Failure> {
    for (name, file) in approvers {
        let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
        let text = Zeroizing::new(fs::read_to_string(file).map_err(|error| wrong(&error))?);
        let secret = Digest::from_hex(text.trim()).ok_or_else(|| wrong(&"is no key of an approver"))?;
        let key = SigningKey::from_bytes(secret.as_bytes());
        signed.approve(actor(name)?, &key).map_err(Failure::failed)?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<SignedOrder, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let bytes = fs::read(file).map_err(|error| wrong(&error))?;
    SignedOrder::parse(&bytes).map_err(|error| wrong(&error))
}

/// Whole or not at all.
fn write(file: &Path, signed: &SignedOrder) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    write_atomic(file, format!("{:#}\n", json!(signed)).as_bytes()).map_err(|error| wrong(&error))
}

fn submit(config: &Config, signed: &SignedOrder, seconds: u64) -> Result<(), Failure> {
    signed
        .approved(&signed.deployment, &config.rotation.approvers, super::seconds())
        .map_err(|error| Failure::failed(format!("the coordinator would refuse it: {error}")))?;
    let digest = signed.digest().map_err(Failure::failed)?;
    let body = json!(signed).to_string();
    let change = with(config, async |store| store.order_submit(digest, &body, now()).await)?;
    if change == Change::Already {
        return Err(Failure::failed("this order was given before: see \"quorate keys orders\""));
    }
    match outcome(config, digest, seconds)? {
        None => {
            eprintln!(
                "given: it waits until a coordinator runs; \"quorate keys orders\" tells what became of it"
            );
            Ok(())
        }
        Some(outcome) if outcome == "done" => {
            println!("done");
            Ok(())
        }
        Some(outcome) => Err(Failure::failed(outcome)),
    }
}

/// What became of an order, if that is known within this time.
fn outcome(config: &Config, digest: Digest, seconds: u64) -> Result<Option<String>, Failure> {
    with(config, async |store| {
        for _ in 0..seconds.saturating_mul(5) {
            let rows = store.orders(false).await?;
            let row: Option<OrderRow> = rows.into_iter().find(|row| row.digest == digest);
            if let Some(outcome) = row.and_then(|row| row.outcome) {
                return Ok(Some(outcome));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(None)
    })
}

fn with<T>(
    config: &Config,
    work: impl AsyncFnOnce(&SqliteStore) -> Result<T, StoreError>,
) -> Result<T, Failure> {
    wait(async {
        let store = SqliteStore::open(&config.database()).await?;
        let done = work(&store).await;
        store.close().await;
        done
    })
    .map_err(Failure::failed)
}

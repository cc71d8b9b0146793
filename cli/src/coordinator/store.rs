//! Commands on the database: tokens, evictions, the allow-list.

use comfy_table::{Table, presets};
use getrandom::SysRng;
use quorate_coordinator::config::{Config, parse_duration};
use quorate_coordinator::store::{Change, NewToken, SqliteStore, Store as _, StoreError, TokenRow};
use quorate_crypto::hash::Digest;
use quorate_keys::{EnrolmentToken, token_text};
use rand_core::UnwrapErr;
use serde_json::json;

use super::args::{AllowCommand, CreateArgs, EvictArgs, KeyArgs, ListArgs, RevokeArgs, TokenCommand};
use super::{load, now, wait};
use crate::error::Failure;

/// `token …`
pub fn token(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(&args),
        TokenCommand::Ls(args) => list(&args),
        TokenCommand::Revoke(args) => revoke(&args),
    }
}

fn create(args: &CreateArgs) -> Result<(), Failure> {
    let fits = !args.site.is_empty() && args.site.len() <= 64;
    if !fits || args.site.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(Failure::usage("--site has 1 to 64 bytes without white space"));
    }
    let ttl = parse_duration(&args.ttl).and_then(|ttl| u64::try_from(ttl.as_millis()).ok());
    let ttl = ttl.filter(|ttl| (1_000..=MOST_TTL).contains(ttl));
    let ttl = ttl.ok_or_else(|| Failure::usage("--ttl is 1s to 365d, as 90s, 30m, 24h, 7d"))?;
    let config = load(&args.at.file())?;
    let (created, mut rng) = (now(), UnwrapErr(SysRng));
    let tokens: Vec<_> = (0..args.count).map(|_| EnrolmentToken::generate(&mut rng)).collect();
    wait(async {
        let store = open(&config).await?;
        let entry = |token: &EnrolmentToken| {
            let (hash, site) = (token.hash(), args.site.clone());
            NewToken { hash, site, created, expires: created + ttl }
        };
        store.tokens_create(&tokens.iter().map(entry).collect::<Vec<_>>()).await?;
        store.close().await;
        Ok::<_, StoreError>(())
    })
    .map_err(Failure::failed)?;
    // Only what is durable is given out.
    if args.json {
        let token = |token: &EnrolmentToken| {
            json!({ "token": token_text(token).as_str(), "hash": token.hash().to_hex(), "site": args.site,
                    "expires": created + ttl })
        };
        println!("{}", json!(tokens.iter().map(token).collect::<Vec<_>>()));
    } else {
        for token in &tokens {
            println!("{}", token_text(token).as_str());
        }
        eprintln!("each enrols one key within {}; it is not shown again", args.ttl);
    }
    Ok(())
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let tokens = with(&args.at.file(), async |store| store.tokens().await)?;
    if args.json {
        println!("{}", json!(tokens));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["HASH", "SITE", "STATE"]);
    let now = now();
    for token in &tokens {
        table.add_row([token.hash.to_hex()[..12].to_owned(), token.site.clone(), state(token, now)]);
    }
    println!("{table}");
    Ok(())
}

fn state(token: &TokenRow, now: u64) -> String {
    match token {
        TokenRow { party: Some(index), .. } => format!("enrolled party {index}"),
        TokenRow { revoked: Some(_), .. } => "revoked".to_owned(),
        TokenRow { reserved_for: Some(_), .. } => "taken by a key that is not enrolled yet".to_owned(),
        TokenRow { expires, .. } if *expires <= now => "expired".to_owned(),
        TokenRow { expires, .. } => format!("unused, {} min left", (expires - now) / 60_000),
    }
}

fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let prefix = args.hash.to_lowercase();
    if prefix.len() < 6 {
        return Err(Failure::usage("give at least 6 digits of the hash: see token ls"));
    }
    let change = with(&args.at.file(), async |store| {
        let tokens = store.tokens().await?;
        let mut fitting = tokens.iter().filter(|token| token.hash.to_hex().starts_with(&prefix));
        match (fitting.next(), fitting.next()) {
            (Some(token), None) => store.token_revoke(token.hash, now()).await.map(Some),
            (None, _) => Ok(Some(Change::Unknown)),
            _ => Ok(None),
        }
    })?;
    match change {
        None => Err(Failure::usage("several tokens have a hash like this: give more digits")),
        Some(change) => told(change, "revoked", "revoked already", "no such token: see token ls"),
    }
}

/// `evict`
pub fn evict(args: &EvictArgs) -> Result<(), Failure> {
    if args.reason.is_empty() || args.reason.len() > 200 || args.reason.chars().any(char::is_control) {
        return Err(Failure::usage("--reason has 1 to 200 bytes on one line"));
    }
    let change =
        with(&args.at.file(), async |store| store.node_evict(args.index, now(), &args.reason).await)?;
    told(change, "evicted: no certificate and no round any more", "evicted already", "no such party")
}

/// `allow …`
pub fn allow(command: AllowCommand) -> Result<(), Failure> {
    match command {
        AllowCommand::Add(args) => {
            let key = key_hash(&args)?;
            let change = with(&args.at.file(), async |store| store.allow_add(key, now()).await)?;
            told(change, "on the list", "on the list already", "")
        }
        AllowCommand::Rm(args) => {
            let key = key_hash(&args)?;
            let change = with(&args.at.file(), async |store| store.allow_remove(key).await)?;
            told(change, "off the list", "", "the key is not on the list")
        }
        AllowCommand::Ls(at) => {
            for key in with(&at.file(), async |store| store.allow_list().await)? {
                println!("{}", key.to_hex());
            }
            Ok(())
        }
    }
}

fn key_hash(args: &KeyArgs) -> Result<Digest, Failure> {
    let digits: Option<Vec<_>> = args.key_hash.chars().map(|letter| letter.to_digit(16)).collect();
    let bytes: Option<Vec<u8>> = digits.filter(|digits| digits.len() == 64).map(|digits| {
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)).collect()
    });
    let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(Digest::from_bytes).ok_or_else(|| Failure::usage("a key hash has 64 hexadecimal digits"))
}

fn told(change: Change, done: &str, already: &str, unknown: &str) -> Result<(), Failure> {
    match change {
        Change::Done => eprintln!("{done}"),
        Change::Already => eprintln!("{already}"),
        Change::Unknown => return Err(Failure::failed(unknown)),
        Change::Enrolled(index) => {
            return Err(Failure::failed(format!(
                "the token has enrolled party {index}: quorate coordinator evict {index} --reason TEXT"
            )));
        }
    }
    Ok(())
}

fn with<T>(
    file: &std::path::Path,
    work: impl AsyncFnOnce(&SqliteStore) -> Result<T, StoreError>,
) -> Result<T, Failure> {
    let config = load(file)?;
    wait(async {
        let store = open(&config).await?;
        let done = work(&store).await;
        store.close().await;
        done
    })
    .map_err(Failure::failed)
}

async fn open(config: &Config) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&config.database()).await
}

const MOST_TTL: u64 = 365 * 86_400_000;

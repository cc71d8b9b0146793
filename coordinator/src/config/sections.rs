//! All sections but the jobs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_protocol::epoch::MAX_PARTIES;
use quorate_protocol::params::MAX_COHORT;
use quorate_protocol::policy::{NamedCommittee, Policy};
use quorate_transport::Limits;

use super::reader::Section;
use super::{
    AdminConfig, CommitteePlan, Config, Enrolment, EpochPlan, LEDGER, LogConfig, LogFormat, MODELS, Place,
    ResultFormat, Results, Retention, SecretPlaces,
};
use crate::audit::{Copies, Target};

/// Reads them; `plans` and `file` are left empty.
pub(super) fn read(root: &Section<'_>, base: &Path) -> Config {
    let (deployment, folder, grace) = deployment(&root.section("deployment"), base);
    let (listen, limits) = listen(&root.section("listen"));
    let epoch = epoch(&root.section("epoch"));
    let named = !matches!(epoch.committee, CommitteePlan::Drawn(_));
    let mut keys = super::keys::read(&root.section("keys"), base);
    if let Some(keys) = &mut keys {
        keys.files = vec![folder.join(MODELS), folder.join(LEDGER)];
    }
    Config {
        file: PathBuf::new(),
        deployment,
        folder,
        grace,
        listen,
        limits,
        secrets: secrets(&root.section("secrets"), base),
        keys,
        admin: admin(&root.section("admin"), base),
        enrolment: enrolment(&root.section("enrolment")),
        epoch,
        collective: super::collective::read(&root.section("collective")),
        policy: policy(&root.section("policy"), named),
        rotation: super::rotation::read(&root.section("rotation"), &root.section("approvers"), base),
        copies: copies(&root.section("audit"), base),
        retention: retention(&root.section("retention")),
        results: results(&root.section("results"), base),
        log: log(&root.section("log")),
        plans: Vec::new(),
    }
}

/// Whether a text may be the name of a deployment: 1 to 64 letters without white space or control characters.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |letter: char| !letter.is_control() && !letter.is_whitespace();
    (1..=64).contains(&text.len()) && text.chars().all(fits)
}

fn deployment(section: &Section<'_>, base: &Path) -> (String, PathBuf, Duration) {
    let name = section.need("name", section.text("name"), "\"my-deployment\"").unwrap_or_default();
    if !name.is_empty() && !is_name(&name) {
        section.wrong("name", "is not a name", "choose at most 64 bytes without white space");
    }
    let folder = section.text("folder").unwrap_or_else(|| ".".to_owned());
    let grace = section.duration("grace", SECOND..=YEAR).unwrap_or(Duration::from_secs(30));
    section.finish();
    (name, base.join(folder), grace)
}

fn address(section: &Section<'_>, key: &'static str, example: &str) -> SocketAddr {
    let text = section.need(key, section.text(key), example);
    let address = text.as_deref().map(str::parse);
    if let Some(Err(_)) = address {
        section.wrong(key, "is not an address with a port", format!("write {key} = {example}"));
    }
    address.and_then(Result::ok).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
}

fn listen(section: &Section<'_>) -> (SocketAddr, Limits) {
    let address = address(section, "address", "\"0.0.0.0:4433\"");
    let mut limits = Limits::default();
    let count = |key, least: u64, into: &mut usize| {
        *into = section.whole(key, least..=1_000_000).map_or(*into, |n| n as usize);
    };
    count("connections", 1, &mut limits.connections);
    count("places", 1, &mut limits.places);
    count("handshakes", 1, &mut limits.handshakes);
    count("strangers", 1, &mut limits.strangers);
    count("retry_above", 0, &mut limits.retry_above);
    count("queue_frames", 1, &mut limits.queue_frames);
    let time = |key, into: &mut Duration| {
        *into = section.duration(key, SECOND..=YEAR).unwrap_or(*into);
    };
    time("turn", &mut limits.turn);
    time("idle", &mut limits.idle);
    time("handshake", &mut limits.handshake);
    time("request", &mut limits.request);
    time("rate_window", &mut limits.rate_window);
    time("party_certificate", &mut limits.party_certificate);
    time("server_certificate", &mut limits.server_certificate);
    limits.rate = section.whole("rate", 0..=1 << 40).unwrap_or(limits.rate);
    limits.streams = section.small("streams", 1..=64).unwrap_or(limits.streams);
    limits.window = section.small("window_kib", 16..=65_536).map_or(limits.window, |kib| kib << 10);
    limits.staging = section.whole("staging_mib", 1..=1 << 24).map_or(limits.staging, |mib| mib << 20);
    let queue = section.small("queue_mib", 1..=4_095).map(|mib| (mib as usize) << 20);
    limits.queue_bytes = queue.unwrap_or(limits.queue_bytes);
    section.finish();
    (address, limits)
}

pub(super) fn place(section: &Section<'_>, key: &'static str, default: Option<&str>, base: &Path) -> Place {
    let text = section.text(key).or_else(|| default.map(ToOwned::to_owned)).unwrap_or_default();
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Place::File(base.join(path)),
        Some(("env", name)) if !name.is_empty() => Place::Variable(name.to_owned()),
        _ => {
            section.wrong(key, "does not say where the secret is", "write \"file:PATH\" or \"env:NAME\"");
            Place::Variable(String::new())
        }
    }
}

fn secrets(section: &Section<'_>, base: &Path) -> SecretPlaces {
    let places = SecretPlaces {
        identity: place(section, "identity", Some("file:identity.key"), base),
        authority_key: place(section, "authority_key", Some("file:authority.key"), base),
        authority_certificate: place(
            section,
            "authority_certificate",
            Some("file:authority.certificate"),
            base,
        ),
    };
    section.finish();
    places
}

fn admin(section: &Section<'_>, base: &Path) -> Option<AdminConfig> {
    // Keys are asked for in any case: what is known does not depend on the file.
    let metrics_public = section.flag("metrics_public").unwrap_or(false);
    let token = place(section, "token", Some("file:admin.token"), base);
    let listen = section.text("listen").map(|text| text.parse());
    section.finish();
    if !section.is_there() {
        return None;
    }
    section.need("listen", listen.as_ref(), "\"127.0.0.1:4434\"");
    if let Some(Err(_)) = listen {
        section.wrong("listen", "is not an address with a port", "write listen = \"127.0.0.1:4434\"");
    }
    Some(AdminConfig { listen: listen.and_then(Result::ok)?, token, metrics_public })
}

fn enrolment(section: &Section<'_>) -> Enrolment {
    let enrolment = Enrolment {
        allow_list: section.flag("allow_list").unwrap_or(false),
        max: section.small("max", 1..=1_000_000).unwrap_or(10_000),
    };
    section.finish();
    enrolment
}

fn epoch(section: &Section<'_>) -> EpochPlan {
    let drawn = section.choice("committee", &[("named", false), ("drawn", true)]).unwrap_or(false);
    let (width, listed) = (section.small("width", 2..=MAX_COHORT), section.indices("named"));
    if drawn {
        section.need("width", width, "96, half as many again as serve");
        if listed.is_some() {
            section.wrong(
                "named",
                "names a committee that is drawn",
                "remove it or set committee = \"named\"",
            );
        }
    } else if width.is_some() {
        section.wrong("width", "belongs to a drawn committee", "remove it or set committee = \"drawn\"");
    }
    let twice = listed.as_ref().is_some_and(|list| {
        let mut sorted = list.clone();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() != list.len()
    });
    if twice {
        section.wrong("named", "names a party twice", "name each once");
    }
    let plan = EpochPlan {
        committee: if drawn {
            CommitteePlan::Drawn(width.unwrap_or(2))
        } else {
            CommitteePlan::Named(listed)
        },
        cohort_width: section.number_or("cohort_width", "all", MAX_COHORT).flatten(),
        rounds: section.small("rounds", 1..=1_000_000).unwrap_or(1_000),
        parties: section.small("parties", 1..=MAX_PARTIES as u32).unwrap_or(8),
        patience: section.duration("patience", SECOND..=YEAR).unwrap_or(Duration::from_secs(60)),
        wait: section.duration("wait", SECOND..=YEAR).unwrap_or(Duration::from_secs(60)),
        min_enrolled: section.small("min_enrolled", 1..=1_000_000).unwrap_or(8),
        renew_on_growth: section.flag("renew_on_growth").unwrap_or(true),
    };
    section.finish();
    plan
}

fn policy(section: &Section<'_>, named: bool) -> Policy {
    let mut policy = Policy {
        named: if named { NamedCommittee::Anybody } else { NamedCommittee::Refused },
        ..Policy::default()
    };
    let number = |key, most, into: &mut u32| *into = section.small(key, 0..=most).unwrap_or(*into);
    number("max_dim", quorate_protocol::params::MAX_DIM, &mut policy.max_dim);
    number("max_cohort", MAX_COHORT, &mut policy.max_cohort);
    number("corrupt_permille", 1000, &mut policy.corrupt_permille);
    number("cohort_bits", 256, &mut policy.cohort_bits);
    number("committee_bits", 256, &mut policy.committee_bits);
    number("named_corrupt_permille", 1000, &mut policy.named_corrupt_permille);
    number("k_min", MAX_COHORT, &mut policy.k_min);
    number("max_width", MAX_COHORT, &mut policy.max_width);
    number("max_rounds", 1_000_000, &mut policy.max_rounds);
    number("max_missing_permille", 1000, &mut policy.max_missing_permille);
    let restarts = section.small("max_restarts", 0..=255).and_then(|n| u8::try_from(n).ok());
    policy.max_restarts = restarts.unwrap_or(policy.max_restarts);
    let detected = section.small("min_detected", 1..=128).and_then(|n| u16::try_from(n).ok());
    policy.min_detected = detected.unwrap_or(policy.min_detected);
    let life = section.duration("max_key_life", SECOND..=MOST_MILLIS).map(millis);
    policy.max_key_life = life.unwrap_or(policy.max_key_life);
    policy.allow_unproven = section.flag("allow_unproven").unwrap_or(policy.allow_unproven);
    number_of_keys(section, &mut policy);
    section.finish();
    policy
}

/// Caps of collective keys.
fn number_of_keys(section: &Section<'_>, policy: &mut Policy) {
    policy.max_openings = section.small("max_openings", 1..=u32::MAX).unwrap_or(policy.max_openings);
    let attempts = section.small("max_attempts", 1..=255).and_then(|n| u8::try_from(n).ok());
    policy.max_attempts = attempts.unwrap_or(policy.max_attempts);
    let blames = section.small("max_blames", 0..=65_535).and_then(|n| u16::try_from(n).ok());
    policy.max_blames = blames.unwrap_or(policy.max_blames);
}

fn copies(section: &Section<'_>, base: &Path) -> Copies {
    let mut targets = Vec::new();
    for text in section.texts("copies").unwrap_or_default() {
        match Target::parse(&text, base) {
            Some(target) if !targets.contains(&target) => targets.push(target),
            Some(_) => section.wrong("copies", "names a place twice", "name each once"),
            None => section.wrong(
                "copies",
                format!("{text:?} is no place for a copy"),
                "write \"file:PATH\" or \"tcp:HOST:PORT\"",
            ),
        }
    }
    let patience = section.duration("patience", SECOND..=60 * SECOND).unwrap_or(Duration::from_secs(5));
    section.finish();
    Copies { targets, patience }
}

fn retention(section: &Section<'_>) -> Retention {
    let retention = Retention {
        models: section.small("models", 1..=1_000_000).unwrap_or(20),
        results: section.small("results", 1..=1_000_000).unwrap_or(100),
        rounds: section.small("rounds", 1..=1_000_000_000).unwrap_or(100_000),
    };
    section.finish();
    retention
}

fn results(section: &Section<'_>, base: &Path) -> Results {
    let formats = [("full", ResultFormat::Full), ("facts", ResultFormat::Facts)];
    let results = Results {
        folder: section.text("folder").map(|folder| base.join(folder)),
        format: section.choice("format", &formats).unwrap_or(ResultFormat::Full),
    };
    section.finish();
    results
}

fn log(section: &Section<'_>) -> LogConfig {
    let formats = [("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)];
    let log = LogConfig {
        format: section.choice("format", &formats).unwrap_or(LogFormat::Auto),
        level: section.text("level").unwrap_or_else(|| "info".to_owned()),
    };
    section.finish();
    log
}

/// Milliseconds of a duration that was checked against [`MOST_MILLIS`].
pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

const SECOND: Duration = Duration::from_secs(1);
pub(super) const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Longest time that fits where the protocol counts milliseconds.
pub(super) const MOST_MILLIS: Duration = Duration::from_secs(30 * 86_400);

//! What is asked of keys, and who may approve of orders about them.

use std::fs;
use std::path::Path;

use quorate_crypto::hash::Digest;
use quorate_crypto::sign::PublicKey;
use quorate_keys::inventory::word::Actor;
use quorate_keys::policy::{Policy, Template};

use super::reader::Section;
use crate::keeper::Approvers;

/// How keys are looked after.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// What is asked of them.
    pub policy: Policy,
    /// Who may approve of orders.
    pub approvers: Approvers,
}

/// The sections `rotation` and `approvers`.
pub(super) fn read(rotation: &Section<'_>, approvers: &Section<'_>, base: &Path) -> Rotation {
    let name = rotation.text("policy").unwrap_or_else(|| "default".to_owned());
    let policy = policy(rotation, &name, base);
    rotation.finish();
    Rotation { policy, approvers: people(approvers) }
}

fn policy(section: &Section<'_>, name: &str, base: &Path) -> Policy {
    let template = Template::ALL.into_iter().find(|template| template.name() == name);
    let read = match template {
        Some(template) => template.policy().map_err(|error| error.to_string()),
        None => fs::read_to_string(base.join(name))
            .map_err(|error| error.to_string())
            .and_then(|text| Policy::parse(&text).map_err(|error| error.to_string())),
    };
    let checked = read.and_then(|policy| {
        let problems = policy.check();
        match problems.first() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(policy),
        }
    });
    checked.unwrap_or_else(|error| {
        let names: Vec<_> = Template::ALL.into_iter().map(Template::name).collect();
        let advice = format!("name a file or one of {}; see \"quorate policy check\"", names.join(", "));
        section.wrong("policy", format!("is no policy of keys: {error}"), advice);
        Template::Default.policy().expect("templates are tested")
    })
}

fn people(section: &Section<'_>) -> Approvers {
    let mut approvers = Approvers::new();
    for (name, person) in section.named() {
        let text = person.need("key", person.text("key"), "\"the public key, hexadecimal\"");
        person.finish();
        let key = text.as_deref().and_then(Digest::from_hex);
        let key = key.and_then(|bytes| PublicKey::parse(bytes.as_bytes()).ok());
        match (Actor::new(&format!("operator:{name}")), key) {
            (Ok(actor), Some(key)) => {
                approvers.insert(actor, key);
            }
            (Err(_), _) => section.wrong(&name, "is no name", "use letters, digits, '-', '_', '.'"),
            (_, None) if text.is_some() => {
                person.wrong("key", "is no public key", "paste what \"quorate keys approver\" printed");
            }
            _ => {}
        }
    }
    let distinct: std::collections::BTreeSet<_> = approvers.values().map(PublicKey::key_hash).collect();
    if distinct.len() < approvers.len() {
        section.wrong("", "gives two people one key", "each has a key of their own");
    }
    approvers
}

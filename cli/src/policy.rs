//! `quorate policy`: key policies as files, checked, compared and explained. Reads files, changes nothing.
//!
//! A policy is named by its file, or by the name of a template that no file has.

use std::fs;
use std::path::Path;

use clap::{Args, Subcommand};
use quorate_keys::policy::{Policy, Template};
use serde_json::{Value, json};

use crate::error::Failure;

/// Check, compare and explain policies for keys
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

const EXAMPLES: &str = "A POLICY is a file, or one of: default, strict, nist-sp800-57, pci-dss-4, hipaa.

Examples:
  quorate policy template strict > keys.toml
  quorate policy check keys.toml --against default
  quorate policy diff default keys.toml
  quorate policy merge hospital.toml clinic.toml strict > both.toml
  quorate policy explain keys.toml
  quorate policy schema > policy.schema.json";

#[derive(Subcommand)]
enum PolicyCommand {
    /// Print a template, to be edited
    #[command(after_help = EXAMPLES)]
    Template {
        /// Which
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Check a policy: every contradiction in it, and where it is weaker than another; exit code 1 if there is any
    #[command(after_help = EXAMPLES)]
    Check {
        /// File or template
        policy: String,
        /// Must be at least as strict as this one
        #[arg(long, value_name = "POLICY")]
        against: Option<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a new policy changes; exit code 1 if anything is weaker
    #[command(after_help = EXAMPLES)]
    Diff {
        /// File or template in force
        old: String,
        /// File or template that follows
        new: String,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the policy that is at least as strict as each of these, as a file; exit code 1 if it contradicts itself
    #[command(after_help = EXAMPLES)]
    Merge {
        /// Files or templates
        #[arg(value_name = "POLICY", num_args = 2.., required = true)]
        policies: Vec<String>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON schema of a policy file
    #[command(after_help = EXAMPLES)]
    Schema,
    /// Print every rule, every value and what stands beside it
    #[command(after_help = EXAMPLES)]
    Explain {
        /// File or template
        policy: String,
    },
}

/// Runs the subcommand.
pub fn run(args: &PolicyArgs) -> Result<(), Failure> {
    match &args.command {
        PolicyCommand::Template { name } => {
            let template = template(name).ok_or_else(|| Failure::usage(unknown(name)))?;
            print!("{}", template.text());
            Ok(())
        }
        PolicyCommand::Schema => {
            println!("{:#}", Policy::schema());
            Ok(())
        }
        PolicyCommand::Merge { policies, json } => merge(policies, *json),
        PolicyCommand::Check { policy, against, json } => check(policy, against.as_deref(), *json),
        PolicyCommand::Diff { old, new, json } => diff(&load(old)?, &load(new)?, *json),
        PolicyCommand::Explain { policy } => {
            print!("{}", load(policy)?.explain());
            Ok(())
        }
    }
}

fn check(policy: &str, against: Option<&str>, as_json: bool) -> Result<(), Failure> {
    let policy = load(policy)?;
    let against = against.map(load).transpose()?;
    let contradictions: Vec<String> = policy.check().iter().map(ToString::to_string).collect();
    let weak = against.map(|other| policy.weaker_than(&other)).unwrap_or_default();
    if as_json {
        let weak: Vec<Value> = weak
            .iter()
            .map(|weak| json!({ "scope": weak.scope.to_string(), "field": weak.field, "says": weak.says, "other": weak.other }))
            .collect();
        let hash = policy.hash().to_hex();
        println!("{}", json!({ "hash": hash, "contradictions": contradictions, "weaker": weak }));
    } else {
        for contradiction in &contradictions {
            println!("{contradiction}");
        }
        for weak in &weak {
            println!("{}  {}: {}, the other says {}", weak.scope, weak.field, weak.says, weak.other);
        }
    }
    match contradictions.len() + weak.len() {
        0 => {
            if !as_json {
                println!("fine: {}", policy.hash());
            }
            Ok(())
        }
        found => Err(Failure::failed(format!("{found} findings"))),
    }
}

/// What each of several owners asks for, at its strictest (I3, H3).
fn merge(names: &[String], as_json: bool) -> Result<(), Failure> {
    let policies = names.iter().map(|name| load(name)).collect::<Result<Vec<_>, _>>()?;
    let merged = policies.into_iter().reduce(|merged, policy| merged.merge(&policy).0);
    let merged = merged.ok_or_else(|| Failure::usage("give two policies at least"))?;
    let contradictions: Vec<String> = merged.check().iter().map(ToString::to_string).collect();
    if as_json {
        let hash = merged.hash().to_hex();
        println!("{}", json!({ "hash": hash, "contradictions": contradictions, "policy": merged.to_toml() }));
    } else {
        print!("{}", merged.to_toml());
    }
    match contradictions.as_slice() {
        [] => Ok(()),
        found => Err(Failure::failed(format!("they contradict each other: {}", found.join("; ")))),
    }
}

fn diff(old: &Policy, new: &Policy, as_json: bool) -> Result<(), Failure> {
    let changes = old.diff(new);
    if as_json {
        let changes: Vec<Value> = changes
            .iter()
            .map(|change| {
                json!({ "scope": change.scope.to_string(), "field": change.field, "old": change.old,
                        "new": change.new, "weaker": change.weaker })
            })
            .collect();
        println!("{}", json!({ "changes": changes }));
    } else {
        for change in &changes {
            println!("{change}");
        }
    }
    match changes.iter().filter(|change| change.weaker).count() {
        0 => Ok(()),
        weaker => Err(Failure::failed(format!("{weaker} of {} changes are weaker", changes.len()))),
    }
}

pub fn load(name: &str) -> Result<Policy, Failure> {
    let path = Path::new(name);
    if path.exists() {
        let text = fs::read_to_string(path).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
        return Policy::parse(&text).map_err(|error| Failure::failed(format!("{name}: {error}")));
    }
    let template = template(name).ok_or_else(|| Failure::usage(unknown(name)))?;
    template.policy().map_err(Failure::failed)
}

fn template(name: &str) -> Option<Template> {
    Template::ALL.into_iter().find(|template| template.name() == name)
}

fn unknown(name: &str) -> String {
    let names: Vec<_> = Template::ALL.into_iter().map(Template::name).collect();
    format!("{name} is no file and none of the templates {}", names.join(", "))
}

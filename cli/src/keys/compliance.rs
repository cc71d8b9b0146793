//! `quorate compliance report`: where the keys and the policy disagree.

use quorate_keys::policy::Policy;
use quorate_keys::report::report;
use quorate_keys::when::{At, Time};

use super::args::{ComplianceArgs, ComplianceCommand};
use super::{seconds, told};
use crate::coordinator::load;
use crate::error::Failure;

/// Runs `quorate compliance …`.
pub fn run(args: &ComplianceArgs) -> Result<(), Failure> {
    let ComplianceCommand::Report { log, policy, now } = &args.command;
    let policy: Policy = match policy {
        Some(name) => crate::policy::load(name)?,
        None => load(&log.at.file())?.rotation.policy,
    };
    let told = told(log)?;
    let round = told.events.last().map_or(0, |event| event.at.round);
    let now = At::new(Time(now.unwrap_or_else(seconds)), round);
    let report = report(now, &told.inventory, &policy);
    if log.json {
        println!("{}", serde_json::json!(report));
    } else {
        println!(
            "policy {} version {}, {} changes in the log",
            report.policy, report.policy_version, report.events
        );
        for finding in &report.findings {
            let weight = if finding.kind.is_breach() { "BREACH" } else { "note" };
            println!("{weight:<7} {:<28} {}", finding.key, finding.kind.word());
        }
        for (class, gauge) in &report.gauges {
            let due = gauge.next_due.map_or_else(|| "-".to_owned(), |due| due.to_string());
            println!(
                "K{:<3} {class:<12} active {:<6} oldest {:>9} s   next due {due}",
                class.number(),
                gauge.active,
                gauge.age
            );
        }
    }
    match report.findings.iter().filter(|finding| finding.kind.is_breach()).count() {
        0 => Ok(()),
        breaches => Err(Failure::failed(format!("{breaches} breach(es) of policy {}", report.policy))),
    }
}

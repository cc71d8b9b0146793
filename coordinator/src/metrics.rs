//! Metrics in the text exposition format of Prometheus, version 0.0.4, rendered when somebody asks.
//!
//! Names begin with `quorate_`; times are in seconds, sizes in bytes. Labels come from closed lists (stages, outcomes,
//! reasons, rules) or from the configuration (names of jobs), so that no peer can make series. Everything counted
//! begins at 0 with the process; `deploy/prometheus/quorate.rules.yml` has the alerts.

mod process;
mod text;

use quorate_keys::Class;
use quorate_keys::audit::{SinkHealth, SinkState};
use quorate_keys::report::{Gauge, Kind as Disagreement};
use quorate_keys::wave::Standing;
use quorate_transport::Counts;

use crate::events::ABORTS;
use crate::histogram::Histogram;
use crate::keeper::Tier;
use crate::status::{Stage, Status, Tally};
use text::{Kind, Text};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
#[must_use]
pub fn render(status: &Status, tally: &Tally, counts: &Counts) -> String {
    let mut text = Text::default();
    text.family("quorate_build_info", Kind::Gauge, "Version of the program; always 1.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    present(&mut text, status);
    jobs(&mut text, status);
    rounds(&mut text, tally);
    stages(&mut text, tally);
    parties(&mut text, tally);
    keys(&mut text, tally);
    endpoint(&mut text, counts);
    process::render(&mut text);
    text.finish()
}

fn present(text: &mut Text, status: &Status) {
    text.gauge("quorate_ready", "1 if rounds can be played, else 0.", u64::from(status.ready));
    text.gauge("quorate_epoch", "Number of the epoch in force; 0: none.", status.epoch);
    text.gauge("quorate_epoch_rounds_left", "Rounds left in the epoch in force.", status.epoch_rounds_left);
    text.family(
        "quorate_parties",
        Kind::Gauge,
        "Parties of the registry by state; connected ones count twice.",
    );
    text.sample(&[("state", "enrolled")], status.enrolled.into());
    text.sample(&[("state", "evicted")], status.evicted.into());
    text.sample(&[("state", "connected")], status.connected.len() as u64);
    let current = status.current.as_ref();
    let round = |value: fn(&crate::status::Current) -> u64| current.map_or(0, value);
    text.gauge("quorate_round_number", "Number of the round under way; 0: none.", round(|now| now.round));
    text.gauge(
        "quorate_round_start_timestamp_seconds",
        "When the round under way began; 0: none.",
        round(|now| now.started / 1_000),
    );
    text.gauge(
        "quorate_round_invited",
        "Participants invited to the round under way.",
        round(|now| now.invited.into()),
    );
    text.gauge(
        "quorate_round_accepted",
        "Contributions taken in the round under way.",
        round(|now| now.accepted.into()),
    );
    text.family("quorate_round_stage", Kind::Gauge, "1 for the stage of the round under way, else 0.");
    for stage in Stage::ALL {
        let is_now = current.is_some_and(|now| now.stage == stage);
        text.sample(&[("stage", stage.name())], is_now.into());
    }
}

fn jobs(text: &mut Text, status: &Status) {
    text.family("quorate_job_rounds_total", Kind::Counter, "Rounds of a job by outcome, since it was made.");
    for (name, job) in &status.jobs {
        text.sample(&[("job", name), ("outcome", "opened")], job.opened);
        text.sample(&[("job", name), ("outcome", "aborted")], job.aborted);
    }
    text.family("quorate_job_model_version", Kind::Gauge, "Version of a job's newest model.");
    for (name, job) in &status.jobs {
        text.sample(&[("job", name)], job.version);
    }
    text.family(
        "quorate_job_waiting",
        Kind::Gauge,
        "1 if something keeps the job's next round from beginning.",
    );
    for (name, job) in &status.jobs {
        text.sample(&[("job", name)], job.waiting.is_some().into());
    }
}

fn rounds(text: &mut Text, tally: &Tally) {
    text.counter("quorate_rounds_begun_total", "Rounds begun.", tally.begun);
    text.counter("quorate_rounds_opened_total", "Rounds opened.", tally.opened);
    text.family("quorate_rounds_aborted_total", Kind::Counter, "Rounds aborted by reason.");
    // All of them from the beginning: a series that appears with its first count hides that count from rate().
    for reason in ABORTS {
        text.sample(&[("reason", reason)], tally.aborted.get(reason).copied().unwrap_or(0));
    }
    for (reason, count) in tally.aborted.iter().filter(|(reason, _)| !ABORTS.contains(reason)) {
        text.sample(&[("reason", reason)], *count);
    }
    text.family("quorate_last_round_seconds", Kind::Gauge, "Duration of the last opened round.");
    text.sample_ms(&[], tally.last_round_ms);
    text.gauge(
        "quorate_last_opened_timestamp_seconds",
        "When the last round was opened; 0: none since the process began.",
        tally.last_opened / 1_000,
    );
}

fn stages(text: &mut Text, tally: &Tally) {
    text.family("quorate_stage_duration_seconds", Kind::Histogram, "Duration of the stages of rounds.");
    let none = Histogram::default();
    for stage in Stage::ALL {
        text.histogram(("stage", stage.name()), tally.stages.get(&stage).unwrap_or(&none));
    }
}

fn sinks(text: &mut Text, tally: &Tally) {
    let each = |text: &mut Text, of: fn(&SinkHealth) -> u64| {
        tally.audit.iter().for_each(|sink| text.sample(&[("sink", &sink.name)], of(sink)));
    };
    text.family(
        "quorate_audit_sink_working",
        Kind::Gauge,
        "Whether the audit log, or a copy of it, keeps up.",
    );
    each(text, |sink| u64::from(sink.state == SinkState::Working));
    text.family("quorate_audit_sink_behind", Kind::Gauge, "Entries that it does not have yet.");
    each(text, |sink| sink.behind);
    text.family("quorate_audit_sink_missed_total", Kind::Counter, "Entries that a copy will not get.");
    each(text, |sink| sink.missed);
}

fn parties(text: &mut Text, tally: &Tally) {
    text.counter("quorate_contributions_accepted_total", "Contributions taken.", tally.accepted);
    text.counter("quorate_audit_refused_total", "Times the audit log took nothing.", tally.audit_refused);
    sinks(text, tally);
    text.counter("quorate_parted_total", "Connections closed so that others take their turn.", tally.parted);
    text.counter("quorate_vector_bytes_total", "Bytes of vectors taken.", tally.vector_bytes);
    text.family(
        "quorate_frames_refused_total",
        Kind::Counter,
        "Frames and contributions refused, by the rule of PROTOCOL.md they broke.",
    );
    for (rule, count) in &tally.refused {
        text.sample(&[("rule", rule)], *count);
    }
    text.family("quorate_enrolments_total", Kind::Counter, "Enrolments by outcome.");
    text.sample(&[("outcome", "enrolled")], tally.enrolled);
    text.sample(&[("outcome", "refused")], tally.enrolments_refused);
}

/// Name, help and value of a figure of a class of keys.
type Figure = (&'static str, &'static str, fn(&Gauge) -> u64);

/// For every class from the start: a figure that is missing must be seen, too ([KL-28]).
fn keys(text: &mut Text, tally: &Tally) {
    let figures: [Figure; 5] = [
        ("quorate_keys_active", "Lines of keys with an active key, by class.", |gauge| gauge.active),
        ("quorate_key_age_seconds", "Age of the oldest active key of the class.", |gauge| gauge.age),
        ("quorate_key_uses", "Counted uses of the active keys of the class.", |gauge| gauge.uses),
        (
            "quorate_key_next_due_timestamp_seconds",
            "When the next key of the class is due; 0: never.",
            |gauge| gauge.next_due.map_or(0, |time| time.0),
        ),
        (
            "quorate_key_last_success_timestamp_seconds",
            "When a key of the class last became active; 0: never.",
            |gauge| gauge.last_success.map_or(0, |time| time.0),
        ),
    ];
    for (name, help, figure) in figures {
        text.family(name, Kind::Gauge, help);
        for class in Class::ALL {
            let value = tally.keys.get(&class).map_or(0, figure);
            text.sample(&[("class", class.word())], value);
        }
    }
    text.family("quorate_key_get_seconds", Kind::Histogram, "Time to get a key, by where it comes from.");
    let none = Histogram::default();
    for tier in Tier::ALL {
        text.histogram(("tier", tier.word()), tally.fetched.get(&tier).unwrap_or(&none));
    }
    let help = "Time until every connected party had a new list of keys.";
    text.family("quorate_key_spread_seconds", Kind::Histogram, help);
    text.histogram(("of", "list"), &tally.spread);
    let Standing { told, held, asked, late, taken, stopped } = tally.renewals;
    text.family(
        "quorate_key_renewals",
        Kind::Gauge,
        "Identity keys of parties that are being renewed, by state.",
    );
    let states = [("due", told), ("held", held), ("asked", asked), ("late", late), ("taken_up", taken)];
    for (state, count) in states {
        text.sample(&[("state", state)], count);
    }
    let help = "Whether no further party is asked, because too many do not take up the key they asked for.";
    text.gauge("quorate_key_renewals_stopped", help, u64::from(stopped));
    text.family("quorate_key_findings", Kind::Gauge, "Keys that disagree with the policy, by what is wrong.");
    for kind in Disagreement::ALL {
        text.sample(&[("finding", kind.word())], tally.key_findings.get(&kind).copied().unwrap_or(0));
    }
}

fn endpoint(text: &mut Text, counts: &Counts) {
    text.gauge("quorate_connections_members", "Members connected now.", counts.members as u64);
    text.gauge("quorate_connections_handshakes", "Handshakes under way now.", counts.handshakes as u64);
    text.gauge("quorate_connections_strangers", "Enrolments under way now.", counts.strangers as u64);
    text.counter("quorate_party_certificates_total", "Certificates given to parties.", counts.certified);
    text.family("quorate_handshakes_total", Kind::Counter, "Handshakes by what became of them.");
    text.sample(&[("outcome", "accepted")], counts.accepted);
    text.sample(&[("outcome", "refused")], counts.refused);
    text.sample(&[("outcome", "retried")], counts.retried);
}

#[cfg(test)]
mod tests;

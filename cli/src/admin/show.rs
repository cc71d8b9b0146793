//! Tables for people.

use std::collections::BTreeSet;

use comfy_table::{Table, presets};
use quorate_coordinator::rows::{ModelRow, NodeRow, RoundOutcome, RoundRow, StatusAnswer};

/// The present in lines, then the jobs.
pub fn status(answer: &StatusAnswer) -> String {
    let status = &answer.status;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let ready = match (&status.why, status.ready) {
        (_, true) => "yes".to_owned(),
        (why, false) => format!("no: {}", why.as_deref().map_or_else(|| "no reason given".to_owned(), safe)),
    };
    let epoch = match status.epoch {
        0 => "none".to_owned(),
        epoch => format!("{epoch}, {} rounds left", status.epoch_rounds_left),
    };
    let round = status.current.as_ref().map_or_else(
        || "none".to_owned(),
        |now| {
            let (job, stage) = (safe(&now.job), now.stage.name());
            format!("{} of {job}: {stage}, {} of {} contributions", now.round, now.accepted, now.invited)
        },
    );
    let parties =
        format!("{} enrolled, {} evicted, {} connected", status.enrolled, status.evicted, answer.connected);
    let key = status.collective.as_ref().map_or_else(String::new, |key| {
        format!(
            "{}…, {} holders, {} open, refreshed {} times, at most {} openings",
            safe(&key.record.chars().take(16).collect::<String>()),
            key.holders.len(),
            key.r,
            key.generation,
            key.openings
        )
    });
    for (name, value) in [
        ("deployment", safe(&status.deployment)),
        ("version", safe(&answer.version)),
        ("ready", ready),
        ("epoch", epoch),
        ("parties", parties),
        ("round", round),
        ("collective key", key),
    ] {
        if !value.is_empty() {
            table.add_row([name.to_owned(), value]);
        }
    }
    let mut jobs = headed(&["job", "mode", "model", "opened", "aborted", "of", "waiting for"]);
    for job in status.jobs.values() {
        jobs.add_row([
            safe(&job.name),
            safe(&job.mode),
            job.version.to_string(),
            job.opened.to_string(),
            job.aborted.to_string(),
            or_dash(job.rounds),
            job.waiting.as_deref().map_or_else(String::new, safe),
        ]);
    }
    let caveats: BTreeSet<String> = (status.jobs.values())
        .filter_map(|job| Some(format!("\nmode {}: {}", safe(&job.mode), safe(job.caveat.as_deref()?))))
        .collect();
    format!("{table}\n\n{jobs}{}", caveats.into_iter().collect::<String>())
}

/// Rounds, one a line.
pub fn rounds(rows: &[RoundRow]) -> String {
    let mut table =
        headed(&["round", "job", "mode", "began", "took", "invited", "accepted", "included", "outcome"]);
    for row in rows {
        table.add_row([
            row.number.to_string(),
            safe(&row.job),
            safe(&row.mode),
            time(row.started),
            took(row),
            row.invited.to_string(),
            row.accepted.to_string(),
            or_dash(row.included),
            outcome(row),
        ]);
    }
    table.to_string()
}

/// One round, one field a line.
pub fn round(row: &RoundRow) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in [
        ("round", row.number.to_string()),
        ("job", safe(&row.job)),
        ("mode", safe(&row.mode)),
        ("began", time(row.started)),
        ("took", took(row)),
        ("outcome", outcome(row)),
        ("invited", row.invited.to_string()),
        ("accepted", row.accepted.to_string()),
        ("included", or_dash(row.included)),
        ("set", row.set_root.as_deref().map_or_else(|| "–".to_owned(), safe)),
        ("model", or_dash(row.model_version)),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    table.to_string()
}

/// Parties, one a line.
pub fn nodes(rows: &[NodeRow]) -> String {
    let mut table = headed(&["index", "site", "key", "enrolled", "state"]);
    for row in rows {
        let state = match (row.evicted, row.connected) {
            (Some(at), _) => {
                let why = row.reason.as_deref().map_or_else(String::new, |why| format!(": {}", safe(why)));
                format!("evicted {}{why}", time(at))
            }
            (None, true) => "connected".to_owned(),
            (None, false) => "away".to_owned(),
        };
        table.add_row([
            row.index.to_string(),
            safe(&row.site),
            short(&row.key_hash),
            time(row.enrolled),
            state,
        ]);
    }
    table.to_string()
}

/// Models, one a line.
pub fn models(rows: &[ModelRow]) -> String {
    let mut table = headed(&["job", "version", "round", "made", "bytes", "hash"]);
    for row in rows {
        table.add_row([
            safe(&row.job),
            row.version.to_string(),
            row.round.to_string(),
            time(row.created),
            row.bytes.to_string(),
            short(&row.hash),
        ]);
    }
    table.to_string()
}

fn headed(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(titles.iter().copied());
    table
}

/// Names come over the network: nothing that moves a cursor.
fn safe(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '·' } else { char }).collect()
}

/// As much of a hash as tells two apart.
fn short(hash: &str) -> String {
    safe(&hash.chars().take(16).collect::<String>())
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

fn outcome(row: &RoundRow) -> String {
    match (row.outcome, &row.reason) {
        (None, _) => "under way".to_owned(),
        (Some(RoundOutcome::Opened), _) => "opened".to_owned(),
        (Some(RoundOutcome::Aborted), None) => "aborted".to_owned(),
        (Some(RoundOutcome::Aborted), Some(reason)) => format!("aborted: {}", safe(reason)),
    }
}

fn took(row: &RoundRow) -> String {
    let tenths = row.ended.map(|ended| ended.saturating_sub(row.started) / 100);
    tenths.map_or_else(|| "–".to_owned(), |tenths| format!("{}.{} s", tenths / 10, tenths % 10))
}

/// Universal time from milliseconds since 1970: a table reads the same everywhere.
fn time(ms: u64) -> String {
    let (days, seconds) = (ms / 86_400_000, ms / 1_000 % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days since 1970, by eras of 400 years that begin in March.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + (month <= 2) as u64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0_u64, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (951_868_800, "2000-03-01 00:00:00Z"),
            (1_764_115_200, "2025-11-26 00:00:00Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(time(seconds * 1_000 + 999), text);
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(safe("a\x1b[2Jb\nc"), "a·[2Jb·c");
    }
}

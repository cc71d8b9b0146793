//! When the stages of a round began, from the coordinator's log.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use quorate_sim::report::StageSeconds;
use serde_json::Value;

use crate::error::Failure;

/// A log that is read as it grows.
pub struct Log {
    file: BufReader<File>,
    line: String,
    marks: Vec<Mark>,
}

/// Something happened in a round, at a second of the day.
struct Mark {
    round: u64,
    what: String,
    at: f64,
}

impl Log {
    /// From its beginning.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file =
            File::open(path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        Ok(Self { file: BufReader::new(file), line: String::new(), marks: Vec::new() })
    }

    /// The stages of a round that has ended. The log tells three of them: `contribute` holds training and checking,
    /// `open` begins with the locks.
    pub fn stages(&mut self, round: u64) -> StageSeconds {
        self.read();
        let at = |what: &str| {
            self.marks.iter().find(|mark| mark.round == round && mark.what == what).map(|mark| mark.at)
        };
        let span = |from: Option<f64>, to: Option<f64>| from.zip(to).map_or(0.0, |(from, to)| past(from, to));
        let (begun, lock) = (at("round_begun"), at("lock"));
        // A plain round has no committee to convene.
        let contribute = at("contribute").or(begun);
        let ended = at("round_opened").or_else(|| at("round_aborted"));
        let stages = StageSeconds {
            convene: span(begun, contribute),
            contribute: span(contribute, lock.or(ended)),
            open: span(lock, ended),
            ..StageSeconds::default()
        };
        self.marks.retain(|mark| mark.round > round);
        stages
    }

    fn read(&mut self) {
        // The last line may be half there: it stays until the rest has come.
        while self.file.read_line(&mut self.line).is_ok_and(|bytes| bytes > 0) && self.line.ends_with('\n') {
            let mark = serde_json::from_str::<Value>(&self.line).ok().and_then(|line| mark(&line));
            self.marks.extend(mark);
            self.line.clear();
        }
    }
}

fn mark(line: &Value) -> Option<Mark> {
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    let event = text("event")?;
    let what = if event == "stage" { text("stage")? } else { event };
    let round = line.get("round").and_then(Value::as_u64)?;
    Some(Mark { round, what: what.to_owned(), at: seconds(text("timestamp")?)? })
}

/// The second of the day of a time as `2026-01-31T12:34:56.789Z`.
fn seconds(time: &str) -> Option<f64> {
    let mut parts = time.split_once('T')?.1.trim_end_matches('Z').split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3_600.0 + next()? * 60.0 + next()?)
}

/// Seconds from one to the other, over midnight if need be.
fn past(from: f64, to: f64) -> f64 {
    let seconds = (to - from).rem_euclid(86_400.0);
    (seconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_come_from_the_lines_of_their_round() {
        let line = |time: &str, rest: &str| format!("{{\"timestamp\":\"2026-01-31T{time}Z\",{rest}}}\n");
        let text = [
            line("23:59:58.5", "\"event\":\"round_begun\",\"round\":3"),
            line("23:59:59.0", "\"event\":\"stage\",\"stage\":\"contribute\",\"round\":3"),
            line("23:59:59.5", "\"event\":\"stage\",\"stage\":\"contribute\",\"round\":4"),
            line("00:00:01.0", "\"event\":\"stage\",\"stage\":\"lock\",\"round\":3"),
            "not JSON\n".to_owned(),
            line("00:00:01.25", "\"event\":\"round_opened\",\"round\":3"),
        ];
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text.concat()).unwrap();
        let stages = Log::open(file.path()).unwrap().stages(3);
        assert_eq!((stages.convene, stages.contribute, stages.open), (0.5, 2.0, 0.25));
    }
}

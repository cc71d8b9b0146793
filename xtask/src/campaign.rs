//! Long campaigns: tests with their full number of trials, one after the other, within a time ([`USAGE`]).
//!
//! Every campaign that has ended stands in the file of results, which is replaced whole after each: a run that is cut
//! off tells what it got to. What a campaign prints besides the test runner's own lines are its figures.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::tree;

/// One campaign: ignored tests whose names begin with `campaign_`, of one test binary.
struct Campaign {
    name: &'static str,
    tests: &'static [&'static str],
}

/// The shorter ones first, so that a run with little time tells much.
const ALL: [Campaign; 8] = [
    Campaign { name: "crypto", tests: &["--package", "quorate-crypto", "--lib"] },
    Campaign { name: "retrieval", tests: &["--release", "--package", "quorate-keys", "--test", "retrieval"] },
    Campaign { name: "start", tests: &["--package", "quorate-keys", "--test", "start"] },
    Campaign { name: "rotations", tests: &["--package", "quorate-sim", "--test", "life"] },
    Campaign { name: "network", tests: &["--package", "quorate-tests", "--test", "network"] },
    Campaign {
        name: "killed-keys",
        tests: &["--package", "quorate-keys", "--features", "files", "--test", "killed"],
    },
    Campaign { name: "killed-coordinator", tests: &["--package", "quorate-coordinator", "--test", "killed"] },
    Campaign { name: "processes", tests: &["--package", "quorate-cli", "--test", "e2e"] },
];

/// What is asked for.
struct Wanted {
    hours: Option<f64>,
    only: Vec<String>,
    out: PathBuf,
}

/// Runs them.
pub fn run(words: &[&str]) -> ExitCode {
    let wanted = match parse(words) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let budget = wanted.hours.map(|hours| Duration::from_secs_f64(hours * 3_600.0));
    let left = || budget.map(|budget| budget.saturating_sub(begun.elapsed()));
    let mut results = Vec::new();
    let mut passed = true;
    for campaign in chosen(&wanted) {
        if left().is_some_and(|left| left.is_zero()) {
            results.push(json!({ "name": campaign.name, "outcome": "no time left" }));
            continue;
        }
        eprintln!("campaign {}: {}", campaign.name, campaign.tests.join(" "));
        let result = carry_out(campaign);
        passed &= result["outcome"] == "passed";
        results.push(result);
        if let Err(error) = write(&wanted.out, &results, begun) {
            eprintln!("{}: {error}: the results are not kept", wanted.out.display());
            passed = false;
        }
    }
    // What is left of the time goes into mutations, which know no end; each run has another seed.
    if let Some(left) = left().filter(|left| left.as_secs() >= 60) {
        let seed = seconds();
        eprintln!("mutations for {} s, seed {seed}", left.as_secs());
        let (time, seed) = (left.as_secs().to_string(), seed.to_string());
        let fuzz = [
            "run",
            "--quiet",
            "--package",
            "quorate-tests",
            "--bin",
            "fuzz",
            "--",
            "--seconds",
            &time,
            "--seed",
            &seed,
        ];
        let result = command(&fuzz, "mutations");
        passed &= result["outcome"] == "passed";
        results.push(result);
    }
    let kept = write(&wanted.out, &results, begun);
    eprintln!("results: {}", wanted.out.display());
    if passed && kept.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(words: &[&str]) -> Result<Wanted, String> {
    let mut wanted = Wanted { hours: None, only: Vec::new(), out: tree::root().join("target/campaign.json") };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} takes a value"));
        match *word {
            "--hours" => {
                let hours: f64 = value()?.parse().map_err(|_| "--hours takes a number".to_owned())?;
                if !(hours > 0.0 && hours <= 10_000.0) {
                    return Err("--hours is above 0 and at most 10,000".to_owned());
                }
                wanted.hours = Some(hours);
            }
            "--only" => wanted.only.push((*value()?).to_owned()),
            "--out" => wanted.out = PathBuf::from(*value()?),
            other => return Err(format!("{other} is not known")),
        }
    }
    match wanted.only.iter().find(|name| ALL.iter().all(|campaign| campaign.name != **name)) {
        Some(unknown) => Err(format!("there is no campaign {unknown}")),
        None => Ok(wanted),
    }
}

fn chosen(wanted: &Wanted) -> impl Iterator<Item = &'static Campaign> {
    ALL.iter()
        .filter(|campaign| wanted.only.is_empty() || wanted.only.iter().any(|name| name == campaign.name))
}

fn carry_out(campaign: &Campaign) -> Value {
    let mut words = vec!["test"];
    words.extend(campaign.tests);
    words.extend(["--", "campaign_", "--ignored", "--nocapture", "--test-threads", "1"]);
    command(&words, campaign.name)
}

/// Runs cargo; what it printed is shown and kept.
fn command(words: &[&str], name: &str) -> Value {
    let (begun, at) = (Instant::now(), seconds());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut figures = Vec::new();
    let run = || -> std::io::Result<bool> {
        let mut child =
            Command::new(cargo).args(words).current_dir(tree::root()).stdout(Stdio::piped()).spawn()?;
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines() {
                let line = line?;
                println!("{line}");
                figures.extend(figure(&line).map(str::to_owned));
            }
        }
        Ok(child.wait()?.success())
    };
    let outcome = match run() {
        Ok(true) => "passed",
        Ok(false) => "failed",
        Err(_) => "did not start",
    };
    json!({
        "name": name,
        "command": format!("cargo {}", words.join(" ")),
        "at": at,
        "seconds": begun.elapsed().as_secs(),
        "outcome": outcome,
        "figures": figures,
    })
}

/// A line that says more than the test runner does.
fn figure(line: &str) -> Option<&str> {
    let own = |line: &str| {
        line.is_empty()
            || line.starts_with("running ")
            || line.starts_with("test result:")
            || line.starts_with("test ")
                && ([" ok", "FAILED", "..."].iter().any(|end| line.ends_with(end))
                    || line.contains(" ... ignored"))
            || line == "ok"
    };
    let line = line.trim();
    // The first figure of a test stands behind its name.
    let line = match line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
        Some((_, behind)) if behind != "ok" && behind != "FAILED" && !behind.starts_with("ignored") => behind,
        _ => line,
    };
    (!own(line)).then_some(line)
}

/// Replaces the file of results, whole.
fn write(out: &Path, results: &[Value], begun: Instant) -> std::io::Result<()> {
    let all = json!({ "seconds": begun.elapsed().as_secs(), "campaigns": results });
    let new = out.with_extension("json.new");
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&new, format!("{all:#}\n"))?;
    std::fs::rename(&new, out)
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// How it is used.
const USAGE: &str = "usage: cargo xtask campaign [--hours H] [--only NAME]... [--out FILE]

Names: crypto retrieval start rotations network killed-keys killed-coordinator processes. Without --hours each runs once, about two
hours together; with it none begins after the time is over, and what is left of it goes into mutations.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_what_the_runner_does_not_say() {
        assert_eq!(figure("running 3 tests"), None);
        assert_eq!(figure("test a::b ... ok"), None);
        assert_eq!(figure("test a::b ... ignored, minutes"), None);
        assert_eq!(figure("test result: ok. 1 passed"), None);
        assert_eq!(figure("test a::b ... 500 rotations, none late"), Some("500 rotations, none late"));
        assert_eq!(figure("  786.8 rounds a minute"), Some("786.8 rounds a minute"));
    }

    #[test]
    fn wrong_words_are_told() {
        for wrong in
            [&["--hours", "0"][..], &["--hours"], &["--hours", "x"], &["--only", "nothing"], &["--fast"]]
        {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        let wanted = parse(&["--hours", "0.5", "--only", "crypto", "--out", "x.json"]).unwrap();
        assert_eq!(
            (wanted.hours, chosen(&wanted).count(), wanted.out),
            (Some(0.5), 1, PathBuf::from("x.json"))
        );
        assert_eq!(chosen(&parse(&[]).unwrap()).count(), ALL.len());
    }

    #[test]
    fn results_are_replaced_whole() {
        let folder = std::env::temp_dir().join(format!("campaign-{}", std::process::id()));
        let file = folder.join("results.json");
        for count in 1..3 {
            write(&file, &vec![json!({ "name": "x" }); count], Instant::now()).unwrap();
            let read: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(read["campaigns"].as_array().unwrap().len(), count);
        }
        assert!(!file.with_extension("json.new").exists());
        std::fs::remove_dir_all(folder).unwrap();
    }
}

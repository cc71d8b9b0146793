//! The known answers of `tests/vectors/v1`, made by a Python program that shares no code with ours.

use std::process::{Command, ExitCode};

use crate::tree::{Findings, Tree, root};

/// The program, from the root.
const GENERATOR: &str = "tests/vectors/generate.py";

/// Where its files are.
const FOLDER: &str = "tests/vectors/v1/";

/// The largest file, in bytes: vectors are read by people too.
const LARGEST: usize = 200_000;

/// Subjects and their files: each subject has answers and refusals.
const GROUPS: [(&str, &[&str]); 7] = [
    ("ring", &["gauss.json", "matrix.json"]),
    ("mask", &["mask.json"]),
    ("pack", &["pack.json"]),
    ("share", &["share.json", "field.json", "answer.json", "committee.json"]),
    ("codec", &["codec.json"]),
    ("collective", &["collective.json"]),
    ("manifest", &["manifest.json"]),
];

/// Recomputes every vector and compares; looks at the form of the files.
pub fn check(tree: &Tree) -> Findings {
    let mut findings = check_files(tree);
    check_groups(tree).into_iter().for_each(|error| findings.error(error));
    match Command::new("python3").args([GENERATOR, "--check"]).current_dir(root()).status() {
        Ok(status) if status.success() => {}
        Ok(_) => findings.error(format!("{GENERATOR} --check found a difference")),
        Err(error) => findings.error(format!("python3: {error}")),
    }
    findings
}

/// Writes the files anew.
pub fn write() -> ExitCode {
    let ran = Command::new("python3").arg(GENERATOR).current_dir(root()).status();
    if ran.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Schema, size, and that failures stand beside successes.
fn check_files(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let (mut good, mut bad) = (0_usize, 0_usize);
    for (path, text) in tree.ending(".json").filter(|(path, _)| path.starts_with(FOLDER)) {
        if text.len() > LARGEST {
            findings.error(format!("{path}: {} bytes, the limit is {LARGEST}", text.len()));
        }
        let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        if json["schema"] != "quorate-vectors/1" || !json["rule"].is_array() {
            findings.error(format!("{path}: no schema \"quorate-vectors/1\" or no list of rules"));
        }
        for case in json["cases"].as_array().map_or(&[][..], Vec::as_slice) {
            match (case.get("expect").is_some(), case.get("error").is_some()) {
                (true, false) => good += 1,
                (false, true) => bad += 1,
                _ => findings.error(format!("{path}: {} needs one of expect and error", case["name"])),
            }
        }
    }
    if good == 0 || bad == 0 {
        findings.error(format!("{FOLDER} needs successes and failures, it has {good} and {bad}"));
    }
    findings.note = format!("{good} answers, {bad} refusals");
    findings
}

/// At least one answer and one refusal in every group.
fn check_groups(tree: &Tree) -> Vec<String> {
    let mut errors = Vec::new();
    for (group, files) in GROUPS {
        let texts = files.iter().filter_map(|file| tree.texts.get(&format!("{FOLDER}{file}")));
        let cases: Vec<serde_json::Value> = texts
            .filter_map(|text| serde_json::from_str::<serde_json::Value>(text).ok())
            .flat_map(|json| json["cases"].as_array().cloned().unwrap_or_default())
            .collect();
        for kind in ["expect", "error"] {
            if !cases.iter().any(|case| case.get(kind).is_some()) {
                errors.push(format!("{FOLDER}: the group {group} has no case with `{kind}`"));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        check_files(&Tree::of(&[("tests/vectors/v1/a.json", text)])).errors
    }

    fn file(cases: &str) -> String {
        format!("{{\"schema\": \"quorate-vectors/1\", \"rule\": [\"HASH-1\"], \"cases\": [{cases}]}}")
    }

    const GOOD: &str = "{\"name\": \"g\", \"input\": 1, \"expect\": 2}";
    const BAD: &str = "{\"name\": \"b\", \"input\": 1, \"error\": \"wrong length\"}";

    #[test]
    fn a_file_of_the_right_form_passes() {
        assert_eq!(errors(&file(&format!("{GOOD}, {BAD}"))), [""; 0]);
    }

    #[test]
    fn a_group_without_refusals_or_without_answers_is_found() {
        let both = file(&format!("{GOOD}, {BAD}"));
        let tree = |odd: &str| {
            let names = GROUPS.iter().flat_map(|(_, files)| files.iter().take(1));
            let texts: Vec<_> = names.map(|name| (format!("{FOLDER}{name}"), both.clone())).collect();
            let mut list: Vec<_> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
            list[1].1 = odd;
            check_groups(&Tree::of(&list))
        };
        assert_eq!(tree(&both), [""; 0]);
        assert!(tree(&file(GOOD))[0].contains("the group mask has no case with `error`"));
        assert!(tree(&file(BAD))[0].contains("the group mask has no case with `expect`"));
    }

    #[test]
    fn wrong_forms_are_found() {
        assert!(errors("{}")[0].contains("no schema"));
        assert!(errors(&file(GOOD))[0].contains("it has 1 and 0"));
        assert!(errors(&file(&format!("{GOOD}, {BAD}, {{\"name\": \"x\"}}")))[0].contains("needs one of"));
        let long = file(&format!("{GOOD}, {BAD}")) + &" ".repeat(LARGEST);
        assert!(errors(&long)[0].contains("the limit is"));
        assert_eq!(check_files(&Tree::default()).errors.len(), 1);
    }
}

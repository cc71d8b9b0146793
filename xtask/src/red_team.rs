//! The attacks we mount on ourselves: every one has a test, and the table of `docs/THREAT_MODEL.md` says which.
//!
//! A test belongs to an attack if its name begins with `rt_NN_`, or if `RT-NN` stands in the comment directly above
//! it. Ignored tests do not count. `cargo xtask red-team` writes the table between its two markers; `--check`, and
//! `cargo xtask ci`, compare.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::spec_ids;
use crate::tree::{Findings, Tree, root};

/// The document with the table.
const DOCUMENT: &str = "docs/THREAT_MODEL.md";
const BEGIN: &str = "<!-- red-team: begin (written by `cargo xtask red-team`) -->\n";
const END: &str = "<!-- red-team: end -->";

/// One attack: number, claims of the document it is aimed at, rules that stop it, the attack in a few words.
struct Attack(u8, &'static str, &'static [&'static str], &'static str);

/// Every attack that version 1 has to withstand, by its number in the red-team list.
const ATTACKS: [Attack; 67] = [
    Attack(1, "d", &["OPEN-2", "OPEN-4"], "a set below n_min"),
    Attack(2, "a b", &["OPEN-1"], "a second request to open in one round"),
    Attack(5, "b", &["OPEN-1", "OPEN-2"], "different sets to different members"),
    Attack(6, "b", &["MASK-2", "ROST-1"], "another model or other parameters for one party"),
    Attack(7, "d", &["OPEN-4"], "one honest party among invented ones; what the tools say without admission"),
    Attack(8, "c", &["REG-1", "REG-2", "REG-3"], "a substituted public key; a split view of the registry"),
    Attack(9, "a c", &["SHARE-1", "SIG-1"], "messages and shares replayed or reflected"),
    Attack(10, "e", &["POL-1"], "a manifest weaker than a party's policy"),
    Attack(11, "a", &["MASK-4"], "a crash between two durable steps, then a retry"),
    Attack(12, "a", &["ROST-1", "MASK-1"], "a device restored to before its contribution"),
    Attack(13, "a", &["ROST-1"], "two copies of a device at once"),
    Attack(14, "a", &["MASK-4", "OPEN-4"], "a coordinator restored from a backup runs a round again"),
    Attack(15, "c", &["MASK-1", "MASK-3"], "weak or repeated masks"),
    Attack(18, "e f", &["SUM-1", "POL-1"], "a configuration whose sums wrap; downgrades"),
    Attack(19, "f", &["CODEC-1", "CODEC-2"], "an absurd weight"),
    Attack(20, "f h", &["CODEC-2"], "NaN, infinities, wrong lengths"),
    Attack(21, "f g", &["RS-1"], "wrong answers"),
    Attack(22, "h", &["FIELD-1", "RS-1"], "malformed shares and answers"),
    Attack(23, "i", &["CMP-1"], "silence at every stage"),
    Attack(24, "g i", &["CHK-1", "CMP-1"], "bad shares for some members, good ones for others"),
    Attack(25, "a", &["ROST-1", "MASK-4"], "two contributions in one round"),
    Attack(26, "f", &["LATE-1"], "a contribution after the set is closed"),
    Attack(27, "c", &["CKG-2", "CKG-4"], "a part of a collective key that cancels the others'"),
    Attack(28, "c", &["CKG-1", "CKG-2"], "sessions for a key aborted and begun again"),
    Attack(
        29,
        "g",
        &["COPEN-4", "CKG-7"],
        "a wrong answer under a collective key, in its test and in rounds",
    ),
    Attack(30, "a b", &["OPEN-2", "OPEN-6"], "one ciphertext, another sum, a multiple shown for opening"),
    Attack(31, "c", &["CNOISE-1", "OPEN-5"], "noise read from many openings"),
    Attack(32, "b c", &["COPEN-2", "CREN-1"], "answers and shares of different keys or generations mixed"),
    Attack(33, "c", &["CREN-1", "CKG-1"], "a refresh with a part of the holders, or with another threshold"),
    Attack(34, "h", &["SIG-1", "SEAL-1"], "points of small order, non-canonical points, all-zero agreements"),
    Attack(35, "f h", &["CENC-2"], "malformed ciphertexts"),
    Attack(36, "h i", &[], "a flood of handshakes, from addresses that answer and from others"),
    Attack(37, "h i", &["WIRE-1"], "the slow: a byte now and then, frames never taken; floods of frames"),
    Attack(38, "h i", &[], "fragments with gaps that never become whole"),
    Attack(39, "h", &[], "malformed transport parameters"),
    Attack(40, "h", &["WIRE-1"], "lengths that lie, frames of no known form"),
    Attack(
        42,
        "e",
        &["ID-1"],
        "no certificate, an ended one, a revoked one, one of somebody else; early data",
    ),
    Attack(43, "a", &["MASK-4"], "a new address or a cut in the middle of an upload"),
    Attack(44, "e", &["ID-1"], "a failed proof of the key, and then going on"),
    Attack(45, "c", &[], "the admin API without the token, on every path"),
    Attack(46, "h", &["SIG-1", "SEAL-1"], "truncated signatures and tags"),
    Attack(47, "h", &[], "a model file as code, names as paths"),
    Attack(
        48,
        "j",
        &["WIT-3", "WIT-4"],
        "the audit log cut, reordered, forked; its disk full, its sinks hanging",
    ),
    Attack(
        49,
        "j",
        &[],
        "a disabled or unknown key on a signed model, its own time believed, a failure without exit code",
    ),
    Attack(
        51,
        "c",
        &["OPEN-3"],
        "secrets in logs, errors, metrics, and in the memory of a process after their end",
    ),
    Attack(
        52,
        "a i j",
        &["KEY-3"],
        "clocks that are wrong, jump back over an activation, or pass 2038, 2100 and 2106",
    ),
    Attack(54, "c", &["DEAL-1"], "members below the threshold pool what they have"),
    Attack(55, "a", &["MASK-4"], "messages lost after they took effect, repeated, reordered"),
    Attack(56, "d", &["REG-2"], "enrolment again and again, with one token or with none"),
    Attack(57, "a b", &["OPEN-1"], "a second root shown to members the first did not need"),
    Attack(58, "c g", &["SHARE-2"], "known shares sealed in honest names"),
    Attack(59, "c", &["DRAW-1", "CONV-1"], "honest panel members skipped for a corrupt committee"),
    Attack(60, "c", &["DRAW-2", "EPOCH-1"], "identities made after the seed is known"),
    Attack(61, "c", &["DRAW-3"], "the seed bent by reveals and restarts"),
    Attack(62, "d", &["OPEN-2"], "leaves repeated, out of order, or left out"),
    Attack(63, "d", &["OPEN-4", "POL-1"], "n_min − 1 accomplices and one victim"),
    Attack(64, "b", &["ROST-1"], "two rosters, permuted members, a second manifest"),
    Attack(65, "c", &["CHK-1", "ROST-1"], "check values asked for twice or under other headers"),
    Attack(66, "f", &["CHK-1"], "a dealer that wants to pass the check with bad shares"),
    Attack(67, "e", &["POL-1"], "c = 0 or r − ρ = 1 below the policy"),
    Attack(68, "a c", &["OPEN-3"], "a second round key after a crash"),
    Attack(69, "g", &["RS-1"], "c liars agree on another codeword"),
    Attack(70, "i", &["CMP-1"], "a member that complains about everybody"),
    Attack(71, "f", &["DIRECT-1"], "wrong answers in suite direct"),
    Attack(72, "c", &["CKG-6"], "a collective key that is not its holders'"),
    Attack(
        73,
        "c",
        &["CENC-1"],
        "a participant that colludes reads the collective key: not stopped, the test shows it",
    ),
    Attack(74, "a", &["MASK-4", "OPEN-4"], "abort after opening, then again without the victim"),
];

/// Where the tests of each attack are: path → names.
type Tests = BTreeMap<u8, BTreeMap<String, BTreeSet<String>>>;

/// Every attack has a test, every citation of an attack is one of the list, and the table is up to date.
pub fn check(tree: &Tree) -> Findings {
    let tests = tests(tree);
    let mut findings = judge(tree, &tests);
    match tree.texts.get(DOCUMENT).map(|text| split(text)) {
        Some(Some((_, old, _))) if old == table(&tests) => {}
        Some(Some(_)) => {
            findings.error(format!("{DOCUMENT}: the table is out of date; run cargo xtask red-team"))
        }
        _ => findings.error(format!("{DOCUMENT} has no place for the table between {BEGIN:?} and {END:?}")),
    }
    findings
}

/// Writes the table.
pub fn write() -> ExitCode {
    let written = Tree::load().and_then(|tree| {
        let text = tree.texts.get(DOCUMENT).map_or("", String::as_str);
        let (before, _, after) = split(text).ok_or_else(|| std::io::Error::other("no markers"))?;
        let findings = judge(&tree, &tests(&tree));
        findings.print();
        let table = table(&tests(&tree));
        std::fs::write(root().join(DOCUMENT), format!("{before}{BEGIN}{table}{END}{after}"))?;
        Ok(findings.errors.is_empty())
    });
    match written {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{DOCUMENT}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The list against the tests and the specification; the table is left out.
fn judge(tree: &Tree, tests: &Tests) -> Findings {
    let mut findings = Findings::default();
    let rules = spec_ids::rules(tree);
    for Attack(number, _, stopped_by, _) in &ATTACKS {
        if !tests.contains_key(number) {
            findings.error(format!("RT-{number:02} has no test"));
        }
        for rule in stopped_by.iter().filter(|rule| !rules.contains(**rule)) {
            findings.error(format!("RT-{number:02} names the rule {rule}, which does not exist"));
        }
    }
    for (number, places) in tests {
        if !ATTACKS.iter().any(|attack| attack.0 == *number) {
            let paths: Vec<&str> = places.keys().map(String::as_str).collect();
            findings.error(format!("RT-{number:02} is not on the list, but cited in {}", paths.join(", ")));
        }
    }
    let count: usize = tests.values().flat_map(BTreeMap::values).map(BTreeSet::len).sum();
    findings.note = format!("{} attacks, {count} tests", ATTACKS.len());
    findings
}

/// Before, inside and after the markers.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (inside, after) = rest.split_once(END)?;
    Some((before, inside, after))
}

/// The tests of the repository, by attack.
fn tests(tree: &Tree) -> Tests {
    let mut tests = Tests::new();
    for (path, text) in tree.ending(".rs").filter(|(path, _)| !path.starts_with("xtask/")) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for at in (0..lines.len()).filter(|&at| is_test(lines[at])) {
            let Some((name, numbers)) = test_at(&lines, at) else { continue };
            for number in numbers {
                tests.entry(number).or_default().entry(path.to_owned()).or_default().insert(name.clone());
            }
        }
    }
    tests
}

/// Whether a line marks a test, one of a runtime included.
fn is_test(line: &str) -> bool {
    line == "#[test]" || (line.starts_with("#[tokio::test") && line.ends_with(']'))
}

/// Name and attacks of the test whose attribute stands in line `at`; nothing if it is ignored.
fn test_at(lines: &[&str], at: usize) -> Option<(String, BTreeSet<u8>)> {
    let dressing = |line: &&&str| line.starts_with("//") || line.starts_with("#[");
    let above = lines[..at].iter().rev().take_while(dressing);
    let below = lines[at + 1..].iter().take_while(dressing);
    let length = below.clone().count();
    let around: Vec<&str> = above.chain(below).copied().collect();
    if around.iter().any(|line| line.starts_with("#[ignore")) {
        return None;
    }
    let line = lines.get(at + 1 + length)?;
    let name: String = line
        .strip_prefix("async ")
        .unwrap_or(line)
        .strip_prefix("fn ")?
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    let cited =
        around.iter().filter(|line| line.starts_with("//")).flat_map(|line| line.split("RT-").skip(1));
    let named = name.strip_prefix("rt_").into_iter().chain(cited);
    let numbers = named.filter_map(|text| text.get(..2)?.parse().ok()).collect();
    Some((name, numbers))
}

/// The table's rows.
fn table(tests: &Tests) -> String {
    let mut text = String::from(
        "| id | attack | claims | rules | tests | to run them |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for Attack(number, claims, rules, attack) in &ATTACKS {
        let rules: Vec<String> = rules.iter().map(|rule| format!("[{rule}]")).collect();
        let none = BTreeMap::new();
        let places = tests.get(number).unwrap_or(&none);
        let found: Vec<String> = places.iter().map(|(path, names)| place(path, names)).collect();
        let _ = writeln!(
            text,
            "| RT-{number:02} | {attack} | {} | {} | {} | `{}` |",
            claims.split(' ').map(|claim| format!("({claim})")).collect::<Vec<_>>().join(" "),
            if rules.is_empty() { "–".to_owned() } else { rules.join(" ") },
            found.join("; "),
            command(*number, places),
        );
    }
    text
}

fn place(path: &str, names: &BTreeSet<String>) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("[{path}](../{path}) {}", names.join(", "))
}

/// A command that runs all of them: one filter for those that carry the number in their name.
fn command(number: u8, places: &BTreeMap<String, BTreeSet<String>>) -> String {
    let prefix = format!("rt_{number:02}_");
    let packages: BTreeSet<&str> = places.keys().filter_map(|path| path.split('/').next()).collect();
    let names = places.values().flatten().map(|name| if name.starts_with(&prefix) { &prefix } else { name });
    let filters: BTreeSet<&str> = names.map(String::as_str).collect();
    let packages: Vec<String> = packages.into_iter().map(|name| format!("-p quorate-{name}")).collect();
    format!("cargo test {} -- {}", packages.join(" "), filters.into_iter().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod checks {
    use super::*;

    const SPEC: &str = "docs/PROTOCOL.md";

    /// A tree in which everything is in order.
    fn tree(source: &str) -> Tree {
        let mut all: Vec<String> = ATTACKS
            .iter()
            .filter(|attack| attack.0 > 2)
            .map(|attack| format!("#[test]\nfn rt_{:02}_x() {{}}\n", attack.0))
            .collect();
        all.push(source.to_owned());
        let rules: BTreeSet<&str> = ATTACKS.iter().flat_map(|attack| attack.2.iter().copied()).collect();
        let spec: String = rules.iter().map(|rule| format!("- [{rule}] text\n")).collect();
        let mut tree = Tree::of(&[(SPEC, &spec), ("tests/tests/all.rs", &all.concat())]);
        let document = format!("# T\n{BEGIN}{}{END}\nend\n", table(&tests(&tree)));
        tree.texts.insert(DOCUMENT.to_owned(), document);
        tree
    }

    const BOTH: &str = "// RT-01 and RT-02: both.\n#[test]\nfn both() {}\n";

    #[test]
    fn names_and_comments_count() {
        assert_eq!(check(&tree(BOTH)).errors, [""; 0]);
        let inside =
            "proptest! {\n    #[test]\n    // RT-01\n    #[cfg(unix)]\n    fn rt_02_y(x in any()) {}\n}\n";
        assert_eq!(check(&tree(inside)).errors, [""; 0]);
    }

    #[test]
    fn tests_of_a_runtime_count() {
        let both = "/// RT-01, RT-02: both.\n#[tokio::test(flavor = \"x\")]\nasync fn both() {}\n";
        assert_eq!(check(&tree(both)).errors, [""; 0]);
    }

    #[test]
    fn an_attack_without_a_test_is_found() {
        let none = ["RT-01 has no test", "RT-02 has no test"];
        assert_eq!(check(&tree("")).errors, none);
        for far in [
            "// RT-01 RT-02\n\n#[test]\nfn a() {}\n",
            "// RT-01 RT-02\nfn a() {}\n",
            "fn rt_01_a() {}\nfn rt_02_a() {}\n",
            "// RT-01 RT-02\n#[test]\n#[ignore]\nfn a() {}\n",
            "#[test]\nfn a() { /* RT-01 RT-02 */ }\n",
        ] {
            assert_eq!(check(&tree(far)).errors, none, "{far}");
        }
    }

    #[test]
    fn an_unknown_attack_and_an_unknown_rule_are_found() {
        let found = check(&tree(&format!("{BOTH}#[test]\nfn rt_99_x() {{}}\n"))).errors;
        assert_eq!(found, ["RT-99 is not on the list, but cited in tests/tests/all.rs"]);
        let mut odd = tree(BOTH);
        odd.texts.insert(SPEC.to_owned(), String::new());
        assert!(check(&odd).errors[0].contains("names the rule OPEN-2, which does not exist"));
    }

    #[test]
    fn an_old_table_and_a_missing_one_are_found() {
        let mut old = tree(BOTH);
        old.texts.insert("crypto/src/more.rs".to_owned(), BOTH.to_owned());
        assert!(check(&old).errors[0].contains("the table is out of date"));
        old.texts.insert(DOCUMENT.to_owned(), "# T\n".to_owned());
        assert!(check(&old).errors[0].contains("has no place for the table"));
    }

    #[test]
    fn the_command_names_what_is_needed() {
        let places = BTreeMap::from([
            ("crypto/src/a.rs".to_owned(), BTreeSet::from(["other".to_owned()])),
            ("tests/tests/b.rs".to_owned(), BTreeSet::from(["rt_07_a".to_owned(), "rt_07_b".to_owned()])),
        ]);
        assert_eq!(command(7, &places), "cargo test -p quorate-crypto -p quorate-tests -- other rt_07_");
        assert!(place("a/b.rs", &BTreeSet::from(["x".to_owned()])).starts_with("[a/b.rs](../a/b.rs) `x`"));
    }
}

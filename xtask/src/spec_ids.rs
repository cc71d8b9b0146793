//! Every rule id of `docs/PROTOCOL.md` is cited by code and by a test, and code cites no other.
//!
//! A citation is `[RULE-1]` anywhere in a Rust file. Inside `#[cfg(test)]` or `#[test]`, in a file
//! that is a test module, and in a folder `tests/`, it counts for the tests; there a function called
//! `rule_1_…` counts too. Everywhere else it counts for the code.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use crate::rust_text::{blank, functions, test_lines, test_modules};
use crate::tree::{Findings, Tree};

/// The specification.
const SPEC: &str = "docs/PROTOCOL.md";

/// Families of ids that other documents define: attacks (THREAT_MODEL.md) and key life (KEYS.md).
const ELSEWHERE: &[&str] = &["RT", "KL"];

/// Where ids are cited: `path:line`.
type Places = BTreeMap<String, BTreeSet<String>>;

/// Citations of the whole repository.
#[derive(Default)]
struct Citations {
    code: Places,
    tests: Places,
}

/// Compares the specification with code and tests.
pub fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let Some(spec) = tree.texts.get(SPEC) else {
        findings.error(format!("{SPEC} is missing"));
        return findings;
    };
    let defined = defined(spec);
    let citations = citations(tree);
    for (id, lines) in repeated(spec) {
        findings.error(format!("[{id}] begins a rule more than once in {SPEC}: lines {lines:?}"));
    }
    for id in &defined {
        if !citations.code.contains_key(id) {
            findings.error(format!("[{id}] is cited by no code"));
        }
        if !citations.tests.contains_key(id) {
            findings.error(format!("[{id}] is cited by no test"));
        }
    }
    for (id, places) in citations.code.iter().chain(&citations.tests) {
        let family = id.split('-').next().unwrap_or_default();
        if !defined.contains(id) && !ELSEWHERE.contains(&family) {
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            findings.error(format!("[{id}] is not in {SPEC}, but cited at {}", places.join(", ")));
        }
    }
    if defined.is_empty() {
        findings.error(format!("{SPEC} defines no rule"));
    }
    findings.note = format!("{} rules", defined.len());
    findings
}

/// Prints for every rule where it is cited; never fails.
pub fn report() -> ExitCode {
    let Ok(tree) = Tree::load() else {
        eprintln!("the repository cannot be read");
        return ExitCode::FAILURE;
    };
    let citations = citations(&tree);
    let show = |places: Option<&BTreeSet<String>>| match places {
        None => "–".to_owned(),
        Some(places) => places.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
    };
    for id in tree.texts.get(SPEC).map(|spec| defined(spec)).unwrap_or_default() {
        println!("[{id}]");
        println!("  code  {}", show(citations.code.get(&id)));
        println!("  tests {}", show(citations.tests.get(&id)));
    }
    ExitCode::SUCCESS
}

/// The rules of the specification.
pub fn rules(tree: &Tree) -> BTreeSet<String> {
    tree.texts.get(SPEC).map(|spec| defined(spec)).unwrap_or_default()
}

fn defined(spec: &str) -> BTreeSet<String> {
    spec.lines().flat_map(ids).collect()
}

/// Ids that begin more than one paragraph or list item.
fn repeated(spec: &str) -> BTreeMap<String, Vec<usize>> {
    let mut lines: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, line) in spec.lines().enumerate() {
        let start = line.trim_start().trim_start_matches("- ");
        if let Some(id) = ids(start).into_iter().next().filter(|id| start.starts_with(&format!("[{id}]"))) {
            lines.entry(id).or_default().push(number + 1);
        }
    }
    lines.retain(|_, lines| lines.len() > 1);
    lines
}

/// The ids in brackets in one line: at least two capitals, a hyphen, digits.
fn ids(line: &str) -> Vec<String> {
    line.split('[')
        .skip(1)
        .filter_map(|part| part.split_once(']'))
        .map(|(id, _)| id)
        .filter(|id| is_id(id))
        .map(str::to_owned)
        .collect()
}

fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(family, number)| {
        family.len() >= 2
            && family.bytes().all(|b| b.is_ascii_uppercase())
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

fn citations(tree: &Tree) -> Citations {
    let test_files = test_files(tree);
    let mut citations = Citations::default();
    for (path, text) in tree.ending(".rs").filter(|(path, _)| !path.starts_with("xtask/")) {
        let blanked = blank(text);
        let whole = test_files.contains(path) || is_test_path(path);
        let marks = test_lines(&blanked);
        let is_test = |line: usize| whole || marks.get(line).copied().unwrap_or_default();
        let mut cite = |line: usize, id: String| {
            let places = if is_test(line) { &mut citations.tests } else { &mut citations.code };
            places.entry(id).or_default().insert(format!("{path}:{}", line + 1));
        };
        for (number, line) in text.lines().enumerate() {
            ids(line).into_iter().for_each(|id| cite(number, id));
        }
        for function in functions(&blanked).iter().filter(|function| is_test(function.first)) {
            named_ids(tree, &function.name).into_iter().for_each(|id| cite(function.first, id));
        }
    }
    citations
}

/// Rules whose id stands in the name of a test: `mask_5_…` for MASK-5.
fn named_ids(tree: &Tree, name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let known = tree.texts.get(SPEC).map(|spec| defined(spec)).unwrap_or_default();
    let pairs = words.windows(2).map(|pair| format!("{}-{}", pair[0].to_uppercase(), pair[1]));
    pairs.filter(|id| known.contains(id)).collect()
}

/// Integration tests, the crate of tests, and test modules in files of their own.
fn is_test_path(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
}

/// Files of modules declared under `#[cfg(test)]`.
fn test_files(tree: &Tree) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for (path, text) in tree.ending(".rs") {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let stem = file.trim_end_matches(".rs");
        let inside = match stem {
            "lib" | "main" | "mod" => folder.to_owned(),
            _ => format!("{folder}/{stem}"),
        };
        for module in test_modules(&blank(text)) {
            files.insert(format!("{inside}/{module}.rs"));
            files.insert(format!("{inside}/{module}/mod.rs"));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "# Rules\n- [MASK-1] a. See [ROST-2].\n| x | [ROST-2] y |\n";

    fn errors(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(&[&[(SPEC, RULES)], files].concat())).errors
    }

    #[test]
    fn cited_twice_over_passes() {
        let code = "/// [MASK-1]\nfn a() {}\n// [ROST-2]\n#[cfg(test)]\nmod tests {\n// [MASK-1] [RT-07]\n\
                    fn rost_2_holds() {}\n}\n";
        assert_eq!(errors(&[("a/src/lib.rs", code)]), [""; 0]);
    }

    #[test]
    fn a_rule_without_code_or_without_test_is_found() {
        let found = errors(&[("a/src/lib.rs", "/// [MASK-1]\nfn a() {}\n")]);
        assert_eq!(
            found,
            ["[MASK-1] is cited by no test", "[ROST-2] is cited by no code", "[ROST-2] is cited by no test"]
        );
        let found = errors(&[("tests/tests/all.rs", "// [MASK-1] [ROST-2]\n")]);
        assert_eq!(found, ["[MASK-1] is cited by no code", "[ROST-2] is cited by no code"]);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_a_test() {
        let files = [
            ("a/src/mask.rs", "// [MASK-1] [ROST-2]\n#[cfg(test)]\nmod checks;\n"),
            ("a/src/mask/checks.rs", "// [MASK-1]\nfn x() {}\n"),
            ("a/src/share_tests.rs", "// [ROST-2]\n"),
        ];
        assert_eq!(errors(&files), [""; 0]);
        let place = |path| errors(&[files[0], (path, files[1].1), files[2]]);
        assert_eq!(place("a/src/other/checks.rs"), ["[MASK-1] is cited by no test"]);
    }

    #[test]
    fn an_unknown_id_is_found_and_indices_are_no_ids() {
        let code = "// [MASK-1] [ROST-2]\nlet x = a[N-1];\n#[cfg(test)]\nmod tests {\n// [MASK-1] [ROST-2] [MASK-9]\n}\n";
        let found = errors(&[("a/src/lib.rs", code)]);
        assert_eq!(found, ["[MASK-9] is not in docs/PROTOCOL.md, but cited at a/src/lib.rs:5"]);
    }

    #[test]
    fn a_rule_written_twice_and_a_missing_document_are_found() {
        let twice =
            check(&Tree::of(&[(SPEC, "- [ID-1] a\n- [ID-1] b\n"), ("a/src/lib.rs", "// [ID-1]")])).errors;
        assert!(twice[0].contains("more than once") && twice[0].contains("[1, 2]"));
        assert_eq!(check(&Tree::default()).errors, ["docs/PROTOCOL.md is missing"]);
    }
}

//! Files of at most 600 lines (400 is the aim), functions of at most 100 (50 is the aim).

use crate::rust_text::{blank, functions};
use crate::tree::{Findings, Tree};

/// Lines a file should stay below, and must.
const FILE: (usize, usize) = (400, 600);
/// Lines a function should stay below, and must.
const FUNCTION: (usize, usize) = (50, 100);

/// Measures every Rust file.
pub fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let (mut files, mut counted) = (0, 0);
    for (path, text) in tree.ending(".rs") {
        files += 1;
        judge(&mut findings, path, text.lines().count(), FILE);
        for function in functions(&blank(text)) {
            counted += 1;
            let name = format!("{path}:{}: fn {}", function.first + 1, function.name);
            judge(&mut findings, &name, function.lines(), FUNCTION);
        }
    }
    findings.note = format!("{files} files, {counted} functions");
    findings
}

fn judge(findings: &mut Findings, name: &str, lines: usize, (aim, limit): (usize, usize)) {
    if lines > limit {
        findings.error(format!("{name}: {lines} lines, the limit is {limit}"));
    } else if lines > aim {
        findings.warn(format!("{name}: {lines} lines, the aim is {aim}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(n: usize) -> String {
        "// x\n".repeat(n)
    }

    #[test]
    fn a_long_file_is_found() {
        let at = |n| check(&Tree::of(&[("a.rs", &lines(n))]));
        assert!(at(400).warnings.is_empty() && at(400).errors.is_empty());
        assert_eq!((at(401).warnings.len(), at(600).errors.len()), (1, 0));
        assert_eq!(at(601).errors.len(), 1);
    }

    #[test]
    fn a_long_function_is_found() {
        let at = |n: usize| check(&Tree::of(&[("a.rs", &format!("fn f() {{\n{}}}\n", lines(n - 2)))]));
        assert!(at(50).warnings.is_empty());
        assert_eq!((at(51).warnings.len(), at(100).errors.len()), (1, 0));
        assert_eq!(at(101).errors.len(), 1);
    }
}

//! Relative links in Markdown files lead to files of the repository.

use crate::tree::{Findings, Tree};

/// Follows every relative link.
pub fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let mut count = 0;
    for (path, text) in tree.ending(".md") {
        for (line, target) in links(text) {
            count += 1;
            match resolve(path, &target) {
                Some(goal) if exists(tree, &goal) => {}
                _ => findings.error(format!("{path}:{line}: the link to {target} leads nowhere")),
            }
        }
    }
    findings.note = format!("{count} relative links");
    findings
}

/// Targets of relative links outside code, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        for part in prose.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains(':') {
                found.push((number + 1, file.to_owned()));
            }
        }
    }
    found
}

/// The path a link in `from` means; `None` if it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    (!target.starts_with('/')).then(|| parts.join("/"))
}

fn exists(tree: &Tree, goal: &str) -> bool {
    let folder = format!("{goal}/");
    goal.is_empty()
        || tree.paths.contains(goal)
        || tree.paths.range(folder.clone()..).next().is_some_and(|path| path.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_link_is_found() {
        let text = "[a](B.md) [b](../README.md#x) [c](decisions/) [d](https://example.org/x) [e](#here)\n\
                    [f](missing.md)\n[g](../../out.md)\n[h](/abs.md)\n`[i](code.md)`\n```\n[j](fence.md)\n```\n";
        let tree = Tree::of(&[
            ("docs/A.md", text),
            ("docs/B.md", ""),
            ("README.md", ""),
            ("docs/decisions/1.md", ""),
        ]);
        let errors = check(&tree).errors;
        assert_eq!(errors.len(), 3, "{errors:?}");
        for (error, (line, name)) in
            errors.iter().zip([(2, "missing.md"), (3, "../../out.md"), (4, "/abs.md")])
        {
            assert!(error.contains(&format!("docs/A.md:{line}")) && error.contains(name), "{error}");
        }
    }
}

//! Nothing in the repository names a path of somebody's machine or the host of a package registry.
//! `Cargo.lock` is left out: cargo writes it.

use crate::tree::{Findings, Tree};

/// Beginnings of absolute paths that only exist on one machine.
const ROOTS: [&str; 6] = [
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("/", "Users/"),
    concat!("/", "work/"),
    concat!("/", "tmp/"),
    concat!("C:", "\\Users\\"),
];

/// Hosts of package registries.
const HOSTS: [&str; 7] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("deb.", "debian.org"),
    concat!("rust-", "lang.org/dist"),
    concat!("proxy.", "golang.org"),
];

/// Looks through every text.
pub fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (path, text) in &tree.texts {
        if path.ends_with("Cargo.lock") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for found in ROOTS.iter().filter(|root| names_path(line, root)) {
                findings.error(format!("{path}:{}: a path of one machine ({found}…)", number + 1));
            }
            for found in HOSTS.iter().filter(|host| line.contains(**host)) {
                findings.error(format!("{path}:{}: the host of a package registry ({found})", number + 1));
            }
        }
    }
    findings.note = format!("{} texts", tree.texts.len());
    findings
}

/// True if `root` begins a path in `line`: it does not continue a longer path, an address or a name.
fn names_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "./_-~}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_path_or_host_is_found() {
        for planted in [
            concat!("see `/", "root/x`"),
            concat!("/", "tmp/wt"),
            concat!("https://crates", ".io/x"),
            concat!("\"/", "work/a\""),
        ] {
            let tree = Tree::of(&[("docs/A.md", &format!("fine\n{planted}\n"))]);
            let errors = check(&tree).errors;
            assert_eq!(errors.len(), 1, "{planted}");
            assert!(errors[0].starts_with("docs/A.md:2"));
            assert!(check(&Tree::of(&[("fuzz/Cargo.lock", planted)])).errors.is_empty());
        }
    }

    #[test]
    fn relative_paths_and_addresses_pass() {
        let text = concat!("docs/", "home/x https://example.org/", "work/a ./", "tmp/x network/", "root/");
        assert!(check(&Tree::of(&[("A.md", text)])).errors.is_empty());
    }
}

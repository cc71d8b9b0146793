//! What is released has no path from a seed to a real secret: participant, coordinator and the parts
//! of the binary outside the simulator never name a seeded generator.

use crate::rust_text::{blank, test_lines};
use crate::tree::{Findings, Tree};

/// Names that turn a seed into a generator.
const SEEDED: [&str; 3] = ["seed_from_u64", "from_seed", "SeedableRng"];

/// Looks through the code, comments and tests left out.
pub fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let mut files = 0;
    for (path, text) in tree.ending(".rs").filter(|(path, _)| is_released(path)) {
        files += 1;
        let code = blank(text);
        for (number, (line, test)) in code.lines().zip(test_lines(&code)).enumerate() {
            let words = || line.split(|c: char| !c.is_alphanumeric() && c != '_');
            for name in SEEDED.iter().filter(|name| !test && words().any(|word| word == **name)) {
                findings.error(format!("{path}:{}: {name} outside the simulator", number + 1));
            }
        }
    }
    findings.note = format!("{files} files");
    findings
}

/// Sources of participant and coordinator, and of the binary except what belongs to `quorate sim`.
fn is_released(path: &str) -> bool {
    match path.split_once("/src/") {
        Some(("participant" | "coordinator", _)) => true,
        Some(("cli", inner)) => !inner.split('/').any(|part| {
            let stem = part.split('.').next().unwrap_or_default();
            stem == "sim" || stem.starts_with("sim_")
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_generator_is_found_where_it_is_released() {
        let bad = "fn f() {\n    let rng = ChaCha20Rng::seed_from_u64(1);\n}\n";
        for path in
            ["participant/src/client.rs", "coordinator/src/a/b.rs", "cli/src/keys.rs", "cli/src/simple.rs"]
        {
            let errors = check(&Tree::of(&[(path, bad)])).errors;
            assert_eq!(errors.len(), 1, "{path}");
            assert!(errors[0].starts_with(&format!("{path}:2")));
        }
        for path in ["sim/src/world.rs", "cli/src/sim.rs", "cli/src/sim/run.rs", "participant/tests/a.rs"] {
            assert!(check(&Tree::of(&[(path, bad)])).errors.is_empty(), "{path}");
        }
    }

    #[test]
    fn comments_and_tests_may_name_it() {
        let fine = "// from_seed\n#[cfg(test)]\nmod tests {\n    use rand_core::SeedableRng;\n}\n";
        assert!(check(&Tree::of(&[("participant/src/lib.rs", fine)])).errors.is_empty());
    }
}

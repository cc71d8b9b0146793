//! Help and version.

use super::run;

#[test]
fn every_command_shows_examples() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["", "sim", "sim run", "sim resume", "bench"] {
        let said = run(folder.path(), &format!("{command} --help"));
        assert_eq!(said.code, Some(0));
        assert!(said.out.contains("Examples:\n"), "{command}: {}", said.out);
        let example = format!("  quorate {command}");
        assert!(said.out.contains(example.trim_end()), "{command}: {}", said.out);
        assert!(said.err.is_empty());
    }
}

/// Every example of the help is a command line that the program takes.
#[test]
fn examples_parse() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["", "sim", "sim run", "sim resume", "bench"] {
        let help = run(folder.path(), &format!("{command} --help")).out;
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        for line in examples.lines().filter_map(|line| line.strip_prefix("  quorate ")) {
            let words = line.split("  ").next().unwrap().split(" > ").next().unwrap();
            // A second --seed or an unknown option is told before anything else is looked at.
            let said = run(folder.path(), &format!("{words} --no-such-option"));
            assert_eq!(said.code, Some(2));
            assert!(said.err.contains("unexpected argument '--no-such-option'"), "{line}: {}", said.err);
        }
    }
}

#[test]
fn the_version_is_told_and_nothing_else_is_no_command() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), "--version");
    assert_eq!((said.code, said.out), (Some(0), format!("quorate {}\n", env!("CARGO_PKG_VERSION"))));
    assert_eq!(run(folder.path(), "").code, Some(2));
    assert_eq!(run(folder.path(), "coordinator").code, Some(2));
}

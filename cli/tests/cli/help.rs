//! Help and version.

use std::collections::BTreeSet;

use super::{quorate, run};

/// Every command, as the program itself names them: the lists under "Commands:", followed down.
fn commands() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (mut found, mut waiting) = (Vec::new(), vec![String::new()]);
    while let Some(command) = waiting.pop() {
        let help = run(folder.path(), &format!("{command} --help")).out;
        let listed = help.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
        let lines = listed.lines().take_while(|line| !line.is_empty());
        let entries = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = entries.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        waiting.extend(names.map(|name| format!("{command} {name}").trim_start().to_owned()));
        found.push(command);
    }
    found.sort();
    found
}

#[test]
fn the_walk_finds_commands_of_both_levels() {
    let commands = commands();
    for known in
        ["", "sim", "sim run", "bench", "status", "round", "round ls", "round show", "node ls", "model ls"]
    {
        assert!(commands.iter().any(|command| command == known), "{known}: {commands:?}");
    }
}

/// Every help is in a file beside this one: a new command has none, so this fails until somebody has read it.
#[test]
fn every_help_is_as_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut names = BTreeSet::new();
    for command in commands() {
        let mut program = quorate(folder.path(), &format!("{command} --help"));
        let said = program.env("COLUMNS", "100").env_remove("LINES").output().unwrap();
        let name = format!("quorate {command}").trim_end().replace(' ', "-");
        insta::assert_snapshot!(name.as_str(), String::from_utf8(said.stdout).unwrap());
        names.insert(format!("cli__help__{name}.snap"));
    }
    let kept = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/snapshots")).unwrap();
    for file in kept.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        assert!(!file.ends_with(".snap") || names.contains(&file), "{file} is of a command that is gone");
    }
}

#[test]
fn every_command_shows_examples() {
    let folder = tempfile::tempdir().unwrap();
    for command in commands() {
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
    for command in commands() {
        let help = run(folder.path(), &format!("{command} --help")).out;
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        for line in examples.lines().filter_map(|line| line.strip_prefix("  quorate ")) {
            let words = line.split("  ").next().unwrap().split(" > ").next().unwrap();
            let words = words.replace("PIN", &"0".repeat(64));
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
    assert_eq!(run(folder.path(), "no-such-command").code, Some(2));
}

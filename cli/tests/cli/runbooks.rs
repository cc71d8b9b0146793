//! The commands of README and runbooks, run as they stand: every `console` block of a document in one folder.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

/// Lines that begin with `$ ` in the `console` blocks of a document.
fn commands(document: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
    let text = fs::read_to_string(path).unwrap();
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ => found.extend(line.strip_prefix("$ ").filter(|_| inside).map(ToOwned::to_owned)),
        }
    }
    found
}

/// Ports that nobody uses now; the documents name those that a coordinator has by default.
fn ports() -> (u16, u16) {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    (udp, tcp)
}

/// Runs them in one shell, in an empty folder, and gives what they printed.
fn play(document: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (udp, tcp) = ports();
    let mut script = String::from("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    for command in commands(document) {
        let command = command.replace("4433", &udp.to_string());
        let starts = command.ends_with("run --config deploy/coordinator.toml &")
            || command.ends_with("run --config my-coordinator/coordinator.toml &");
        script += &command;
        script += "\n";
        // What a reader does by reading: waiting until it is there.
        if starts {
            let running = if command.contains("deploy/") { "deploy" } else { "my-coordinator" };
            script += &format!(
                "n=0; until [ -f {running}/running.json ]; do n=$((n+1)); [ $n -lt 200 ]; sleep 0.1; done\n"
            );
        }
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_quorate")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let done = Command::new("bash")
        .arg("-c")
        .arg(&script)
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", binary.display()))
        .env("QUORATE__ADMIN__LISTEN", format!("127.0.0.1:{tcp}"))
        .env("QUORATE__LISTEN__ADDRESS", format!("127.0.0.1:{udp}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{document}: {:?}\n{script}\n{out}\n{err}", done.status);
    out.into_owned()
}

#[test]
fn the_readme_starts_a_deployment_that_trains() {
    let said = play("README.md");
    assert!(said.contains("round 3: counted"), "{said}");
    let opened = said.lines().filter(|line| line.contains("opened") && line.contains("masked")).count();
    // The last result may be on its way to the database when its participant has it already.
    assert!(opened >= 2, "{said}");
    assert_eq!(said.lines().filter(|line| line.contains("site-")).count(), 6, "{said}");
}

#[test]
fn the_runbooks_run() {
    let said = play("docs/OPERATIONS.md");
    assert!(said.contains("quorate-") && said.contains("hospitals"), "{said}");
}

//! The commands that ask a running coordinator, against one that says what the test wants.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread::{JoinHandle, spawn};

use super::{Said, quorate};

const TOKEN: &str = "000102030405060708090a0b0c0d0e0f";

/// Answers one request and gives back what it was.
fn once(code: &'static str, body: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        write!(
            stream,
            "HTTP/1.1 {code}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, serving)
}

/// Asks with the token in the environment.
fn ask(words: &str, address: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let mut command = quorate(folder.path(), words);
    command.env_remove("QUORATE_ADMIN_TOKEN_FILE");
    command.env("QUORATE_ADMIN", address).env("QUORATE_ADMIN_TOKEN", TOKEN).output().unwrap().into()
}

const ROUND: &str = r#"{"number":17,"job":"digits","mode":"masked","started":1764115200000,"ended":1764115261500,
"outcome":"aborted","reason":"too_few_locks","invited":150,"accepted":140,"included":null,"set_root":null,
"model_version":null,"field_of_a_later_version":1}"#;

#[test]
fn a_round_is_shown_and_the_token_is_sent() {
    let (address, serving) = once("200 OK", ROUND);
    let said = ask("round show 17", &address);
    let request = serving.join().unwrap();
    assert!(request.starts_with("GET /v1/rounds/17 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains(&format!("authorization: bearer {TOKEN}\r\n")), "{request}");
    assert_eq!(said.code, Some(0), "{}", said.err);
    for text in ["17", "digits", "2025-11-26 00:00:00Z", "61.5 s", "aborted: too_few_locks"] {
        assert!(said.out.contains(text), "{text}: {}", said.out);
    }
}

#[test]
fn json_is_passed_on_as_it_is_and_queries_are_made() {
    let (address, serving) = once("200 OK", "[]");
    let said = ask("round ls --job digits --limit 7 --json", &address);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "[]\n"));
    assert!(serving.join().unwrap().starts_with("GET /v1/rounds?job=digits&limit=7 HTTP/1.1\r\n"));
}

#[test]
fn failures_say_what_to_do_and_never_the_token() {
    for (code, body, exit, words) in [
        ("401 Unauthorized", "", 2, "does not take the token from QUORATE_ADMIN_TOKEN"),
        ("404 Not Found", "", 1, "there is no round 17"),
        ("503 Service Unavailable", "", 1, "cannot read its store"),
        ("302 Found", "", 1, "answered 302"),
        ("200 OK", "<html>", 1, "is this the admin port"),
    ] {
        let (address, serving) = once(code, body);
        let said = ask("round show 17", &address);
        serving.join().unwrap();
        assert_eq!(said.code, Some(exit), "{code}: {}", said.err);
        assert!(said.err.contains(words) && !said.err.contains(TOKEN), "{code}: {}", said.err);
        assert!(said.out.is_empty());
    }
}

#[test]
fn nobody_there_no_token_and_wrong_addresses_are_told() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = ask("status", &format!("http://{closed}"));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("is the coordinator running") && !said.err.contains(TOKEN), "{}", said.err);
    let said = ask("status --admin https://localhost:4434", "");
    assert!(said.code == Some(2) && said.err.contains("tunnel"), "{}", said.err);
    let said = ask("status --admin-token-file nowhere", "");
    assert!(said.code == Some(2) && said.err.contains("nowhere"), "{}", said.err);
    assert_eq!(ask("round ls --limit 0", "").code, Some(2));
    let folder = tempfile::tempdir().unwrap();
    let mut bare = quorate(folder.path(), "node ls");
    bare.env_remove("QUORATE_ADMIN_TOKEN").env_remove("QUORATE_ADMIN_TOKEN_FILE");
    let said: Said = bare.output().unwrap().into();
    assert!(said.code == Some(2) && said.err.contains("--admin-token-file"), "{}", said.err);
}

/// Names of others do not reach the terminal as they are.
#[test]
fn a_name_cannot_move_the_cursor() {
    let row = r#"[{"index":0,"key_hash":"ef","site":"a\u001b[2Jb","enrolled":0,"evicted":null,"reason":null,"connected":true}]"#;
    let (address, serving) = once("200 OK", row);
    let said = ask("node ls", &address);
    serving.join().unwrap();
    assert!(said.out.contains("a·[2Jb") && !said.out.contains('\x1b'), "{}", said.out);
}

/// Ctrl-C is how a list that is drawn again and again ends: no failure, nothing on standard error.
#[cfg(unix)]
#[test]
fn a_watch_ends_with_an_interrupt() {
    let (address, serving) = once("200 OK", "[]");
    let folder = tempfile::tempdir().unwrap();
    let mut watch = quorate(folder.path(), "round ls --watch --json");
    watch.env("QUORATE_ADMIN", address).env("QUORATE_ADMIN_TOKEN", TOKEN);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    serving.join().unwrap();
    // The first list is out; the second would find nobody, two seconds later.
    let mut first = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"[]\n");
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
    let said: Said = child.wait_with_output().unwrap().into();
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
}

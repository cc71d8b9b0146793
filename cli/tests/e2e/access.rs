//! The admin port of a running coordinator: who is let in, at every path of its document.

use serde_json::Value;

use crate::coordinator::LONG;
use crate::synthetic::make;

/// RT-45: no credential, a participant's, another coordinator's: 401, one and the same answer; the operator's: let in.
#[test]
fn rt_45_only_the_operators_token_opens_the_admin_port() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut coordinator, _) = make(root.path(), 300, [2, 4, 1, 2, 2], |_| {});
    let (foreign, _) = make(other.path(), 300, [2, 4, 1, 2, 2], |_| {});
    assert!(coordinator.start("0"));
    let admin = coordinator.admin().unwrap();
    let operator = coordinator.admin_token();
    let ask = |path: &str, token: Option<&str>| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.get(format!("{admin}{path}"));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    let (status, document) = ask("/v1/openapi.json", Some(&operator));
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&document).unwrap();
    let paths: Vec<String> =
        document["paths"].as_object().unwrap().keys().map(|path| path.replace("{number}", "1")).collect();
    assert!(paths.len() > 5, "{paths:?}");
    let participant = coordinator.tokens(2).remove(0);
    let strangers = [None, Some(participant), Some(foreign.admin_token()), Some(String::new())];
    let mut closed = 0;
    for path in &paths {
        let (allowed, _) = ask(path, Some(&operator));
        assert_ne!(allowed, 401, "{path}");
        for stranger in &strangers {
            let (status, body) = ask(path, stranger.as_deref());
            if path == "/healthz" {
                continue;
            }
            assert_eq!((status, body.as_str()), (401, ""), "{path}");
            closed += 1;
        }
    }
    println!("{} paths, {closed} refusals", paths.len());
    assert!(closed >= 4 * (paths.len() - 1));
    assert!(coordinator.process().terminate(LONG).success());
}

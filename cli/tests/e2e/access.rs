//! The admin port of a running coordinator: who is let in, at every path of its document.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::coordinator::{LONG, succeed};
use crate::process::quorate;
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
        document["paths"].as_object().unwrap().keys().map(|path| path.replace(['{', '}'], "")).collect();
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

/// L1, B9: an order over HTTP needs an approver's signature besides the token; what it does is seen there.
#[test]
fn an_approved_order_over_http_is_carried_out() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| root.path().join(name);
    let said = succeed(quorate().args(["keys", "approver", "ada", "--out"]).arg(file("ada.key")));
    let said: toml::Table = String::from_utf8(said.stdout).unwrap().parse().unwrap();
    let key = said["approvers"]["ada"]["key"].as_str().unwrap().to_owned();
    let (mut coordinator, _) =
        make(root.path(), 300, [2, 4, 1, 2, 2], |plan| plan.set("approvers.ada.key", key.as_str()));
    assert!(coordinator.start("0"));
    let admin = coordinator.admin().unwrap();
    let token = format!("Bearer {}", coordinator.admin_token());
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let give = |order: &[u8]| {
        let request = agent.post(format!("{admin}/v1/orders")).header("Authorization", &token);
        request.send(order).unwrap().status().as_u16()
    };
    let write = |out: &str, approved: bool| {
        let mut order = quorate();
        order.args(["keys", "rotate", "model/global", "--config"]).arg(coordinator.config());
        order.arg("--out").arg(file(out));
        if approved {
            order.arg("--approver").arg(format!("ada={}", file("ada.key").display()));
        }
        succeed(&mut order);
        std::fs::read(file(out)).unwrap()
    };
    assert_eq!(give(&write("unsigned.json", false)), 403);
    assert_eq!(give(b"{}"), 400);
    let order = write("order.json", true);
    assert_eq!((give(&order), give(&order)), (202, 409));
    let end = Instant::now() + LONG;
    let rotated = || {
        let request = agent.get(format!("{admin}/v1/keys/model/global/2")).header("Authorization", &token);
        request.call().unwrap().status().as_u16() == 200
    };
    while !rotated() {
        assert!(Instant::now() < end, "{}", coordinator.process().said());
        std::thread::sleep(Duration::from_millis(100));
    }
    let checkpoint = agent.get(format!("{admin}/v1/audit/checkpoint")).header("Authorization", &token);
    let note = checkpoint.call().unwrap().body_mut().read_to_string().unwrap();
    assert!(note.starts_with("quorate/"), "{note}");
    assert!(coordinator.process().terminate(LONG).success());
}

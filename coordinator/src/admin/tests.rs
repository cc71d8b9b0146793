//! The API at a real listener, spoken to byte by byte.

mod fixture;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::*;
use fixture::{Running, Source, TOKEN, answer, ready};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
const PLACES: [&str; 9] = [
    "/",
    "/v1",
    "/v1/rounds/7",
    "/v1/rounds/x",
    "/v1/rounds?limit=x",
    "/no/such",
    "//healthz",
    "/healthz/",
    "/%00",
];

/// What everybody without the token sees, for every path and method.
fn assert_silent(said: &fixture::Said, what: &str) {
    assert_eq!((said.code, said.body.as_str()), (401, ""), "{what}");
    let names: BTreeSet<&str> = said.headers.keys().map(String::as_str).collect();
    let allowed = [
        "cache-control",
        "connection",
        "content-length",
        "date",
        "www-authenticate",
        "x-content-type-options",
    ];
    assert!(names.iter().all(|name| allowed.contains(name)), "{what}: {names:?}");
    assert!(said.headers.get("content-length").is_none_or(|length| length == "0"), "{what}");
}

// RT-45
#[tokio::test]
async fn without_the_token_every_path_and_method_gives_the_same_empty_answer() {
    let running = Running::begin(ready(), false).await;
    for method in METHODS {
        for path in routes::PATHS.iter().chain(&PLACES) {
            let said = running.ask(method, path, None).await;
            if (method, *path) == ("GET", "/healthz") {
                assert_eq!((said.code, said.body.as_str()), (200, ""));
            } else {
                assert_silent(&said, &format!("{method} {path}"));
            }
        }
    }
    running.end().await;
}

// RT-45
#[tokio::test]
async fn a_token_that_is_not_exactly_the_token_is_none() {
    let running = Running::begin(ready(), false).await;
    let flipped = TOKEN.replace('0', "1");
    let (short, long) = (TOKEN[1..].to_owned(), format!("{TOKEN}0"));
    let wrong = [&flipped, &short, &long, "", "0"].map(|token| format!("Authorization: Bearer {token}\r\n"));
    let others = [
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        format!("Authorization: Bearer  {TOKEN}\r\n"),
        format!("Authorization: Bearer {TOKEN}, Bearer {TOKEN}\r\n"),
        format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer x\r\n"),
        format!("X-Token: {TOKEN}\r\nCookie: token={TOKEN}\r\n"),
    ];
    for header in wrong.iter().chain(&others) {
        let said = running.raw(&format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{header}\r\n")).await;
        assert_silent(&answer(&said), header);
    }
    let said = running.raw(&format!("GET /v1/status?token={TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert_silent(&answer(&said), "in the path");
    let scheme = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nauthorization: bearer {TOKEN}\r\n\r\n");
    assert_eq!(answer(&running.raw(&scheme).await).code, 200);
    running.end().await;
}

#[tokio::test]
async fn metrics_are_open_only_if_the_operator_says_so() {
    for public in [false, true] {
        let running = Running::begin(ready(), public).await;
        let said = running.ask("GET", "/metrics", None).await;
        assert_eq!(said.code, if public { 200 } else { 401 });
        assert_eq!(said.body.contains("quorate_ready 1\n"), public);
        assert_silent(&running.ask("GET", "/v1/status", None).await, "status");
        assert_silent(&running.ask("POST", "/metrics", None).await, "POST");
        running.end().await;
    }
}

#[tokio::test]
async fn only_get_is_served() {
    let running = Running::begin(ready(), false).await;
    for path in ["/v1/status", "/healthz", "/no/such", "/v1/keys", "/v1/orders/", "/v1/orders/x"] {
        for method in METHODS.iter().filter(|method| **method != "GET") {
            let said = running.ask(method, path, Some(TOKEN)).await;
            assert_eq!((said.code, said.body.as_str()), (405, ""), "{method} {path}");
            assert_eq!(said.headers["allow"], "GET");
        }
    }
    running.end().await;
}

#[tokio::test]
async fn ready_and_not_ready() {
    let running = Running::begin(ready(), false).await;
    let said = running.ask("GET", "/readyz", Some(TOKEN)).await;
    assert_eq!((said.code, said.body.as_str()), (200, r#"{"ready":true,"why":null}"#));
    running.end().await;
    let source = Source {
        status: Arc::new(Status { why: Some("no epoch".into()), ..Status::default() }),
        fails: false,
    };
    let running = Running::begin(source, false).await;
    let said = running.ask("GET", "/readyz", Some(TOKEN)).await;
    assert_eq!((said.code, said.body.as_str()), (503, r#"{"ready":false,"why":"no epoch"}"#));
    assert_eq!(running.ask("GET", "/healthz", None).await.code, 200);
    running.end().await;
}

#[tokio::test]
async fn rows_come_by_query_and_number() {
    let running = Running::begin(ready(), false).await;
    let get = async |path: &str| {
        let said = running.ask("GET", path, Some(TOKEN)).await;
        assert!(!said.headers.contains_key("access-control-allow-origin"));
        assert_eq!(said.headers["cache-control"], "no-store");
        (said.code, serde_json::from_str::<Value>(&said.body).unwrap())
    };
    let numbers = |rows: &Value| {
        rows.as_array().unwrap().iter().map(|row| row["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let (code, rows) = get("/v1/rounds").await;
    assert_eq!((code, numbers(&rows)), (200, vec![9, 8, 7, 6, 5, 4, 3, 2, 1]));
    assert_eq!(numbers(&get("/v1/rounds?job=digits&before=6&limit=2").await.1), [5, 4]);
    assert!(numbers(&get("/v1/rounds?job=other").await.1).is_empty());
    assert_eq!(get("/v1/rounds/9").await.1["outcome"], "opened");
    assert_eq!(get("/v1/rounds/10").await.0, 404);
    for bad in [
        "/v1/rounds/x",
        "/v1/rounds/-1",
        "/v1/rounds?limit=0",
        "/v1/rounds?limit=501",
        "/v1/rounds?page=2",
        "/v1/models?x=1",
    ] {
        assert_eq!(get(bad).await.0, 400, "{bad}");
    }
    assert_eq!(get("/no/such").await.0, 404);
    assert_eq!(get("/v1/nodes").await.1[0]["connected"], true);
    assert_eq!(get("/v1/models?job=digits").await.1[0]["version"], 4);
    assert_eq!(get("/v1/jobs").await.1[0]["name"], "digits");
    let (_, status) = get("/v1/status").await;
    assert_eq!((&status["connected"], &status["deployment"]), (&2.into(), &"study".into()));
    running.end().await;
}

// L1
#[tokio::test]
async fn keys_come_by_class_and_id_and_orders_are_given() {
    let running = Running::begin(ready(), false).await;
    let get = async |path: &str| {
        let said = running.ask("GET", path, Some(TOKEN)).await;
        (said.code, serde_json::from_str::<Value>(&said.body).unwrap_or_default())
    };
    let names = |rows: &Value| {
        rows.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&get("/v1/keys").await.1), ["coordinator/identity@2", "model/global@3"]);
    assert_eq!(names(&get("/v1/keys?class=model").await.1), ["model/global@3"]);
    assert_eq!(names(&get("/v1/keys?class=coordinator&all=true").await.1).len(), 2);
    assert!(names(&get("/v1/keys?class=audit").await.1).is_empty());
    assert_eq!(get("/v1/keys/model/global/3").await.1["uses"], 7);
    assert_eq!(get("/v1/keys/model/global/4").await.0, 404);
    assert_eq!(get("/v1/orders").await.1[0]["submitted"], 1);
    assert_eq!(get("/v1/compliance").await.1["broken"], false);
    for bad in ["/v1/keys?class=nonsense", "/v1/keys?state=x", "/v1/keys/model/global/x"] {
        assert_eq!(get(bad).await.0, 400, "{bad}");
    }
    for (body, code) in [("good", 202), ("alone", 403), ("twice", 409), ("nonsense", 400)] {
        let length = body.len();
        let request = |token: &str| {
            format!("POST /v1/orders HTTP/1.1\r\nHost: x\r\n{token}Content-Length: {length}\r\n\r\n{body}")
        };
        let said = running.raw(&request(&format!("Authorization: Bearer {TOKEN}\r\n"))).await;
        assert_eq!(answer(&said).code, code, "{body}");
        assert_silent(&answer(&running.raw(&request("")).await), "an order without the token");
    }
    running.end().await;
}

#[tokio::test]
async fn a_store_that_fails_is_told_and_nothing_of_why() {
    let running = Running::begin(Source { fails: true, ..ready() }, false).await;
    for path in ["/v1/rounds", "/v1/rounds/1", "/v1/nodes", "/v1/models", "/v1/orders"] {
        let said = running.ask("GET", path, Some(TOKEN)).await;
        assert_eq!(
            (said.code, said.body.as_str()),
            (503, r#"{"error":"the store cannot be read; see the log"}"#)
        );
    }
    assert_eq!(running.ask("GET", "/v1/status", Some(TOKEN)).await.code, 200);
    running.end().await;
}

/// Every route is described, and every described path answers.
#[tokio::test]
async fn the_document_and_the_router_are_one() {
    let document: Value = serde_json::from_str(&Admin::openapi()).unwrap();
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, BTreeSet::from(routes::PATHS));
    // The list of routes is the source's, so that a new route without description is found.
    let source = include_str!("routes.rs");
    let routed: BTreeSet<&str> =
        source.split(".route(\"").skip(1).filter_map(|text| text.split('"').next()).collect();
    assert_eq!(routed, described);
    let running = Running::begin(ready(), false).await;
    for path in described {
        let verbs: Vec<_> = document["paths"][path].as_object().unwrap().keys().collect();
        assert_eq!(verbs, if path == routes::ORDERS { vec!["get", "post"] } else { vec!["get"] });
        let of = [("{number}", "3"), ("{class}", "model"), ("{name}", "global"), ("{version}", "3")];
        let place = of.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
        let said = running.ask("GET", &place, Some(TOKEN)).await;
        assert_eq!(said.code, 200, "{path}");
        let documented = &document["paths"][path]["get"]["responses"]["200"];
        assert!(documented.is_object(), "{path}");
    }
    let said = running.ask("GET", "/v1/openapi.json", Some(TOKEN)).await;
    assert_eq!(serde_json::from_str::<Value>(&said.body).unwrap(), document);
    running.end().await;
}

/// Requests that never end, with the token or without: time is cut, places come back.
#[tokio::test(start_paused = true)]
async fn who_is_slow_is_cut_off() {
    let running = Running::begin(ready(), false).await;
    for begun in
        ["", "GET /v1/st", &format!("GET /v1/status HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nX-A: ")]
    {
        let mut stream = running.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let start = Instant::now();
        let mut said = Vec::new();
        // A reset is an end as well.
        let _ = timeout(Duration::from_secs(60), stream.read_to_end(&mut said)).await.expect("cut off");
        assert!(start.elapsed() <= gate::TIME + Duration::from_secs(1), "{begun:?}: {:?}", start.elapsed());
        assert!(said.is_empty() || answer(&said).code == 408, "{}", String::from_utf8_lossy(&said));
    }
    running.end().await;
}

/// All places taken by silent connections: the next one is served when their time is over.
#[tokio::test(start_paused = true)]
async fn silent_connections_do_not_keep_their_places() {
    let running = Running::begin(ready(), false).await;
    let mut silent = Vec::new();
    for _ in 0..80 {
        silent.push(running.connect().await);
    }
    assert_eq!(running.ask("GET", "/v1/status", Some(TOKEN)).await.code, 200);
    running.end().await;
}

#[tokio::test]
async fn too_long_a_request_is_cut_off() {
    let running = Running::begin(ready(), false).await;
    let long = "a".repeat(gate::REQUEST);
    for request in [
        format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nX-A: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"),
        format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}{long}\r\n\r\n"),
    ] {
        let said = running.raw(&request).await;
        assert!(said.is_empty() || answer(&said).code >= 400, "{}", String::from_utf8_lossy(&said));
    }
    assert_eq!(running.ask("GET", "/v1/status", Some(TOKEN)).await.code, 200);
    running.end().await;
}

#[test]
fn a_weak_token_is_refused_and_none_is_shown() {
    let token = |text: &str| AdminToken::new(Zeroizing::new(text.to_owned()));
    for bad in
        ["", "short", &"a".repeat(31), &format!("{} {}", "a".repeat(20), "a".repeat(20)), &"ä".repeat(40)]
    {
        assert_eq!(token(bad).err(), Some(WeakToken), "{bad}");
    }
    let good = token(&format!(" {TOKEN}\n")).unwrap();
    assert_eq!(good.bytes(), TOKEN.as_bytes());
    let shown = format!("{:?}", AdminConfig { token: good, metrics_public: false });
    assert!(!shown.contains(TOKEN), "{shown}");
}

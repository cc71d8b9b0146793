//! The strongroom through the binary: sealed start, `seal` and `unseal`, migration, `keys rewrap`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::strongroom::{Strongroom, Unlock};
use quorate_keys::disk::OsDisk;
use quorate_keys::provider::file::{FileProvider, KeyFile};
use quorate_keys::provider::{Description, KeyProvider as _};
use serde_json::Value;

use super::{json, quorate, run};

pub(super) const CONFIG: &str = "--config here/coordinator.toml";

/// A coordinator in `here`, whose ports are any that are free.
pub(super) fn made() -> tempfile::TempDir {
    let at = tempfile::tempdir().unwrap();
    let said = run(at.path(), "coordinator init here --listen 127.0.0.1:0 --admin 127.0.0.1:0");
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.err.contains("here.unlock (made)") && at.path().join("here.unlock").exists(),
        "{}",
        said.err
    );
    at
}

/// A coordinator process, killed with the test.
pub(super) struct Running(pub(super) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(super) fn start(at: &Path) -> Self {
        let _ = fs::remove_file(at.join("here/running.json"));
        let mut command = quorate(at, &format!("coordinator run {CONFIG}"));
        let running = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until(|| at.join("here/running.json").exists());
        running
    }

    pub(super) fn end(mut self) {
        let sent = std::process::Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }

    /// Which of these are in its memory; none if the system does not let us look.
    fn remembered(&self, secrets: &[(&'static str, Vec<u8>)]) -> Option<Vec<&'static str>> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.0.id())).ok()?;
        let memory = fs::File::open(format!("/proc/{}/mem", self.0.id())).ok()?;
        let mut found = Vec::new();
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (range, rights) = (words.next()?, words.next()?);
            let (from, to) = range.split_once('-')?;
            let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
            if !rights.starts_with("rw") {
                continue;
            }
            let mut bytes = vec![0; (to - from) as usize];
            if std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, from).is_err() {
                continue;
            }
            for (name, secret) in secrets {
                let first = bytes.windows(secret.len()).position(|window| window == secret);
                if let Some(at) = first {
                    println!("{name} at {at} of {line}");
                    found.push(*name);
                }
            }
        }
        Some(found)
    }
}

pub(super) fn until(mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(Instant::now() < end, "it hangs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn note(at: &Path) -> Value {
    serde_json::from_slice(&fs::read(at.join("here/running.json")).unwrap()).unwrap()
}

/// Status and body of a path of the admin API.
fn get(at: &Path, path: &str) -> (u16, String) {
    let admin = note(at)["admin"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let token = fs::read_to_string(at.join("here/admin.token")).unwrap();
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", token.trim())
        .unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let code = said.split(' ').nth(1).unwrap().parse().unwrap();
    (code, said.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// A secret of a coordinator that can be opened.
pub(super) fn secret(at: &Path, id: &str) -> Vec<u8> {
    let config = Config::load(&at.join("here/coordinator.toml"), &Environment::from([])).unwrap();
    let unlock = Unlock::new(&fs::read_to_string(at.join("here.unlock")).unwrap()).unwrap();
    let room = Strongroom::look(config.keys.as_ref().unwrap(), &config.deployment, &unlock).unwrap();
    room.get(&id.parse().unwrap()).unwrap().to_vec()
}

/// The parts of its keys that no public part gives away, and the unlock secret.
fn secrets(at: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let authority = secret(at, "transport/authority@1");
    // The private number within PKCS#8: an octet string of 32 bytes.
    let number = authority.windows(2).position(|two| two == [4, 32]).unwrap() + 2;
    let unlock = fs::read_to_string(at.join("here.unlock")).unwrap().trim().as_bytes().to_vec();
    let description = Description { provider: "file".parse().unwrap(), region: "here".parse().unwrap() };
    let place = KeyFile { disk: OsDisk::new(at.join("here/keys")), name: "wrapping.keys".to_owned() };
    let provider = FileProvider::open(description, place, &unlock).unwrap();
    let key = provider.active(&"wrapping/store".parse().unwrap()).unwrap();
    let wrapping = provider.secret(&key).unwrap().to_bytes().to_vec();
    vec![
        ("wrapping key", wrapping),
        ("identity", secret(at, "coordinator/identity@1")),
        ("authority", authority[number..number + 32].to_vec()),
        ("audit log", secret(at, "audit/log@1")),
        ("unlock secret", unlock),
    ]
}

/// What the audit log says happened, verified.
pub(super) fn acts(at: &Path) -> Vec<String> {
    let key = fs::read_to_string(at.join("here/audit-keys/log.vkey")).unwrap();
    let mut export = quorate(at, "audit export here/audit --key");
    let out = export.arg(key.trim()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = String::from_utf8(out.stdout).unwrap();
    // Without what the keeper says of the lives of keys, and without the initial model's signature, which comes when it
    // first looks after them: a process may end before.
    let what = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let what = entry["what"].as_str().unwrap();
        (entry["change"].is_null() && what != "model-signed").then(|| what.to_owned())
    };
    lines.lines().filter_map(what).collect()
}

#[test]
fn a_coordinator_without_its_unlock_secret_starts_sealed_and_is_unsealed_and_sealed() {
    let at = made();
    let at = at.path();
    // Once, so that the audit log has its key.
    Running::start(at).end();
    let secrets = secrets(at);
    fs::rename(at.join("here.unlock"), at.join("elsewhere")).unwrap();
    let running = Running::start(at);
    assert_eq!((note(at)["sealed"].as_bool(), note(at)["address"].as_str()), (Some(true), None));
    assert_eq!(get(at, "/healthz").0, 200);
    let (code, ready) = get(at, "/readyz");
    assert!(code == 503 && ready.contains("sealed: no unlock secret"), "{code} {ready}");
    assert_eq!(get(at, "/v1/nodes"), (200, "[]".to_owned()));
    assert!(run(at, &format!("keys rewrap {CONFIG}")).err.contains("it is sealed"));
    let mut wrong = quorate(at, &format!("coordinator unseal {CONFIG}"));
    let mut wrong = wrong.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wrong.stdin.take().unwrap().write_all(b"a guess\n").unwrap();
    let wrong = wrong.wait_with_output().unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(wrong.status.code() == Some(1) && said.contains("does not open"), "{said}");
    assert!(running.remembered(&secrets).is_none_or(|found| found.is_empty()));
    // Open: it serves, and knows its key.
    let unseal = format!("coordinator unseal {CONFIG} --from file:elsewhere");
    let said = run(at, &unseal);
    assert_eq!((said.code, said.err.as_str()), (Some(0), "unsealed: it serves parties\n"));
    until(|| note(at)["sealed"] == false);
    assert!(!get(at, "/readyz").1.contains("sealed") && note(at)["address"].is_string());
    assert_eq!(run(at, &unseal).err, "error: it is not sealed\n");
    let known = running.remembered(&secrets);
    let found =
        known.as_ref().is_none_or(|found| found.contains(&"identity") && found.contains(&"audit log"));
    assert!(found, "the way to look does not find keys that are there: {known:?}");
    // The emergency stop.
    let said = run(at, &format!("coordinator seal {CONFIG}"));
    assert!(said.code == Some(0) && said.err.contains("its keys are wiped"), "{}", said.err);
    assert!(get(at, "/readyz").1.contains("sealed: by the operator"));
    let left = running.remembered(&secrets);
    assert!(left.as_ref().is_none_or(|left| left.is_empty()), "a sealed process still has {left:?}");
    println!("memory was looked at: {}", known.is_some());
    assert_eq!(run(at, &format!("coordinator seal {CONFIG}")).err, "it is sealed already\n");
    assert_eq!(run(at, &unseal).code, Some(0));
    running.end();
    assert_eq!(acts(at), ["shard-opened", "unsealed", "unsealed", "sealed", "unsealed"]);
    assert!(run(at, &format!("coordinator seal {CONFIG}")).err.contains("no coordinator runs"));
}

#[test]
fn a_running_coordinator_rewraps_by_itself_and_one_that_stands_still_is_rewrapped() {
    let at = made();
    let at = at.path();
    let said = json(at, &format!("keys rewrap {CONFIG} --rotate"));
    assert_eq!(
        (said["done"].as_bool(), said["report"]["wrapping"].as_str()),
        (Some(true), Some("wrapping/store@2"))
    );
    let running = Running::start(at);
    let said = json(at, &format!("keys rewrap {CONFIG} --rotate"));
    assert_eq!(said["report"]["wrapping"], "wrapping/store@3");
    // Four keys, the key of files and the two files of the initial model; its successor is under the new one already.
    assert_eq!((&said["report"]["rewrapped"], &said["report"]["total"]), (&7.into(), &8.into()));
    let again = run(at, &format!("keys rewrap {CONFIG}"));
    assert_eq!(again.out, "0 of 7 keys and files moved to wrapping/store@3\n", "{}", again.err);
    running.end();
    assert_eq!(run(at, &format!("coordinator pin {CONFIG}")).code, Some(0));
    assert_eq!(acts(at)[..4], ["shard-opened", "key-activated", "data-rewrapped", "unsealed"]);
}

/// A deployment as it was before there was a strongroom.
fn plain(at: &Path) {
    let config = Config::load(&at.join("here/coordinator.toml"), &Environment::from([])).unwrap();
    let unlock = Unlock::new(&fs::read_to_string(at.join("here.unlock")).unwrap()).unwrap();
    let room = Strongroom::look(config.keys.as_ref().unwrap(), &config.deployment, &unlock).unwrap();
    for (id, name) in [("coordinator/identity@1", "identity.key"), ("transport/authority@1", "authority.key")]
    {
        let hex: String =
            room.get(&id.parse().unwrap()).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(at.join("here").join(name), hex).unwrap();
        fs::set_permissions(at.join("here").join(name), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    }
    fs::remove_dir_all(at.join("here/keys")).unwrap();
    fs::remove_file(at.join("here.unlock")).unwrap();
    let file = at.join("here/coordinator.toml");
    let mut table: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
    table.remove("keys").unwrap();
    fs::write(file, table.to_string()).unwrap();
}

#[test]
fn plain_key_files_still_open_and_move_into_the_strongroom() {
    let at = made();
    let at = at.path();
    let pin = run(at, &format!("coordinator pin {CONFIG}")).out;
    plain(at);
    assert_eq!(run(at, &format!("coordinator pin {CONFIG}")).out, pin);
    let running = Running::start(at);
    let refused = run(at, &format!("coordinator migrate-keys {CONFIG}"));
    assert!(refused.code == Some(2) && refused.err.contains("the coordinator runs"), "{}", refused.err);
    assert!(run(at, &format!("keys rewrap {CONFIG}")).err.contains("no open strongroom"));
    running.end();
    let said = run(at, &format!("coordinator migrate-keys {CONFIG}"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(
        said.out,
        "transport/authority@1\ncoordinator/identity@1\naudit/log@1\nmodel/global@1\ndata/files@1\n"
    );
    let names: Vec<_> =
        super::listing(&at.join("here")).into_iter().filter(|name| name.ends_with(".key")).collect();
    assert_eq!(names, Vec::<String>::new());
    assert_eq!(run(at, &format!("coordinator pin {CONFIG}")).out, pin);
    // Interrupted before the plain files were gone: the same command ends it. Another key there is not taken.
    let hex: String = secret(at, "coordinator/identity@1").iter().map(|byte| format!("{byte:02x}")).collect();
    let file = at.join("here/identity.key");
    let write = |text: &str| {
        let _ = fs::remove_file(&file);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    write(&"ab".repeat(32));
    let refused = run(at, &format!("coordinator migrate-keys {CONFIG}"));
    assert!(
        refused.code == Some(1) && refused.err.contains("coordinator/identity@1 is not what"),
        "{}",
        refused.err
    );
    assert!(file.exists());
    write(&hex);
    assert_eq!(run(at, &format!("coordinator migrate-keys {CONFIG}")).code, Some(0));
    assert!(!file.exists());
    assert_eq!(run(at, &format!("coordinator migrate-keys {CONFIG}")).code, Some(2));
    Running::start(at).end();
    assert_eq!(acts(at), ["shard-opened", "unsealed"], "the log goes on under the same key");
}

#[test]
fn a_provider_that_is_not_built_in_is_told_with_its_feature() {
    let at = made();
    let at = at.path();
    let file = at.join("here/coordinator.toml");
    let text = fs::read_to_string(&file).unwrap();
    for (provider, settings, feature) in [
        ("vault", "address = \"https://bao.example:8200/v1/transit\"", "provider-vault"),
        ("pkcs11", "module = \"/lib/hsm.so\"\ntoken = \"quorate\"", "provider-pkcs11"),
        ("aws", "endpoint = \"https://kms.example\"\nregion = \"x\"\naccess_key = \"id\"", "provider-aws"),
    ] {
        let other = text.replace("provider = \"file\"", &format!("provider = \"{provider}\""));
        fs::write(&file, &other).unwrap();
        let said = run(at, "coordinator check-config here/coordinator.toml");
        assert!(said.code == Some(1) && said.out.contains("keys.provider needs a section"), "{}", said.out);
        fs::write(&file, format!("{other}\n[keys.{provider}]\n{settings}\n")).unwrap();
        let said = run(at, "coordinator check-config here/coordinator.toml");
        assert!(said.code == Some(1) && said.out.contains(&format!("--features {feature}")), "{}", said.out);
    }
    fs::write(&file, text.replace("unlock = \"file", "unlock = \"s3cr3t")).unwrap();
    let said = run(at, "coordinator check-config here/coordinator.toml");
    assert!(
        said.out.contains("keys.unlock does not say where") && !said.out.contains("s3cr3t"),
        "{}",
        said.out
    );
}

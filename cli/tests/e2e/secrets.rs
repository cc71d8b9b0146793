//! A whole run whose secrets are known: none of them is in what the processes say, and none that should be gone is in what
//! they remember (RT-51).

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::strongroom::{Strongroom, Unlock};
use quorate_keys::parse_token;

use crate::coordinator::{Coordinator, LONG, succeed};
use crate::device::Device;
use crate::process::{Process, quorate};
use crate::synthetic::{PARTIES, make};

const DIM: usize = 300;

/// A secret and what it is called.
type Secret = (String, Vec<u8>);

/// The ways in which bytes may be written: as they are, hexadecimal, base64 at its three alignments, a list.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{secret:?}");
    let mut all = vec![
        secret.to_vec(),
        hex.as_bytes()[..hex.len().min(40)].to_vec(),
        hex[..hex.len().min(40)].to_uppercase().into_bytes(),
        list.as_bytes()[1..list.len().min(60) - 1].to_vec(),
    ];
    for skip in 0..3 {
        // Whole groups of three: what a longer text around it does not change.
        let groups = secret[skip..].chunks_exact(3);
        all.push(groups.flat_map(group).take(24).collect());
    }
    all
}

fn group(bytes: &[u8]) -> [u8; 4] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let word = bytes.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    [18, 12, 6, 0].map(|shift| LETTERS[(word >> shift & 63) as usize])
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    // The first byte decides nearly always, and finding it is quick.
    let Some((first, rest)) = part.split_first() else { return false };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        from += at + 1;
        if bytes[from..].starts_with(rest) {
            return true;
        }
    }
    false
}

/// What the coordinator keeps sealed, and its unlock secret.
fn of_the_coordinator(root: &Path) -> Vec<Secret> {
    let config = Config::load(&root.join("coordinator/coordinator.toml"), &Environment::from([])).unwrap();
    let text = fs::read_to_string(root.join("coordinator.unlock")).unwrap().trim().to_owned();
    let unlock = Unlock::new(&text).unwrap();
    let room = Strongroom::look(config.keys.as_ref().unwrap(), &config.deployment, &unlock).unwrap();
    let mut secrets: Vec<Secret> = ["coordinator/identity@1", "audit/log@1", "model/global@1"]
        .iter()
        .map(|id| ((*id).to_owned(), room.get(&id.parse().unwrap()).unwrap().to_vec()))
        .collect();
    let authority = room.get(&"transport/authority@1".parse().unwrap()).unwrap();
    // The private number within PKCS#8: an octet string of 32 bytes.
    let number = authority.windows(2).position(|two| two == [4, 32]).unwrap() + 2;
    secrets.push(("transport/authority@1".into(), authority[number..number + 32].to_vec()));
    secrets.push(("unlock secret".into(), text.into_bytes()));
    secrets
}

/// The seed of a device's identity key.
fn of_a_device(device: &Device) -> Vec<u8> {
    let file = fs::read(device.folder.join("identity")).unwrap();
    assert_eq!(file.len(), 33, "an identity file in its plain form");
    file[1..].to_vec()
}

/// What a process of this number holds in memory, as a core file would.
fn remembered(process: &Process, secrets: &[Secret]) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", process.id())).unwrap();
    let memory = fs::File::open(format!("/proc/{}/mem", process.id())).unwrap();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let mut bytes = vec![0; (to - from) as usize];
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            found.extend(
                secrets.iter().filter(|(_, secret)| holds(&bytes, secret)).map(|(name, _)| name.clone()),
            );
        }
    }
    found
}

/// A page of the admin port, with a token or without.
fn page(coordinator: &Coordinator, path: &str, token: &str) -> String {
    let admin = coordinator.admin().unwrap();
    let mut stream = TcpStream::connect(admin.trim_start_matches("http://")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

/// Runs a command that fails; all it says.
fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// What the processes of a run have said.
#[derive(Default)]
struct Said(Vec<String>);

impl Said {
    /// Everybody joins; then a stranger tries with a token that was used, and with one that never was.
    fn joins(&mut self, root: &Path, coordinator: &Coordinator, devices: &[Device]) -> Vec<String> {
        let tokens = coordinator.tokens(PARTIES);
        for (device, token) in devices.iter().zip(&tokens) {
            let mut join = device.join(coordinator, token, "0");
            assert!(join.ended(LONG).success(), "{}", join.said());
            self.0.push(join.said());
        }
        for token in [&tokens[0], &tokens[0].replace(|c: char| c.is_ascii_digit(), "7")] {
            let stranger = Device::new(&root.join("stranger"), "");
            let mut join = stranger.join(coordinator, token, "0");
            assert!(!join.ended(LONG).success());
            self.0.push(join.said());
        }
        tokens
    }

    /// Every page of the admin port that matters here, with the token and with another one; commands that fail.
    fn pages_and_errors(&mut self, coordinator: &Coordinator) {
        for path in ["/metrics", "/v1/status", "/v1/nodes", "/v1/rounds", "/nowhere"] {
            self.0.push(page(coordinator, path, &coordinator.admin_token()));
            self.0.push(page(coordinator, path, "another"));
        }
        let config = coordinator.config();
        let order = |words: &[&str]| {
            let mut order = quorate();
            order.args(words).arg("--config").arg(&config).stdin(Stdio::null());
            order
        };
        self.0.push(fails(&mut order(&["keys", "revoke", "nonsense"])));
        self.0.push(fails(&mut order(&["coordinator", "unseal"])));
        let shown = succeed(&mut order(&["keys", "ls"]));
        self.0.push(String::from_utf8(shown.stdout).unwrap());
    }

    /// None of these, however it is written.
    fn assert_without(&self, secrets: &[Secret]) {
        let all = self.0.join("\n");
        // The capture works: what is no secret is there.
        for word in ["round_opened", "quorate_key_age_seconds", "coordinator/identity@1", "401"] {
            assert!(all.contains(word), "{word} is not in {} bytes", all.len());
        }
        println!("{} bytes of logs, errors, pages and metrics against {} secrets", all.len(), secrets.len());
        for (name, secret) in secrets {
            for spelling in spellings(secret) {
                assert!(!holds(all.as_bytes(), &spelling), "{name} was said");
            }
        }
    }
}

/// What is remembered: of the coordinator's own keys those it works with; of anybody else's nothing, nor what opened the
/// strongroom. A token that was used is worth nothing any more, and the buffers it came in are not wiped.
fn assert_forgotten(coordinator: &mut Coordinator, devices: &mut [Device], secrets: &[Secret]) {
    let (gone, kept): (Vec<Secret>, Vec<Secret>) = secrets
        .iter()
        .filter(|(name, _)| !name.starts_with("token"))
        .cloned()
        .partition(|(name, _)| name.starts_with("unlock") || name.starts_with("identity of"));
    let alive = remembered(coordinator.process(), &kept);
    println!("an unsealed coordinator remembers {alive:?}");
    assert!(alive.contains(&"coordinator/identity@1".to_owned()), "the way to look finds nothing: {alive:?}");
    let left = remembered(coordinator.process(), &gone);
    assert!(left.is_empty(), "a coordinator still has {left:?}");
    for (at, device) in devices.iter_mut().enumerate() {
        let own = format!("identity of device {at}");
        let of_others = |(name, _): &&Secret| *name != own && !name.starts_with("token");
        let others: Vec<Secret> = secrets.iter().filter(of_others).cloned().collect();
        let left = remembered(device.process(), &others);
        assert!(left.is_empty(), "device {at} still has {left:?}");
    }
}

fn opened(coordinator: &Coordinator) -> u64 {
    coordinator.status().and_then(|status| status["jobs"]["main"]["opened"].as_u64()).unwrap_or(0)
}

/// RT-51: enrolment, rounds, errors of every kind, metrics, at a fine level of logging; then the memory of an unsealed
/// coordinator and of devices that run.
#[test]
fn rt_51_a_whole_run_gives_no_known_secret_away() {
    let root = tempfile::tempdir().unwrap();
    let (mut coordinator, mut devices) = make(root.path(), DIM, [10, 20, 10, 10, 10], |plan| {
        plan.set("jobs.main.pause", "300ms");
        plan.set(
            "log.level",
            "info,quorate_coordinator=trace,quorate_transport=trace,quorate_protocol=trace",
        );
    });
    assert!(coordinator.start("0"));
    let mut said = Said::default();
    let tokens = said.joins(root.path(), &coordinator, &devices);
    devices.iter_mut().for_each(|device| device.start("0"));
    let end = Instant::now() + LONG * 2;
    while opened(&coordinator) < 2 {
        assert!(Instant::now() < end, "hangs: {}", coordinator.process().said());
        std::thread::sleep(Duration::from_millis(100));
    }
    said.pages_and_errors(&coordinator);

    let mut secrets = of_the_coordinator(root.path());
    secrets.push(("admin token".into(), coordinator.admin_token().into_bytes()));
    for (at, (device, token)) in devices.iter().zip(&tokens).enumerate() {
        secrets.push((format!("identity of device {at}"), of_a_device(device)));
        secrets.push((format!("token {at} as text"), token.as_bytes()[10..].to_vec()));
        secrets.push((format!("token {at}"), parse_token(token).unwrap().expose().to_vec()));
    }
    assert_forgotten(&mut coordinator, &mut devices, &secrets);

    assert!(coordinator.process().terminate(LONG).success());
    said.0.push(coordinator.process().said());
    for device in &mut devices {
        device.process().kill();
        said.0.push(device.process().said());
    }
    said.assert_without(&secrets);
}

//! What the logs of a whole round do not hold (RT-51).

use std::fmt::{Debug, Write as _};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use quorate_crypto::sign::SigningKey;
use quorate_keys::{EnrolmentToken, token_text};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::puppet::identity;
use crate::world::{Options, World};

static LINES: OnceLock<Mutex<String>> = OnceLock::new();

/// Writes down everything our crates say, at every level.
struct Everything;

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Everything {
    fn note(metadata: &Metadata<'_>, record: impl FnOnce(&mut Fields<'_>)) {
        let mut lines = LINES.get_or_init(Mutex::default).lock().unwrap();
        lines.push_str(metadata.target());
        record(&mut Fields(&mut lines));
        lines.push('\n');
    }
}

impl Subscriber for Everything {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("quorate")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Self::note(span.metadata(), |fields| span.record(fields));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        Self::note(event.metadata(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// From now on everything is written down, of all tests of this process.
pub fn capture() {
    static BEGUN: OnceLock<()> = OnceLock::new();
    BEGUN.get_or_init(|| tracing::subscriber::set_global_default(Everything).unwrap());
}

/// What was said so far with this in it, a line each.
pub fn said(what: &str) -> Vec<String> {
    let lines = LINES.get_or_init(Mutex::default).lock().unwrap();
    lines.lines().filter(|line| line.contains(what)).map(ToOwned::to_owned).collect()
}

/// The ways in which bytes may be written.
fn written(bytes: &[u8]) -> Vec<String> {
    let hex = |upper: bool| {
        bytes.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect::<String>()
    };
    let list = format!("{bytes:?}");
    vec![hex(false)[..24].to_owned(), hex(true)[..24].to_owned(), list[1..30.min(list.len() - 1)].to_owned()]
}

// RT-51: enrolment, ceremony, a round, a refusal, at the finest level: no token, no key, no update.
#[tokio::test(flavor = "multi_thread")]
async fn rt_51_a_round_logs_no_secret() {
    capture();
    let options = Options { rounds: 1, training: Duration::from_millis(300), ..Options::default() };
    let world = World::start(options).await;
    let _running = world.crowd(5).await;
    let mut puppet = world.puppet(5).await;
    let update = 0.456_789_f32;
    let parcel = puppet.contribute(update).await;
    let _ = puppet.upload(&(parcel.0, vec![0; 200].into(), parcel.2.clone())).await;
    puppet.upload(&parcel).await.unwrap();
    puppet.see(1).await;
    world.counted(0..5, &[1]).await;
    world.finished().await;
    let lines = LINES.get().unwrap().lock().unwrap().clone();
    // The capture works: what is no secret is there.
    assert!(lines.contains("round_opened") && lines.contains("enrolled"), "{lines}");
    let seeds = (0..5).map(|at| std::fs::read(world.device(at).join("identity")).unwrap_or_default());
    let mut secrets: Vec<String> =
        seeds.filter(|file| file.len() == 33).flat_map(|file| written(&file[1..])).collect();
    assert!(!secrets.is_empty(), "identity files have another name or form");
    secrets.extend(written(&identity(5).to_bytes()[..]));
    secrets.extend(written(&SigningKey::from_bytes(&[7; 32]).to_bytes()[..]));
    secrets.extend(world.tokens.iter().flat_map(|token| written(token)));
    let text = |token: &[u8; 32]| token_text(&EnrolmentToken::from_bytes(*token));
    secrets.extend(world.tokens.iter().map(|token| text(token)[10..30].to_owned()));
    secrets.extend(written(&parcel.2[..32]));
    secrets.push("0.45678".to_owned());
    for at in 0..5 {
        secrets.push(format!("{:.5}", World::update(at, 1)));
    }
    for secret in secrets {
        assert!(!lines.contains(&secret), "{secret}");
    }
}

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use quorate_protocol::error::{DecodeError, PolicyBreach};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// Fields of one event by name.
type Fields = Vec<(String, String)>;

/// Keeps every event, whatever its level and wherever it comes from.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<Fields>>>);

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Reader(Vec::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Reader(Fields);

impl Visit for Reader {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push((field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned()));
    }
}

/// Every event once, with numbers that can be found again.
fn everything() {
    let (address, took) = (([127, 0, 0, 1], 4434).into(), Duration::from_millis(1_234));
    started("study", address);
    admin_started(address, false);
    recovered(41);
    ceremony_begun(3, 8);
    ceremony_void(3, &[7], &[]);
    epoch_installed(3, 500);
    round_begun(42, "digits", 150, 64);
    Stage::ALL.into_iter().for_each(|stage| stage_begun(42, stage));
    round_opened(42, "digits", 140, 8, took);
    round_aborted(43, "digits", &Abort::TooFewLocks { got: 3, need: 9 }, took);
    closed(42, 140, 3, 1);
    wrong_answer(7);
    two_headers(7);
    model_failed(42, "digits", &ModelError::InUse);
    round_not_begun("digits", &ServiceError::Stopped);
    job_misfit("digits", "n_min 9 is above the target 8");
    waiting("3 parties are connected, a ceremony needs 8");
    job_done("digits", 30);
    enrolled(7);
    enrolment_refused(Refusal::Token);
    refused(7, Some(42), &FaultKind::Decode(DecodeError::TooLong { got: 9, limit: 8 }));
    refused(7, None, &FaultKind::Policy(PolicyBreach::Mode));
    evicted(7);
    connected(7);
    disconnected(7);
    ledger_failed(&LedgerError::InUse);
    spool_failed(&std::io::Error::other("0123abcd"));
    store_failed("locked");
    stopping(Some(42));
    stopped(&Counts {
        members: 0,
        handshakes: 0,
        strangers: 0,
        retried: 0,
        accepted: 5,
        refused: 1,
        certified: 7,
    });
}

fn captured(work: impl FnOnce()) -> Vec<Fields> {
    let capture = Capture::default();
    tracing::subscriber::with_default(capture.clone(), work);
    std::mem::take(&mut capture.0.lock().unwrap())
}

#[test]
fn every_event_has_its_name_and_only_fields_of_the_list() {
    let events = captured(everything);
    let names: BTreeSet<&str> = events
        .iter()
        .map(|fields| fields.iter().find(|(name, _)| name == "event").unwrap().1.as_str())
        .collect();
    assert_eq!(names.len(), 29, "{names:?}");
    const FIELDS: [&str; 30] = [
        "accepted",
        "address",
        "deployment",
        "detail",
        "dropped",
        "epoch",
        "event",
        "handshakes",
        "included",
        "index",
        "invited",
        "job",
        "kind",
        "last_round",
        "left_out",
        "liars",
        "message",
        "metrics_public",
        "ms",
        "panel",
        "parties",
        "reason",
        "refused",
        "round",
        "rounds",
        "rounds_left",
        "rule",
        "silent",
        "stage",
        "version",
    ];
    for (name, value) in events.iter().flatten() {
        assert!(FIELDS.contains(&name.as_str()), "{name}");
        // Longer than any number or sentence of ours, or a run of digits: somebody logs bytes.
        assert!(value.len() <= 90, "{name}: {value}");
        let digits = value.split(|char: char| !char.is_ascii_hexdigit()).map(str::len).max();
        assert!(digits < Some(16), "{name}: {value}");
    }
    // The text of an error of the system may come from anywhere: only its kind is told.
    assert!(!events.iter().flatten().any(|(_, value)| value.contains("0123abcd")));
}

#[test]
fn abort_codes_have_names() {
    let all = [
        Abort::CommitteeTooSmall { got: 0, need: 1 },
        Abort::CohortTooSmall { got: 0, need: 1 },
        Abort::TooFewHolders { got: 0, need: 1 },
        Abort::TooFewLocks { got: 0, need: 1 },
        Abort::TooFewAnswers { got: 0, need: 1 },
        Abort::WrongAnswers,
        Abort::Residual,
        Abort::Cancelled,
    ];
    assert_eq!(all.map(|abort| abort_name(abort.code())), ABORTS);
    assert_eq!((abort_name(0), abort_name(9)), ("unknown", "unknown"));
}

/// A whole service under the most talkative log: neither its key nor a contribution is in it.
#[test]
fn a_key_and_an_update_never_appear() {
    use quorate_crypto::sign::SigningKey;
    use quorate_keys::{DeploymentId, Registry};
    use quorate_protocol::id::Time;

    let at = tempfile::tempdir().unwrap();
    let events = captured(|| {
        let key = SigningKey::from_bytes(&[0xa7; 32]);
        let registry = Registry::new(DeploymentId::new("test", key.public()));
        let mut service = crate::Service::create(key, registry, at.path()).unwrap();
        for vector in [&[0xc9; 4_000][..], &[]] {
            if let Err(ServiceError::Fault(fault)) = service.handle_contribution(Time(0), &[0xb8; 90], vector)
            {
                refused(3, None, &fault.kind);
            }
        }
    });
    assert!(!events.is_empty());
    let text = format!("{events:?}").to_lowercase();
    for byte in ["a7", "b8", "c9"] {
        assert!(!text.contains(&byte.repeat(3)), "{text}");
    }
    for byte in ["167", "184", "201"] {
        assert!(!text.contains(&format!("{byte}, {byte}")), "{text}");
    }
}

//! What the network's programs read: requests, certificates, tokens, settings, model files.

use std::path::Path;

use quorate_coordinator::config::{Config, Environment};
use quorate_coordinator::init::{FirstJob, InitOptions};
use quorate_coordinator::models::check_initial;
use quorate_crypto::sign::SigningKey;
use quorate_keys::{DeploymentId, EnrolmentRequest, EnrolmentToken, RenewalRequest, parse_token, token_text};
use quorate_participant::config::Settings;
use quorate_protocol::policy::Policy;
use quorate_transport::{Authority, Binding, Pin, fuzzing};

use super::Target;
use super::targets::target;

/// Every target of this file.
pub(super) fn all() -> Vec<Target> {
    let mut targets = transport();
    targets.extend([token(), settings()]);
    targets.extend(files());
    targets
}

/// Enrolment, certificates and uploads.
fn transport() -> Vec<Target> {
    let key = SigningKey::from_bytes(&[3; 32]);
    let deployment = DeploymentId::new("fuzz", key.public());
    let request = EnrolmentRequest::new(&key, &deployment, EnrolmentToken::from_bytes([4; 32]));
    let [requests, renewals, answers] = fuzzing::bodies(&request, &[5; 91]);
    let id = quorate_keys::PartyId::new(7, key.public());
    let next = RenewalRequest::new(&deployment, (id, &key), 2, &SigningKey::from_bytes(&[4; 32]));
    let next = fuzzing::next_key_body(&next);
    let header: Vec<u8> = (0..52).collect();
    let authority =
        Authority::generate(deployment, key.public()).map(|authority| authority.certificate().to_vec());
    let mut certificates: Vec<Vec<u8>> = authority.into_iter().collect();
    certificates.extend(bound(&deployment, &key));
    let uri =
        Binding::Party { deployment: *deployment, id: quorate_keys::PartyId::new(7, key.public()) }.to_uri();
    let binding = |bytes: &[u8]| {
        let binding = std::str::from_utf8(bytes).ok().and_then(Binding::parse);
        binding.is_some_and(|binding| {
            assert_eq!(binding.to_uri().as_bytes(), bytes);
            true
        })
    };
    vec![
        Target { cost: 10, ..target("stranger-request", requests, fuzzing::request) },
        Target { cost: 10, ..target("certificate-request", renewals, fuzzing::certificate_request) },
        Target { cost: 10, ..target("next-key", vec![next], fuzzing::next_key) },
        Target { cost: 10, ..target("stranger-answer", answers, fuzzing::answer) },
        target("upload-header", vec![header], fuzzing::upload_header),
        Target { cost: 10, bounded: false, ..target("certificate", certificates, fuzzing::certificate) },
        target("binding", vec![uri.into_bytes()], binding),
    ]
}

/// A party's certificate.
fn bound(deployment: &DeploymentId, key: &SigningKey) -> Option<Vec<u8>> {
    let authority = Authority::generate(*deployment, key.public()).ok()?;
    // The authority's own key is one on the right curve.
    let own = authority.certificate();
    let at = own.windows(SPKI.len()).position(|window| window == SPKI)?;
    let id = quorate_keys::PartyId::new(7, key.public());
    authority.certify(id, own.get(at..at + 91)?, std::time::Duration::from_secs(60)).ok()
}

/// How a public key on P-256 begins.
const SPKI: [u8; 8] = [0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86];

/// A token as people carry it.
fn token() -> Target {
    let text = token_text(&EnrolmentToken::from_bytes([9; 32]));
    target("token", vec![text.as_bytes().to_vec()], |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        parse_token(text).is_ok_and(|token| {
            assert!(parse_token(&token_text(&token)).is_ok_and(|again| again.expose() == token.expose()));
            true
        })
    })
}

/// `participant.toml`.
fn settings() -> Target {
    let settings = Settings {
        address: ([127, 0, 0, 1], 4433).into(),
        pin: Pin::from_bytes([1; 32]),
        name: "fuzz".to_owned(),
        coordinator: SigningKey::from_bytes(&[3; 32]).public().clone(),
        index: 7,
        version: 2,
        root: Some(quorate_crypto::hash::Digest::from_bytes([8; 32])),
        signed_models: false,
        policy: Policy::default(),
    };
    let read = |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(settings) = Settings::parse(text, Path::new("fuzz")) else { return false };
        assert!(Settings::parse(&settings.text(), Path::new("fuzz")).is_ok_and(|again| again == settings));
        true
    };
    Target {
        cost: 20,
        bounded: false,
        ..target("participant-toml", vec![settings.text().into_bytes()], read)
    }
}

/// `coordinator.toml` and initial models, which are read from the disk.
fn files() -> Vec<Target> {
    let (Ok(configs), Ok(models)) = (tempfile::tempdir(), tempfile::tempdir()) else { return Vec::new() };
    let options = InitOptions {
        name: "fuzz".to_owned(),
        listen: ([127, 0, 0, 1], 4433).into(),
        admin: ([127, 0, 0, 1], 4480).into(),
        parties: 8,
        first: FirstJob::default(),
        unlock: None,
    };
    let template = options.text("zeros");
    let config = move |bytes: &[u8]| {
        let path = configs.path().join("coordinator.toml");
        let written = std::fs::write(&path, bytes);
        let loaded = Config::load(&path, &Environment::of_process());
        if let Ok(config) = &loaded {
            let _ = (config.jobs_at(1), config.jobs_at(u32::MAX));
        }
        written.is_ok() && loaded.is_ok()
    };
    let model = move |bytes: &[u8]| {
        let path = models.path().join("initial.safetensors");
        std::fs::write(&path, bytes).is_ok() && check_initial(&path, 4).is_ok()
    };
    vec![
        Target {
            cost: 100,
            bounded: false,
            ..target("coordinator-toml", vec![template.into_bytes()], config)
        },
        Target { kept: 8, cost: 20, bounded: false, ..target("model-file", vec![safetensors()], model) },
    ]
}

/// Four coordinates.
fn safetensors() -> Vec<u8> {
    let mut header =
        br#"{"__metadata__":{"job":"a"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#.to_vec();
    header.resize(header.len().next_multiple_of(8), b' ');
    [&(header.len() as u64).to_le_bytes()[..], &header, &[0; 16]].concat()
}

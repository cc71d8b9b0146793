//! All targets.

use std::fmt::Debug;
use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::merkle;
use quorate_crypto::ring::Suite;
use quorate_crypto::seal::{RoundPublic, RoundSecret, SealSuite, Sealer};
use quorate_crypto::share::{ShareContext, Sharing};
use quorate_crypto::sign::{PublicKey, Signature, SigningKey};
use quorate_protocol::codec::Codec;
use quorate_protocol::coordinator::Coordinator;
use quorate_protocol::epoch::EpochEvidence;
use quorate_protocol::log;
use quorate_protocol::manifest::{Manifest, Schema};
use quorate_protocol::params::RoundPlan;
use quorate_protocol::record::{CoordinatorRecord, DeviceRecord, MemberRecord, ParticipantRecord};
use quorate_protocol::snapshot::{
    CoordinatorSnapshot, DeviceSnapshot, MemberSnapshot, ParticipantSnapshot, load, store,
};
use quorate_protocol::wire::{self, Message};
use quorate_sim::config::SimConfig;
use quorate_sim::task::data::{Dataset, PIXELS};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::corpus::{Corpus, deployment};
use super::{Target, endpoints, forged, machines, sequences};
use crate::Deployment;

/// Every target, with its corpus.
#[must_use]
pub fn all() -> Vec<Target> {
    let (direct, masked) = (deployment(Suite::Direct), deployment(Suite::R4096));
    let (small, corpus) = (Corpus::of(direct), Corpus::of(masked));
    let mut targets = messages(&small);
    targets.extend(stored(&small));
    targets.extend(device(&small, direct));
    targets.extend(bodies(&[&small, &corpus], direct.coordinator().public(), **direct.registry.deployment()));
    targets.extend(keys());
    targets.extend(sealed());
    targets.extend(shares());
    targets.extend([inclusion(), consistency(), updates(), sums(), config()]);
    targets.extend(idx());
    targets.extend(super::collective::all());
    targets.extend(endpoints::all());
    targets.push(machines::roster(direct, &small));
    targets.extend(machines::all(masked, &corpus));
    targets.extend(forged::all(masked, &corpus));
    targets.push(sequences::round(masked));
    targets
}

pub(super) fn target(
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    read: impl FnMut(&[u8]) -> bool + 'static,
) -> Target {
    Target { name, seeds, kept: 0, cost: 1, bounded: true, read: Box::new(read) }
}

/// A message decodes only from its own encoding ([WIRE-2]).
fn message<T: Message>(name: &'static str, corpus: &Corpus) -> Target {
    let read = |frame: &[u8]| {
        let Ok((kind, round, body)) = wire::split(frame) else { return false };
        let value = (kind == T::TYPE).then(|| wire::decode_body::<T>(body).ok()).flatten();
        assert_eq!(value.is_some(), wire::decode::<T>(frame).is_ok());
        value.is_some_and(|value| {
            assert!(wire::encode(round, &value) == frame, "not the encoding of what it decodes to");
            true
        })
    };
    let seeds = corpus.frames(T::TYPE);
    assert!(!seeds.is_empty(), "the round has sent no {name}");
    Target { kept: wire::HEADER, ..target(name, seeds, read) }
}

fn messages(corpus: &Corpus) -> Vec<Target> {
    let any = |frame: &[u8]| match wire::split(frame) {
        Ok((kind, _, body)) => {
            assert!(wire::limit(kind).is_some_and(|limit| body.len() <= limit));
            true
        }
        Err(_) => false,
    };
    vec![
        target("frame", corpus.all_frames(), any),
        message::<wire::Call>("call", corpus),
        message::<wire::Commit>("commit", corpus),
        message::<wire::Commitments>("commitments", corpus),
        message::<wire::SeedReveal>("seed-reveal", corpus),
        message::<wire::Keys>("keys", corpus),
        message::<wire::Due>("due", corpus),
        message::<wire::Announce>("announce", corpus),
        message::<wire::RoundKey>("round-key", corpus),
        message::<wire::Roster>("roster", corpus),
        message::<wire::Contribution>("contribution", corpus),
        message::<wire::Relay>("relay", corpus),
        message::<wire::CheckBatch>("check-batch", corpus),
        message::<wire::Close>("close", corpus),
        message::<wire::Lock>("lock", corpus),
        message::<wire::Locks>("locks", corpus),
        message::<wire::Answer>("answer", corpus),
        message::<wire::ResultNotice>("result-notice", corpus),
        message::<wire::RosterRequest>("roster-request", corpus),
        message::<wire::Poll>("poll", corpus),
    ]
}

/// A stored form loads only from its own encoding.
fn form<T>(name: &'static str, seeds: &[Vec<u8>]) -> Target
where
    T: Serialize + DeserializeOwned + Debug + 'static,
{
    target(name, seeds.to_vec(), |bytes| {
        let Ok(value) = load::<T>(bytes) else { return false };
        assert!(store(&value) == bytes, "not the encoding of what it loads as");
        true
    })
}

fn stored(corpus: &Corpus) -> Vec<Target> {
    let restore = |bytes: &[u8]| {
        let key = SigningKey::from_bytes(&[1; 32]);
        load::<CoordinatorSnapshot>(bytes)
            .is_ok_and(|snapshot| Coordinator::restore(key, &snapshot, &[]).is_ok())
    };
    vec![
        form::<ParticipantRecord>("participant-record", &corpus.records[0]),
        form::<MemberRecord>("member-record", &corpus.records[1]),
        form::<CoordinatorRecord>("coordinator-record", &corpus.records[2]),
        form::<ParticipantSnapshot>("participant-snapshot", &corpus.snapshots[0]),
        form::<MemberSnapshot>("member-snapshot", &corpus.snapshots[1]),
        form::<CoordinatorSnapshot>("coordinator-snapshot", &corpus.snapshots[2]),
        Target { cost: 100, bounded: false, ..target("restore", corpus.snapshots[2].clone(), restore) },
    ]
}

/// What a device keeps: its snapshot, its records, and the file both stand in.
fn device(corpus: &Corpus, deployment: &Deployment) -> Vec<Target> {
    let participants =
        corpus.records[0].iter().filter_map(|bytes| load(bytes).ok().map(DeviceRecord::Participant));
    let members = corpus.records[1].iter().filter_map(|bytes| load(bytes).ok().map(DeviceRecord::Member));
    let records: Vec<DeviceRecord> = participants.chain(members).collect();
    let parts = load(&corpus.snapshots[0][0]).ok().zip(load(&corpus.snapshots[1][0]).ok());
    let Some((participant, member)) = parts else { return Vec::new() };
    let snapshot =
        DeviceSnapshot::V1 { deployment: deployment.id(), party: deployment.ids[0], participant, member };
    let (mut file, mut end) = log::begin(&snapshot);
    let mut files = vec![file.clone()];
    for record in &records {
        let (bytes, next) = end.append(record);
        file.extend(bytes);
        end = next;
        files.push(file.clone());
    }
    let read = |bytes: &[u8]| {
        let Ok(contents) = log::read::<DeviceSnapshot, DeviceRecord>(bytes) else { return false };
        assert_eq!(contents.end.length() + contents.torn, bytes.len());
        true
    };
    vec![
        form::<DeviceSnapshot>("device-snapshot", &[store(&snapshot)]),
        form::<DeviceRecord>("device-record", &records.iter().map(store).collect::<Vec<_>>()),
        target("state-file", files, read),
    ]
}

/// What becomes of a manifest and of the evidence of an epoch once they are decoded.
fn bodies(corpora: &[&Corpus], coordinator: &PublicKey, deployment: Digest) -> Vec<Target> {
    let bodies: Vec<_> = corpora.iter().flat_map(|corpus| corpus.bodies(wire::Announce::TYPE)).collect();
    let announces = bodies.iter().filter_map(|body| wire::decode_body::<wire::Announce>(body).ok());
    let (manifests, evidence): (Vec<_>, Vec<_>) =
        announces.map(|announce| (wire::body(&announce.manifest), wire::body(&announce.evidence))).unzip();
    let plan = |bytes: &[u8]| {
        wire::decode_body::<Manifest>(bytes).is_ok_and(|manifest| RoundPlan::new(&manifest).is_ok())
    };
    let key = coordinator.clone();
    let verify = move |bytes: &[u8]| {
        wire::decode_body::<EpochEvidence>(bytes)
            .is_ok_and(|evidence| evidence.verify(&deployment, &key).is_ok())
    };
    vec![
        Target { cost: 50, bounded: false, ..target("plan", manifests, plan) },
        Target { cost: 50, bounded: false, ..target("epoch-evidence", evidence, verify) },
    ]
}

fn keys() -> Vec<Target> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = sha256(&[b"message"]);
    let signature = key.sign(&message).as_bytes().to_vec();
    let public = key.public().clone();
    let identity = public.as_bytes().to_vec();
    let mut targets = vec![
        Target {
            cost: 10,
            ..target("public-key", vec![identity], |bytes| {
                PublicKey::parse(bytes).is_ok_and(|key| {
                    assert_eq!(key.as_bytes()[..], *bytes);
                    true
                })
            })
        },
        Target {
            cost: 50,
            ..target("signature", vec![signature], move |bytes| {
                Signature::parse(bytes).is_ok_and(|signature| public.verify(&message, &signature).is_ok())
            })
        },
    ];
    for (name, suite) in [("round-key-x25519", SealSuite::X25519), ("round-key-x-wing", SealSuite::XWing)] {
        let (_, public) = RoundSecret::generate(suite, &mut ChaCha20Rng::seed_from_u64(1));
        let read = move |bytes: &[u8]| {
            RoundPublic::parse(suite, bytes).is_ok_and(|key| {
                assert_eq!(key.as_bytes(), bytes);
                true
            })
        };
        targets.push(Target {
            cost: 10,
            bounded: false,
            ..target(name, vec![public.as_bytes().to_vec()], read)
        });
    }
    targets
}

/// Encapsulated key, then ciphertext.
fn sealed() -> Vec<Target> {
    let suites = [("open-x25519", SealSuite::X25519), ("open-x-wing", SealSuite::XWing)];
    let make = |(name, suite): (&'static str, SealSuite)| {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let (secret, public) = RoundSecret::generate(suite, &mut rng);
        let sealed = Sealer::new(suite, &mut rng).seal(&public, b"info", &[3; 40], &mut rng);
        let seeds = sealed.iter().map(|sealed| [&sealed.enc[..], &sealed.ciphertext].concat()).collect();
        let read = move |bytes: &[u8]| {
            let (enc, ciphertext) = bytes.split_at(bytes.len().min(suite.enc_bytes()));
            secret.open(b"info", enc, ciphertext).is_ok()
        };
        Target { cost: 100, bounded: false, ..target(name, seeds, read) }
    };
    suites.into_iter().map(make).collect()
}

/// Plaintexts of shares, answers and check values, in a small and a masked sharing.
fn shares() -> Vec<Target> {
    let make = || Sharing::direct(7, 100, 8, 7, 4, 2);
    let (Ok(first), Ok(second), Ok(third)) = (make(), make(), make()) else { return Vec::new() };
    let context = ShareContext { sid: Digest::ZERO, sender: [1; 36] };
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let dealing = first.deal_slots(&[1, 2, 3, 255, 0, 7, 9], &context, &mut rng);
    let dealt: Vec<Vec<u8>> =
        dealing.iter().flat_map(|dealing| [1, 7].map(|index| dealing.plaintext(index).to_vec())).collect();
    let elements = vec![first.encode_elements(&[1, 2, 3, 4]), first.encode_elements(&[first.prime() - 1; 4])];
    let open = move |bytes: &[u8]| {
        // Both kinds of member; the last one must encode back.
        let seed = first.open_share(bytes, 1, &context).is_ok();
        let packed = first.open_share(bytes, 7, &context).is_ok();
        assert!(
            first.open_share(bytes, 0, &context).is_err() && first.open_share(bytes, 8, &context).is_err()
        );
        seed || packed
    };
    let answer = move |bytes: &[u8]| second.parse_answer(bytes).is_ok();
    let values = move |bytes: &[u8]| {
        let Ok(values) = third.parse_elements(bytes, 4) else { return false };
        assert!(values.iter().all(|&value| value < third.prime()));
        assert_eq!(third.encode_elements(&values), bytes);
        true
    };
    vec![
        target("share", dealt, open),
        target("answer-elements", elements.clone(), answer),
        target("check-elements", elements, values),
    ]
}

/// Root, size, index, leaf, then hashes.
fn inclusion() -> Target {
    let leaves: Vec<Digest> = (0..7_u8).map(|byte| merkle::leaf_hash(&[byte])).collect();
    let proof = merkle::inclusion_proof(&leaves, 3).unwrap_or_default();
    let seed = pack(&[merkle::root(&leaves), leaves[3]], &[7, 3], &proof);
    target("inclusion-proof", vec![seed], |bytes| {
        let Some((digests, numbers, proof)) = unpack(bytes) else { return false };
        merkle::verify_inclusion(&digests[0], numbers[0], numbers[1], &digests[1], &proof)
    })
}

/// Both roots, both sizes, then hashes.
fn consistency() -> Target {
    let mut log = merkle::MerkleLog::new();
    for byte in 0..7_u8 {
        log.push(merkle::leaf_hash(&[byte]));
    }
    let proof = log.consistency(3, 7).unwrap_or_default();
    let old = log.root_at(3).unwrap_or(Digest::ZERO);
    let seed = pack(&[old, log.root()], &[3, 7], &proof);
    target("consistency-proof", vec![seed], |bytes| {
        let Some((digests, numbers, proof)) = unpack(bytes) else { return false };
        merkle::verify_consistency(numbers[0], &digests[0], numbers[1], &digests[1], &proof)
    })
}

fn pack(digests: &[Digest; 2], numbers: &[u64; 2], proof: &[Digest]) -> Vec<u8> {
    let mut bytes: Vec<u8> = digests.iter().flat_map(|digest| *digest.as_bytes()).collect();
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes.extend(proof.iter().flat_map(|digest| *digest.as_bytes()));
    bytes
}

fn unpack(bytes: &[u8]) -> Option<([Digest; 2], [u64; 2], Vec<Digest>)> {
    let (digests, rest) = bytes.split_at_checked(64)?;
    let (numbers, proof) = rest.split_at_checked(16)?;
    let (digests, numbers) = (digests.as_chunks().0, numbers.as_chunks().0);
    let proof = proof.as_chunks().0.iter().map(|chunk| Digest::from_bytes(*chunk)).collect();
    let digests = [Digest::from_bytes(*digests.first()?), Digest::from_bytes(*digests.get(1)?)];
    Some((digests, [u64::from_le_bytes(*numbers.first()?), u64::from_le_bytes(*numbers.get(1)?)], proof))
}

/// Images and labels: the first two bytes say where labels begin. Files as they are, and compressed by us, so
/// that what is inside gets past the checksum.
fn idx() -> Vec<Target> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let images = [words(&[0x803, 2, 28, 28]), vec![7; 2 * PIXELS]].concat();
    let labels = [words(&[0x801, 2]), vec![3, 4]].concat();
    let join =
        |images: &[u8], labels: &[u8]| [&(images.len() as u16).to_le_bytes()[..], images, labels].concat();
    let parse = |images: &[u8], labels: &[u8]| {
        Dataset::parse(images, labels).is_ok_and(|data| {
            assert!(!data.is_empty() && data.example(data.len()).is_none());
            true
        })
    };
    let plain =
        move |bytes: &[u8]| parts(bytes).is_some_and(|(images, labels)| parse(&gz(images), &gz(labels)));
    let packed = move |bytes: &[u8]| parts(bytes).is_some_and(|(images, labels)| parse(images, labels));
    let seeds = [join(&images, &labels), join(&gz(&images), &gz(&labels))].map(|seed| vec![seed]);
    let [plain_seeds, packed_seeds] = seeds;
    vec![
        Target { kept: 2, cost: 20, bounded: false, ..target("idx", plain_seeds, plain) },
        Target { kept: 2, cost: 20, bounded: false, ..target("idx-gz", packed_seeds, packed) },
    ]
}

fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some(rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len())))
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

/// A stored configuration of the simulator.
fn config() -> Target {
    let text = "task = 'mnist'\nparticipants = 100\nper_round = 50\nrounds = 3\ndim = 7850\nbits = 16\n\
                committee = 16\npanel = 0\nsuite = 'R8192'\nseal = 'X25519'\nmode = 'Masked'\ndropout = 0.1\n\
                corrupt_permille = 50\nseed = 1\n";
    let read = |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Ok(config) = toml::from_str::<SimConfig>(text) else { return false };
        let again = toml::to_string(&config).ok().and_then(|text| toml::from_str::<SimConfig>(&text).ok());
        assert!(again == Some(config.clone()) || config.dropout.is_nan());
        true
    };
    Target { cost: 10, bounded: false, ..target("config", vec![text.as_bytes().to_vec()], read) }
}

const SCHEMA: Schema = Schema { dim: 8, bits: 8, clip: 1.0, clip_l2: Some(2.0), weight_bound: 1000 };

/// Weight, then coordinates as floats.
fn updates() -> Target {
    let seed = [&500_u64.to_le_bytes()[..], &0.3_f32.to_le_bytes().repeat(8)].concat();
    let codec = Codec::new(&SCHEMA).ok();
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let read = move |bytes: &[u8]| {
        let (Some(codec), Some((weight, rest))) = (&codec, bytes.split_first_chunk()) else { return false };
        let update: Vec<f32> = rest.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
        let quantised = codec.quantise(&update, u64::from_le_bytes(*weight), &mut rng);
        quantised.is_ok_and(|quantised| {
            assert!(quantised.slots().iter().all(|&slot| slot < 256));
            true
        })
    };
    Target { cost: 2, ..target("update", vec![seed], read) }
}

/// Contributors, then sums.
fn sums() -> Target {
    let seed: Vec<u8> = [2_u64, 200, 5].into_iter().chain([256; 8]).flat_map(u64::to_le_bytes).collect();
    let codec = Codec::new(&SCHEMA).ok();
    target("sums", vec![seed], move |bytes| {
        let (Some(codec), Some((count, rest))) = (&codec, bytes.split_first_chunk()) else { return false };
        let sums: Vec<u64> = rest.as_chunks().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
        let mean = codec.decode(&sums, u64::from_le_bytes(*count) as u32);
        mean.is_ok_and(|mean| {
            assert!(mean.mean.iter().all(|x| x.is_finite()));
            true
        })
    })
}

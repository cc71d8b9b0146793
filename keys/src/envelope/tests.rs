//! Envelopes as they are meant to be used, and in every way damaged.

use std::io::Read as _;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::*;
use crate::class::{Class, KeyRef};
use crate::disk::Disk as _;
use crate::disk::testing::FaultyDisk;
use crate::provider::Standing;
use crate::provider::conformance::description;
use crate::provider::memory::MemoryProvider;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn storage() -> KeyName {
    KeyName::new(Class::Wrapping, "storage").unwrap()
}

fn provider(name: &str, region: &str) -> MemoryProvider {
    let mut provider = MemoryProvider::new(description(name, region));
    provider.rotate(&storage(), &mut rng(name.len() as u64)).unwrap();
    provider
}

fn object(name: &[u8]) -> ObjectId {
    ObjectId::new(&[b"checkpoint", name])
}

fn plain(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng(length as u64).fill_bytes(&mut bytes);
    bytes
}

fn sealed(plain: &[u8], name: &[u8], providers: &[&dyn KeyProvider], seed: u64) -> Vec<u8> {
    let key = storage();
    let grants: Vec<_> = providers.iter().map(|provider| Grant { provider: *provider, key: &key }).collect();
    let readers = Readers { grants: &grants, regions: &Regions::Any };
    let mut writer = EnvelopeWriter::new(Vec::new(), object(name), readers, &mut rng(seed)).unwrap();
    io::Write::write_all(&mut writer, plain).unwrap();
    writer.finish().unwrap()
}

fn opened(file: &[u8], name: &[u8], providers: &[&dyn KeyProvider]) -> Result<Vec<u8>, EnvelopeError> {
    let mut out = Vec::new();
    EnvelopeReader::open(file, &object(name), Providers(providers), Access::Normal)?.copy_to(&mut out)?;
    Ok(out)
}

/// Where the chunks begin.
fn header_length(file: &[u8]) -> usize {
    let mut rest = file;
    Header::read(&mut rest).unwrap();
    file.len() - rest.len()
}

const FULL: usize = CHUNK as usize + 16;

#[test]
fn each_reader_opens_objects_of_any_length() {
    let (here, there) = (provider("here", "eu"), provider("there", "us"));
    let chunk = CHUNK as usize;
    for length in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 5] {
        let plain = plain(length);
        let file = sealed(&plain, b"a", &[&here, &there], 1);
        let chunks = length.div_ceil(chunk).max(1);
        assert_eq!(file.len(), header_length(&file) + length + 16 * chunks);
        for who in [&[&here as &dyn KeyProvider][..], &[&there], &[&there, &here]] {
            assert_eq!(opened(&file, b"a", who).unwrap(), plain, "{length}");
        }
        assert!(matches!(opened(&file, b"b", &[&here]), Err(EnvelopeError::Object)));
        let stranger = provider("stranger", "eu");
        let refused = opened(&file, b"a", &[&stranger]).unwrap_err();
        assert_eq!(refused.to_string(), "wrapped for other providers: here in eu, there in us", "[KL-2]");
        assert!(matches!(opened(&file, b"a", &[&provider("here", "us")]), Err(EnvelopeError::NoProvider(_))));
    }
}

proptest! {
    #[test]
    fn pieces_of_any_length_are_written_and_read(
        seed: u64, length in 0_usize..200_000, write in 1_usize..90_000, read in 1_usize..90_000,
    ) {
        let here = provider("here", "eu");
        let (plain, key) = (plain(length), storage());
        let readers =
            Readers { grants: &[Grant { provider: &here, key: &key }], regions: &Regions::Any };
        let mut writer = EnvelopeWriter::new(Vec::new(), object(b"a"), readers, &mut rng(seed)).unwrap();
        for piece in plain.chunks(write) {
            io::Write::write_all(&mut writer, piece).unwrap();
        }
        let file = writer.finish().unwrap();
        prop_assert_eq!(&file, &sealed(&plain, b"a", &[&here], seed));
        let mut reader =
            EnvelopeReader::open(&file[..], &object(b"a"), Providers(&[&here]), Access::Normal).unwrap();
        let (mut all, mut buffer) = (Vec::new(), vec![0; read]);
        loop {
            let count = reader.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..count]);
        }
        prop_assert_eq!(all, plain);
    }
}

/// Any bit of header or body changed, any end cut off: refused, whichever wrap opens first.
#[test]
fn every_bit_and_every_length_counts() {
    let (here, there) = (provider("here", "eu"), provider("there", "us"));
    let file = sealed(&plain(40), b"a", &[&here, &there], 1);
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            for who in [&[&here as &dyn KeyProvider][..], &[&there], &[&here, &there]] {
                assert!(opened(&changed, b"a", who).is_err(), "byte {at}, bit {bit}");
            }
        }
        assert!(opened(&file[..at], b"a", &[&here]).is_err(), "cut at {at}");
    }
    assert!(opened(&[&file[..], &[0]].concat(), b"a", &[&here]).is_err());
    let mut newer = file.clone();
    newer[7] = 2;
    assert!(matches!(opened(&newer, b"a", &[&here]), Err(EnvelopeError::Newer(2))));
}

/// A wrap that another reader would use is changed or gone: the first reader notices it, too.
#[test]
fn a_wrap_of_somebody_else_is_authenticated() {
    let (here, there) = (provider("here", "eu"), provider("there", "us"));
    let file = sealed(&plain(40), b"a", &[&here, &there], 1);
    let mut changed = file.clone();
    let length = header_length(&file);
    changed[length - 40] ^= 1;
    assert!(matches!(opened(&changed, b"a", &[&here]), Err(EnvelopeError::Header)));
    let tagged = Header::read(&mut &file[..]).unwrap();
    let mut alone = tagged.claimed().clone();
    alone.wraps.pop();
    let forged = alone.encode(&DataKey::generate(&mut rng(9))).unwrap();
    let forged = [&forged, &file[length..]].concat();
    assert!(matches!(opened(&forged, b"a", &[&here]), Err(EnvelopeError::Header)));
}

#[test]
fn chunks_dropped_doubled_moved_cut_or_added_are_told_apart() {
    let here = provider("here", "eu");
    let file = sealed(&plain(3 * CHUNK as usize + 5), b"a", &[&here], 1);
    let start = header_length(&file);
    let (header, body) = file.split_at(start);
    let chunks: Vec<&[u8]> = body.chunks(FULL).collect();
    let (a, b, c, d) = (chunks[0], chunks[1], chunks[2], chunks[3]);
    let refusal = |chunks: &[&[u8]]| match opened(&[header, &chunks.concat()].concat(), b"a", &[&here]) {
        Err(EnvelopeError::Chunk { number, error }) => (number, error),
        other => panic!("{:?}", other.map(|plain| plain.len())),
    };
    assert!(opened(&file, b"a", &[&here]).is_ok());
    assert_eq!(refusal(&[b, c, d]), (0, ChunkError::Refused), "dropped");
    assert_eq!(refusal(&[a, c, d]), (1, ChunkError::Refused), "dropped");
    assert_eq!(refusal(&[a, a, b, c, d]), (1, ChunkError::Refused), "doubled");
    assert_eq!(refusal(&[a, c, b, d]), (1, ChunkError::Refused), "moved");
    assert_eq!(refusal(&[a, b, d]), (2, ChunkError::Refused), "dropped before the end");
    assert_eq!(refusal(&[a, b, c]), (2, ChunkError::Truncated));
    assert_eq!(refusal(&[a]), (0, ChunkError::Truncated));
    assert_eq!(refusal(&[a, b, &c[..100]]), (2, ChunkError::Refused), "cut within");
    assert_eq!(refusal(&[]), (0, ChunkError::Refused));
    assert_eq!(refusal(&[a, b, c, d, a]), (3, ChunkError::Refused), "added within the length of a chunk");
    let full = sealed(&plain(CHUNK as usize), b"a", &[&here], 1);
    let longer = [&full[..], &[0]].concat();
    let error = opened(&longer, b"a", &[&here]).unwrap_err();
    assert!(matches!(error, EnvelopeError::Chunk { number: 0, error: ChunkError::Appended }));
}

#[test]
fn headers_and_bodies_of_two_files_do_not_mix() {
    let here = provider("here", "eu");
    let plain = plain(100);
    // The same object twice, and another one.
    let files = [(b"a", 1), (b"a", 2), (b"b", 3)].map(|(name, seed)| sealed(&plain, name, &[&here], seed));
    let parts = files.each_ref().map(|file| file.split_at(header_length(file)));
    for (i, (header, _)) in parts.iter().enumerate() {
        for (j, (_, body)) in parts.iter().enumerate() {
            let mixed = [*header, *body].concat();
            assert_eq!(opened(&mixed, if i < 2 { b"a" } else { b"b" }, &[&here]).is_ok(), i == j);
        }
    }
    assert_ne!(parts[0].1, parts[1].1, "a fresh data key for each object");
}

#[test]
fn what_was_not_finished_does_not_open_and_a_failed_reader_stays_failed() {
    let here = provider("here", "eu");
    let key = storage();
    let readers = Readers { grants: &[Grant { provider: &here, key: &key }], regions: &Regions::Any };
    let mut out = Vec::new();
    let mut writer = EnvelopeWriter::new(&mut out, object(b"a"), readers, &mut rng(1)).unwrap();
    io::Write::write_all(&mut writer, &plain(2 * CHUNK as usize + 7)).unwrap();
    drop(writer);
    let mut reader =
        EnvelopeReader::open(&out[..], &object(b"a"), Providers(&[&here]), Access::Normal).unwrap();
    let mut buffer = vec![0; CHUNK as usize];
    reader.read_exact(&mut buffer).unwrap();
    for _ in 0..3 {
        let error = reader.read(&mut buffer).unwrap_err();
        assert!(error.get_ref().is_some_and(|inner| inner.is::<EnvelopeError>()));
    }
    let none = Readers { grants: &[], regions: &Regions::Any };
    let writer = EnvelopeWriter::new(Vec::new(), object(b"a"), none, &mut rng(1));
    assert!(matches!(writer.err(), Some(EnvelopeError::Wraps)), "an object nobody could open");
}

/// [KL-1], [KL-2] A rotation of the wrapping key leaves the chunks alone; the old version may go afterwards.
#[test]
fn rewrapping_leaves_the_body_alone() {
    let (mut here, there) = (provider("here", "eu"), provider("there", "us"));
    let plain = plain(100_000);
    let file = sealed(&plain, b"a", &[&here, &there], 1);
    let first = here.active(&storage()).unwrap();
    let second = here.rotate(&storage(), &mut rng(5)).unwrap();
    let (mut new, mut input) = (Vec::new(), &file[..]);
    let moved = rewrap(&mut input, &mut new, Providers(&[&here]), &mut rng(6)).unwrap();
    assert_eq!(moved.bytes as usize, file.len() - header_length(&file));
    assert_eq!(new[header_length(&new)..], file[header_length(&file)..]);
    let before = Header::read(&mut &file[..]).unwrap().claimed().clone();
    assert_eq!((&moved.header.wraps[0].key, &moved.header.wraps[1]), (&second, &before.wraps[1]));
    here.mark(&first, Standing::Destroyed, &mut rng(7)).unwrap();
    let destroyed = opened(&file, b"a", &[&here]).unwrap_err();
    let expected = ProviderError::Destroyed(first.id().clone());
    assert!(matches!(destroyed, EnvelopeError::Provider(error) if error == expected));
    for who in [&[&here as &dyn KeyProvider][..], &[&there]] {
        assert_eq!(opened(&new, b"a", who).unwrap(), plain);
    }
}

/// [KL-11] Adding a reader makes no new data key.
#[test]
fn adding_a_reader_leaves_the_body_alone() {
    let (here, there) = (provider("here", "eu"), provider("there", "us"));
    let (plain, key) = (plain(1000), storage());
    let file = sealed(&plain, b"a", &[&here], 1);
    let grant = |file: &[u8], regions: &Regions| {
        let (mut input, mut out) = (file, Vec::new());
        let grant = Grant { provider: &there, key: &key };
        regrant(&mut input, &mut out, Providers(&[&here]), (grant, regions), &mut rng(2))?;
        Ok::<_, EnvelopeError>(out)
    };
    let new = grant(&file, &Regions::Any).unwrap();
    assert_eq!(new[header_length(&new)..], file[header_length(&file)..]);
    for who in [&[&here as &dyn KeyProvider][..], &[&there]] {
        assert_eq!(opened(&new, b"a", who).unwrap(), plain);
    }
    assert!(matches!(grant(&new, &Regions::Any), Err(EnvelopeError::Wraps)), "one wrap a key");
    let only = |region: &str| Regions::Only([region.parse().unwrap()].into());
    assert!(grant(&file, &only("us")).is_ok());
    assert!(
        matches!(grant(&file, &only("eu")), Err(EnvelopeError::Region(region)) if region.as_str() == "us")
    );
}

/// [KL-11] Removing a reader makes a new data key: what the old one opened, it does not open any more.
#[test]
fn removing_a_reader_makes_a_new_data_key() {
    let (mut here, there) = (provider("here", "eu"), provider("there", "us"));
    let (plain, key) = (plain(1000), storage());
    let file = sealed(&plain, b"a", &[&here, &there], 1);
    let stolen = here.active(&key).unwrap();
    here.mark(&stolen, Standing::Compromised, &mut rng(2)).unwrap();
    here.rotate(&key, &mut rng(3)).unwrap();
    let again = |here: &MemoryProvider, access| {
        let readers = Readers { grants: &[Grant { provider: here, key: &key }], regions: &Regions::Any };
        let (mut input, mut out) = (&file[..], Vec::new());
        let done = reencrypt(&mut input, &mut out, (Providers(&[here]), access), readers, &mut rng(4));
        done.map(|count| (out, count as usize))
    };
    let refused = again(&here, Access::Normal).unwrap_err();
    assert!(matches!(refused, EnvelopeError::Provider(ProviderError::Compromised(_))), "[KL-2]");
    let (new, count) = again(&here, Access::Override).unwrap();
    assert_eq!((opened(&new, b"a", &[&here]).unwrap(), count), (plain, 1000));
    assert!(matches!(opened(&new, b"a", &[&there]), Err(EnvelopeError::NoProvider(_))));
    let old_header = &file[..header_length(&file)];
    let mixed = [old_header, &new[header_length(&new)..]].concat();
    assert!(matches!(opened(&mixed, b"a", &[&there]), Err(EnvelopeError::Chunk { number: 0, .. })));
}

#[test]
fn keys_outside_the_regions_are_refused() {
    let (here, there) = (provider("here", "eu"), provider("there", "us"));
    let (key, eu) = (storage(), Regions::Only(["eu".parse().unwrap()].into()));
    let grants = [Grant { provider: &here, key: &key }, Grant { provider: &there, key: &key }];
    let write = |grants| {
        EnvelopeWriter::new(Vec::new(), object(b"a"), Readers { grants, regions: &eu }, &mut rng(1)).err()
    };
    assert!(matches!(write(&grants), Some(EnvelopeError::Region(_))));
    assert!(write(&grants[..1]).is_none());
}

fn folder(here: &MemoryProvider) -> FaultyDisk {
    let disk = FaultyDisk::default();
    for name in ["a", "b", "c", "d"] {
        disk.put(name, &sealed(&plain(70_000), name.as_bytes(), &[here], u64::from(name.as_bytes()[0])));
    }
    disk.put("notes.txt", b"no envelope");
    disk
}

fn all_open(disk: &FaultyDisk, here: &MemoryProvider) {
    for name in ["a", "b", "c", "d"] {
        assert_eq!(opened(&disk.bytes(name), name.as_bytes(), &[here]).unwrap(), plain(70_000), "{name}");
    }
}

/// [KL-12] Killed, or the power goes, at every step: every object opens at every instant, and the job that comes
/// next ends with all of them under the new version.
#[test]
fn a_job_is_interrupted_anywhere() {
    let mut here = provider("here", "eu");
    let disk = folder(&here);
    let first = here.active(&storage()).unwrap();
    here.rotate(&storage(), &mut rng(2)).unwrap();
    let steps = {
        let whole = disk.after_power_cut();
        let mut job = Rewrap::start(&whole).unwrap();
        while job.step(Providers(&[&here]), &mut rng(3)) {}
        whole.taken.get()
    };
    assert!(steps >= 4 * 5, "each object takes several steps: {steps}");
    for kill in 0..steps {
        let disk = disk.after_power_cut();
        disk.steps.set(Some(kill));
        let mut job = Rewrap::start(&disk).unwrap();
        loop {
            let more = job.step(Providers(&[&here]), &mut rng(3));
            all_open(&disk, &here);
            all_open(&disk.after_power_cut(), &here);
            if !more {
                break;
            }
        }
        assert!(!job.failures().is_empty());
        let rewrapped = job.progress().rewrapped;
        let disk = disk.after_power_cut();
        let mut job = Rewrap::start(&disk).unwrap();
        while job.step(Providers(&[&here]), &mut rng(4)) {}
        let progress = job.progress();
        assert_eq!((progress.done, progress.total, progress.rewrapped), (4, 4, 4 - rewrapped));
        assert!(job.failures().is_empty());
        assert_eq!(disk.list().unwrap(), ["a", "b", "c", "d", "notes.txt"], "nothing is left behind");
        for name in ["a", "b", "c", "d"] {
            let tagged = Header::read(&mut &disk.bytes(name)[..]).unwrap();
            assert_eq!(tagged.claimed().wraps()[0].key.id().version, 2, "killed at {kill}");
        }
    }
    here.mark(&first, Standing::Destroyed, &mut rng(5)).unwrap();
    assert!(opened(&disk.bytes("a"), b"a", &[&here]).is_err(), "what was not rewrapped is lost");
}

/// [KL-12] One object that does not open stays as it is and does not stop the others.
#[test]
fn a_damaged_object_does_not_stop_a_job() {
    let mut here = provider("here", "eu");
    let disk = folder(&here);
    let mut damaged = disk.bytes("b");
    damaged[60] ^= 1;
    disk.put("b", &damaged);
    here.rotate(&storage(), &mut rng(2)).unwrap();
    let mut job = Rewrap::start(&disk).unwrap();
    while job.step(Providers(&[&here]), &mut rng(3)) {}
    let failed: Vec<_> = job.failures().iter().map(|failure| failure.name.as_str()).collect();
    assert_eq!((failed, disk.bytes("b")), (vec!["b"], damaged));
    let bytes = 3 * (70_000 + 2 * 16);
    assert_eq!(job.progress(), Progress { done: 4, total: 4, rewrapped: 3, bytes });
}

/// Who has the files and not the provider has nothing: no piece of the object, no key.
#[test]
fn a_file_alone_tells_nothing() {
    let here = provider("here", "eu");
    let (plain, secret) = (plain(70_000), here.secret(&here.active(&storage()).unwrap()).unwrap().to_bytes());
    let file = sealed(&plain, b"a", &[&here], 1);
    let tagged = Header::read(&mut &file[..]).unwrap();
    let (data, _) = Providers(&[&here]).unlock(tagged, Access::Normal).unwrap();
    let known: Vec<&[u8]> = plain.chunks(16).collect();
    let known: BTreeSet<&[u8]> = known.into_iter().chain(secret.chunks(16)).collect();
    let data = data.to_bytes();
    assert!(
        file.windows(16).all(|window| !known.contains(window) && !data.windows(16).any(|key| key == window))
    );
}

/// [KL-29] The first format, as it was released, opens for ever; and this is what is written.
#[test]
fn the_first_format_opens_for_ever() {
    let mut here = MemoryProvider::new(description("fixture", "eu"));
    let secret = quorate_crypto::envelope::WrapKey::from_bytes(&[0x11; 32]);
    here.restore(&KeyRef::new(storage().version(1)).unwrap(), secret).unwrap();
    let fixture = unhex(include_str!("../../fixtures/envelope-v1.hex"));
    let text = b"Quorate envelope, format 1.";
    assert_eq!(opened(&fixture, b"fixture", &[&here]).unwrap(), text);
    assert_eq!(hex(&fixture), hex(&sealed(text, b"fixture", &[&here], 7)));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

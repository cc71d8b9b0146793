//! Splits and recoveries as they are meant, and by people who cheat.

use quorate_crypto::envelope::{DataKey, WrapKey};
use quorate_crypto::escrow_key::EscrowKey;
use quorate_crypto::feldman::EscrowShare;
use quorate_crypto::sign::SigningKey;
use quorate_crypto::storage::StorageKey;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::record::{info, seal};
use super::text::Portable;
use super::*;
use crate::class::Class;
use crate::provider::memory::MemoryProvider;
use crate::provider::{Access, Context, KeyProvider as _, conformance::description};

struct World {
    key: WrapKey,
    custodians: Vec<EscrowKey>,
    approvers: Vec<SigningKey>,
    record: Record,
    packages: Vec<Package>,
    rng: ChaCha20Rng,
}

fn line() -> KeyName {
    KeyName::new(Class::Wrapping, "storage").unwrap()
}

fn terms(custodians: &[quorate_crypto::seal::RoundPublic], approvers: &[SigningKey], split: u32) -> Terms {
    let custodian = |(at, public): (usize, &quorate_crypto::seal::RoundPublic)| Custodian {
        name: format!("custodian-{at}").parse().unwrap(),
        region: ["eu", "us"][at % 2].parse().unwrap(),
        public: public.clone(),
    };
    Terms {
        key: KeyRef::new(line().version(1)).unwrap(),
        split,
        threshold: 3,
        custodians: custodians.iter().enumerate().map(custodian).collect(),
        approvers: approvers.iter().map(|key| key.public().clone()).collect(),
    }
}

/// Three of five custodians, two of three approvers.
fn world() -> World {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let custodians: Vec<_> = (0..5).map(|_| EscrowKey::generate(&mut rng)).collect();
    let public: Vec<_> = custodians.iter().map(|key| key.public().clone()).collect();
    let approvers: Vec<_> = (0..3).map(|_| SigningKey::generate(&mut rng)).collect();
    let key = WrapKey::generate(&mut rng);
    let (record, packages) = split(&key, terms(&public, &approvers, 1), &mut rng).unwrap();
    World { key, custodians, approvers, record, packages, rng }
}

impl World {
    fn requested(&mut self) -> Requested {
        let key = EscrowKey::generate(&mut self.rng);
        Requested::new(self.record.clone(), key, "the token is lost", 1_000).unwrap().0
    }

    fn approved(&mut self) -> Approved {
        let mut requested = self.requested();
        for at in [0, 2] {
            requested.approve(Approval::sign(requested.request(), &self.approvers[at])).unwrap();
        }
        requested.proceed().unwrap_or_else(|_| panic!("approved by two"))
    }

    fn answer(&mut self, request: &Request, at: usize) -> Result<Answer, EscrowError> {
        let holding = self.packages[at].open(&self.record, &self.custodians[at])?;
        holding.answer(request, &self.record, &mut self.rng)
    }
}

/// [KL-20] t shares give the key back, all 32 bytes of it, after two approvals; t − 1 do not.
#[test]
fn three_of_five_recover_and_two_do_not() {
    let mut world = world();
    let mut recovery = world.approved();
    let mut events = Vec::new();
    for at in [4, 1] {
        let answer = world.answer(recovery.request(), at).unwrap();
        events.push(recovery.submit(&answer).unwrap());
    }
    let (mut recovery, error) = recovery.combine().err().unwrap();
    assert_eq!(error, EscrowError::TooFew { given: 2, needed: 3 });
    let again = world.answer(recovery.request(), 1).unwrap();
    recovery.submit(&again).unwrap();
    assert_eq!(recovery.count(), (2, 3), "one custodian counts once");
    let last = world.answer(recovery.request(), 0).unwrap();
    recovery.submit(&last).unwrap();
    let recovered = recovery.combine().unwrap_or_else(|_| panic!("three shares"));
    assert_eq!(recovered.secret.to_bytes(), world.key.to_bytes());
    assert!(
        matches!(&events[0], Event::Submitted { index: 5, custodian, .. } if custodian.as_str() == "custodian-4")
    );
    assert!(matches!(recovered.event, Event::Recovered { record, .. } if record == *world.record.hash()));
}

#[test]
fn nothing_moves_without_two_different_approvers() {
    let mut world = world();
    let mut requested = world.requested();
    let request = requested.request().clone();
    assert_eq!(world.answer(&request, 0).err(), Some(EscrowError::NotApproved { given: 0 }));
    let first = Approval::sign(&request, &world.approvers[0]);
    requested.approve(first.clone()).unwrap();
    assert_eq!(requested.approve(first.clone()).err(), Some(EscrowError::ApprovedTwice));
    let stranger = Approval::sign(&request, &SigningKey::generate(&mut world.rng));
    assert_eq!(requested.approve(stranger.clone()).err(), Some(EscrowError::NotAnApprover));
    let other = world.requested();
    let elsewhere = Approval::sign(other.request(), &world.approvers[1]);
    assert_eq!(requested.approve(elsewhere.clone()).err(), Some(EscrowError::Approval));
    let (requested, error) = requested.proceed().err().unwrap();
    assert_eq!(error, EscrowError::NotApproved { given: 1 });
    // A custodian is not taken in by approvals that are made up, either.
    for (made_up, expected) in [
        (vec![first.clone()], EscrowError::NotApproved { given: 1 }),
        (vec![first.clone(), first.clone()], EscrowError::ApprovedTwice),
        (vec![first.clone(), stranger], EscrowError::NotAnApprover),
        (vec![first, elsewhere], EscrowError::Approval),
    ] {
        let forged = Request { approvals: made_up, ..requested.request().clone() };
        assert_eq!(world.answer(&forged, 0).err(), Some(expected));
    }
    let empty = Requested::new(world.record.clone(), EscrowKey::generate(&mut world.rng), "  ", 0);
    assert_eq!(empty.err(), Some(EscrowError::Reason));
}

#[test]
fn a_wrong_share_names_its_custodian() {
    let mut world = world();
    let mut recovery = world.approved();
    let request = recovery.request().clone();
    let holding = world.packages[1].open(&world.record, &world.custodians[1]).unwrap();
    let sealed = |index: u8, plain: &[u8], rng: &mut ChaCha20Rng| Answer {
        index,
        request: request.id(),
        sealed: seal(
            &request.public,
            &info(quorate_crypto::labels::ESCROW_ANSWER, &request.id(), index),
            plain,
            rng,
        )
        .unwrap(),
    };
    let own = record::plain(&holding.share, &holding.sealed_key).to_vec();
    let mut changed = own.clone();
    changed[0] ^= 1;
    let mut other_key = own.clone();
    other_key[40] ^= 1;
    for wrong in [changed, other_key, own[..20].to_vec(), vec![255; own.len()]] {
        let answer = sealed(2, &wrong, &mut world.rng);
        assert_eq!(recovery.submit(&answer).err(), Some(EscrowError::WrongShare(2)));
    }
    let as_another = sealed(3, &own, &mut world.rng);
    assert_eq!(recovery.submit(&as_another).err(), Some(EscrowError::WrongShare(3)));
    let renamed = Answer { index: 1, ..sealed(2, &own, &mut world.rng) };
    assert_eq!(recovery.submit(&renamed).err(), Some(EscrowError::WrongShare(1)));
    let nobody = sealed(6, &own, &mut world.rng);
    assert_eq!(recovery.submit(&nobody).err(), Some(EscrowError::Index(6)));
    assert_eq!(recovery.count().0, 0, "nothing wrong was taken");
    // An answer opens in its own recovery only.
    let mut other = world.approved();
    let answer = world.answer(&request, 1).unwrap();
    assert_eq!(other.submit(&answer).err(), Some(EscrowError::Request));
    let replayed = Answer { request: other.request().id(), ..answer.clone() };
    assert_eq!(other.submit(&replayed).err(), Some(EscrowError::WrongShare(2)));
    assert!(recovery.submit(&answer).is_ok());
}

#[test]
fn a_package_is_for_one_custodian_and_one_split() {
    let mut world = world();
    let open =
        |package: &Package, record: &Record, who: usize| package.open(record, &world.custodians[who]).err();
    assert_eq!(open(&world.packages[0], &world.record, 0), None);
    assert_eq!(open(&world.packages[0], &world.record, 1), Some(EscrowError::NotSealed));
    let renamed = Package { index: 2, ..world.packages[0].clone() };
    assert_eq!(open(&renamed, &world.record, 0), Some(EscrowError::NotSealed));
    let public: Vec<_> = world.record.terms().custodians.iter().map(|one| one.public.clone()).collect();
    let next = terms(&public, &world.approvers, 2);
    let (later, packages) = split(&world.key, next, &mut world.rng).unwrap();
    let open =
        |package: &Package, record: &Record, who: usize| package.open(record, &world.custodians[who]).err();
    assert_eq!(open(&world.packages[0], &later, 0), Some(EscrowError::Record));
    let moved = Package { record: *later.hash(), ..world.packages[0].clone() };
    assert_eq!(open(&moved, &later, 0), Some(EscrowError::NotSealed));
    assert_eq!(open(&packages[4], &later, 4), None);
}

/// A dealer whose share or key does not fit is found out by the custodian, when it gets the package.
#[test]
fn a_custodian_checks_its_dealer() {
    let mut world = world();
    let holding = world.packages[0].open(&world.record, &world.custodians[0]).unwrap();
    let zero = EscrowShare::parse(1, &[0; 32]).unwrap();
    let info = info(quorate_crypto::labels::ESCROW_PACKAGE, world.record.hash(), 1);
    let to = world.record.terms().custodians[0].public.clone();
    for plain in [record::plain(&zero, &holding.sealed_key), record::plain(&holding.share, b"another key")] {
        let sealed = seal(&to, &info, &plain, &mut world.rng).unwrap();
        let package = Package { index: 1, record: *world.record.hash(), sealed };
        let refused = package.open(&world.record, &world.custodians[0]).err();
        assert_eq!(refused, Some(EscrowError::WrongShare(1)));
    }
}

/// [KL-20] A used escrow is burnt: the key is refused until a new split is recorded, and old records do not help.
#[test]
fn a_used_escrow_is_burnt() {
    let mut world = world();
    let mut escrows = Escrows::default();
    let burnt = Burnt { key: world.record.terms().key.clone(), record: *world.record.hash(), split: 1 };
    assert_eq!(escrows.burn(burnt.clone()), Err(EscrowError::None(line())));
    escrows.record(world.record.clone()).unwrap();
    assert_eq!(
        (escrows.permit(&line()), escrows.of(&line())),
        (Ok(()), Some(&Escrow::Kept(world.record.clone())))
    );
    for _ in 0..2 {
        escrows.burn(burnt.clone()).unwrap();
        assert_eq!(escrows.permit(&line()), Err(EscrowError::Burnt(line())));
    }
    assert_eq!(escrows.record(world.record.clone()), Err(EscrowError::OldSplit(line())));
    assert!(escrows.permit(&line()).is_err());
    let public: Vec<_> = world.record.terms().custodians.iter().map(|one| one.public.clone()).collect();
    let next = terms(&public, &world.approvers, 2);
    let (later, _) = split(&world.key, next, &mut world.rng).unwrap();
    escrows.record(later).unwrap();
    assert_eq!(escrows.permit(&line()), Ok(()));
    escrows.burn(burnt).unwrap();
    assert_eq!(escrows.permit(&line()), Ok(()), "an old recovery does not burn a new split");
}

#[test]
fn terms_that_undo_the_point_are_refused() {
    let mut world = world();
    let good = world.record.terms().clone();
    let mut refused = |change: &dyn Fn(&mut Terms)| {
        let mut terms = good.clone();
        change(&mut terms);
        split(&world.key, terms, &mut world.rng).err()
    };
    assert_eq!(refused(&|_| ()), None);
    assert_eq!(refused(&|terms| terms.threshold = 1), Some(EscrowError::Threshold));
    assert_eq!(refused(&|terms| terms.threshold = 6), Some(EscrowError::Threshold));
    assert_eq!(refused(&|terms| terms.approvers.truncate(1)), Some(EscrowError::Approvers));
    let twice = |terms: &mut Terms| terms.approvers[1] = terms.approvers[0].clone();
    assert_eq!(refused(&twice), Some(EscrowError::Approvers));
    let same_key = |terms: &mut Terms| terms.custodians[1].public = terms.custodians[0].public.clone();
    assert_eq!(refused(&same_key), Some(EscrowError::Custodians));
    let same_name = |terms: &mut Terms| terms.custodians[1].name = terms.custodians[0].name.clone();
    assert_eq!(refused(&same_name), Some(EscrowError::Custodians));
    assert_eq!(good.check_regions(2), Ok(()));
    assert_eq!(good.check_regions(3), Err(EscrowError::Regions { found: 2, least: 3 }));
}

/// Everything goes over as text, also to machines without a network; damage is found.
#[test]
fn a_recovery_without_a_network() {
    fn carried<T: Portable + PartialEq + std::fmt::Debug>(value: &T) -> T {
        let text = value.to_text();
        assert!(text.lines().all(|line| line.len() <= 64));
        let parsed = T::from_text(&text.replace('\n', "\r\n")).unwrap();
        assert_eq!(&parsed, value);
        let last = text.lines().count() - 1;
        for at in [1, last / 2, last - 1] {
            let mut lines: Vec<_> = text.lines().collect();
            lines.remove(at);
            assert_eq!(T::from_text(&lines.join("\n")).err(), Some(EscrowTextError::Damaged));
        }
        assert!(T::from_text("").is_err() && T::from_text(&text[..text.len() - 8]).is_err());
        parsed
    }
    let mut world = world();
    world.record = carried(&world.record);
    world.packages = world.packages.iter().map(carried).collect();
    let mut requested = world.requested();
    for at in [0, 1] {
        let approval = Approval::sign(&carried(requested.request()), &world.approvers[at]);
        requested.approve(carried(&approval)).unwrap();
    }
    let mut recovery = requested.proceed().unwrap_or_else(|_| panic!("two approvals"));
    let request = carried(recovery.request());
    for at in 0..3 {
        let answer = world.answer(&request, at).unwrap();
        recovery.submit(&carried(&answer)).unwrap();
    }
    let recovered = recovery.combine().unwrap_or_else(|_| panic!("three shares"));
    assert_eq!(recovered.secret.to_bytes(), world.key.to_bytes());
    let wrong = Package::from_text(&request.to_text()).err();
    assert_eq!(wrong, Some(EscrowTextError::Frame("PACKAGE")));
}

/// A provider is lost with its key; what it had wrapped opens in a new one.
#[test]
fn what_was_wrapped_opens_after_a_recovery() {
    let mut world = world();
    let key = world.record.terms().key.clone();
    let at = description("memory", "eu");
    let context = Context::new(&at, &line(), &Digest::ZERO);
    let mut lost = MemoryProvider::new(at.clone());
    lost.restore(&key, WrapKey::from_bytes(&world.key.to_bytes())).unwrap();
    let data = DataKey::generate(&mut world.rng);
    let wrapped = lost.wrap(&line(), &data, &context, &mut world.rng).unwrap();
    drop(lost);
    let mut recovery = world.approved();
    for at in [0, 1, 2] {
        let answer = world.answer(recovery.request(), at).unwrap();
        recovery.submit(&answer).unwrap();
    }
    let mut new = MemoryProvider::new(at);
    let recovered = recovery.combine().unwrap_or_else(|_| panic!("three shares"));
    new.restore(&key, recovered.secret).unwrap();
    assert_eq!(new.unwrap(&wrapped, &context, Access::Normal).unwrap().to_bytes(), data.to_bytes());
}

/// A recovery takes days and processes: request, key pair and answers are kept, nothing is trusted when they are back.
#[test]
fn a_recovery_is_taken_up_again() {
    let mut world = world();
    let under = StorageKey::generate(&mut world.rng);
    let pair = EscrowKey::generate(&mut world.rng);
    let kept = pair.seal(&under, &mut world.rng);
    let (mut requested, _) = Requested::new(world.record.clone(), pair, "lost", 1).unwrap();
    requested.approve(Approval::sign(requested.request(), &world.approvers[0])).unwrap();
    let request = requested.request().to_text();
    drop(requested);
    let pair = || EscrowKey::unseal(&under, &kept).unwrap();
    let request = Request::from_text(&request).unwrap();
    let mut again = Requested::resume(world.record.clone(), pair(), request.clone()).unwrap();
    let (_, error) =
        Requested::resume(world.record.clone(), pair(), request.clone()).unwrap().proceed().err().unwrap();
    assert_eq!(error, EscrowError::NotApproved { given: 1 });
    let mut forged = request.clone();
    forged
        .approvals
        .push(Approval { approver: world.approvers[1].public().clone(), ..request.approvals[0].clone() });
    let resumed = Requested::resume(world.record.clone(), pair(), forged).err();
    assert_eq!(resumed, Some(EscrowError::Approval));
    let other = EscrowKey::generate(&mut world.rng);
    assert_eq!(Requested::resume(world.record.clone(), other, request).err(), Some(EscrowError::Request));
    again.approve(Approval::sign(again.request(), &world.approvers[1])).unwrap();
    let mut recovery = again.proceed().unwrap_or_else(|_| panic!("two approvals"));
    for at in 0..3 {
        let answer = world.answer(recovery.request(), at).unwrap();
        recovery.submit(&answer).unwrap();
    }
    let recovered = recovery.combine().unwrap_or_else(|_| panic!("three shares"));
    assert_eq!(recovered.secret.to_bytes(), world.key.to_bytes());
    assert_eq!(Burnt::from_text(&recovered.burnt.to_text()).unwrap(), recovered.burnt);
}

/// [KL-29] Records and packages of the first format, as they were released, are read for ever.
#[test]
fn the_first_format_is_read_for_ever() {
    let mut world = world();
    let fixture = include_str!("../../fixtures/escrow-v1.txt");
    let (record, packages) = fixture.split_once("\n\n").unwrap();
    world.record = Record::from_text(record).unwrap();
    world.packages = packages.split("\n\n").map(|text| Package::from_text(text).unwrap()).collect();
    let mut recovery = world.approved();
    for at in [1, 2, 4] {
        let answer = world.answer(recovery.request(), at).unwrap();
        recovery.submit(&answer).unwrap();
    }
    let recovered = recovery.combine().unwrap_or_else(|_| panic!("three shares"));
    assert_eq!(recovered.secret.to_bytes(), world.key.to_bytes());
}

//! What a recording shows, message by message.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::sign::PublicKey;
use quorate_keys::PartyId;
use quorate_protocol::id::{Context, SetId};
use quorate_protocol::manifest::Manifest;
use quorate_protocol::roster::roster_hash;
use quorate_protocol::statement::{
    AnswerStatement, CheckStatement, CloseStatement, Header, LockStatement, ManifestStatement,
    RosterStatement, RoundKeyStatement, Statement as _,
};
use quorate_protocol::wire::{
    self, Announce, Answer, CheckBatch, CheckEntry, Close, Contribution, Lock, Locks, Message, Relay,
    ResultNotice, Roster, RoundKey, set_leaf,
};

use crate::report::Findings;
use crate::stage::session_of;

/// What is known of a round.
struct Round {
    manifest: Manifest,
    session: Option<(Digest, Roster)>,
    headers: BTreeMap<u32, Digest>,
    /// Sets that members signed for, by place, and sets that locks were seen for.
    signed: BTreeMap<u16, SetId>,
    locks: Vec<(SetId, BTreeSet<u16>)>,
}

pub(super) struct Judge {
    coordinator: PublicKey,
    keys: BTreeMap<u32, PublicKey>,
    rounds: BTreeMap<u64, Round>,
}

/// One message in its place: who sent it, in which line of the recording.
type At<'a> = (Option<u32>, &'a str);

impl Judge {
    pub(super) const fn new(coordinator: PublicKey, keys: BTreeMap<u32, PublicKey>) -> Self {
        Self { coordinator, keys, rounds: BTreeMap::new() }
    }

    /// Judges one frame.
    pub(super) fn take(&mut self, from: Option<u32>, frame: &[u8], line: usize, findings: &mut Findings) {
        let at = format!("line {line}");
        let fine = crate::decode::explain(frame).is_ok();
        findings.note("R-01", fine, || at.clone());
        let Ok((kind, round, body)) = wire::split(frame) else { return };
        let at: At<'_> = (from, &at);
        // A body that does not decode has failed already.
        let _ = match kind {
            Announce::TYPE => wire::decode_body(body).map(|message| self.announce(&message, at, findings)),
            RoundKey::TYPE => {
                wire::decode_body(body).map(|message| self.round_key(round, &message, at, findings))
            }
            Roster::TYPE => wire::decode_body(body).map(|message| self.roster(round, message, at, findings)),
            Contribution::TYPE => wire::decode_body(body).map(|made: Contribution| {
                self.header(round, (&made.header, &made.signature), at, findings);
            }),
            Relay::TYPE => wire::decode_body(body).map(|message| self.relay(round, &message, at, findings)),
            CheckBatch::TYPE => {
                wire::decode_body(body).map(|message| self.checks(round, &message, at, findings))
            }
            Close::TYPE => wire::decode_body(body).map(|message| self.close(round, &message, at, findings)),
            Lock::TYPE => wire::decode_body(body).map(|message| self.lock(round, &message, at, findings)),
            Locks::TYPE => wire::decode_body(body).map(|message: Locks| {
                message.locks.iter().for_each(|lock| self.lock(round, lock, at, findings));
            }),
            Answer::TYPE => wire::decode_body(body).map(|message| self.answer(round, &message, at, findings)),
            ResultNotice::TYPE => {
                wire::decode_body(body).map(|message| self.result(round, &message, at, findings))
            }
            _ => Ok(()),
        };
    }

    fn announce(&mut self, message: &Announce, (_, at): At<'_>, findings: &mut Findings) {
        let manifest = &message.manifest;
        let statement = ManifestStatement(manifest.hash());
        let signed = statement.verify(&manifest.context(), &self.coordinator, &message.signature).is_ok();
        let known = self.rounds.get(&manifest.round).is_none_or(|round| round.manifest == *manifest);
        findings.note("R-02", signed && known, || match signed {
            true => format!("{at}: another manifest of round {}", manifest.round),
            false => format!("{at}: not signed by the coordinator"),
        });
        if signed {
            self.rounds.entry(manifest.round).or_insert_with(|| Round {
                manifest: manifest.clone(),
                session: None,
                headers: BTreeMap::new(),
                signed: BTreeMap::new(),
                locks: Vec::new(),
            });
        }
    }

    fn round_key(&self, round: u64, message: &RoundKey, (_, at): At<'_>, findings: &mut Findings) {
        let Some(round) = self.rounds.get(&round) else { return };
        let statement = RoundKeyStatement { mh: &message.mh, id: &message.id, key: &message.key };
        let fine = message.mh == round.manifest.hash()
            && self.signed_by(message.id.index, |key| {
                statement.verify(&round.manifest.context(), key, &message.signature).is_ok()
            });
        findings.note("R-04", fine, || at.to_owned());
    }

    fn roster(&mut self, number: u64, message: Roster, (_, at): At<'_>, findings: &mut Findings) {
        let Some(round) = self.rounds.get_mut(&number) else { return };
        let (mh, context) = (round.manifest.hash(), round.manifest.context());
        let member = |entry: &wire::RosterEntry| PartyId::new(entry.index, &entry.identity);
        let rh = roster_hash(&mh, message.members.iter().map(|entry| (member(entry), entry.key.as_slice())));
        let statement = RosterStatement { mh: &mh, rh: &rh };
        let signed = statement.verify(&context, &self.coordinator, &message.signature).is_ok();
        let sid = session_of(&round.manifest, &message);
        let one = round.session.as_ref().is_none_or(|(known, _)| *known == sid);
        findings.note("R-03", signed && one, || match signed {
            true => format!("{at}: a second roster of round {number}"),
            false => format!("{at}: not signed by the coordinator"),
        });
        for entry in &message.members {
            let id = member(entry);
            let statement = RoundKeyStatement { mh: &mh, id: &id, key: &entry.key };
            let fine = statement.verify(&context, &entry.identity, &entry.signature).is_ok();
            findings.note("R-04", fine, || format!("{at}: member {}", id.index));
        }
        if signed && round.session.is_none() {
            round.session = Some((sid, message));
        }
    }

    fn header(
        &mut self,
        number: u64,
        (header, signature): (&Header, &quorate_crypto::sign::Signature),
        (_, at): At<'_>,
        findings: &mut Findings,
    ) {
        let Some(round) = self.rounds.get(&number) else { return };
        let context = round.manifest.context();
        let signed =
            self.signed_by(header.sender.index, |key| header.verify(&context, key, signature).is_ok());
        // Only what somebody signed can be held against him.
        let Some(round) = self.rounds.get_mut(&number).filter(|_| signed) else { return };
        let first = *round.headers.entry(header.sender.index).or_insert_with(|| header.hdr());
        findings.note("R-05", first == header.hdr(), || format!("{at}: sender {}", header.sender.index));
    }

    fn relay(&mut self, number: u64, message: &Relay, at: At<'_>, findings: &mut Findings) {
        for item in &message.items {
            self.header(number, (&item.header, &item.signature), at, findings);
            let Some(round) = self.rounds.get(&number) else { return };
            let context = round.manifest.context();
            let Some((sid, roster)) = &round.session else { return };
            let size = roster.members.len() as u64;
            // For which member it is stands in no field: it is the place to which the path leads.
            let leads = (0..size).any(|place| {
                let leaf = item.sealed.leaf(place as u16 + 1);
                merkle::verify_inclusion(&item.header.shares, size, place, &leaf, &item.path)
            });
            let signed = item.header.verify(&context, &item.identity, &item.signature).is_ok();
            let own = item.identity.key_hash() == item.header.sender.key_hash && item.header.sid == *sid;
            let sender = item.header.sender.index;
            findings.note("R-06", leads && signed && own, || format!("{}: sender {sender}", at.1));
        }
    }

    fn checks(&self, number: u64, message: &CheckBatch, (_, at): At<'_>, findings: &mut Findings) {
        let leaves: Vec<Digest> = message.entries.iter().map(CheckEntry::leaf).collect();
        let statement = CheckStatement { sid: message.sid, root: merkle::root(&leaves) };
        let fine = self.member(number, message.member, |context, key| {
            statement.verify(context, key, &message.signature).is_ok()
        });
        findings.note("R-10", fine, || format!("{at}: check values of member {}", message.member));
    }

    fn close(&self, number: u64, message: &Close, (_, at): At<'_>, findings: &mut Findings) {
        let Some(round) = self.rounds.get(&number) else { return };
        let statement = CloseStatement(message.set);
        let signed =
            statement.verify(&round.manifest.context(), &self.coordinator, &message.signature).is_ok();
        findings.note("R-10", signed, || format!("{at}: the set"));
        let id = |index: u32| self.keys.get(&index).map(|key| PartyId::new(index, key));
        let leaf = |leaf: &wire::Leaf| Some(set_leaf(&message.set.sid, &id(leaf.sender)?, &leaf.hdr));
        let leaves: Option<Vec<Digest>> = message.leaves.iter().map(leaf).collect();
        let Some(leaves) = leaves else { return };
        let sized = message.leaves.len() == message.set.size as usize
            && message.set.size >= round.manifest.cohort.n_min
            && message.set.size <= round.manifest.cohort.n_max;
        let ordered = message.leaves.is_sorted_by(|a, b| a.sender < b.sender);
        let rooted = merkle::root(&leaves) == message.set.root;
        findings.note("R-07", sized && ordered && rooted, || at.to_owned());
    }

    fn lock(&mut self, number: u64, lock: &Lock, (_, at): At<'_>, findings: &mut Findings) {
        let fine = self.member(number, lock.member, |context, key| {
            LockStatement(lock.set).verify(context, key, &lock.signature).is_ok()
        });
        findings.note("R-10", fine, || format!("{at}: lock of member {}", lock.member));
        let Some(round) = self.rounds.get_mut(&number).filter(|_| fine) else { return };
        let first = *round.signed.entry(lock.member).or_insert(lock.set);
        findings.note("R-08", first == lock.set, || format!("{at}: member {} locked two sets", lock.member));
        match round.locks.iter_mut().find(|(set, _)| *set == lock.set) {
            Some((_, members)) => drop(members.insert(lock.member)),
            None => round.locks.push((lock.set, BTreeSet::from([lock.member]))),
        }
    }

    fn answer(&mut self, number: u64, answer: &Answer, (_, at): At<'_>, findings: &mut Findings) {
        let Answer { set, member, shares, signature } = answer;
        let statement = AnswerStatement { set: *set, index: *member, shares };
        let fine =
            self.member(number, *member, |context, key| statement.verify(context, key, signature).is_ok());
        findings.note("R-10", fine, || format!("{at}: answer of member {member}"));
        let Some(round) = self.rounds.get_mut(&number).filter(|_| fine) else { return };
        let first = *round.signed.entry(*member).or_insert(*set);
        findings.note("R-08", first == *set, || format!("{at}: member {member} answered for another set"));
        let locked = round.locks.iter().find(|(of, _)| of == set).map_or(0, |(_, members)| members.len());
        let enough = locked >= usize::from(round.manifest.committee.q);
        findings.note("R-09", enough, || format!("{at}: after {locked} locks"));
    }

    fn result(&self, number: u64, notice: &ResultNotice, (_, at): At<'_>, findings: &mut Findings) {
        let Some(round) = self.rounds.get(&number) else { return };
        let context = round.manifest.context();
        let signed = notice.statement.verify(&context, &self.coordinator, &notice.signature).is_ok();
        findings.note("R-10", signed, || format!("{at}: the result"));
    }

    fn signed_by(&self, index: u32, verifies: impl Fn(&PublicKey) -> bool) -> bool {
        self.keys.get(&index).is_some_and(verifies)
    }

    /// Whether the member at a place of the roster signed something.
    fn member(&self, number: u64, place: u16, verifies: impl Fn(&Context, &PublicKey) -> bool) -> bool {
        let Some(round) = self.rounds.get(&number) else { return false };
        let entry = round
            .session
            .as_ref()
            .and_then(|(_, roster)| roster.members.get(usize::from(place).checked_sub(1)?));
        entry.is_some_and(|entry| verifies(&round.manifest.context(), &entry.identity))
    }
}

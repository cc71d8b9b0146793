//! Check, the coordinator's side: collects signed check values and complaints ([CHK-1], [CHK-2]); its twin
//! is `member/check.rs`. The decision over them is in `close.rs`.

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle;
use quorate_crypto::share::{CheckOutcome, Sharing};

use super::contribute::{Accepting, Collecting, RELAY_WAIT};
use super::{Coordinator, CoordinatorEvent, Stage, refused};
use crate::error::{Abort, Fault, FaultKind};
use crate::id::Time;
use crate::statement::{CheckStatement, Statement};
use crate::wire::{CheckBatch, CheckEntry, CheckValue, Complaint, Unverified};

/// What one member said about one contribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// Nothing yet.
    Silent,
    /// It complains.
    Complaint(Complaint),
    /// Its K values.
    Values,
}

/// What all members said about one contribution: a byte and K bit-packed values each, nothing once it is settled.
#[derive(Default)]
pub(super) struct Cells {
    said: Vec<Cell>,
    values: Vec<u8>,
    width: usize,
    silent: usize,
}

impl Cells {
    /// Nobody of the committee has said anything.
    pub(super) fn new(sharing: &Sharing) -> Self {
        let (members, width) = (sharing.members(), sharing.check_bytes());
        Self { said: vec![Cell::Silent; members], values: vec![0; members * width], width, silent: members }
    }

    /// What each member said; nothing once it is settled.
    pub(super) fn said(&self) -> &[Cell] {
        &self.said
    }

    /// Values of a member that gave some, lengths and ranges checked.
    fn values(&self, at: usize) -> &[u8] {
        &self.values[at * self.width..][..self.width]
    }

    /// Notes what a member that was silent says.
    fn note(&mut self, at: usize, value: &CheckValue) {
        self.silent -= 1;
        self.said[at] = match value {
            CheckValue::Values(bytes) => {
                self.values[at * self.width..][..self.width].copy_from_slice(bytes);
                Cell::Values
            }
            CheckValue::Complaint(complaint) => Cell::Complaint(*complaint),
        };
    }
}

impl Coordinator {
    /// Takes one member's batch. All entries are checked before any is noted.
    pub(super) fn on_check_batch(&mut self, message: Unverified<CheckBatch>) -> Result<(), Fault> {
        let round = self.round.as_deref_mut().ok_or(refused(FaultKind::OutOfTurn))?;
        let context = round.context();
        let plan = std::sync::Arc::clone(&round.accepted.plan);
        let Stage::Collecting(stage) = &mut round.stage else { return Err(refused(FaultKind::Late)) };
        let batch = message.into_body();
        if batch.sid != stage.sid {
            return Err(refused(FaultKind::WrongSession));
        }
        let member = stage.roster.as_ref().and_then(|roster| roster.member(batch.member));
        let (member, sharing) = member.zip(plan.sharing()).ok_or(refused(FaultKind::NotMember))?;
        let id = member.id;
        let leaves: Vec<Digest> = batch.entries.iter().map(CheckEntry::leaf).collect();
        let root = merkle::root(&leaves);
        CheckStatement { sid: batch.sid, root }
            .verify(&context, &member.identity, &batch.signature)
            .map_err(refused)?;
        // The network may repeat what a member said once.
        if stage.heard.contains(&(batch.member, root)) {
            return Ok(());
        }
        let at = usize::from(batch.member) - 1;
        stage.check_entries(at, &batch.entries, sharing).map_err(|kind| Fault::party(id, kind))?;
        stage.heard.insert((batch.member, root));
        for entry in batch.entries {
            if let Some(sender) = stage.note(at, &entry, sharing) {
                self.out.event(CoordinatorEvent::Settled { sender });
            }
        }
        Ok(())
    }

    /// Relays batches that are due, none later than the longest wait after the Contribute deadline; closes when nothing more can come, or at the Check deadline.
    pub(super) fn advance_collecting(&mut self, now: Time) -> Result<bool, Abort> {
        let Some(round) = self.round.as_deref_mut() else { return Ok(false) };
        let deadlines = round.accepted.manifest.deadlines;
        let (end, last) = (round.at(deadlines.contribute), round.at(deadlines.check));
        let number = round.number();
        let expected = round.cohort.len().min(round.accepted.manifest.cohort.n_max as usize);
        let Stage::Collecting(stage) = &mut round.stage else { return Ok(false) };
        let complete = stage.taken.len() >= expected || now >= end;
        // A wake that comes late must not relay what members can no longer be expected to check ([CMP-1] (0)).
        if now > end.plus(RELAY_WAIT) {
            stage.miss();
        } else if stage.is_due(now) || complete {
            stage.flush(number, &mut self.out);
        }
        if !complete || (stage.unsettled > 0 && now < last) {
            return Ok(false);
        }
        self.close()?;
        Ok(true)
    }
}

impl Collecting {
    /// Every entry is about a relayed contribution with this header, and said for the first time.
    fn check_entries(&self, at: usize, entries: &[CheckEntry], sharing: &Sharing) -> Result<(), FaultKind> {
        let mut said: Vec<u32> = entries.iter().map(|entry| entry.sender).collect();
        said.sort_unstable();
        if said.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(FaultKind::BadBatch);
        }
        for entry in entries {
            let taken = self.taken.get(&entry.sender).filter(|taken| taken.relayed && taken.hdr == entry.hdr);
            let silent = taken.and_then(|taken| taken.cells.said().get(at)) == Some(&Cell::Silent);
            let sound = match &entry.value {
                CheckValue::Complaint(_) => true,
                CheckValue::Values(bytes) => sharing.parse_elements(bytes, sharing.checks()).is_ok(),
            };
            if !silent || !sound {
                return Err(FaultKind::BadBatch);
            }
        }
        Ok(())
    }

    /// Notes one entry. A contribution about which all members agree is settled: no rule can leave it out
    /// any more, and its values need not be kept.
    fn note(&mut self, at: usize, entry: &CheckEntry, sharing: &Sharing) -> Option<u32> {
        let taken = self.taken.get_mut(&entry.sender)?;
        taken.cells.note(at, &entry.value);
        self.complaints += usize::from(matches!(entry.value, CheckValue::Complaint(_)));
        if taken.cells.silent > 0 {
            return None;
        }
        self.unsettled -= 1;
        let agreed = taken.cells.said().iter().all(|cell| *cell == Cell::Values)
            && matches!(word(taken, sharing, &|_| true), Some(CheckOutcome::Consistent));
        if agreed {
            taken.cells = Cells::default();
        }
        agreed.then_some(entry.sender)
    }
}

/// Decodes the word of one contribution over the members that `counts` keeps; `None` if fewer than r of
/// them published values.
pub(super) fn word(
    taken: &Accepting,
    sharing: &Sharing,
    counts: &dyn Fn(usize) -> bool,
) -> Option<CheckOutcome> {
    let given =
        taken.cells.said().iter().enumerate().filter(|(at, cell)| counts(*at) && **cell == Cell::Values);
    let values: Option<Vec<(u16, Vec<u64>)>> = given
        .map(|(at, _)| {
            let values = sharing.parse_elements(taken.cells.values(at), sharing.checks()).ok()?;
            Some((u16::try_from(at + 1).ok()?, values))
        })
        .collect();
    sharing.decode_checks(&values?).ok()
}

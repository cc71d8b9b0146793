//! Sessions for a collective key, the coordinator's side ([CKG-1] … [CKG-8]): who holds, when a session may run, and when
//! its key comes into force. The session itself is [`KeyMaker`]'s; its twin is `member/collective.rs`.
//!
//! ```text
//! start_session ─number durable─▶ KeyMaker ─▶ ready: in force for the next round, keep the evidence durably
//!                                     └─────▶ dead: DeadSession says who is named and who was silent
//! ```
//!
//! A session for a new key runs beside rounds, so that the next key is there when the one in force is spent; all holders are
//! told that it is ready between rounds only, because a holder serves under one key. A refresh runs between rounds.

use std::sync::Arc;

use thiserror::Error;

use super::{Coordinator, CoordinatorEvent, RoundConfig, refused};
use crate::announce::may_hold;
use crate::collective::{
    KeyEvidence, KeyMaker, MakerEvent, MakerRecord, OldHolder, Purpose, Reshare, SessionRecord,
};
use crate::draw::Role;
use crate::epoch::Epoch;
use crate::error::{ApiMisuse, Fault, FaultKind};
use crate::id::{PartyId, Time};
use crate::manifest::{CommitteeShape, Mode};
use crate::outbox::Output;

/// What a session is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPurpose {
    /// A new key, by these holders; none: those drawn or named for the epoch, as many as the shape wants.
    New(Option<Vec<u32>>),
    /// New shares of the key in force, without these holders (registry indices) from now on.
    Refresh(Vec<u32>),
    /// The key in force for other holders or thresholds ([CREN-3]).
    Reshare(Box<ReshareConfig>),
}

/// Who deals to whom in a reshare, as registry indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReshareConfig {
    /// Holders of the key in force that deal, r or more.
    pub dealers: Vec<u32>,
    /// The new holders; none: those drawn or named for the epoch, as many as the shape wants.
    pub holders: Option<Vec<u32>>,
    /// Openings of the key so far: a holder that has counted more refuses.
    pub opened: u32,
    /// Blames of the key so far.
    pub blamed: u16,
}

/// A session to be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// What for.
    pub purpose: KeyPurpose,
    /// Numbers of the holders; of a refresh those of the key in force.
    pub shape: CommitteeShape,
    /// Most contributions of a round under the key.
    pub n_max: u32,
    /// Most openings of the key.
    pub openings: u32,
    /// Most sets of responders for one set of contributions.
    pub attempts: u8,
    /// Most blames of the key.
    pub blames: u16,
    /// Milliseconds each phase may take.
    pub patience: u32,
}

/// Why no session began.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// Not the time for it.
    #[error(transparent)]
    Misuse(#[from] ApiMisuse),
    /// Too few may hold.
    #[error(
        "only {found} parties may hold a share in this epoch, {need} are needed: raise the committee's width or lower m"
    )]
    Holders {
        /// Who may.
        found: usize,
        /// m.
        need: usize,
    },
    /// There is nothing to refresh.
    #[error("no collective key is in force: make one first")]
    NoKey,
    /// Numbers that make no key.
    #[error("no session can be held with these numbers: {0}")]
    Record(FaultKind),
}

impl Coordinator {
    /// Begins a session; its number is used up. Holders are to be told to poll ([`CoordinatorEvent::KeyCalled`]).
    ///
    /// # Errors
    /// [`SessionError`]; nothing has changed then.
    pub fn start_session(&mut self, now: Time, config: &SessionConfig) -> Result<u64, SessionError> {
        // A key that is ready and waits for the round's end is not lost to the next session.
        self.drain_session();
        if self.maker.as_ref().is_some_and(|maker| maker.has_output()) {
            return Err(ApiMisuse::SessionRunning.into());
        }
        if self.holds_ceremony() {
            return Err(ApiMisuse::CeremonyRunning.into());
        }
        if self.holds_session() {
            return Err(ApiMisuse::SessionRunning.into());
        }
        if matches!(config.purpose, KeyPurpose::Refresh(_) | KeyPurpose::Reshare(_)) {
            self.ensure_idle()?;
        }
        let number = self.session.checked_add(1).ok_or(ApiMisuse::NoEpoch)?;
        let (record, before) = self.session_record(number, config)?;
        let maker = KeyMaker::start((&self.registry, &self.identity), record, before, now, config.patience)
            .map_err(SessionError::Record)?;
        self.session = number;
        self.maker = Some(Box::new(maker));
        self.drain_session();
        Ok(number)
    }

    fn session_record(
        &self,
        number: u64,
        config: &SessionConfig,
    ) -> Result<(SessionRecord, Option<KeyEvidence>), SessionError> {
        let (epoch, _) = self.epoch.as_ref().ok_or(ApiMisuse::NoEpoch)?;
        let head = epoch.record().eligible;
        match &config.purpose {
            KeyPurpose::New(chosen) => {
                let record = SessionRecord {
                    deployment: **self.registry.deployment(),
                    epoch: *epoch.hash(),
                    number,
                    purpose: Purpose::New,
                    head,
                    holders: self.holders(chosen.as_deref(), usize::from(config.shape.m))?,
                    r: config.shape.r,
                    corrupt: config.shape.c,
                    n_max: config.n_max,
                    openings: config.openings,
                    attempts: config.attempts,
                    blames: config.blames,
                };
                Ok((record, None))
            }
            KeyPurpose::Refresh(evicted) => {
                let before = self.collective.as_deref().ok_or(SessionError::NoKey)?;
                Ok((
                    refreshed(&before.record.made_by, &before.record.hash(), (number, evicted)),
                    Some(before.clone()),
                ))
            }
            KeyPurpose::Reshare(reshare) => {
                let before = self.collective.as_deref().ok_or(SessionError::NoKey)?;
                let made_by = &before.record.made_by;
                let dealers = (made_by.active().into_iter())
                    .filter_map(|place| Some(OldHolder { place, id: made_by.id(place)? }))
                    .filter(|dealer| reshare.dealers.contains(&dealer.id.index))
                    .collect();
                let purpose = Purpose::Reshare(Reshare {
                    key: before.record.hash(),
                    generation: made_by.generation().saturating_add(1),
                    dealers,
                    opened: reshare.opened,
                    blamed: reshare.blamed,
                });
                let record = SessionRecord {
                    number,
                    purpose,
                    holders: self.holders(reshare.holders.as_deref(), usize::from(config.shape.m))?,
                    r: config.shape.r,
                    corrupt: config.shape.c,
                    n_max: config.n_max,
                    openings: config.openings,
                    attempts: config.attempts,
                    blames: config.blames,
                    ..made_by.clone()
                };
                Ok((record, Some(before.clone())))
            }
        }
    }

    /// Who may hold a share in the epoch in force, as registry indices, by ticket ([CKG-8]).
    #[must_use]
    pub fn may_hold(&self) -> Vec<u32> {
        let Some((epoch, _)) = &self.epoch else { return Vec::new() };
        self.by_ticket(epoch).into_iter().map(|id| id.index).collect()
    }

    fn by_ticket(&self, epoch: &Epoch) -> Vec<PartyId> {
        let size = usize::try_from(epoch.record().eligible.size).unwrap_or(usize::MAX);
        let draw = epoch.draw(epoch.record().first_round);
        let all = (0..).zip(self.registry.keys()).take(size).map(|(index, key)| PartyId::new(index, key));
        let may = all.filter(|id| !self.excluded.contains(&id.index) && may_hold(epoch, id));
        let mut found: Vec<_> = may.map(|id| (draw.ticket(Role::Committee, &id), id)).collect();
        found.sort_unstable_by_key(|(ticket, _)| *ticket);
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// Who is to hold: the chosen ones, all of whom may ([CKG-8]), or the first m of those who may, by ticket.
    fn holders(&self, chosen: Option<&[u32]>, m: usize) -> Result<Vec<PartyId>, SessionError> {
        let (epoch, _) = self.epoch.as_ref().ok_or(ApiMisuse::NoEpoch)?;
        let wanted = |id: &PartyId| chosen.is_none_or(|chosen| chosen.contains(&id.index));
        let found: Vec<PartyId> = self.by_ticket(epoch).into_iter().filter(wanted).collect();
        if found.len() < m {
            return Err(SessionError::Holders { found: found.len(), need: m });
        }
        let mut holders: Vec<PartyId> = found.into_iter().take(m).collect();
        holders.sort_unstable_by_key(|id| id.index);
        Ok(holders)
    }

    /// Members that have to be there for a round to have a chance: all of a roster; of a collective key's holders those who
    /// lock and open, or all who are to make it.
    #[must_use]
    pub fn members_wanted(&self, config: &RoundConfig) -> u32 {
        match (config.mode, self.collective()) {
            (Mode::Homomorphic, Some(key)) => {
                let shape = key.record.shape();
                u32::from(shape.q.max(shape.r))
            }
            _ => u32::from(config.committee.m),
        }
    }

    /// Number of the last session; 0 before the first.
    #[must_use]
    pub const fn last_session(&self) -> u64 {
        self.session
    }

    /// Whether a session is under way.
    #[must_use]
    pub fn holds_session(&self) -> bool {
        self.maker.as_ref().is_some_and(|maker| !maker.is_over())
    }

    /// The collective key that rounds in mode `homomorphic` are held under, and everything that shows it.
    #[must_use]
    pub fn collective(&self) -> Option<&KeyEvidence> {
        self.collective.as_deref()
    }

    /// Takes up a key that was kept, if it is of the epoch in force.
    ///
    /// # Errors
    /// A key of another epoch, or one that does not verify.
    pub fn install_key(&mut self, evidence: KeyEvidence) -> Result<(), FaultKind> {
        let (epoch, _) = self.epoch.as_ref().ok_or(FaultKind::BadEpoch)?;
        evidence.verify_in(epoch)?;
        self.session = self.session.max(evidence.record.made_by.number);
        self.collective = Some(Box::new(evidence));
        Ok(())
    }

    /// Takes a holder's frame of the session.
    pub(super) fn on_session(&mut self, now: Time, from: u32, frame: &[u8]) -> Result<(), Fault> {
        let maker = self.maker.as_deref_mut().ok_or(refused(FaultKind::OutOfTurn))?;
        maker.handle(now, from, frame)
    }

    /// Answers a holder's poll with what it needs next; one that is told nothing has nothing to do.
    pub(super) fn on_session_poll(&mut self, from: u32, seen: u64) -> Result<(), Fault> {
        let told = self.is_told();
        let Some(maker) = self.maker.as_deref_mut() else { return Ok(()) };
        if maker.is_over() && !told {
            return Ok(());
        }
        maker.poll(&self.registry, from, seen).map_err(|_| refused(FaultKind::InconsistentHead))
    }

    /// Whether what a session ended with may be told: not in the middle of a round ([CKG-8]).
    fn is_told(&self) -> bool {
        !self.is_busy()
    }

    pub(super) fn advance_session(&mut self, now: Time) {
        if let Some(maker) = self.maker.as_deref_mut() {
            maker.wake(now);
        }
        self.drain_session();
    }

    /// Passes on what the session puts out. The last of it waits for the round under way to end.
    fn drain_session(&mut self) {
        let told = self.is_told();
        let Some(mut maker) = self.maker.take() else { return };
        while told || !maker.is_over() {
            match maker.poll_output() {
                None => break,
                Some(Output::Persist(record)) => drop(self.out.persist(record)),
                Some(Output::Send { to, frame }) => self.out.send_to(to, frame),
                Some(Output::Upload { frame, vector }) => self.out.upload(frame, vector),
                Some(Output::WakeAt(time)) => self.out.wake_at(time),
                Some(Output::Event(MakerEvent::Called(parties))) => {
                    self.out.event(CoordinatorEvent::KeyCalled { session: maker.record().number, parties });
                }
                Some(Output::Event(MakerEvent::Ready(evidence))) => {
                    let (record, session) = (evidence.record.hash(), maker.record().number);
                    if !matches!(maker.record().purpose, Purpose::Refresh { .. }) {
                        self.named.clear();
                    }
                    self.collective = Some(evidence);
                    self.out.event(CoordinatorEvent::KeyReady { session, record });
                }
                Some(Output::Event(MakerEvent::Dead(dead))) => {
                    self.out.event(CoordinatorEvent::KeyDead(dead));
                }
            }
        }
        self.maker = Some(maker);
    }

    /// Ends the session, if there is one.
    pub(super) fn end_session(&mut self, now: Time) {
        if let Some(maker) = self.maker.as_deref_mut() {
            maker.cancel(now);
        }
        self.drain_session();
    }

    /// Ends the session under way from outside: the next one has a higher number.
    pub fn cancel_session(&mut self, now: Time) {
        self.end_session(now);
    }
}

/// The record of a refresh: the same holders and numbers, one generation on; who is evicted stays so ([CKG-1]).
fn refreshed(
    before: &SessionRecord,
    key: &quorate_crypto::hash::Digest,
    (number, out): (u64, &[u32]),
) -> SessionRecord {
    let mut evicted = before.evicted().to_vec();
    let place_of = |index: &u32| {
        let at = before.holders.iter().position(|id| id.index == *index)?;
        u16::try_from(at + 1).ok()
    };
    evicted.extend(out.iter().filter_map(place_of));
    evicted.sort_unstable();
    evicted.dedup();
    let generation = before.generation().saturating_add(1);
    let purpose = Purpose::Refresh { key: *key, generation, evicted };
    SessionRecord { number, purpose, ..before.clone() }
}

impl From<MakerRecord> for crate::record::CoordinatorRecord {
    fn from(record: MakerRecord) -> Self {
        Self::Session(record)
    }
}

/// A frame for whoever asks for the key of a round.
pub(super) fn key_notice(round: u64, evidence: &KeyEvidence) -> Arc<[u8]> {
    crate::wire::encode(round, &crate::wire::KeyNotice { evidence: evidence.clone() }).into()
}

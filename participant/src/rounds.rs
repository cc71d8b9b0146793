//! The rounds of a client: the device's actions performed, and the caller's update.

use std::sync::Arc;

use quorate_protocol::collective::HolderEvent;
use quorate_protocol::member::MemberEvent;
use quorate_protocol::wire;
use quorate_transport::{Refusal, TransportError};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::action::{Action, DeviceError};
use crate::client::{Client, lasting};
use crate::error::ClientError;
use crate::link::Parcel;
use crate::signed::ModelRefused;
use crate::step::{Missed, Step, Training};
use crate::work::{Stage, Work};

impl Client {
    /// Gives the update trained for a round; it leaves once the roster is there. Returns how many coordinates are
    /// clipped. Dropping the future loses nothing: it does not wait.
    ///
    /// `update` has the manifest's d coordinates (trained model minus the round's model), `weight` is 1 … W.
    ///
    /// # Errors
    /// [`ClientError::WrongRound`] if the device is not training for this round, or any more;
    /// [`ClientError::Update`] if the update is not usable: another one may be submitted then.
    pub async fn submit(&mut self, round: u64, update: &[f32], weight: u64) -> Result<usize, ClientError> {
        self.log.check()?;
        let wrong = ClientError::WrongRound { round };
        let Some(work) = self.work.as_mut().filter(|work| work.round == round) else { return Err(wrong) };
        let (Stage::Training, Some(accepted)) = (&work.stage, self.device.current()) else {
            return Err(wrong);
        };
        let codec = accepted.plan.codec();
        codec.clipped(update, weight)?;
        let clipped = codec.count_clipped(update);
        work.stage = Stage::Trained { update: Zeroizing::new(update.to_vec()), weight };
        lasting(self.device.trained(round))?;
        self.perform()?;
        Ok(clipped)
    }

    /// Performs all actions of the device.
    pub(crate) fn perform(&mut self) -> Result<(), ClientError> {
        while let Some(action) = self.device.next_action() {
            match action {
                Action::Send { frame } => self.send(frame),
                Action::Upload { frame, vector } => self.made(frame, vector),
                Action::WakeAt(time) => {
                    self.wakes.insert(self.instant(time));
                }
                Action::Train { round } => self.announced(round),
                Action::Ready { round } => self.ready(round)?,
                Action::Counted { round } => self.told(round, Step::Counted { round }),
                Action::LeftOut { round } => self.told(round, Step::LeftOut { round }),
                Action::Equivocation(evidence) => self.steps.push_back(Step::Equivocation(evidence)),
                Action::Keys { .. } => {}
                Action::KeyRevoked { round } => self.revoked(round),
                Action::Member(event) => self.steps.extend(member(&event)),
            }
        }
        Ok(())
    }

    fn announced(&mut self, round: u64) {
        self.leave(Missed::Overtaken);
        let Some(accepted) = self.device.current().filter(|accepted| accepted.manifest.round == round) else {
            return;
        };
        if !self.is_full() {
            self.work = Some(Work::announced(Arc::clone(&accepted.manifest), self.options.max_model));
        }
    }

    /// The key behind a round was revoked: even what was sent does not count any more.
    fn revoked(&mut self, round: u64) {
        if self.work.take_if(|work| work.round == round).is_some() {
            self.steps.push_back(Step::Missed { round, why: Missed::KeyRevoked });
        }
    }

    /// The roster is there.
    fn ready(&mut self, round: u64) -> Result<(), ClientError> {
        let Some(Work { stage: Stage::Trained { update, weight }, .. }) = &self.work else { return Ok(()) };
        match self.device.contribute(round, update, *weight) {
            Err(DeviceError::Contribute(error)) => self.leave(Missed::Contribution(error)),
            outcome => drop(lasting(outcome)?),
        }
        Ok(())
    }

    /// A contribution is made, now or before a restart.
    fn made(&mut self, frame: Arc<[u8]>, vector: Arc<[u8]>) {
        let Ok((_, round, _)) = wire::split(&frame) else { return };
        let parcel = Parcel { round, frame, vector };
        match self.work.as_mut().filter(|work| work.round == round) {
            Some(work) => {
                work.stage = Stage::Uploading(parcel);
                work.want();
            }
            None => self.work = Some(Work::restored(parcel)),
        }
    }

    fn told(&mut self, round: u64, step: Step) {
        if self.work.as_ref().is_some_and(|work| work.round == round) {
            self.work = None;
            self.finished += 1;
        }
        self.steps.push_back(step);
        self.log.round_over();
    }

    /// Ends the round under way: one that is sent is done, any other is missed.
    pub(crate) fn leave(&mut self, why: Missed) {
        let Some(work) = self.work.take() else { return };
        self.log.round_over();
        if work.is_sent() {
            self.finished += 1;
        } else {
            self.steps.push_back(Step::Missed { round: work.round, why });
        }
    }

    /// Gives up the round that is over.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.work.as_ref().and_then(Work::ends).is_some_and(|ends| ends <= now) {
            self.leave(Missed::Deadline);
        }
    }

    /// Begins the transfer that is due.
    pub(crate) fn transfer(&mut self, now: Instant) {
        let (Some(up), Some(work)) = (&self.up, &mut self.work) else { return };
        if work.again().is_none_or(|again| again > now) {
            return;
        }
        match &mut work.stage {
            Stage::Fetching { wanted, held, resumed } => {
                *resumed = !held.is_empty();
                self.link.download(up, *wanted, std::mem::take(held));
            }
            Stage::Proving { hash, .. } => self.link.signature(up, (work.round, *hash)),
            Stage::Uploading(parcel) => self.link.upload(up, parcel.clone()),
            Stage::Training | Stage::Trained { .. } | Stage::Sent => return,
        }
        work.begin();
    }

    /// A download ended: the model is checked before anybody trains on it ([MASK-2]).
    pub(crate) fn fetched(
        &mut self,
        round: u64,
        bytes: Vec<u8>,
        outcome: Result<(), TransportError>,
    ) -> Result<(), ClientError> {
        let Some(work) = self.work.as_mut().filter(|work| work.round == round) else { return Ok(()) };
        let Stage::Fetching { held, resumed, .. } = &mut work.stage else { return Ok(()) };
        match outcome {
            Ok(()) => {}
            Err(TransportError::Length) if !*resumed => {
                self.leave(Missed::ModelTooLong);
                return Ok(());
            }
            // What is held is no beginning of what is there: from the start again.
            Err(error) => {
                if !matches!(error, TransportError::Length) {
                    *held = bytes;
                }
                work.back_off();
                return Ok(());
            }
        }
        match self.device.check_model(round, &bytes) {
            Err(DeviceError::Fault(_)) if *resumed => work.back_off(),
            Err(DeviceError::Fault(fault)) => {
                self.work = None;
                self.steps.push_back(Step::Refused { round, fault });
            }
            outcome => {
                let checked = lasting(outcome)?;
                if let (Some(()), Some(manifest)) = (checked, work.manifest.clone()) {
                    if self.settings.signed_models {
                        work.stage = Stage::Proving { hash: manifest.model, model: bytes };
                        work.want();
                    } else {
                        work.stage = Stage::Training;
                        self.steps.push_back(Step::Train(Training { round, model: bytes.into(), manifest }));
                    }
                }
            }
        }
        Ok(())
    }

    /// A signature came, or there is none: nobody trains on a model before it is judged ([MODEL-1]).
    pub(crate) fn proven(
        &mut self,
        round: u64,
        outcome: Result<Option<Vec<u8>>, TransportError>,
    ) -> Result<(), ClientError> {
        let Some(work) = self.work.as_mut().filter(|work| work.round == round) else { return Ok(()) };
        let (Stage::Proving { model, .. }, Some(manifest)) = (&mut work.stage, work.manifest.clone()) else {
            return Ok(());
        };
        let signature = match outcome {
            Ok(Some(signature)) => signature,
            Ok(None) => {
                self.leave(Missed::Model(ModelRefused::Unsigned));
                return Ok(());
            }
            Err(_) => {
                work.back_off();
                return Ok(());
            }
        };
        let now = (self.home.clock)();
        let vault = self.home.vault()?;
        match vault.taken()?.judge(self.roots.known(), (model, &signature), (round, now)) {
            Ok(taken) => {
                let model = std::mem::take(model).into();
                vault.keep_taken(&taken)?;
                work.stage = Stage::Training;
                self.steps.push_back(Step::Train(Training { round, model, manifest }));
            }
            Err(refused) => self.leave(Missed::Model(refused)),
        }
        Ok(())
    }

    /// An upload ended.
    pub(crate) fn uploaded(
        &mut self,
        round: u64,
        outcome: Result<(), TransportError>,
    ) -> Result<(), ClientError> {
        let Some(work) = self.work.as_mut().filter(|work| work.round == round) else { return Ok(()) };
        match outcome {
            Ok(()) => {
                work.stage = Stage::Sent;
                lasting(self.device.acknowledged())?;
            }
            Err(TransportError::Refused(refusal)) if !may_pass(refusal) => {
                self.leave(Missed::Upload(refusal))
            }
            Err(_) => work.back_off(),
        }
        Ok(())
    }
}

/// Whether the same request may be granted later.
const fn may_pass(refusal: Refusal) -> bool {
    match refusal {
        Refusal::Busy | Refusal::Failed => true,
        Refusal::NotNow
        | Refusal::Length
        | Refusal::Invalid
        | Refusal::Unknown
        | Refusal::Token
        | Refusal::Enrol => false,
    }
}

/// What a caller may want to know of committee duties.
fn member(event: &MemberEvent) -> Option<Step> {
    match event {
        MemberEvent::Serving { round, .. } => Some(Step::Serving { round: *round }),
        MemberEvent::Answered { round } | MemberEvent::Holder(HolderEvent::Answered { round, .. }) => {
            Some(Step::Answered { round: *round })
        }
        MemberEvent::Wiped { .. }
        | MemberEvent::Refused(_)
        | MemberEvent::TwoHeaders(_)
        | MemberEvent::Equivocation(_)
        | MemberEvent::Holder(_) => None,
    }
}

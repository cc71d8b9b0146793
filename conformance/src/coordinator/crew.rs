//! The crew: each party runs the protocol's own machines, and tells what they refused.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use getrandom::SysRng;
use quorate_crypto::sign::SigningKey;
use quorate_keys::EnrolmentToken;
use quorate_protocol::announce::Membership;
use quorate_protocol::error::{Fault, FaultKind};
use quorate_protocol::id::{Head, Time};
use quorate_protocol::manifest::Mode;
use quorate_protocol::member::{Member, MemberEvent};
use quorate_protocol::outbox::Output;
use quorate_protocol::params::PlanCache;
use quorate_protocol::participant::{Participant, ParticipantEvent};
use quorate_protocol::policy::{NamedCommittee, Policy};
use quorate_protocol::wire::{self, Announce, Close, Keys, Locks, Message as _, Relay, ResultNotice, Roster};
use quorate_transport::{Connector, Enrolled, Incoming, Limits, Refusal, Session, TransportError};
use rand_core::UnwrapErr;
use tokio::time::timeout;

use super::{Options, rogue};
use crate::error::KitError;
use crate::report::Findings;

/// One party of the crew.
pub(super) struct Party {
    pub(super) number: usize,
    pub(super) session: Session,
    pub(super) membership: Membership,
    pub(super) participant: Participant,
    member: Member,
    plans: Arc<PlanCache>,
    begun: Instant,
    patience: Duration,
    /// The announcement and the roster of the round, for a second machine of the same party.
    pub(super) heard: Vec<Vec<u8>>,
    /// The head seen before that announcement, which it proves itself against.
    seen: Head,
    findings: Findings,
    done: bool,
}

/// Enrols and connects everybody, then plays until each has been told the result.
pub(super) async fn play(options: Options, findings: &mut Findings) -> Result<(), KitError> {
    let Options { address, pin, tokens, patience } = options;
    let limits = Limits { request: patience, ..Limits::default() };
    let connector = Connector::new(address, pin, limits).map_err(KitError::endpoint)?;
    let plans = Arc::new(PlanCache::for_many());
    let mut crew = Vec::new();
    for (number, token) in tokens.into_iter().enumerate() {
        let again = EnrolmentToken::from_bytes(*token.expose());
        let enrolled = enrol(&connector, token).await;
        findings.note("C-01", enrolled.is_ok(), || {
            "an enrolment failed, or its answer does not verify".to_owned()
        });
        let (key, enrolled) = enrolled.map_err(|_| KitError::Absent)?;
        if number == 1 {
            used_token(&connector, again, findings).await;
        }
        let session = connect(&connector, &enrolled, &key).await?;
        let session = if number == 1 {
            unknown_type(&connector, session, (&enrolled, &key), findings).await?
        } else {
            session
        };
        crew.push(Party::new(number, session, (enrolled, key), (&plans, patience)));
    }
    let tasks: Vec<_> = crew.into_iter().map(|party| tokio::spawn(party.run())).collect();
    for task in tasks {
        findings.merge(task.await.map_err(KitError::endpoint)?);
    }
    Ok(())
}

async fn enrol(
    connector: &Connector,
    token: EnrolmentToken,
) -> Result<(Arc<SigningKey>, Enrolled), TransportError> {
    let key = Arc::new(SigningKey::generate(&mut UnwrapErr(SysRng)));
    let enrolled = connector.enrol(&key, token).await?;
    Ok((key, enrolled))
}

async fn connect(connector: &Connector, enrolled: &Enrolled, key: &SigningKey) -> Result<Session, KitError> {
    let certificate = connector.certify(enrolled.id, key).await.map_err(|_| KitError::Absent)?;
    connector.connect(&certificate).await.map_err(|_| KitError::Absent)
}

/// [REG-2]: another key with a token that has enrolled one.
async fn used_token(connector: &Connector, token: EnrolmentToken, findings: &mut Findings) {
    let refused = matches!(enrol(connector, token).await, Err(TransportError::Refused(Refusal::Token)));
    findings.note("C-18", refused, || "a second key was not refused with code 6".to_owned());
}

/// [WIRE-1]: a type that no party sends ends this connection; another one is taken.
async fn unknown_type(
    connector: &Connector,
    mut session: Session,
    (enrolled, key): (&Enrolled, &SigningKey),
    findings: &mut Findings,
) -> Result<Session, KitError> {
    let mut frame = vec![1, 200];
    frame.extend([0; 9]);
    let _ = session.send(&frame).await;
    let ended =
        timeout(Duration::from_secs(20), async { while session.next().await.is_ok() {} }).await.is_ok();
    let again = connect(connector, enrolled, key).await;
    findings.note("C-17", ended && again.is_ok(), || match ended {
        true => "it takes no connection of that party any more".to_owned(),
        false => "the connection goes on".to_owned(),
    });
    again
}

impl Party {
    fn new(
        number: usize,
        session: Session,
        (enrolled, identity): (Enrolled, Arc<SigningKey>),
        (plans, patience): (&Arc<PlanCache>, Duration),
    ) -> Self {
        // A test deployment is small: what its policy would be in earnest is not asked here.
        let policy = Policy {
            named: NamedCommittee::Anybody,
            corrupt_permille: 0,
            committee_bits: 0,
            named_corrupt_permille: 0,
            ..Policy::default()
        };
        let Enrolled { keys, id, head, .. } = enrolled;
        let membership = Membership { keys, id, identity, policy, head };
        let participant = Participant::new(membership.clone(), Arc::clone(plans));
        let member = Member::new(membership.clone(), Arc::clone(plans));
        Self {
            number,
            session,
            membership,
            participant,
            member,
            plans: Arc::clone(plans),
            begun: Instant::now(),
            patience,
            heard: Vec::new(),
            seen: head,
            findings: Findings::default(),
            done: false,
        }
    }

    /// Plays one round.
    async fn run(mut self) -> Findings {
        let patience = self.patience;
        let _ = timeout(patience, self.play()).await;
        self.findings
    }

    async fn play(&mut self) -> Option<()> {
        self.participant.poll_round();
        while !self.done {
            self.perform().await?;
            if self.done {
                break;
            }
            match self.session.next().await.ok()? {
                Incoming::Nudge => self.participant.poll_round(),
                Incoming::Frame(frame) => self.take(&frame),
            }
        }
        Some(())
    }

    fn take(&mut self, frame: &[u8]) {
        let now = Time(u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.participant.tell(wall);
        self.member.tell(wall);
        let coins = &mut UnwrapErr(SysRng);
        let kind = wire::split(frame).map_or(0, |(kind, ..)| kind);
        if matches!(kind, Announce::TYPE | Roster::TYPE) {
            self.heard.push(frame.to_vec());
        }
        if kind == Announce::TYPE {
            self.seen = *self.participant.head();
        }
        let outcome = match kind {
            Relay::TYPE | Close::TYPE | Locks::TYPE => self.member.handle(now, frame, coins),
            Announce::TYPE | Roster::TYPE => {
                // Whoever is not drawn has nothing to do as a member.
                let member = self.member.handle(now, frame, coins);
                let ours = self.participant.handle(frame, coins);
                ours.and_then(|()| member.or_else(expected))
            }
            _ => self.participant.handle(frame, coins),
        };
        if kind == Keys::TYPE {
            self.member.trust(self.participant.keys());
        }
        self.member.saw(*self.participant.head());
        let id = match kind {
            Announce::TYPE => "C-02",
            Roster::TYPE => "C-03",
            Relay::TYPE => "C-04",
            Close::TYPE => "C-05",
            Locks::TYPE => "C-06",
            ResultNotice::TYPE => "C-07",
            _ => return,
        };
        let outcome = outcome.or_else(expected);
        let told =
            |outcome: Result<(), Fault>| outcome.err().map_or_else(String::new, |fault| fault.to_string());
        self.findings.note(id, outcome.is_ok(), || told(outcome));
    }

    /// Performs what the machines want.
    async fn perform(&mut self) -> Option<()> {
        loop {
            if let Some(output) = self.participant.poll_output() {
                match output {
                    Output::Send { frame, .. } => self.session.send(&frame).await.ok()?,
                    Output::Upload { frame, vector } => {
                        let (round, ..) = (wire::split(&frame).ok()?.1, ());
                        if self.number == 0 {
                            self.wrong(round, &frame, &vector).await;
                        } else {
                            self.session.exchanges().upload(round, &frame, &vector).await.ok()?;
                        }
                    }
                    Output::Event(event) => self.on_event(&event).await?,
                    Output::Persist(_) | Output::WakeAt(_) => {}
                }
            } else if let Some(output) = self.member.poll_output() {
                match output {
                    Output::Send { frame, .. } => self.session.send(&frame).await.ok()?,
                    Output::Event(MemberEvent::Refused(kind)) => {
                        self.findings.note("C-04", false, || kind.to_string());
                    }
                    _ => {}
                }
            } else {
                return Some(());
            }
        }
    }

    async fn on_event(&mut self, event: &ParticipantEvent) -> Option<()> {
        match event {
            ParticipantEvent::Train { round } => {
                let model = self.participant.current()?.manifest.model;
                let mut file = Vec::new();
                self.session.exchanges().download(&model, MODEL, &mut file).await.ok()?;
                let fine = self.participant.check_model(*round, &file).is_ok();
                self.findings.note("C-02", fine, || "the model is not the manifest's".to_owned());
                self.participant.trained(*round).ok()?;
            }
            ParticipantEvent::Ready { round } => {
                let update = self.update()?;
                let _ = self.participant.contribute(*round, &update, 1, &mut UnwrapErr(SysRng));
            }
            ParticipantEvent::Counted { .. } => {
                self.findings.note("C-07", true, String::new);
                self.done = true;
            }
            ParticipantEvent::LeftOut { .. } => {
                self.findings.note("C-07", false, || "an honest contribution was left out".to_owned());
                self.done = true;
            }
            _ => {}
        }
        Some(())
    }

    /// An update of zeros.
    fn update(&self) -> Option<Vec<f32>> {
        let manifest = &self.participant.current()?.manifest;
        (manifest.mode != Mode::Plain).then(|| vec![0.0; manifest.schema.dim as usize])
    }

    /// Party 0: everything that must be refused, around the one contribution that must not.
    async fn wrong(&mut self, round: u64, frame: &[u8], vector: &[u8]) {
        let twin = self.twin(round);
        let exchanges = self.session.exchanges();
        rogue::play(&exchanges, (round, frame, vector), twin, &mut self.findings).await;
    }

    /// Another contribution of this party to the round, as good as the first.
    fn twin(&self, round: u64) -> Option<(Vec<u8>, Vec<u8>)> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut twin = Participant::new(
            Membership { keys: self.participant.keys().clone(), head: self.seen, ..self.membership.clone() },
            Arc::clone(&self.plans),
        );
        twin.tell(wall);
        let coins = &mut UnwrapErr(SysRng);
        let model = self.participant.current()?.manifest.model;
        for frame in &self.heard {
            if wire::split(frame).is_ok_and(|(_, of, _)| of == round) {
                let _ = twin.handle(frame, coins);
                let _ = twin.check_model_hash(round, &model);
                let _ = twin.trained(round);
            }
        }
        let dim = self.participant.current()?.manifest.schema.dim as usize;
        twin.contribute(round, &vec![0.0; dim], 1, coins).ok()?;
        loop {
            if let Output::Upload { frame, vector } = twin.poll_output()? {
                return Some((frame.to_vec(), vector.to_vec()));
            }
        }
    }
}

/// Faults that are none of the coordinator's: a repetition, or a role this party does not have.
fn expected(fault: Fault) -> Result<(), Fault> {
    match fault.kind {
        FaultKind::OutOfTurn | FaultKind::StaleRound | FaultKind::NotEligible | FaultKind::Late => Ok(()),
        _ => Err(fault),
    }
}

/// Largest model file that is fetched.
const MODEL: usize = 256 << 20;

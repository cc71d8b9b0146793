//! A round a day, with the real machines: counted, begun, played, ended, its model signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;

use quorate_crypto::ecdsa::EcdsaKey;
use quorate_crypto::hash::{Digest, sha256};
use quorate_keys::class::purpose::Model;
use quorate_keys::inventory::event::{Algorithm, Cause, Change, Origin};
use quorate_keys::model_signature::{Bundle, Claims, FileName, ModelTrust, Rounds, Statement, sign};
use quorate_keys::watch::{Ended, RoundSeen, Seen};
use quorate_keys::when::{At, Span, Time};
use quorate_keys::{Class, KeyId, KeyRef};
use quorate_protocol::error::Abort;
use quorate_protocol::manifest::model_hash;

use super::tend::actor;
use super::{Life, LifeError, context, line, place};
use crate::hub::Ending;
use crate::world::Watch;

impl Life {
    pub(super) fn round(&mut self) -> Result<(), LifeError> {
        // Nothing begins before what is due is done.
        self.tend()?;
        let signer = self.count(&line(Class::Coordinator, "identity"))?;
        let round = self.world.coordinator().last_round() + 1;
        let secrets = line(Class::Round, "updates").version(u32::try_from(round).unwrap_or(u32::MAX));
        let fingerprint = sha256(&[b"round", &self.config.seed.to_le_bytes(), &round.to_le_bytes()]);
        let origin = Origin {
            fingerprint,
            algorithm: Algorithm::RingLwe,
            owner: actor("simulation"),
            region: None,
            parent: None,
            audience: 0,
        };
        self.begun(&secrets, origin)?;
        self.settle()?;
        let begins = self.watch.begins(&self.book.inventory, self.book.unwritten());
        self.held(begins)?;
        let pinned: Vec<KeyId> = [line(Class::Audit, "log"), line(Class::Wrapping, "store")]
            .iter()
            .filter_map(|name| Some(self.book.inventory.protecting(name).ok()?.0))
            .collect();

        let revoked = self.config.faults.revoked.contains(&(self.hour / 24));
        if revoked {
            self.world.cancel_next();
        }
        let ended = self.play(round)?;
        let mut keys: BTreeSet<KeyId> = pinned.into_iter().chain([signer.clone(), secrets.clone()]).collect();
        self.happens(&secrets, (Cause::RoundOver, Change::Consumed))?;
        self.happens(&secrets, (Cause::RoundOver, Change::Destroyed))?;
        if ended == Ended::Opened {
            keys.insert(self.sign_model(round)?);
        }
        self.settle()?;
        let shown = self.world.shown().clone();
        let prints: Vec<Digest> = shown.prints.iter().copied().collect();
        let secrets = self.watch.secrets(round, &prints);
        self.held(secrets)?;
        self.report.fingerprints += prints.len() as u64;
        let parties: BTreeMap<u32, Digest> = (0..self.config.participants)
            .filter(|party| !self.is_away(*party))
            .map(|party| (party, self.world.known(party).1))
            .collect();
        let list = shown.list.unwrap_or(Digest::ZERO);
        let mut seen = RoundSeen { round, keys, list, parties, revoked, ended };
        self.tap.round(&mut seen);
        match seen.ended {
            Ended::Opened => self.report.opened += 1,
            _ => self.report.cancelled += 1,
        }
        let ended = self.watch.ended(&seen);
        self.held(ended)?;
        self.replicas()?;
        if revoked { self.revoke(&signer) } else { Ok(()) }
    }

    fn begun(&mut self, secrets: &KeyId, origin: Origin) -> Result<(), LifeError> {
        self.happens(secrets, (Cause::First, Change::Created(origin)))
    }

    fn play(&mut self, round: u64) -> Result<Ended, LifeError> {
        let model = self.task.initial_model();
        let hash = model_hash(&self.task.safetensors(&model));
        let policy = self.world.policy_hash(&self.sim);
        let config = self.sim.round(self.task.as_ref(), hash, policy)?;
        let ctx = context(&self.sim, self.task.as_ref(), (round, &model));
        let (stop, progress) = (AtomicBool::new(false), |_| ());
        let watch = Watch { folder: place(&self.folder), stop: &stop, progress: &progress };
        let played = self.world.play(&config, &ctx, &watch)?;
        self.report.refused +=
            played.hub.faults as u64 + played.parties.iter().map(|party| party.faults as u64).sum::<u64>();
        Ok(match played.ending {
            Ending::Opened { exact: true, opened, .. } => {
                self.report.included += opened.included.len() as u64;
                Ended::Opened
            }
            Ending::Opened { .. } => Ended::Lost("a wrong sum".to_owned()),
            Ending::Aborted(Abort::Cancelled) => Ended::Cancelled,
            Ending::Aborted(why) => Ended::Lost(why.to_string()),
        })
    }

    /// Signs a model with the key in force, and verifies it as a party does; which key that was.
    fn sign_model(&mut self, round: u64) -> Result<KeyId, LifeError> {
        let id = self.count(&line(Class::Model, "global"))?;
        self.settle()?;
        let unsigned = || LifeError::Model(round);
        let key = EcdsaKey::from_bytes(&self.secret(&id)?).map_err(|_| unsigned())?;
        let name = FileName::new("model").map_err(|_| unsigned())?;
        let claims = Claims {
            rounds: Rounds { first: 1, last: round },
            manifest: self.world.shown().list.unwrap_or(Digest::ZERO),
            policy: self.policy.hash(),
            expires: self.at().time.after(Span::days(365)).0,
        };
        let files = BTreeMap::from([(name, sha256(&[&round.to_le_bytes()]))]);
        let statement = Statement::new("simulation", files, claims).map_err(|_| unsigned())?;
        let by = KeyRef::<Model>::new(id.clone()).map_err(|_| unsigned())?;
        let bundle = sign(&statement, &by, &key).map_err(|_| unsigned())?;
        let keys = self.list.as_ref().map(|list| list.model.clone()).unwrap_or_default();
        let trust = ModelTrust { keys: &keys, seen_round: None, now: self.at().time.0, logged_at: None };
        let verdict = bundle.verify(&trust).ok().map(|verified| verified.verdict);
        let verified = self.watch.verified(&id, verdict);
        self.held(verified)?;
        // A letter of what is signed is another one.
        let signed = bundle.to_bytes().map_err(|_| unsigned())?;
        let changed = change_payload(&signed, round).ok_or_else(unsigned)?;
        let accepts = |bytes: &[u8]| Bundle::parse(bytes).is_ok_and(|bundle| bundle.verify(&trust).is_ok());
        let (own, other) = (accepts(&signed), accepts(&changed));
        self.seen(Seen::Verified { changed: false, accepted: own })?;
        self.seen(Seen::Verified { changed: true, accepted: other })?;
        Ok(id)
    }

    /// Break-glass: the key is in other hands, its successor is in force in the same step ([KL-10]).
    fn revoke(&mut self, id: &KeyId) -> Result<(), LifeError> {
        let approvers = [actor("ada"), actor("bo")].into();
        let At { time: Time(now), .. } = self.at();
        let change = Change::Compromised { since: Time(now.saturating_sub(60)), approvers };
        self.happens(id, (Cause::Use, change))?;
        self.report.revoked += 1;
        let key = self.signing_key(id)?;
        self.tend()?;
        for party in (0..self.config.participants).filter(|party| !self.is_away(*party)).collect::<Vec<_>>() {
            let believes = self.world.keys_of(party).is_none_or(|known| known.verifies(key.public()));
            let told = self.watch.told_of_revocation(party, id, believes);
            self.held(told)?;
        }
        let after = self.book.inventory.protecting(&id.name).map(|(active, _)| active.version);
        match after {
            Ok(version) if version > id.version => Ok(()),
            _ => Err(LifeError::Gone(id.clone())),
        }
    }
}

/// A bundle with one letter of its payload changed.
fn change_payload(bundle: &[u8], round: u64) -> Option<Vec<u8>> {
    const MARK: &[u8] = b"\"payload\":\"";
    let begin = bundle.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let length = bundle.get(begin..)?.iter().position(|letter| *letter == b'"')?;
    // The last four letters may have bits that say nothing.
    let at = begin + usize::try_from(round * 7).ok()? % length.checked_sub(4)?;
    let mut changed = bundle.to_vec();
    let letter = changed.get_mut(at)?;
    *letter = if *letter == b'A' { b'B' } else { b'A' };
    Some(changed)
}

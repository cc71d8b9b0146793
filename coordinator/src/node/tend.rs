//! The node's keys: what happens to them is recorded, what is due is done between rounds, orders are carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use quorate_crypto::hash::Digest;
use quorate_keys::audit::What;
use quorate_keys::model_signature::Bundle;
use quorate_keys::report::report;
use quorate_keys::state::State as KeyState;
use quorate_keys::when::{At, Time as KeyTime};
use quorate_keys::{KeyId, SignedKeyList};
use quorate_protocol::manifest::Mode;

use super::NodeError;
use super::collective::Ordered;
use super::play::Entry;
use super::task::{Task, tolerable, wall};
use crate::admin::keys::KeyBook;
use crate::audit::Particulars;
use crate::keeper::{
    Keeper, KeeperError, ModelFacts, Order, SignedOrder, collective_line, identity_line, model_line,
};
use crate::models::Version;
use crate::store::{Change, Store};

impl<S: Store> Task<S> {
    pub(super) fn at(&self) -> At {
        let round = self.service.coordinator().map_or(0, |coordinator| coordinator.last_round());
        At::new(KeyTime(wall() / 1_000), round)
    }

    /// Notes for the audit log what is done with a key.
    pub(super) fn note(&mut self, what: What, key: KeyId, reason: &str, facts: Particulars) {
        let at = self.at();
        if let Some(keeper) = &mut self.keeper {
            keeper.note(at, what, key, (reason, facts));
        }
    }

    /// Records what happened to a key. What cannot have happened is an error of this program, and told.
    pub(super) fn key_event(&mut self, happens: impl FnOnce(&mut Keeper, At) -> Result<(), KeeperError>) {
        let at = self.at();
        if let Some(Err(error)) = self.keeper.as_mut().map(|keeper| happens(keeper, at)) {
            crate::events::keeper_failed(&error);
        }
    }

    /// Whether all that was noted is in the audit log; what needs a record waits until then ([KL-25]).
    pub(super) fn recorded(&mut self) -> bool {
        let at = self.at();
        let outcome = self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.settle(at));
        let health = self.keeper.as_ref().map(Keeper::health);
        self.shared.count(|tally| {
            tally.audit = health.map(|health| health.sinks).unwrap_or_default();
            tally.audit_refused += u64::from(outcome.is_err());
        });
        if outcome.is_err() {
            crate::events::audit_closed();
        }
        outcome.is_ok()
    }

    /// Between rounds: does what is due. Whether a round may begin.
    pub(super) fn tend(&mut self) -> bool {
        if self.tended.is_some_and(|last| last.elapsed() < TEND) {
            return true;
        }
        let at = self.at();
        let Some(keeper) = &mut self.keeper else { return true };
        // First what is due: a key whose time is over is not counted any more.
        let outcome = keeper.step(at).and_then(|stepped| keeper.count_entries(at).map(|()| stepped));
        self.tended = None;
        match outcome {
            Ok(stepped) => {
                for key in &stepped.changed {
                    let state = self.keeper.as_ref().and_then(|keeper| keeper.inventory().key(key));
                    let in_force = state.is_some_and(|key| key.state == KeyState::Active);
                    crate::events::key_changed(key, self.traces.changed(key, in_force).as_ref());
                }
                if stepped.turned
                    && let Some(keeper) = &self.keeper
                {
                    crate::events::renewals_turned(keeper.renewals());
                }
                self.match_due();
                self.match_roots();
                if let Err(error) = self.match_certificate(at) {
                    return self.held_up(&error);
                }
                self.take_up_late();
                self.sign_unsigned();
                self.measure(at);
                let done = self.publish_list(at);
                self.tended = done.then(Instant::now);
                done
            }
            Err(error) => self.held_up(&error),
        }
    }

    /// New trust roots are given out, and whoever is here is told to ask ([ROOT-1]).
    fn match_roots(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        if keeper.root_version() == self.shared.roots_shown() {
            return;
        }
        match keeper.recorded_roots() {
            Ok(roots) => self.shared.show_roots(roots),
            Err(error) => return crate::events::keeper_failed(&error.into()),
        }
        for index in self.parties.live().collect::<Vec<_>>() {
            self.parties.nudge(index);
        }
    }

    /// The endpoint's certificate: another one if it is due, and what is shown into the inventory.
    fn match_certificate(&mut self, at: At) -> Result<(), KeeperError> {
        let (Some(keeper), Some(server)) = (&mut self.keeper, &self.server) else { return Ok(()) };
        if keeper.certificate_is_due()
            && let Err(error) = server.renew_certificate()
        {
            crate::events::certificate_failed(&error);
        }
        keeper.shows(at, server.certificate())
    }

    /// Takes the list of keys into force that the inventory asks for. Whether a round may begin.
    fn publish_list(&mut self, at: At) -> bool {
        let Some(keeper) = &self.keeper else { return true };
        let now = self.service.keys().map(SignedKeyList::unverified).cloned();
        let next = match keeper.next_list(at, now.as_ref()) {
            Ok(Some(next)) => next,
            Ok(None) => return true,
            Err(error) => return self.held_up(&error),
        };
        let listed = next.list.unverified();
        let named = (listed.seq, listed.hash().unwrap_or(Digest::ZERO));
        match self.service.publish_keys(next.list, next.successor) {
            Ok(()) => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.signs_now(next.active);
                }
                self.list_published(named);
                self.drawn = None;
                self.changed();
                true
            }
            Err(error) => {
                let why = error.to_string();
                if self.why.as_ref() != Some(&why) {
                    crate::events::waiting(&why);
                }
                self.why = Some(why);
                let again = self.now().plus(u64::try_from(TEND.as_millis()).unwrap_or(u64::MAX));
                self.wakes.insert(again);
                self.changed();
                false
            }
        }
    }

    /// The figures of the metrics.
    fn measure(&self, at: At) {
        let Some(keeper) = &self.keeper else { return };
        let report = report(at, keeper.inventory(), keeper.policy());
        let mut findings = BTreeMap::new();
        for finding in &report.findings {
            *findings.entry(finding.kind).or_default() += 1;
        }
        self.shared.keep_keys(KeyBook::new(keeper.inventory(), &report, keeper.checkpoint()));
        let (renewals, fetched) = (keeper.renewals(), keeper.fetched());
        self.shared.count(|tally| {
            (tally.keys, tally.key_findings) = (report.gauges, findings);
            (tally.renewals, tally.fetched) = (renewals, fetched);
        });
    }

    /// Counts the round's use of the identity key, and of the collective key ([KL-8]). Whether the round may begin.
    pub(super) fn count_round(&mut self, mode: Mode) -> bool {
        let at = self.at();
        let Some(keeper) = &mut self.keeper else { return true };
        let collective = match mode {
            Mode::Homomorphic => keeper.count(at, &collective_line()).map(drop),
            Mode::Masked | Mode::Plain => Ok(()),
        };
        match collective.and_then(|()| keeper.count(at, &identity_line())) {
            Ok(_) => true,
            Err(error) => self.held_up(&error),
        }
    }

    /// Nothing begins until it is mended; it is tried again.
    fn held_up(&mut self, error: &KeeperError) -> bool {
        let why = error.to_string();
        if self.why.as_ref() != Some(&why) {
            crate::events::keeper_failed(error);
        }
        self.why = Some(why);
        let at = self.now().plus(u64::try_from(TEND.as_millis()).unwrap_or(u64::MAX));
        self.wakes.insert(at);
        self.changed();
        false
    }

    /// Signs a new version of a model. One that cannot be signed is still the model: it is told.
    pub(super) fn sign(&mut self, job: usize, version: &Version) {
        let at = self.at();
        let entries = self.service.coordinator().map_or(&[][..], |machine| machine.transcript().entries());
        let manifest = entries.iter().rfind(|entry| entry.round == version.round).map(|entry| entry.mh);
        // The initial model is of no round; that of one that the transcript has forgotten names none either.
        let manifest = manifest.unwrap_or(Digest::ZERO);
        let (Some(keeper), Some(entry)) = (&mut self.keeper, self.jobs.get(job)) else { return };
        let facts = ModelFacts {
            job: &entry.job.name,
            file: &version.file,
            rounds: (1.min(version.round), version.round),
            manifest,
        };
        match keeper.sign_model(at, &facts).map(|bundle| entry.model.attach(version.version, &bundle)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => crate::events::model_failed(version.round, &entry.job.name, &error),
            Err(error) => crate::events::keeper_failed(&error),
        }
    }

    /// Signs the newest versions that no key in force has signed: the initial one, one that a crash left unsigned, and all
    /// when the key has a successor ([MODEL-1]).
    fn sign_unsigned(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let Ok((active, _)) = keeper.inventory().protecting(&model_line()) else { return };
        let signed = |entry: &Entry| {
            let signature = entry.model.signature(entry.model.current().version).ok().flatten();
            let bundle = signature.and_then(|bytes| Bundle::parse(&bytes).ok());
            bundle.is_some_and(|bundle| bundle.key_hint() == Some(&active))
        };
        let due: Vec<usize> = (0..self.jobs.len()).filter(|at| !signed(&self.jobs[*at])).collect();
        for at in &due {
            let version = self.jobs[*at].model.current().clone();
            self.sign(*at, &version);
        }
        if !due.is_empty() {
            self.serve();
        }
    }

    /// Parties that a crash, or an older program, left unrecorded.
    pub(super) fn record_parties(&mut self) {
        let Some(coordinator) = self.service.coordinator() else { return };
        let keys: Vec<_> = coordinator.registry().keys().to_vec();
        for (index, key) in (0..).zip(&keys) {
            self.key_event(|keeper, at| keeper.enrolled(at, index, key));
        }
        let evicted = self.whole_parties(&self.shared.evicted());
        for index in &evicted {
            self.key_event(|keeper, at| keeper.removed(at, *index));
        }
        self.shared.evict(evicted);
        self.match_renewals();
        self.match_collective(None);
        self.stand_aside();
    }

    /// Orders that were submitted meanwhile.
    pub(super) async fn orders(&mut self) -> Result<(), NodeError> {
        if self.keeper.is_none() {
            return Ok(());
        }
        let Ok(open) = self.store.orders(true).await else {
            crate::events::store_failed("orders");
            return Ok(());
        };
        self.still_ordered(&open.iter().map(|row| row.digest).collect::<Vec<_>>());
        for row in open {
            let outcome = match SignedOrder::parse(row.body.as_bytes()) {
                Ok(order) => self.carry_out(&order).await?,
                Err(error) => Some(error.to_string()),
            };
            // What is not done yet stays open.
            let Some(outcome) = outcome else { continue };
            crate::events::order_ended(&row.digest, &outcome);
            if self.store.order_end(row.digest, wall(), &outcome).await.is_err() {
                crate::events::store_failed("orders");
            }
        }
        Ok(())
    }

    /// What became of an order, in a few words; none if it is not done yet.
    async fn carry_out(&mut self, signed: &SignedOrder) -> Result<Option<String>, NodeError> {
        let at = self.at();
        let Some(deployment) = self.service.coordinator().map(|machine| *machine.registry().deployment())
        else {
            return Ok(Some("the coordinator has stopped".to_owned()));
        };
        let by = match signed.approved(&deployment, &self.approvers, at.time.0) {
            Ok(by) => by,
            Err(error) => return Ok(Some(format!("refused: {error}"))),
        };
        let digest = signed.digest().ok();
        let known = |keeper: &Keeper| digest.is_none_or(|digest| keeper.has_executed(&digest));
        if let (Order::Refresh { line } | Order::Reshare { line }, Some(order)) = (&signed.order, digest) {
            let reshare = matches!(signed.order, Order::Reshare { .. });
            let Some(keeper) = &self.keeper else {
                return Ok(Some("refused: there is no audit log".to_owned()));
            };
            if let Err(error) = keeper.shares_by_order(line) {
                return Ok(Some(format!("refused: {error}")));
            }
            if keeper.has_executed(&order) {
                return Ok(Some("done".to_owned()));
            }
            return Ok(self.ordered(Ordered { order, reshare }));
        }
        let again = self.keeper.as_ref().is_none_or(known);
        // One that was carried out before ends no round again, whatever the database says.
        if signed.order.stops_rounds() && !again {
            // What was made under the key does not count: the round is over before anything else is done.
            self.service.cancel(self.now()).or_else(tolerable)?;
            self.perform().await?;
        }
        // First out, then revoked: a stop in between leaves nobody in whose key is known to be in other hands.
        if let Order::Revoke { key, since } = &signed.order
            && self.keeper.as_ref().is_some_and(|keeper| keeper.expels(key, KeyTime(*since)))
            && let Ok(index) = key.name.name().parse()
        {
            let whole = self.whole_parties(&BTreeSet::from([index]));
            for index in &whole {
                match self.store.node_evict(*index, wall(), "its key was revoked").await {
                    Err(_) => {
                        return Ok(Some("refused: the database does not take the eviction".to_owned()));
                    }
                    Ok(Change::Unknown) => return Ok(Some("refused: no such party".to_owned())),
                    Ok(_) => {}
                }
            }
            let mut all = self.shared.evicted();
            all.extend(whole);
            self.evict(all);
        }
        let Some(keeper) = &mut self.keeper else {
            return Ok(Some("refused: there is no audit log".to_owned()));
        };
        if !again && let Err(error) = keeper.execute(at, signed, &by) {
            return Ok(Some(format!("refused: {error}")));
        }
        if let Some(digest) = digest.filter(|_| !again) {
            self.traces.ordered(&signed.order, digest);
        }
        self.tended = None;
        Ok(Some("done".to_owned()))
    }
}

/// How often the policy is asked what is due; after an order at once.
const TEND: Duration = Duration::from_secs(2);

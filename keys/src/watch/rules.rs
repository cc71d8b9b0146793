//! The rules, one function each. `Err` says what was seen.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;
use quorate_crypto::merkle::verify_consistency;

use super::{Ended, PINNED, Picture, Published, RoundSeen};
use crate::audit::Checkpoint;
use crate::class::{Class, KeyId, KeyName};
use crate::inventory::Inventory;
use crate::inventory::event::{Cause, Change, Event};
use crate::inventory::key::Usage;
use crate::key_list::{KeyList, KnownKeys};
use crate::model_signature::verify::Verdict;
use crate::policy::{Deadline, Policy};
use crate::report::Report;
use crate::state::State;
use crate::sweep::KeyOp;

pub(super) type Outcome = Result<(), String>;

pub(super) fn when(broken: bool, what: impl FnOnce() -> String) -> Outcome {
    if broken { Err(what()) } else { Ok(()) }
}

/// KL-1: what is counted as protecting is the active version.
pub fn kl_1_only_the_active_key_protects(event: &Event, before: &Inventory) -> Outcome {
    let active = before.line(&event.key.name).and_then(|line| line.active());
    let uses = matches!(event.change, Change::Used { .. });
    when(uses && active != Some(event.key.version), || format!("{} protects and is not active", event.key))
}

/// KL-2: of a key that processes nothing any more no secret is left; a retired wrapping key still opens what it wrapped.
pub fn kl_2_nothing_is_left_of_a_key_that_is_over(kept: &BTreeSet<KeyId>, inventory: &Inventory) -> Outcome {
    let over = |id: &&KeyId| match inventory.key(id).map(|key| key.state) {
        Some(State::Retired) => id.class() != Class::Wrapping,
        Some(State::Compromised | State::Destroyed) => true,
        _ => false,
    };
    let left = kept.iter().find(over);
    when(left.is_some(), || {
        format!("the secret of {} is still there", left.map(KeyId::to_string).unwrap_or_default())
    })
}

/// KL-3: of one name one version is active.
pub fn kl_3_one_key_is_active(picture: &Picture) -> Outcome {
    let mut active: BTreeMap<&KeyName, u32> = BTreeMap::new();
    for (id, _) in picture.iter().filter(|(_, key)| key.state == State::Active) {
        let other = active.insert(&id.name, id.version);
        when(other.is_some(), || format!("{id} is active beside @{}", other.unwrap_or_default()))?;
    }
    Ok(())
}

/// KL-3: what a party takes for active is what the coordinator published under that number.
pub fn kl_3_a_replica_has_a_published_list(
    party: u32,
    (seq, digest): (u64, Digest),
    lists: &BTreeMap<Digest, Published>,
) -> Outcome {
    let known = lists.get(&digest).map(|list| list.seq);
    when(seq > 0 && known != Some(seq), || format!("party {party} knows a list {seq} that nobody published"))
}

/// KL-4: a key is pending for its time, or until enough have it; the first of a name, and one whose place is empty after a
/// compromise, waits for nothing.
pub fn kl_4_nothing_is_active_before_it_is_propagated(
    event: &Event,
    before: &Inventory,
    policy: &Policy,
) -> Outcome {
    if event.change != Change::Activated {
        return Ok(());
    }
    let rule = policy.rule(&event.key.name);
    let Some((line, key)) = before.line(&event.key.name).zip(before.key(&event.key)) else {
        return Err(format!("{} was never made", event.key));
    };
    let waited = event.at.time.0 >= key.dates.created.time.0.saturating_add(rule.propagation_time.0);
    let enough =
        key.acks.len() as u64 * 100 >= u64::from(rule.propagation_acks) * u64::from(key.origin.audience);
    let first = line.keys().all(|(_, key)| key.dates.activated.is_none());
    let ready = match event.cause {
        Cause::First => first,
        Cause::Propagated => waited,
        Cause::Acknowledged => enough,
        Cause::Deadline => line.is_vacant() || waited && rule.at_deadline == Deadline::Go,
        _ => false,
    };
    when(!ready, || format!("{} is active at once", event.key))
}

/// KL-5: a key that was active goes on processing for as long as its recipients were told.
pub fn kl_5_recipients_are_not_cut_off(event: &Event, before: &Inventory, policy: &Policy) -> Outcome {
    let period = policy.rule(&event.key.name).recipient_period.span();
    let (Change::Retired, Some(period), Cause::Time) = (&event.change, period, event.cause) else {
        return Ok(());
    };
    let began = before.key(&event.key).map(|key| key.began().time).unwrap_or_default();
    when(event.at.time.since(began) < period, || format!("{} retires before its recipients' time", event.key))
}

/// KL-6: what a sweep asks for is done by carrying it out.
pub fn kl_6_a_sweep_done_twice_does_nothing(again: &[KeyOp]) -> Outcome {
    when(!again.is_empty(), || format!("a second sweep asks for {:?}", again.first()))
}

/// KL-7: nothing goes that something refers to, or that stands above a key in use.
pub fn kl_7_nothing_needed_goes(event: &Event, before: &Inventory) -> Outcome {
    if !matches!(event.change, Change::Retired | Change::Destroyed) || event.key.class() == Class::Round {
        return Ok(());
    }
    let referenced = before.key(&event.key).is_some_and(|key| !key.references.is_empty());
    let below = |key: &crate::inventory::key::Key| {
        key.parent.as_ref() == Some(&event.key)
            && (event.key.class() == Class::Wrapping
                || key.state.processes()
                || key.state == State::Suspended)
    };
    let stands = || before.lines().any(|(_, line)| line.live().any(|(_, key)| below(key)));
    when(referenced || stands(), || format!("{} goes and is needed", event.key))
}

/// KL-7: nothing stands below a key that is gone.
pub fn kl_7_nothing_stands_below_what_is_gone(picture: &Picture) -> Outcome {
    for (id, key) in picture {
        let Some((above, state)) = &key.above else { continue };
        let gone = matches!(state, State::Retired | State::Destroyed);
        let lost = gone && (above.class() == Class::Wrapping || key.state.processes());
        when(lost, || format!("{id} stands below {above}, which is {state}"))?;
    }
    Ok(())
}

/// KL-8: a count stays within its limit.
pub fn kl_8_no_limit_is_passed(event: &Event, before: &Inventory, policy: &Policy) -> Outcome {
    let Change::Used { operations, bytes } = event.change else { return Ok(()) };
    let rule = policy.rule(&event.key.name);
    let used = before.key(&event.key).map(|key| key.used).unwrap_or_default();
    let over = |used: u64, more: u64, limit: Option<u64>| {
        limit.is_some_and(|limit| used.checked_add(more).is_none_or(|sum| sum > limit))
    };
    let over = over(used.operations, operations, rule.max_operations.number())
        || over(used.bytes, bytes, rule.max_bytes.number());
    when(over, || format!("{} is counted beyond its limit", event.key))
}

/// KL-8: counts only grow, over restarts too.
pub fn kl_8_counters_never_go_back(picture: &Picture, counted: &mut BTreeMap<KeyId, Usage>) -> Outcome {
    for (id, key) in picture {
        let before = counted.insert(id.clone(), key.used).unwrap_or_default();
        let back = key.used.operations < before.operations || key.used.bytes < before.bytes;
        when(back, || format!("{id} was used {} times and now {}", before.operations, key.used.operations))?;
    }
    Ok(())
}

/// KL-8: so many uses as are counted, and no more.
pub fn kl_8_a_use_is_counted_before_it_happens(
    id: &KeyId,
    counted: Usage,
    done: &mut BTreeMap<KeyId, u64>,
) -> Outcome {
    let done = done.entry(id.clone()).or_default();
    *done += 1;
    when(*done > counted.operations, || {
        format!("{id} is used {done} times, {} are counted", counted.operations)
    })
}

/// KL-9: numbers of lists grow, and each names one active key.
pub fn kl_9_lists_go_on(list: &KeyList, newest: &mut u64) -> Result<(Digest, Published), String> {
    let (active, key) = list.active().map_err(|why| format!("list {}: {why}", list.seq))?;
    let digest = list.hash().map_err(|why| format!("list {}: {why}", list.seq))?;
    when(list.seq <= *newest, || format!("list {} after {newest}", list.seq))?;
    *newest = list.seq;
    Ok((digest, Published { seq: list.seq, active: active.clone(), key: key.key_hash() }))
}

/// KL-9, C6: a round that was opened names one version of each key it stands on, the one that protected when it began.
pub fn kl_9_a_round_names_one_version_of_each(seen: &RoundSeen, pins: &BTreeMap<KeyName, u32>) -> Outcome {
    if seen.ended != Ended::Opened {
        return Ok(());
    }
    for class in PINNED {
        let named: Vec<&KeyId> = seen.keys.iter().filter(|id| id.class() == class).collect();
        let [id] = named.as_slice() else {
            return Err(format!("round {} names {} keys of class {class}", seen.round, named.len()));
        };
        let pinned = match class {
            Class::Round => u32::try_from(seen.round).ok(),
            _ => pins.get(&id.name).copied(),
        };
        when(pinned != Some(id.version), || format!("round {} names {id}, not @{pinned:?}", seen.round))?;
    }
    Ok(())
}

/// KL-9: the manifest names the newest list, and the list the key in force.
pub fn kl_9_the_manifest_names_the_list_in_force(
    seen: &RoundSeen,
    lists: &BTreeMap<Digest, Published>,
    newest: u64,
) -> Outcome {
    if seen.ended != Ended::Opened {
        return Ok(());
    }
    let list = lists.get(&seen.list).filter(|list| list.seq == newest);
    let named = list.is_some_and(|list| seen.keys.contains(&list.active));
    when(!named, || format!("the manifest of round {} does not name list {newest}", seen.round))
}

/// KL-10: a round under which no key was revoked ends with its sum.
pub fn kl_10_hygiene_loses_no_round(seen: &RoundSeen) -> Outcome {
    when(!seen.revoked && seen.ended != Ended::Opened, || format!("round {}: {:?}", seen.round, seen.ended))
}

/// KL-10: one under which a key was revoked never does.
pub fn kl_10_a_compromise_ends_the_round(seen: &RoundSeen) -> Outcome {
    when(seen.revoked && seen.ended != Ended::Cancelled, || {
        format!("round {} went on after its key was revoked: {:?}", seen.round, seen.ended)
    })
}

/// KL-10: who was told of a revocation takes nothing of that key any more.
pub fn kl_10_nobody_believes_a_revoked_key(party: u32, key: &KeyId, believes: bool) -> Outcome {
    when(believes, || format!("party {party} still believes {key}"))
}

/// KL-14: what is stored verifies from the founding key on, and gives what was known.
pub fn kl_14_what_is_stored_leads_to_what_is_known(stored: Option<&KnownKeys>, known: &KnownKeys) -> Outcome {
    when(stored != Some(known), || format!("what is stored does not lead to list {}", known.seq()))
}

/// KL-21: what the key in force has signed is current now.
pub fn kl_21_a_fresh_model_is_current(key: &KeyId, verdict: Option<Verdict>) -> Outcome {
    when(verdict != Some(Verdict::Current), || format!("a model signed by {key} is {verdict:?}"))
}

/// KL-15: a party only goes on, however long it was away.
pub fn kl_15_a_party_never_goes_back(party: u32, seq: u64, known: &mut BTreeMap<u32, u64>) -> Outcome {
    let before = known.insert(party, seq).unwrap_or(0);
    when(seq < before, || format!("party {party} knew list {before} and now {seq}"))
}

/// KL-23: what was signed of a shard is a prefix of it.
pub fn kl_23_the_log_only_grows(
    shard: u32,
    now: &Checkpoint,
    proof: &[Digest],
    log: &mut BTreeMap<u32, (u64, Digest)>,
) -> Outcome {
    let before = log.insert(shard, (now.size, now.root));
    let grown = before.is_none_or(|(size, root)| verify_consistency(size, &root, now.size, &now.root, proof));
    when(!grown, || format!("shard {shard} of {} entries does not go on from what was signed", now.size))
}

/// KL-24: shards are numbered without a gap.
pub fn kl_24_shards_follow_each_other(log: &BTreeMap<u32, (u64, Digest)>) -> Outcome {
    let (first, last) = (log.keys().next().copied(), log.keys().next_back().copied());
    let whole = first.zip(last).is_none_or(|(first, last)| (last - first) as usize + 1 == log.len());
    when(!whole, || format!("{} shards, the last of them {last:?}", log.len()))
}

/// KL-25: what is done is in the log already.
pub fn kl_25_nothing_is_done_before_it_is_written(unwritten: usize) -> Outcome {
    when(unwritten > 0, || format!("a round begins with {unwritten} entries unwritten"))
}

/// KL-27: all that took part in a round act under the list of its manifest.
pub fn kl_27_a_round_is_wholly_under_one_list(seen: &RoundSeen) -> Outcome {
    let other = seen.parties.iter().find(|(_, list)| **list != seen.list && seen.ended == Ended::Opened);
    when(other.is_some(), || format!("round {}: party {:?} acts under another list", seen.round, other))
}

/// KL-28: there are figures for every class, keys or not.
pub fn kl_28_every_class_has_figures(report: &Report) -> Outcome {
    let missing = Class::ALL.into_iter().find(|class| !report.gauges.contains_key(class));
    when(missing.is_some(), || format!("no figures for {missing:?}"))
}

/// A1: the log, verified and replayed, gives the inventory that is acted on.
pub fn a_1_the_log_alone_gives_the_inventory(told: &Inventory, own: &Inventory) -> Outcome {
    when(told != own, || format!("the log tells {} changes, {} were made", told.events(), own.events()))
}

/// A2: no two keys are one.
pub fn a_2_a_fingerprint_has_one_holder(event: &Event, holders: &mut BTreeMap<Digest, KeyId>) -> Outcome {
    let Change::Created(origin) = &event.change else { return Ok(()) };
    let held = holders.insert(origin.fingerprint, event.key.clone());
    when(held.is_some(), || format!("{} is what {held:?} was", event.key))
}

/// A2: a version stays what it was made as.
pub fn a_2_a_version_is_one_key_for_ever(picture: &Picture, prints: &mut BTreeMap<KeyId, Digest>) -> Outcome {
    for (id, key) in picture {
        let before = *prints.entry(id.clone()).or_insert(key.fingerprint);
        when(before != key.fingerprint, || format!("{id} is another key than before"))?;
    }
    Ok(())
}

/// B5: rounds are numbered upwards, and what protected one is never made again.
pub fn b_5_round_secrets_only_go_on(event: &Event, last: &mut u64) -> Outcome {
    let made = event.key.class() == Class::Round && matches!(event.change, Change::Created(_));
    if !made {
        return Ok(());
    }
    let round = u64::from(event.key.version);
    when(round <= *last, || format!("the secrets of round {round} after those of {last}"))?;
    *last = round;
    Ok(())
}

/// B5: what protects one round is never seen in another.
pub fn b_5_no_round_secret_comes_twice(
    round: u64,
    prints: &[Digest],
    seen: &mut BTreeSet<Digest>,
) -> Outcome {
    for print in prints {
        when(!seen.insert(*print), || format!("round {round} has a secret of an earlier one"))?;
    }
    Ok(())
}

//! What is seen beside the inventory: objects, roots, shares, recoveries. One function a rule.

use std::collections::{BTreeMap, BTreeSet};

use quorate_crypto::hash::Digest;

use super::rules::{Outcome, when};

/// Something that has happened beside the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Readers of an object were changed.
    Readers {
        /// Whether somebody lost access; otherwise somebody got it.
        removed: bool,
        /// Digest of the sealed bytes behind the header.
        before: Digest,
        /// The same afterwards.
        after: Digest,
    },
    /// A file was to be replaced.
    Replaced {
        /// Digest of what it was.
        before: Digest,
        /// Digest of what it is.
        found: Digest,
        /// Whether the replacement says that it happened.
        done: bool,
        /// Whether what is there opens.
        opens: bool,
    },
    /// A reader was shown a root.
    RootShown {
        /// Its version, and that of the root shown.
        versions: (u64, u64),
        /// Different keys of the old root that signed, and how many must.
        old: (u32, u32),
        /// The same of the new one.
        new: (u32, u32),
        /// Whether the reader took it.
        taken: bool,
    },
    /// Shares of a collective key were made.
    Shares(Box<SharesSeen>),
    /// A set was opened under a collective key.
    OpenedSet {
        /// The round.
        round: u64,
        /// The set that the holders locked.
        locked: Digest,
        /// The set that was opened.
        opened: Digest,
        /// Openings of the key so far, and the most it allows.
        count: (u32, u32),
    },
    /// A wrapping key was to be used.
    Permitted {
        /// Whether its escrow was used, and no new split recorded since.
        burnt: bool,
        /// Whether it was let.
        permitted: bool,
    },
    /// A signed thing was verified.
    Verified {
        /// Whether it was changed since.
        changed: bool,
        /// Whether it was accepted.
        accepted: bool,
    },
    /// A party that is here, after a sweep.
    Present {
        /// The party.
        party: u32,
        /// Whether its identity is good now.
        valid: bool,
    },
    /// A stored form was read.
    Stored {
        /// Which one.
        form: &'static str,
        /// Whether it was read.
        own: bool,
        /// Whether the same bytes under the next version's number were read.
        next: bool,
    },
}

/// How shares of a collective key came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharesSeen {
    /// What was made.
    pub verb: Verb,
    /// The key before, with its holders and threshold; none before the first.
    pub before: Option<KeySeen>,
    /// The key now.
    pub after: KeySeen,
    /// Holders that were shut out by name.
    pub evicted: BTreeSet<u32>,
    /// Whose signatures over the key's record verify.
    pub signed: BTreeSet<u32>,
    /// Who is registered under the keys that the holders showed.
    pub registered: BTreeSet<u32>,
}

/// A collective key, as far as it concerns rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySeen {
    /// Its id.
    pub key: Digest,
    /// Who has a share.
    pub holders: BTreeSet<u32>,
    /// How many open.
    pub r: u16,
}

/// What a session was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// A new key.
    Rekey,
    /// New shares for the same holders.
    Refresh,
    /// Shares for other holders or another threshold.
    Reshare,
}

impl Seen {
    /// Every rule that this is about, and whether it holds. `opened` are sets opened before, by round.
    pub(super) fn ask(&self, opened: &mut BTreeMap<u64, Digest>) -> Vec<(&'static str, Outcome)> {
        match self {
            Self::Readers { removed, before, after } => {
                vec![("KL-11", kl_11_only_removing_a_reader_makes_a_new_key(*removed, before, after))]
            }
            Self::Replaced { before, found, done, opens } => {
                vec![("KL-12", kl_12_a_replacement_is_whole_or_none((before, found), *done, *opens))]
            }
            Self::RootShown { versions, old, new, taken } => {
                vec![("KL-13", kl_13_a_step_needs_both_thresholds(*versions, (*old, *new), *taken))]
            }
            Self::Shares(shares) => vec![
                ("KL-16", kl_16_a_refresh_is_everybodys(shares)),
                ("KL-17", kl_17_each_verb_changes_what_it_says(shares)),
                ("KL-18", kl_18_holders_are_registered_and_have_signed(shares)),
            ],
            Self::OpenedSet { round, locked, opened: set, count } => {
                vec![("KL-19", kl_19_what_was_locked_is_opened_once(*round, (locked, set), *count, opened))]
            }
            Self::Permitted { burnt, permitted } => {
                vec![("KL-20", kl_20_a_used_escrow_stops_the_key(*burnt, *permitted))]
            }
            Self::Verified { changed, accepted } => {
                vec![("KL-22", kl_22_what_was_changed_does_not_verify(*changed, *accepted))]
            }
            Self::Present { party, valid } => {
                vec![("KL-26", kl_26_who_is_here_has_an_identity(*party, *valid))]
            }
            Self::Stored { form, own, next } => {
                vec![("KL-29", kl_29_a_stored_form_says_its_version(form, *own, *next))]
            }
        }
    }
}

/// KL-11: who loses access must not open what is sealed from now on; who gets it needs no new seal.
fn kl_11_only_removing_a_reader_makes_a_new_key(removed: bool, before: &Digest, after: &Digest) -> Outcome {
    let renewed = before != after;
    when(removed != renewed, || match removed {
        true => "a reader was removed and the object is sealed as before".to_owned(),
        false => "a reader was added and the object was sealed anew".to_owned(),
    })
}

/// KL-12: the new file, or the old one byte for byte; it opens in either case.
fn kl_12_a_replacement_is_whole_or_none(
    (before, found): (&Digest, &Digest),
    done: bool,
    opens: bool,
) -> Outcome {
    when(!done && before != found, || "a failed replacement has changed the file".to_owned())?;
    when(!opens, || "the file does not open".to_owned())
}

/// KL-13: exactly one up, signed by a threshold of the old keys and of the new ones; a reader takes no other, and takes this.
fn kl_13_a_step_needs_both_thresholds(
    (from, to): (u64, u64),
    (old, new): ((u32, u32), (u32, u32)),
    taken: bool,
) -> Outcome {
    let may = from.checked_add(1) == Some(to) && old.0 >= old.1 && new.0 >= new.1;
    when(may != taken, || {
        format!("root {to} after {from}, signed by {old:?} and {new:?}: taken is {taken}, and should not be")
    })
}

/// KL-16: everybody but those shut out by name takes part in a refresh and confirms it.
fn kl_16_a_refresh_is_everybodys(seen: &SharesSeen) -> Outcome {
    let (Verb::Refresh, Some(before)) = (seen.verb, &seen.before) else { return Ok(()) };
    let all: BTreeSet<u32> = before.holders.difference(&seen.evicted).copied().collect();
    when(seen.signed != all, || format!("a refresh of {all:?} was confirmed by {:?}", seen.signed))
}

/// KL-17: a refresh keeps key, threshold and holders; a reshare keeps the key; only another key is another key.
fn kl_17_each_verb_changes_what_it_says(seen: &SharesSeen) -> Outcome {
    let Some(before) = &seen.before else { return Ok(()) };
    let same = before.key == seen.after.key;
    let left: BTreeSet<u32> = before.holders.difference(&seen.evicted).copied().collect();
    let holds = match seen.verb {
        Verb::Refresh => same && before.r == seen.after.r && seen.after.holders == left,
        Verb::Reshare => same,
        Verb::Rekey => !same,
    };
    when(!holds, || format!("{:?} made {:?} of {before:?}", seen.verb, seen.after))
}

/// KL-18: whoever holds a share is registered, and has signed the key with that identity.
fn kl_18_holders_are_registered_and_have_signed(seen: &SharesSeen) -> Outcome {
    let holders = &seen.after.holders;
    when(!holders.is_subset(&seen.registered), || {
        format!("{holders:?} hold shares, not all are registered")
    })?;
    when(!holders.is_subset(&seen.signed), || format!("{holders:?} hold shares, {:?} signed", seen.signed))
}

/// KL-19: one set a round, the one that was locked, and not more often than the key allows.
fn kl_19_what_was_locked_is_opened_once(
    round: u64,
    (locked, opened): (&Digest, &Digest),
    (count, most): (u32, u32),
    before: &mut BTreeMap<u64, Digest>,
) -> Outcome {
    when(locked != opened, || format!("round {round} opened another set than was locked"))?;
    when(count > most, || format!("{count} openings of a key for {most}"))?;
    let first = *before.entry(round).or_insert(*opened);
    when(first != *opened, || format!("round {round} opened two sets"))
}

/// KL-20: between the use of an escrow and a new split the key is not used, otherwise it may be.
fn kl_20_a_used_escrow_stops_the_key(burnt: bool, permitted: bool) -> Outcome {
    when(burnt == permitted, || format!("escrow burnt: {burnt}, key permitted: {permitted}"))
}

/// KL-22: what was changed is not accepted, what was not is.
fn kl_22_what_was_changed_does_not_verify(changed: bool, accepted: bool) -> Outcome {
    when(changed == accepted, || format!("changed: {changed}, accepted: {accepted}"))
}

/// KL-26: an identity that has run out is replaced by the first sweep that finds its owner here.
fn kl_26_who_is_here_has_an_identity(party: u32, valid: bool) -> Outcome {
    when(!valid, || format!("party {party} is here with an identity whose time is over"))
}

/// KL-29: what is stored is read again, and the same under a number not known yet is not taken for it.
fn kl_29_a_stored_form_says_its_version(form: &str, own: bool, next: bool) -> Outcome {
    when(!own, || format!("{form} is not read any more"))?;
    when(next, || format!("{form} of a version to come is read as if it were known"))
}

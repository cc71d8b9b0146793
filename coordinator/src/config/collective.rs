//! `[collective]`: the collective keys of jobs in mode `homomorphic` (docs/KEYS.md, K7): their caps, and when they are made
//! anew.

use std::time::Duration;

use super::reader::Section;
use super::sections::{MOST_MILLIS, YEAR};

/// Caps of a collective key, which its record fixes, and when there is to be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectivePlan {
    /// How long each phase of a session waits for its holders.
    pub patience: Duration,
    /// How long too few holders may be away before others take their place, or a new key is made.
    pub holders_patience: Duration,
    /// Most openings of one key ([OPEN-5]).
    pub openings: u32,
    /// Most sets of responders for one set of contributions.
    pub attempts: u8,
    /// Most blames of one key ([COPEN-4]).
    pub blames: u16,
    /// Rounds after which the next key is made, beside the rounds.
    pub rekey_rounds: u64,
    /// Time after which the next key is made.
    pub rekey_after: Duration,
    /// Rounds after which the shares are refreshed.
    pub refresh_rounds: u64,
    /// Time after which the shares are refreshed.
    pub refresh_after: Duration,
}

impl Default for CollectivePlan {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(60),
            holders_patience: Duration::from_secs(300),
            openings: 10_000,
            attempts: 4,
            blames: 16,
            rekey_rounds: 1_000,
            rekey_after: 30 * DAY,
            refresh_rounds: 200,
            refresh_after: 7 * DAY,
        }
    }
}

pub(super) fn read(section: &Section<'_>) -> CollectivePlan {
    let usual = CollectivePlan::default();
    let byte = |key, most: u32, usual: u32| section.small(key, 1..=most).unwrap_or(usual);
    let plan = CollectivePlan {
        patience: section.duration("patience", SECOND..=MOST_MILLIS).unwrap_or(usual.patience),
        holders_patience: section
            .duration("holders_patience", SECOND..=YEAR)
            .unwrap_or(usual.holders_patience),
        openings: section.small("openings", 64..=1 << 20).unwrap_or(usual.openings),
        attempts: u8::try_from(byte("attempts", 16, usual.attempts.into())).unwrap_or(usual.attempts),
        blames: u16::try_from(byte("blames", 64, usual.blames.into())).unwrap_or(usual.blames),
        rekey_rounds: section.whole("rekey_rounds", 1..=1 << 20).unwrap_or(usual.rekey_rounds),
        rekey_after: section.duration("rekey_after", SECOND..=YEAR).unwrap_or(usual.rekey_after),
        refresh_rounds: section.whole("refresh_rounds", 1..=1 << 20).unwrap_or(usual.refresh_rounds),
        refresh_after: section.duration("refresh_after", SECOND..=YEAR).unwrap_or(usual.refresh_after),
    };
    section.finish();
    plan
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

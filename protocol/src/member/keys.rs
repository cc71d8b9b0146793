//! Lists of keys, at a member: verified and stored by the participant of the same party ([KEY-1], [KEY-4]).

use quorate_keys::KnownKeys;

use super::{Member, MemberEvent, Stage};
use crate::announce::Anchor;

impl Member {
    /// Takes over the keys that the same party's participant verified. A round whose key was revoked is left at once,
    /// its round key wiped ([KEY-4]).
    pub fn trust(&mut self, keys: &KnownKeys) {
        self.trust.trust(keys.clone());
        self.leave_revoked();
    }

    /// Judges the coordinator's keys by this from now on ([ROOT-2]). A round under keys that it contradicts is left at once, its
    /// round key wiped.
    pub fn rest_on(&mut self, anchor: Anchor) {
        self.trust.rest_on(anchor);
        self.leave_revoked();
    }

    fn leave_revoked(&mut self) {
        self.leave_collective();
        let accepted = match &self.stage {
            Stage::Idle => return,
            Stage::Keyed(keyed) => &keyed.accepted,
            Stage::Serving(serving) => &serving.accepted,
        };
        if self.trust.is_over(accepted) {
            let round = accepted.manifest.round;
            self.stage = Stage::Idle;
            self.out.event(MemberEvent::Wiped { round });
        }
    }

    /// Says what time it is, in seconds since 1970, before every frame ([KEY-3]).
    pub const fn tell(&mut self, wall: u64) {
        self.trust.tell(wall);
    }
}

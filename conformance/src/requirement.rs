//! What is required, numbered, each with the rule of docs/PROTOCOL.md it comes from and the script that finds out.

/// Whose requirement it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A party: participant and committee member.
    Party,
    /// A coordinator.
    Coordinator,
    /// Whoever takes part: judged from a recording.
    Recorded,
}

impl Side {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Party => "participant",
            Self::Coordinator => "coordinator",
            Self::Recorded => "recording",
        }
    }
}

/// One requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its number: `P-` for parties, `C-` for coordinators, `R-` in recordings. Numbers are never given twice.
    pub id: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// Whose.
    pub side: Side,
    /// The script that decides it: `honest`, or the name of a fault.
    pub script: &'static str,
    /// What must be so.
    pub text: &'static str,
}

macro_rules! requirements {
    ($side:ident: $($id:literal $rule:literal $script:literal $text:literal)*) => {
        &[$(Requirement { id: $id, rule: $rule, side: Side::$side, script: $script, text: $text }),*]
    };
}

/// Of parties.
pub const PARTY: &[Requirement] = requirements! { Party:
    "P-01" "CONV-1" "honest" "sends a round key for the hash of the manifest, under its own id, signed"
    "P-02" "MASK-2" "honest" "fetches the manifest's model before it contributes"
    "P-03" "WIRE-2" "honest" "sends nothing but canonical bodies"
    "P-04" "SIG-1" "honest" "signs the header of its contribution under header-sign, for this deployment and round"
    "P-05" "WIRE-3" "honest" "sends a vector of the manifest's length whose hash is in the header"
    "P-06" "DEAL-2" "honest" "puts the root of its share tree into the header, one leaf a member"
    "P-07" "SHARE-1" "honest" "seals each share so that its member opens it"
    "P-08" "DEAL-1" "honest" "deals shares that open to one secret of bounded coefficients"
    "P-09" "GAUSS-1" "honest" "draws a secret of about the right width"
    "P-10" "MASK-5" "honest" "masks its vector with that secret: the residual is in bounds"
    "P-11" "CODEC-1" "honest" "contributes a weight of 1 to W and coordinates on the grid"
    "P-12" "CHK-1" "honest" "publishes the right check values for each share it was relayed, signed"
    "P-13" "CHK-1" "honest" "deals consistently: all check values lie on one polynomial"
    "P-14" "OPEN-1" "honest" "locks the closed set, signed"
    "P-15" "RS-1" "honest" "answers with the sum of its shares, signed, for the set that Q members locked"
    "P-16" "MASK-1" "honest" "masks a second round with another secret"
    "P-17" "OPEN-3" "honest" "makes another round key for a second round"
    "P-20" "ANN-1" "two-manifests" "does not act on a second manifest of a round"
    "P-21" "ANN-1" "two-manifests" "keeps the first manifest in force and contributes to it alone"
    "P-22" "ANN-1" "old-round" "does not act on a round below the last it acted on"
    "P-23" "ANN-1" "unsigned-manifest" "does not act on a manifest that the coordinator did not sign"
    "P-24" "ANN-1" "other-deployment" "does not act on a manifest of another deployment"
    "P-25" "EPOCH-1" "outside-epoch" "does not act on a round outside the epoch's range"
    "P-26" "DRAW-3" "other-seed" "does not act on a seed that the ceremony did not give"
    "P-27" "REG-3" "forked-registry" "does not act on a head that does not extend the one it has seen"
    "P-28" "KEY-2" "other-keys" "does not act on a manifest that names another list of keys"
    "P-30" "MASK-2" "other-model" "contributes nothing for a model that is not the manifest's"
    "P-31" "POL-1" "plain-mode" "refuses mode plain"
    "P-32" "OPEN-4" "small-cohort" "refuses a manifest with n_min below f + k_min"
    "P-33" "POL-1" "weak-committee" "refuses a committee whose c is below its own floor"
    "P-34" "POL-1" "wrong-quorum" "refuses a manifest whose Q is not the majority of locks"
    "P-35" "POL-1" "long-key-life" "refuses round keys that would live for weeks"
    "P-40" "ROST-1" "two-rosters" "contributes to one roster a round"
    "P-41" "CONV-1" "short-roster" "refuses a roster of fewer than m members"
    "P-42" "CONV-1" "twin-keys" "refuses a roster with one round key twice"
    "P-43" "CONV-1" "uneligible-member" "refuses a member that the epoch does not let serve"
    "P-44" "CONV-1" "unsigned-roster" "refuses a roster that the coordinator did not sign"
    "P-45" "CONV-1" "swapped-key" "refuses a round key that its member did not sign"
    "P-46" "DRAW-1" "shuffled-roster" "refuses members out of the order of their tickets"
    "P-50" "OPEN-1" "second-set" "locks no second set"
    "P-51" "OPEN-1" "second-set" "answers for no second set, whoever has locked it"
    "P-52" "OPEN-1" "few-locks" "answers nothing with fewer than Q locks"
    "P-53" "OPEN-1" "one-lock-often" "counts a member's lock once"
    "P-54" "OPEN-2" "small-set" "locks no set of fewer than n_min"
    "P-55" "OPEN-2" "unordered-set" "locks no set whose leaves do not increase"
    "P-56" "OPEN-2" "unknown-leaf" "locks no set with a header it holds no share for"
    "P-57" "OPEN-2" "other-root" "locks no root but that of all the leaves"
    "P-58" "OPEN-2" "unsigned-set" "locks no set that the coordinator did not close"
    "P-60" "SHARE-2" "other-path" "opens no share whose path does not lead to the header's share root"
    "P-61" "SHARE-2" "unsigned-header" "opens no share under a header that its sender did not sign"
    "P-62" "SHARE-2" "other-session" "opens no share under a header of another session"
    "P-63" "ROST-1" "two-headers" "holds one header of a sender"
    "P-64" "CHK-2" "sealed-garbage" "complains about a share that does not open, under a valid header and path"
    "P-65" "OPEN-3" "late-opening" "opens nothing of a round once a later manifest is accepted"
    "P-66" "MASK-4" "lost-receipt" "sends the identical bytes again, or nothing"
    "P-67" "WIRE-2" "loose-encoding" "acts on no body that is not the one encoding of its value"
    "P-70" "DRAW-3" "ceremony" "commits once an attempt: the same Call gets the same bytes"
    "P-71" "DRAW-3" "ceremony" "opens its commitment for the complete list, signed"
    "P-72" "DRAW-3" "second-list" "reveals once a commitment"
    "P-73" "DRAW-3" "short-list" "reveals nothing for a list without its own commitment"
    "P-74" "EPOCH-1" "old-attempt" "commits to no attempt that is not above its last"
};

/// Of coordinators.
pub const COORDINATOR: &[Requirement] = requirements! { Coordinator:
    "C-01" "REG-2" "honest" "enrols a key with a token and proves its place in the registry"
    "C-02" "ANN-1" "honest" "announces a round that every check of a party passes"
    "C-03" "CONV-1" "honest" "sends a roster that verifies, with the members' own round keys"
    "C-04" "SHARE-2" "honest" "relays each contribution with header, identity and paths that verify"
    "C-05" "OPEN-2" "honest" "closes a set that every member can verify"
    "C-06" "OPEN-1" "honest" "shows Q locks of distinct members on that set"
    "C-07" "RES-1" "honest" "tells each contributor, signed, that it is in the set"
    "C-10" "LATE-1" "repeated-contribution" "gives an identical repetition its receipt again"
    "C-11" "MASK-4" "two-contributions" "refuses a second contribution of a party to a round"
    "C-12" "SIG-1" "unsigned-contribution" "refuses a header that its sender did not sign"
    "C-13" "WIRE-3" "short-vector" "refuses a vector of another length"
    "C-14" "HASH-3" "other-vector" "refuses a vector that is not the header's"
    "C-15" "LATE-1" "other-round" "refuses an upload for a round that is not open"
    "C-16" "WIRE-2" "loose-contribution" "refuses a body that is not the one encoding of its value"
    "C-17" "WIRE-1" "unknown-type" "ends a connection that sends a type no party sends, and goes on with the others"
    "C-18" "REG-2" "used-token" "enrols no second key with a token"
};

/// Of whoever was recorded.
pub const RECORDED: &[Requirement] = requirements! { Recorded:
    "R-01" "WIRE-2" "replay" "every frame is canonical and of a known type"
    "R-02" "ANN-1" "replay" "one manifest a round is signed by the coordinator"
    "R-03" "ROST-1" "replay" "one roster a round is signed by the coordinator, its session fixed"
    "R-04" "CONV-1" "replay" "each round key is signed by the member under whose id it stands"
    "R-05" "MASK-4" "replay" "no sender signs two headers in a session"
    "R-06" "SHARE-2" "replay" "each relayed share has a signed header and a path to its share root"
    "R-07" "OPEN-2" "replay" "each closed set has the root of its leaves, in order, of at least n_min"
    "R-08" "OPEN-1" "replay" "no member signs locks or answers for two sets of a round"
    "R-09" "OPEN-1" "replay" "each answer comes after Q locks of distinct members on its set"
    "R-10" "SIG-1" "replay" "check values, locks, answers, sets and results are signed by whom they name"
};

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Requirement> {
    PARTY.iter().chain(COORDINATOR).chain(RECORDED)
}

/// The faults of a side: scripts other than the honest one, each once, in order.
#[must_use]
pub fn faults(of: &'static [Requirement]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for requirement in of {
        if requirement.script != HONEST && !names.contains(&requirement.script) {
            names.push(requirement.script);
        }
    }
    names
}

/// The script without a fault.
pub const HONEST: &str = "honest";

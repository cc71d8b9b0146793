//! The form of the file for editors: a JSON schema, made of a plain mirror of what the readers read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// The JSON schema of a configuration file.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Mirror).to_value()
}

macro_rules! mirror {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $key:ident : $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        #[derive(Default)]
        #[allow(dead_code, reason = "only its form counts")]
        pub(super) struct $name { $($(#[$field])* $key: Option<$type>,)* }
    )*};
}

mirror! {
    /// Configuration of a Quorate coordinator
    Mirror {
        /// The deployment.
        deployment: Deployment,
        /// Where parties connect, and its limits.
        listen: Listen,
        /// Where the secrets are.
        secrets: Secrets,
        /// The strongroom of the coordinator's own keys; without this section they are plain files.
        keys: Keys,
        /// Admin API; without this section there is none.
        admin: Admin,
        /// Who may enrol.
        enrolment: Enrolment,
        /// Epochs and committees.
        epoch: Epoch,
        /// Collective keys of jobs in mode homomorphic.
        collective: Collective,
        /// The operator's policy.
        policy: Policy,
        /// How keys are looked after.
        rotation: Rotation,
        /// Who may approve of orders about keys, by name.
        approvers: BTreeMap<String, Approver>,
        /// Copies of the audit log.
        audit: AuditLog,
        /// Training jobs by name.
        jobs: BTreeMap<String, Job>,
        /// What is kept, counted from the newest.
        retention: Retention,
        /// Exported results.
        results: Results,
        /// The log.
        log: Log,
    }
    /// The deployment
    Deployment {
        /// How long a round may still take at a shutdown.
        grace: String,
        /// Name; part of the deployment's id, never to be changed.
        name: String,
        /// Folder of everything the coordinator keeps.
        folder: String,
    }
    /// How keys are looked after
    Rotation {
        /// Policy of keys: default, strict, nist-sp800-57, pci-dss-4, hipaa, or a file.
        policy: String,
    }
    /// A person who may approve
    Approver {
        /// Ed25519 public key, hexadecimal.
        key: String,
    }
    /// Copies of the audit log
    AuditLog {
        /// Where each entry goes too, as a line of JSON: file:PATH or tcp:HOST:PORT.
        copies: Vec<String>,
        /// The longest that one which does not answer keeps the coordinator waiting.
        patience: String,
    }
    /// Endpoint
    Listen {
        /// Address and UDP port.
        address: String,
        /// Most members connected.
        connections: u64,
        /// Members connected beyond which parties take turns.
        places: u64,
        /// Shortest time for which a party of the round holds its place while others wait.
        turn: String,
        /// Most handshakes at one time.
        handshakes: u64,
        /// Most connections without a certificate.
        strangers: u64,
        /// Handshakes under way above which an address is validated first.
        retry_above: u64,
        /// Most streams of a party.
        streams: u32,
        /// KiB of a stream that may wait to be read.
        window_kib: u32,
        /// Silence after which a connection is closed.
        idle: String,
        /// Longest handshake.
        handshake: String,
        /// Longest request.
        request: String,
        /// Slowest transfer in bytes a second.
        rate: u64,
        /// Time over which the rate is judged.
        rate_window: String,
        /// MiB of unfinished uploads over all parties.
        staging_mib: u64,
        /// Frames that may wait for a party.
        queue_frames: u64,
        /// MiB of frames that may wait for a party.
        queue_mib: u32,
        /// Life of a party's certificate.
        party_certificate: String,
        /// Life of the coordinator's certificate.
        server_certificate: String,
    }
    /// Where the secrets are: file:PATH or env:NAME
    Secrets {
        /// Identity key; only without [keys].
        identity: String,
        /// Key of the certificate authority; only without [keys].
        authority_key: String,
        /// Certificate of the certificate authority.
        authority_certificate: String,
    }
    /// The strongroom
    Keys {
        /// file, vault, pkcs11 or aws.
        provider: String,
        /// Folder of the sealed keys.
        folder: String,
        /// Where the unlock secret is, file:PATH or env:NAME; without it somebody gives it after every start.
        unlock: String,
        /// Vault or OpenBao.
        vault: KeysVault,
        /// A PKCS#11 token.
        pkcs11: KeysPkcs11,
        /// AWS KMS.
        aws: KeysAws,
    }
    /// Vault or OpenBao; the unlock secret is a token
    KeysVault {
        /// Mount of the transit engine.
        address: String,
        /// PEM file of trusted certificates.
        certificates: String,
        /// Longest wait for an answer.
        timeout: String,
    }
    /// A PKCS#11 token; the unlock secret is its PIN
    KeysPkcs11 {
        /// The library.
        module: String,
        /// The token's label.
        token: String,
    }
    /// AWS KMS; the unlock secret is the secret access key
    KeysAws {
        /// The service.
        endpoint: String,
        /// Its region.
        region: String,
        /// Id of the access key.
        access_key: String,
        /// PEM file of trusted certificates.
        certificates: String,
        /// Longest wait for an answer.
        timeout: String,
    }
    /// Admin API
    Admin {
        /// Address and TCP port.
        listen: String,
        /// Where its credential is.
        token: String,
        /// Whether metrics need no credential.
        metrics_public: bool,
    }
    /// Enrolment
    Enrolment {
        /// Only keys on the allow-list.
        allow_list: bool,
        /// Most parties.
        max: u32,
    }
    /// Epochs
    Epoch {
        /// named or drawn.
        committee: String,
        /// Expected width of the panel of a drawn committee.
        width: u32,
        /// Indices of a named committee.
        named: Vec<u32>,
        /// all, or the expected width of the drawn cohort.
        cohort_width: NumberOrAll,
        /// Rounds of an epoch.
        rounds: u32,
        /// Parties of a ceremony.
        parties: u32,
        /// How long a ceremony waits.
        patience: String,
        /// How long a round waits for its parties.
        wait: String,
        /// Parties before the first epoch.
        min_enrolled: u32,
        /// Whether growth begins a new epoch.
        renew_on_growth: bool,
    }
    /// Collective keys of jobs in mode homomorphic
    Collective {
        /// How long each phase of a session waits for its holders.
        patience: String,
        /// How long too few holders may be away before others take their place.
        holders_patience: String,
        /// Most openings of one key.
        openings: u32,
        /// Most sets of responders for one set of contributions.
        attempts: u8,
        /// Most blames of one key.
        blames: u16,
        /// Rounds after which the next key is made.
        rekey_rounds: u64,
        /// Time after which the next key is made.
        rekey_after: String,
        /// Rounds after which the shares are refreshed.
        refresh_rounds: u64,
        /// Time after which the shares are refreshed.
        refresh_after: String,
    }
    /// The operator's policy
    Policy {
        /// Longest update.
        max_dim: u32,
        /// Largest cohort.
        max_cohort: u32,
        /// Assumed corrupt ids, in thousandths of the enrolled.
        corrupt_permille: u32,
        /// Wanted -log2 of the probability of a bad cohort.
        cohort_bits: u32,
        /// Wanted -log2 of the probability of a bad committee in an epoch.
        committee_bits: u32,
        /// Least share that c is of all named, in thousandths.
        named_corrupt_permille: u32,
        /// Honest contributions that must remain.
        k_min: u32,
        /// Largest width.
        max_width: u32,
        /// Most rounds of an epoch.
        max_rounds: u32,
        /// Most restarts of a ceremony.
        max_restarts: u8,
        /// Longest life of a round key.
        max_key_life: String,
        /// Least wrong answers that direct must detect.
        min_detected: u16,
        /// Largest share of the cohort that may be missing, in thousandths.
        max_missing_permille: u32,
        /// Whether mode homomorphic is allowed: safe only if the coordinator and participants do not collude.
        allow_unproven: bool,
        /// Most openings of a collective key.
        max_openings: u32,
        /// Most sets of responders for one set of contributions.
        max_attempts: u8,
        /// Most blames of a collective key.
        max_blames: u16,
    }
    /// A training job
    Job {
        /// masked, homomorphic or plain.
        mode: String,
        /// Whether plain is meant.
        allow_plain: bool,
        /// auto, R8192, R4096 or direct.
        suite: String,
        /// x25519 or xwing.
        seal: String,
        /// Coordinates of an update.
        dim: u32,
        /// Bits per coordinate.
        bits: u8,
        /// Bound of a coordinate.
        clip: f64,
        /// Bound of the whole update.
        clip_l2: f64,
        /// Largest weight of a contribution.
        weight_bound: u32,
        /// Committee members.
        committee: u16,
        /// Most contributions in a mean.
        target: u32,
        /// Fewest contributions in a mean, if more than the policy asks.
        minimum: u32,
        /// Percent invited above target.
        over_selection: u32,
        /// Opened rounds after which it is done.
        rounds: u64,
        /// Time between its rounds.
        pause: String,
        /// Connected parties needed to begin a round.
        wanted: u32,
        /// Length of each stage.
        deadlines: Deadlines,
        /// Life of a round key.
        key_life: String,
        /// What a mean does to the model.
        optimiser: Optimiser,
        /// zeros, or a safetensors file.
        model: String,
    }
    /// Length of each stage
    Deadlines {
        /// Round keys.
        convene: String,
        /// Contributions.
        contribute: String,
        /// Check values.
        check: String,
        /// Locks.
        lock: String,
        /// Answers.
        open: String,
    }
    /// Optimiser
    Optimiser {
        /// fedavg, fedavgm or fedadam.
        kind: String,
        /// Server learning rate.
        rate: f64,
        /// Momentum of fedavgm.
        momentum: f64,
        /// Decay of the mean of fedadam.
        beta1: f64,
        /// Decay of the square of fedadam.
        beta2: f64,
        /// Adaptivity of fedadam.
        tau: f64,
    }
    /// Retention
    Retention {
        /// Model versions of a job.
        models: u32,
        /// Results of a job.
        results: u32,
        /// Rounds in the database.
        rounds: u32,
    }
    /// Results
    Results {
        /// Folder; without it nothing is exported.
        folder: String,
        /// full or facts.
        format: String,
    }
    /// Log
    Log {
        /// auto, human or json.
        format: String,
        /// Level or filter.
        level: String,
    }
}

/// A number or the word all
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its form counts")]
pub(super) enum NumberOrAll {
    /// A number.
    Number(u32),
    /// all.
    Word(String),
}

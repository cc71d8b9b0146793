//! The figures, for people and for programs.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::baseline::Baselines;
use super::clock::Samples;
use super::participant::ParticipantFigures;
use super::pieces::Pieces;
use super::round::RoundFigures;
use super::setting::Setting;

/// Everything measured; the names of `--json`. Times are CPU milliseconds of one core.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Parameter suite.
    pub suite: &'static str,
    /// Coordinates.
    pub dim: u32,
    /// Bits of a coordinate.
    pub bits: u8,
    /// n.
    pub participants: u32,
    /// m.
    pub committee: u16,
    /// Secret, matrix and mask of one vector; 0 in suite `direct`.
    pub mask_ms: f64,
    /// Of it, the matrix, which can be made while training runs.
    pub matrix_ms: f64,
    /// Folding one masked vector.
    pub add_ms: f64,
    /// Unmasking the sum of any number of vectors.
    pub unmask_ms: f64,
    /// Opening the key sum from the answers of all members.
    pub decode_ms: f64,
    /// Dealing one secret.
    pub share_ms: f64,
    /// Sealing all shares of one contribution.
    pub seal_ms: f64,
    /// A member opens one share and checks it.
    pub open_ms: f64,
    /// Hash of one masked vector.
    pub hash_ms: f64,
    /// Verifying one signature.
    pub verify_ms: f64,
    /// Quantising one update.
    pub quantise_ms: f64,
    /// A participant's round: announcement, roster, matrix, contribution.
    pub participant_total_ms: f64,
    /// Of it, judging the announcement and planning.
    pub participant_announce_ms: f64,
    /// Of it, verifying the roster.
    pub participant_roster_ms: f64,
    /// Of it, the contribution, matrix included.
    pub participant_contribute_ms: f64,
    /// A member's round after the roster, for n contributions.
    pub member_total_ms: f64,
    /// The coordinator's round: n contributions, checks, locks, answers, result.
    pub coordinator_total_ms: f64,
    /// Of it, taking n contributions: hash, share tree, signature, fold, relay.
    pub coordinator_contribute_ms: f64,
    /// n times hash, signature and fold, and the unmasking: the data plane without the key plane.
    pub coordinator_data_ms: f64,
    /// Of the whole round, the check values of m members about n contributions.
    pub coordinator_check_ms: f64,
    /// Of it, closing and locks.
    pub coordinator_lock_ms: f64,
    /// Of it, answers, decoding, unmasking, result.
    pub coordinator_finish_ms: f64,
    /// Bytes of one contribution: header, shares, vector.
    pub upload_bytes: usize,
    /// d·log₂B/8: the sum's own size, without protection.
    pub floor_bytes: f64,
    /// Bytes a participant downloads: announcement and roster.
    pub participant_download_bytes: usize,
    /// Bytes by which the process grows in a round: the coordinator, one member and what they send each other; the
    /// most over the runs, 0 where the system does not say.
    pub round_memory_bytes: u64,
    /// Bytes a member downloads in the round.
    pub member_download_bytes: usize,
    /// Bytes of the buffer behind the baselines.
    pub baseline_bytes: usize,
    /// Copying it.
    pub copy_baseline_ms: f64,
    /// Adding it to another one.
    pub add_baseline_ms: f64,
    /// One ChaCha20 pass over it.
    pub chacha20_baseline_ms: f64,
}

impl Report {
    /// Puts the parts together.
    pub fn new(
        setting: &Setting,
        pieces: &Pieces,
        participant: &ParticipantFigures,
        rounds: &[RoundFigures],
    ) -> Self {
        let median = |part: fn(&RoundFigures) -> std::time::Duration| {
            let mut samples = Samples::new();
            rounds.iter().for_each(|round| samples.push(part(round)));
            samples.median()
        };
        Self {
            suite: setting.suite.name(),
            dim: setting.dim,
            bits: setting.bits,
            participants: setting.participants,
            committee: setting.committee,
            mask_ms: pieces.mask,
            matrix_ms: pieces.matrix,
            add_ms: 0.0,
            unmask_ms: pieces.unmask,
            decode_ms: pieces.decode,
            share_ms: pieces.share,
            seal_ms: pieces.seal,
            open_ms: pieces.open,
            hash_ms: pieces.hash,
            quantise_ms: pieces.quantise,
            verify_ms: pieces.verify,
            coordinator_data_ms: 0.0,
            participant_total_ms: participant.total.median(),
            participant_announce_ms: participant.announce.median(),
            participant_roster_ms: participant.roster.median(),
            participant_contribute_ms: participant.contribute.median(),
            member_total_ms: median(|round| round.member),
            coordinator_total_ms: median(|round| round.contribute + round.check + round.lock + round.finish),
            coordinator_contribute_ms: median(|round| round.contribute),
            coordinator_check_ms: median(|round| round.check),
            coordinator_lock_ms: median(|round| round.lock),
            coordinator_finish_ms: median(|round| round.finish),
            upload_bytes: participant.upload_bytes,
            floor_bytes: setting.floor_bytes(),
            participant_download_bytes: participant.download_bytes,
            round_memory_bytes: rounds.iter().map(|round| round.memory).max().unwrap_or(0),
            member_download_bytes: rounds.first().map_or(0, |round| round.member_download_bytes),
            baseline_bytes: 0,
            copy_baseline_ms: 0.0,
            add_baseline_ms: 0.0,
            chacha20_baseline_ms: 0.0,
        }
    }

    /// Adds the baselines over buffers of `bytes` bytes, and the fold measured over them.
    #[must_use]
    pub fn beside(mut self, baselines: &Baselines, bytes: usize, add: f64) -> Self {
        self.baseline_bytes = bytes;
        self.copy_baseline_ms = baselines.copy;
        self.add_baseline_ms = baselines.add;
        self.chacha20_baseline_ms = baselines.chacha20;
        self.add_ms = add;
        let each = self.hash_ms + self.verify_ms + add;
        self.coordinator_data_ms = f64::from(self.participants) * each + self.unmask_ms;
        self
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let Self { suite, dim, bits, participants, committee, .. } = self;
        let mut text = format!(
            "{suite}, d = {dim}, b = {bits}, n = {participants}, m = {committee}: CPU time of one core, medians\n"
        );
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["what", "ms", "× copy", "× add", "× ChaCha20"]);
        for (name, value) in self.times() {
            table.add_row(self.row(name, value));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        text.push_str(&table.to_string());
        text.push_str(&self.sizes());
        text
    }

    fn times(&self) -> [(&'static str, f64); 27] {
        [
            ("baseline: copy", self.copy_baseline_ms),
            ("baseline: wrapping add", self.add_baseline_ms),
            ("baseline: ChaCha20", self.chacha20_baseline_ms),
            ("quantise", self.quantise_ms),
            ("mask, with matrix", self.mask_ms),
            ("  matrix alone", self.matrix_ms),
            ("hash of the vector", self.hash_ms),
            ("verify one signature", self.verify_ms),
            ("share", self.share_ms),
            ("seal, all members", self.seal_ms),
            ("open and check one share", self.open_ms),
            ("add (fold) one vector", self.add_ms),
            ("decode the key sum", self.decode_ms),
            ("unmask", self.unmask_ms),
            ("participant, whole round", self.participant_total_ms),
            ("  announcement and plan", self.participant_announce_ms),
            ("  roster", self.participant_roster_ms),
            ("  contribution, with matrix", self.participant_contribute_ms),
            ("member, whole round", self.member_total_ms),
            ("  for each contribution", self.member_total_ms / f64::from(self.participants)),
            ("coordinator, whole round", self.coordinator_total_ms),
            ("  for each contribution", self.coordinator_total_ms / f64::from(self.participants)),
            ("  hashes, signatures, folds, unmasking", self.coordinator_data_ms),
            ("  contributions", self.coordinator_contribute_ms),
            ("  check values", self.coordinator_check_ms),
            ("  locks", self.coordinator_lock_ms),
            ("  answers and result", self.coordinator_finish_ms),
        ]
    }

    fn row(&self, name: &str, value: f64) -> [String; 5] {
        if value == 0.0 {
            return [name.to_owned(), "–".to_owned(), String::new(), String::new(), String::new()];
        }
        let ratio = |base: f64| format!("{:.2}", value / base);
        [
            name.to_owned(),
            format!("{value:.3}"),
            ratio(self.copy_baseline_ms),
            ratio(self.add_baseline_ms),
            ratio(self.chacha20_baseline_ms),
        ]
    }

    fn sizes(&self) -> String {
        let rate = |ms: f64| self.baseline_bytes as f64 / ms / 1e6;
        format!(
            "\n\nbaselines over {} bytes: copy {:.1} GB/s, add {:.1} GB/s, ChaCha20 {:.1} GB/s\n\
             upload {} bytes = {:.3} × the floor of {:.0} bytes; download {} bytes\n\
             a member downloads {} bytes\n\
             memory grows in a round by {:.1} MB: coordinator, one member and what they send each other\n",
            self.baseline_bytes,
            rate(self.copy_baseline_ms),
            rate(self.add_baseline_ms),
            rate(self.chacha20_baseline_ms),
            self.upload_bytes,
            self.upload_bytes as f64 / self.floor_bytes,
            self.floor_bytes,
            self.participant_download_bytes,
            self.member_download_bytes,
            self.round_memory_bytes as f64 / 1e6,
        )
    }
}

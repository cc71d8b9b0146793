//! Who holds which training images: a label-skewed split.
//!
//! For each class, participants get shares drawn from a Dirichlet distribution with parameter α in every coordinate
//! (small α: few participants hold most of a class; α = 0.5 is the default). Shares become counts by rounding their
//! running sum, and each participant takes one consecutive stretch of the class's shuffled images. So with at most as
//! many participants as images **each image belongs to exactly one participant**, and every participant holds at
//! least one: whoever drew none takes one from the participant that holds most.
//!
//! With more participants than images the images are **shared**: every image is handed out the same number of times,
//! the smallest number that makes four images a participant on average. No participant holds an image twice.
//!
//! The split depends on labels, number of participants, α and seed alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_chacha::ChaCha20Rng;

use super::arith::{derived_rng, gamma, shuffle};
use super::data::CLASSES;

/// The default label skew.
pub const DEFAULT_ALPHA: f64 = 0.5;
/// More participants than this are refused.
pub const MAX_PARTICIPANTS: usize = 100_000;

/// Images per participant aimed at once images have to be shared.
const SHARED_MEAN: usize = 4;

/// Why a split was refused.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SplitError {
    /// No participants, or more than [`MAX_PARTICIPANTS`].
    #[error("{0} participants, expected 1 to {MAX_PARTICIPANTS}")]
    Participants(usize),
    /// α outside 0.05 … 1,000, or not a number.
    #[error("label skew {0}, expected 0.05 to 1000")]
    Alpha(f64),
    /// No images, more than 65,536, or a label that is not a class.
    #[error("the labels do not suit a split")]
    Labels,
}

/// For each participant the images it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    holdings: Vec<Vec<u16>>,
    largest: u32,
}

impl Split {
    /// Splits the images with the given labels; image i has label `labels[i]`.
    pub fn dirichlet(
        labels: &[u8],
        participants: usize,
        alpha: f64,
        seed: &[u8; 32],
    ) -> Result<Self, SplitError> {
        if !(1..=MAX_PARTICIPANTS).contains(&participants) {
            return Err(SplitError::Participants(participants));
        }
        if !(0.05..=1000.0).contains(&alpha) {
            return Err(SplitError::Alpha(alpha));
        }
        let mut rng = derived_rng(seed, &[]);
        let classes = by_class(labels, &mut rng)?;
        let copies = match participants <= labels.len() {
            true => 1,
            false => (SHARED_MEAN * participants).div_ceil(labels.len()).min(participants),
        };
        let mut counts = vec![[0usize; CLASSES]; participants];
        for (class, images) in classes.iter().enumerate() {
            let shares: Vec<f64> = (0..participants).map(|_| gamma(&mut rng, alpha)).collect();
            for (row, count) in counts.iter_mut().zip(apportion(images.len() * copies, images.len(), &shares))
            {
                if let Some(cell) = row.get_mut(class) {
                    *cell = count;
                }
            }
        }
        feed_empty(&mut counts);
        Ok(hand_out(&counts, &classes))
    }

    /// Number of participants.
    pub fn participants(&self) -> usize {
        self.holdings.len()
    }

    /// The images that `participant` holds; `None` if there is no such participant.
    pub fn holding(&self, participant: usize) -> Option<&[u16]> {
        self.holdings.get(participant).map(Vec::as_slice)
    }

    /// The most images any participant holds.
    pub fn largest(&self) -> u32 {
        self.largest
    }
}

/// The images of each class, shuffled.
fn by_class(labels: &[u8], rng: &mut ChaCha20Rng) -> Result<Vec<Vec<u16>>, SplitError> {
    let mut classes = vec![Vec::new(); CLASSES];
    if labels.is_empty() {
        return Err(SplitError::Labels);
    }
    for (index, &label) in labels.iter().enumerate() {
        let index = u16::try_from(index).map_err(|_| SplitError::Labels)?;
        classes.get_mut(usize::from(label)).ok_or(SplitError::Labels)?.push(index);
    }
    for class in &mut classes {
        shuffle(rng, class);
    }
    Ok(classes)
}

/// `total` items in proportion to `shares`, nobody above `cap`; what the cap leaves goes to the first with room.
fn apportion(total: usize, cap: usize, shares: &[f64]) -> Vec<usize> {
    // The smallest positive number keeps the sum positive if every share underflowed.
    let whole = shares.iter().fold(f64::MIN_POSITIVE, |sum, share| sum + share);
    let (mut running, mut given, mut spare) = (f64::MIN_POSITIVE, 0, 0);
    let mut counts = Vec::with_capacity(shares.len());
    for (index, share) in shares.iter().enumerate() {
        running += share;
        let last = index + 1 == shares.len();
        let upto =
            if last { total } else { ((total as f64 * (running / whole)).round() as usize).min(total) };
        let count = upto.saturating_sub(given);
        given += count;
        spare += count.saturating_sub(cap);
        counts.push(count.min(cap));
    }
    for count in &mut counts {
        let more = spare.min(cap - *count);
        *count += more;
        spare -= more;
    }
    counts
}

/// Whoever holds nothing takes one image, of its most frequent class, from the participant that holds most.
fn feed_empty(counts: &mut [[usize; CLASSES]]) {
    let sizes: Vec<usize> = counts.iter().map(|row| row.iter().sum()).collect();
    let mut by_size: BinaryHeap<(usize, Reverse<usize>)> =
        sizes.iter().enumerate().map(|(who, &size)| (size, Reverse(who))).collect();
    for hungry in (0..counts.len()).filter(|&who| sizes.get(who) == Some(&0)) {
        let Some((size, Reverse(donor))) = by_size.pop() else { return };
        let Some(row) = counts.get_mut(donor).filter(|_| size > 1) else { return };
        let Some((class, cell)) = row.iter_mut().enumerate().max_by_key(|(class, n)| (**n, Reverse(*class)))
        else {
            return;
        };
        *cell -= 1;
        by_size.push((size - 1, Reverse(donor)));
        if let Some(cell) = counts.get_mut(hungry).and_then(|row| row.get_mut(class)) {
            *cell += 1;
        }
    }
}

/// Consecutive stretches of each class's images, going round as often as the counts ask for.
fn hand_out(counts: &[[usize; CLASSES]], classes: &[Vec<u16>]) -> Split {
    let mut sources: Vec<_> = classes.iter().map(|images| images.iter().copied().cycle()).collect();
    let mut holdings = Vec::with_capacity(counts.len());
    for row in counts {
        let mut holding = Vec::with_capacity(row.iter().sum());
        for (source, &count) in sources.iter_mut().zip(row) {
            holding.extend(source.by_ref().take(count));
        }
        holdings.push(holding);
    }
    let largest = holdings.iter().map(Vec::len).max().unwrap_or(0) as u32;
    Split { holdings, largest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(n: usize) -> Vec<u8> {
        (0..n).map(|i| ((i * 7 + i / 13) % 10) as u8).collect()
    }

    fn uses(split: &Split, n: usize) -> Vec<usize> {
        let mut uses = vec![0; n];
        for who in 0..split.participants() {
            for &image in split.holding(who).unwrap() {
                uses[usize::from(image)] += 1;
            }
        }
        uses
    }

    #[test]
    fn every_image_belongs_to_one_participant_and_nobody_is_empty() {
        let labels = labels(2_000);
        for participants in [1, 2, 7, 200, 1_000, 1_999, 2_000] {
            for alpha in [0.05, 0.5, 100.0] {
                let split = Split::dirichlet(&labels, participants, alpha, &[1; 32]).unwrap();
                assert_eq!(split.participants(), participants);
                assert!(
                    uses(&split, 2_000).iter().all(|&n| n == 1),
                    "{participants} participants, α {alpha}"
                );
                let sizes: Vec<usize> = (0..participants).map(|p| split.holding(p).unwrap().len()).collect();
                assert!(sizes.iter().all(|&n| n >= 1), "{participants} participants, α {alpha}");
                assert_eq!(sizes.iter().max().copied(), Some(split.largest() as usize));
                assert!(split.holding(participants).is_none());
            }
        }
    }

    #[test]
    fn more_participants_than_images_share_them_evenly_and_never_hold_one_twice() {
        for (n, participants) in [(500, 501), (500, 10_000), (3, 50), (1, 9)] {
            let split = Split::dirichlet(&labels(n), participants, 0.05, &[2; 32]).unwrap();
            let uses = uses(&split, n);
            assert!(uses.iter().all(|&u| u == uses[0] && u > 1), "{n} images, {participants} participants");
            for who in 0..participants {
                let mut held = split.holding(who).unwrap().to_vec();
                assert!(!held.is_empty());
                held.sort_unstable();
                assert!(held.windows(2).all(|w| w[0] < w[1]));
            }
        }
    }

    #[test]
    fn same_seed_same_split() {
        let labels = labels(1_000);
        let split = |alpha, seed| Split::dirichlet(&labels, 100, alpha, &[seed; 32]).unwrap();
        assert_eq!(split(0.5, 1), split(0.5, 1));
        assert_ne!(split(0.5, 1), split(0.5, 2));
        assert_ne!(split(0.5, 1), split(0.6, 1));
    }

    #[test]
    fn small_alpha_skews_the_labels() {
        let labels = labels(8_500);
        // Mean share of a participant's most frequent class, for 100 participants with about 85 images each.
        let skew = |alpha| {
            let split = Split::dirichlet(&labels, 100, alpha, &[5; 32]).unwrap();
            let top = |who| {
                let held = split.holding(who).unwrap();
                let count = |c| held.iter().filter(|&&i| labels[usize::from(i)] == c).count();
                (0..10).map(count).max().unwrap() as f64 / held.len() as f64
            };
            (0..100).map(top).sum::<f64>() / 100.0
        };
        let (sharp, middle, flat) = (skew(0.05), skew(0.5), skew(1000.0));
        assert!(sharp > 0.6 && middle > 0.3 && middle < 0.5 && flat < 0.15, "{sharp} {middle} {flat}");
    }

    #[test]
    fn bad_parameters_are_refused() {
        let split = |labels: &[u8], p, a| Split::dirichlet(labels, p, a, &[0; 32]).err();
        assert_eq!(split(&[1], 0, 0.5), Some(SplitError::Participants(0)));
        assert_eq!(split(&[1], 100_001, 0.5), Some(SplitError::Participants(100_001)));
        assert_eq!(split(&[1], 1, 0.0), Some(SplitError::Alpha(0.0)));
        assert!(matches!(split(&[1], 1, f64::NAN), Some(SplitError::Alpha(_))));
        assert_eq!(split(&[], 1, 0.5), Some(SplitError::Labels));
        assert_eq!(split(&[10], 1, 0.5), Some(SplitError::Labels));
        assert_eq!(split(&vec![1; 65_537], 1, 0.5), Some(SplitError::Labels));
    }
}

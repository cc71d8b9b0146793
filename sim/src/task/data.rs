//! The digits: 10,000 MNIST images, compiled in and parsed from gzipped IDX.
//!
//! Provenance and licence are in `sim/data/README.md`. The first 8,500 images train, the last 1,500 test. Parsing
//! trusts nothing: magic, shape and count come first and are bounded, then exactly that many bytes and no more.

use std::io::Read;

use flate2::read::GzDecoder;

/// Pixels of one image.
pub const PIXELS: usize = 28 * 28;
/// Number of classes.
pub const CLASSES: usize = 10;
/// Images used for training; the rest test.
pub const TRAINING: usize = 8_500;
/// More images than this are refused before anything is allocated (MNIST has 70,000).
pub const MAX_IMAGES: usize = 70_000;

const IMAGE_MAGIC: u32 = 0x0000_0803;
const LABEL_MAGIC: u32 = 0x0000_0801;

static IMAGES: &[u8] = include_bytes!("../../data/mnist-10k-images-idx3-ubyte.gz");
static LABELS: &[u8] = include_bytes!("../../data/mnist-10k-labels-idx1-ubyte.gz");

/// Why a pair of IDX files was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The gzip stream is damaged or ends before the announced bytes.
    #[error("the compressed data is damaged or ends early")]
    Truncated,
    /// Bytes are left after the announced ones.
    #[error("bytes are left after the announced data")]
    Trailing,
    /// Not the kind of IDX file expected.
    #[error("the file starts with {found:#010x}, expected {expected:#010x}")]
    Magic {
        /// The magic number of the kind of file asked for.
        expected: u32,
        /// The number found.
        found: u32,
    },
    /// Images are not 28 × 28.
    #[error("images are {rows} × {columns}, expected 28 × 28")]
    Shape {
        /// Announced rows.
        rows: u32,
        /// Announced columns.
        columns: u32,
    },
    /// No images at all, or more than [`MAX_IMAGES`].
    #[error("{0} items announced, expected 1 to {MAX_IMAGES}")]
    Count(u32),
    /// The two files have different numbers of items.
    #[error("{images} images but {labels} labels")]
    Mismatch {
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label that is not a digit.
    #[error("label {0} is not a digit")]
    Label(u8),
}

/// One image with its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example<'a> {
    /// Grey values, row by row.
    pub pixels: &'a [u8],
    /// The class.
    pub label: u8,
}

/// Images with their labels, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Dataset {
    /// The data set compiled into the simulator.
    pub fn embedded() -> Result<Self, DataError> {
        Self::parse(IMAGES, LABELS)
    }

    /// Parses a gzipped image file and a gzipped label file.
    pub fn parse(images: &[u8], labels: &[u8]) -> Result<Self, DataError> {
        let pixels = parse_images(images)?;
        let labels = parse_labels(labels)?;
        if pixels.len() != labels.len() * PIXELS {
            return Err(DataError::Mismatch { images: pixels.len() / PIXELS, labels: labels.len() });
        }
        Ok(Self { pixels, labels })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image; never so after parsing.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Labels in order.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Image `index`, if there is one.
    pub fn example(&self, index: usize) -> Option<Example<'_>> {
        let label = *self.labels.get(index)?;
        let start = index.checked_mul(PIXELS)?;
        let pixels = self.pixels.get(start..start.checked_add(PIXELS)?)?;
        Some(Example { pixels, label })
    }

    /// The images from `start` on.
    pub fn examples_from(&self, start: usize) -> impl Iterator<Item = Example<'_>> {
        (start..self.len()).filter_map(|index| self.example(index))
    }
}

fn parse_images(gz: &[u8]) -> Result<Vec<u8>, DataError> {
    let mut reader = GzDecoder::new(gz);
    let count = header(&mut reader, IMAGE_MAGIC)?;
    let (rows, columns) = (word(&mut reader)?, word(&mut reader)?);
    if (rows, columns) != (28, 28) {
        return Err(DataError::Shape { rows, columns });
    }
    body(&mut reader, count * PIXELS)
}

fn parse_labels(gz: &[u8]) -> Result<Vec<u8>, DataError> {
    let mut reader = GzDecoder::new(gz);
    let count = header(&mut reader, LABEL_MAGIC)?;
    let labels = body(&mut reader, count)?;
    match labels.iter().find(|&&label| usize::from(label) >= CLASSES) {
        Some(&label) => Err(DataError::Label(label)),
        None => Ok(labels),
    }
}

fn header(reader: &mut impl Read, expected: u32) -> Result<usize, DataError> {
    let found = word(reader)?;
    if found != expected {
        return Err(DataError::Magic { expected, found });
    }
    let count = word(reader)?;
    match usize::try_from(count) {
        Ok(n) if (1..=MAX_IMAGES).contains(&n) => Ok(n),
        _ => Err(DataError::Count(count)),
    }
}

fn word(reader: &mut impl Read) -> Result<u32, DataError> {
    let mut bytes = [0u8; 4];
    reader.read_exact(&mut bytes).map_err(|_| DataError::Truncated)?;
    Ok(u32::from_be_bytes(bytes))
}

/// Exactly `length` bytes, then the end of the stream (which also checks the gzip checksum).
fn body(reader: &mut impl Read, length: usize) -> Result<Vec<u8>, DataError> {
    // Memory grows with what is there, not with what the header announces.
    let mut bytes = Vec::new();
    reader.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(|_| DataError::Truncated)?;
    if bytes.len() != length {
        return Err(DataError::Truncated);
    }
    match reader.read(&mut [0u8; 1]) {
        Ok(0) => Ok(bytes),
        Ok(_) => Err(DataError::Trailing),
        Err(_) => Err(DataError::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gz(words: &[u32], body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for word in words {
            encoder.write_all(&word.to_be_bytes()).unwrap();
        }
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn images(count: u32) -> Vec<u8> {
        gz(&[IMAGE_MAGIC, count, 28, 28], &vec![9; count as usize * PIXELS])
    }

    #[test]
    fn embedded_data_is_ten_thousand_digits() {
        let data = Dataset::embedded().unwrap();
        assert_eq!(data.len(), 10_000);
        assert_eq!(data.examples_from(TRAINING).count(), 1_500);
        for class in 0..10 {
            let n = data.labels().iter().filter(|&&l| l == class).count();
            assert!((800..1_200).contains(&n), "{n} images of {class}");
        }
        assert!(data.example(9_999).unwrap().pixels.iter().any(|&p| p > 200));
        assert!(data.example(10_000).is_none() && data.example(usize::MAX).is_none());
    }

    #[test]
    fn a_small_pair_parses() {
        let data = Dataset::parse(&images(2), &gz(&[LABEL_MAGIC, 2], &[3, 9])).unwrap();
        assert_eq!((data.len(), data.is_empty(), data.example(1).unwrap().label), (2, false, 9));
    }

    #[test]
    fn every_truncation_is_refused() {
        let (i, l) = (images(1), gz(&[LABEL_MAGIC, 1], &[3]));
        for cut in 0..i.len() {
            assert_eq!(Dataset::parse(&i[..cut], &l), Err(DataError::Truncated), "images cut at {cut}");
        }
        for cut in 0..l.len() {
            assert_eq!(Dataset::parse(&i, &l[..cut]), Err(DataError::Truncated), "labels cut at {cut}");
        }
        let short = gz(&[IMAGE_MAGIC, 2, 28, 28], &[0; PIXELS]);
        assert_eq!(Dataset::parse(&short, &l), Err(DataError::Truncated));
    }

    #[test]
    fn wrong_headers_are_refused() {
        let l = gz(&[LABEL_MAGIC, 1], &[3]);
        let magic = DataError::Magic { expected: IMAGE_MAGIC, found: LABEL_MAGIC };
        assert_eq!(Dataset::parse(&l, &l), Err(magic));
        let magic = DataError::Magic { expected: LABEL_MAGIC, found: IMAGE_MAGIC };
        assert_eq!(Dataset::parse(&images(1), &images(1)), Err(magic));
        let shape = gz(&[IMAGE_MAGIC, 1, 28, 29], &[0; 28 * 29]);
        assert_eq!(Dataset::parse(&shape, &l), Err(DataError::Shape { rows: 28, columns: 29 }));
        for count in [0, 70_001, u32::MAX] {
            let announced = gz(&[IMAGE_MAGIC, count, 28, 28], &[]);
            assert_eq!(Dataset::parse(&announced, &l), Err(DataError::Count(count)));
        }
    }

    #[test]
    fn wrong_bodies_are_refused() {
        let l = gz(&[LABEL_MAGIC, 1], &[3]);
        let long = gz(&[IMAGE_MAGIC, 1, 28, 28], &[0; PIXELS + 1]);
        assert_eq!(Dataset::parse(&long, &l), Err(DataError::Trailing));
        assert_eq!(Dataset::parse(&images(2), &l), Err(DataError::Mismatch { images: 2, labels: 1 }));
        assert_eq!(Dataset::parse(&images(1), &gz(&[LABEL_MAGIC, 1], &[10])), Err(DataError::Label(10)));
        let mut flipped = images(1);
        let last = flipped.len() - 6; // inside the checksum
        flipped[last] ^= 1;
        assert_eq!(Dataset::parse(&flipped, &l), Err(DataError::Truncated));
    }
}

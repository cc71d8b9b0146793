//! What travels between a recovery and its custodians, and what is kept of an escrow, as text: by mail, on a stick,
//! printed. No network is needed.
//!
//! ```text
//! -----BEGIN QUORATE ESCROW PACKAGE-----
//! base64 of  1 ‖ length (4) ‖ field ‖ length (4) ‖ field … ‖ first 4 bytes of SHA-256 of that,  64 letters a line
//! -----END QUORATE ESCROW PACKAGE-----
//! ```
//!
//! # Security
//!
//! Packages and answers are sealed, the rest is public; the checksum finds damage and nothing else. Errors never tell
//! contents. Lengths are checked before anything is allocated, and whatever is left over is an error.

use base64ct::{Base64, Encoding as _};
use quorate_crypto::feldman::Commitments;
use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::seal::{RoundPublic, SealSuite, Sealed};
use quorate_crypto::sign::{PublicKey, Signature};
use thiserror::Error;

use super::record::MAX_CUSTODIANS;
use super::{Answer, Approval, Burnt, Custodian, Package, Record, Request, Terms};
use crate::class::KeyRef;

/// Why a text is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EscrowTextError {
    /// It lacks the first or the last line, or is something else.
    #[error("this is no {0}: copy all of it, with its first and last line")]
    Frame(&'static str),
    /// Something in between was changed or lost.
    #[error("the text is damaged: its checksum does not fit")]
    Damaged,
    /// A format from after this program.
    #[error("format {0}, which this version does not know")]
    Newer(u8),
    /// Well-formed and yet none.
    #[error("the contents are not those of a {0}")]
    Contents(&'static str),
}

/// Something that travels as text.
pub trait Portable: Sized {
    /// Its word in the first and last line.
    const KIND: &'static str;

    /// Its fields, in order.
    fn fields(&self) -> Vec<Vec<u8>>;

    /// It, from its fields; nothing if they are not.
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self>;

    /// The text.
    fn to_text(&self) -> String {
        let mut bytes = vec![FORMAT];
        for field in self.fields() {
            bytes.extend_from_slice(&(field.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&field);
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        let letters = Base64::encode_string(&bytes);
        let mut text = format!("-----BEGIN QUORATE ESCROW {}-----\n", Self::KIND);
        let mut rest = letters.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text.push_str(&format!("-----END QUORATE ESCROW {}-----\n", Self::KIND));
        text
    }

    /// It, from its text. White space around lines is forgiven.
    ///
    /// # Errors
    /// [`EscrowTextError`].
    fn from_text(text: &str) -> Result<Self, EscrowTextError> {
        let frame = EscrowTextError::Frame(Self::KIND);
        let text = text.trim();
        if text.len() > MOST {
            return Err(frame);
        }
        let body = text.strip_prefix(&format!("-----BEGIN QUORATE ESCROW {}-----", Self::KIND));
        let end = format!("-----END QUORATE ESCROW {}-----", Self::KIND);
        let body = body.and_then(|body| body.strip_suffix(&end)).ok_or(frame)?;
        let letters: String = body.split_whitespace().collect();
        let bytes = Base64::decode_vec(&letters).map_err(|_| EscrowTextError::Damaged)?;
        let (bytes, sum) = bytes.split_last_chunk::<4>().ok_or(EscrowTextError::Damaged)?;
        if *sum != checksum(bytes) {
            return Err(EscrowTextError::Damaged);
        }
        let (format, rest) = bytes.split_first().ok_or(EscrowTextError::Damaged)?;
        if *format != FORMAT {
            return Err(EscrowTextError::Newer(*format));
        }
        let mut fields = Fields(rest);
        let value = Self::from_fields(&mut fields).filter(|_| fields.0.is_empty());
        value.ok_or(EscrowTextError::Contents(Self::KIND))
    }
}

/// Fields still to be read.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(field)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.next()?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn digest(&mut self) -> Option<Digest> {
        self.array().map(Digest::from_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.next()?).ok()
    }

    fn public(&mut self) -> Option<RoundPublic> {
        RoundPublic::parse(SealSuite::XWing, self.next()?).ok()
    }

    fn sealed(&mut self) -> Option<Sealed> {
        Some(Sealed { enc: self.next()?.to_vec(), ciphertext: self.next()?.to_vec() })
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::from(self.byte()?);
        if count > MAX_CUSTODIANS {
            return None;
        }
        (0..count).map(|_| one(self)).collect()
    }
}

impl Portable for Record {
    const KIND: &'static str = "RECORD";

    fn fields(&self) -> Vec<Vec<u8>> {
        let terms = self.terms();
        let mut fields = vec![terms.key.id().to_string().into_bytes(), terms.split.to_le_bytes().to_vec()];
        fields.push(vec![terms.threshold]);
        fields.push(vec![terms.custodians.len() as u8]);
        for custodian in &terms.custodians {
            fields.push(custodian.name.as_str().into());
            fields.push(custodian.region.as_str().into());
            fields.push(custodian.public.as_bytes().to_vec());
        }
        fields.push(vec![terms.approvers.len() as u8]);
        fields.extend(terms.approvers.iter().map(|approver| approver.as_bytes().to_vec()));
        let commitments = self.commitments().to_bytes();
        fields.push(vec![commitments.len() as u8]);
        fields.extend(commitments.iter().map(|commitment| commitment.to_vec()));
        fields.push(self.sealed_hash().as_bytes().to_vec());
        fields
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let key = KeyRef::new(fields.text()?.parse().ok()?).ok()?;
        let split = u32::from_le_bytes(fields.array()?);
        let threshold = fields.byte()?;
        let custodians = fields.list(|fields| {
            let (name, region) = (fields.text()?.parse().ok()?, fields.text()?.parse().ok()?);
            Some(Custodian { name, region, public: fields.public()? })
        })?;
        let approvers = fields.list(|fields| PublicKey::parse(fields.next()?).ok())?;
        let commitments = Commitments::parse(&fields.list(Fields::array)?).ok()?;
        let terms = Terms { key, split, threshold, custodians, approvers };
        Self::new(terms, commitments, fields.digest()?).ok()
    }
}

impl Portable for Package {
    const KIND: &'static str = "PACKAGE";

    fn fields(&self) -> Vec<Vec<u8>> {
        sealed_fields(self.index, &self.record, &self.sealed)
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { index: fields.byte()?, record: fields.digest()?, sealed: fields.sealed()? })
    }
}

impl Portable for Answer {
    const KIND: &'static str = "ANSWER";

    fn fields(&self) -> Vec<Vec<u8>> {
        sealed_fields(self.index, &self.request, &self.sealed)
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { index: fields.byte()?, request: fields.digest()?, sealed: fields.sealed()? })
    }
}

impl Portable for Approval {
    const KIND: &'static str = "APPROVAL";

    fn fields(&self) -> Vec<Vec<u8>> {
        vec![self.approver.as_bytes().to_vec(), self.signature.as_bytes().to_vec()]
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let approver = PublicKey::parse(fields.next()?).ok()?;
        Some(Self { approver, signature: Signature::parse(fields.next()?).ok()? })
    }
}

impl Portable for Burnt {
    const KIND: &'static str = "BURNT";

    fn fields(&self) -> Vec<Vec<u8>> {
        let key = self.key.id().to_string().into_bytes();
        vec![key, self.record.as_bytes().to_vec(), self.split.to_le_bytes().to_vec()]
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let key = KeyRef::new(fields.text()?.parse().ok()?).ok()?;
        Some(Self { key, record: fields.digest()?, split: u32::from_le_bytes(fields.array()?) })
    }
}

impl Portable for Request {
    const KIND: &'static str = "REQUEST";

    fn fields(&self) -> Vec<Vec<u8>> {
        let mut fields = vec![
            self.record.as_bytes().to_vec(),
            self.public.as_bytes().to_vec(),
            self.at.to_le_bytes().to_vec(),
            self.reason.clone().into_bytes(),
            vec![self.approvals.len() as u8],
        ];
        fields.extend(self.approvals.iter().flat_map(Portable::fields));
        fields
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let (record, public) = (fields.digest()?, fields.public()?);
        let at = u64::from_le_bytes(fields.array()?);
        let reason = fields.text()?.to_owned();
        let approvals = fields.list(Approval::from_fields)?;
        Some(Self { record, public, at, reason, approvals })
    }
}

fn sealed_fields(index: u8, whole: &Digest, sealed: &Sealed) -> Vec<Vec<u8>> {
    vec![vec![index], whole.as_bytes().to_vec(), sealed.enc.clone(), sealed.ciphertext.clone()]
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = *sha256(&[bytes]).as_bytes();
    [a, b, c, d]
}

const FORMAT: u8 = 1;
/// Letters a line.
const LINE: usize = 64;
/// Longest text that is looked at.
const MOST: usize = 1 << 20;

//! Signed notes of C2SP (`c2sp.org/signed-note`): a text and signature lines under it.
//!
//! ```text
//! quorate.example/audit/1            text, ends with a newline
//! 42
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//!                                    an empty line
//! — quorate.example/audit/1 Az3grl…  name, base64( key id, 4 bytes ‖ signature )
//! — participant-7 kW2p0q…            a witness: key id ‖ u64be(time) ‖ signature
//! ```
//!
//! A key id is the first four bytes of `SHA-256(name ‖ 0x0a ‖ algorithm ‖ key)`. Algorithm 1 is Ed25519 over the
//! text, algorithm 4 Ed25519 over `cosignature/v1`, the time and the text (`c2sp.org/tlog-cosignature`).
//!
//! # Security
//!
//! Key ids are hints: whoever counts a signature has verified it. Unknown lines are kept and not believed. A note
//! has at most [`MAX_SIGNATURES`] signatures and [`MAX_NOTE`] bytes.

use base64ct::{Base64, Encoding as _};
use quorate_crypto::hash::sha256;
use quorate_crypto::sign::{PublicKey, Signature, SignatureError, SigningKey};
use thiserror::Error;

/// A text with the signatures that came with it; none of them verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Line>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// What a signature line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Ed25519 = 1,
    Cosignature = 4,
}

impl Note {
    /// A note without signatures.
    ///
    /// # Errors
    /// If the text does not end with a newline, or has control characters or an empty last line.
    pub fn new(text: String) -> Result<Self, NoteError> {
        let control = text.chars().any(|c| c.is_control() && c != '\n');
        if control || !text.ends_with('\n') || text.len() > MAX_NOTE {
            return Err(NoteError::Text);
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// If it is none, too long, or has too many signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
        let (text, lines) = whole.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let mut note = Self::new(format!("{text}\n"))?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        for line in lines.split('\n') {
            if note.signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooLong);
            }
            note.signatures.push(Line::parse(line).ok_or(NoteError::Form)?);
        }
        Ok(note)
    }

    /// The text, with its last newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The note as bytes of a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\n", self.text);
        for Line { name, id, bytes } in &self.signatures {
            let all = [id.as_slice(), bytes].concat();
            out.push_str(&format!("\u{2014} {name} {}\n", Base64::encode_string(&all)));
        }
        out.into_bytes()
    }

    /// Adds the signature of `key` under this name.
    ///
    /// # Errors
    /// If the name is none a key can have.
    pub fn sign(&mut self, name: &str, key: &SigningKey) -> Result<(), NoteError> {
        let id = key_id(name, Algorithm::Ed25519, key.public())?;
        let bytes = key.sign_note(self.text.as_bytes())?.as_bytes().to_vec();
        self.put(Line { name: name.to_owned(), id, bytes });
        Ok(())
    }

    /// Adds the cosignature of a witness: it has seen this at `time` (seconds since 1970), and nothing against it.
    ///
    /// # Errors
    /// If the name is none a key can have.
    pub fn cosign(&mut self, name: &str, key: &SigningKey, time: u64) -> Result<(), NoteError> {
        let id = key_id(name, Algorithm::Cosignature, key.public())?;
        let signature = key.sign_note(&cosigned(&self.text, time))?;
        let bytes = [time.to_be_bytes().as_slice(), signature.as_bytes()].concat();
        self.put(Line { name: name.to_owned(), id, bytes });
        Ok(())
    }

    /// Verifies the signature of `key` under this name.
    ///
    /// # Errors
    /// If there is none, or a bad one.
    pub fn verify(&self, name: &str, key: &PublicKey) -> Result<(), NoteError> {
        let line = self.line(name, Algorithm::Ed25519, key)?;
        Ok(key.verify_note(self.text.as_bytes(), &Signature::parse(&line.bytes)?)?)
    }

    /// Verifies the cosignature of a witness; the time it states.
    ///
    /// # Errors
    /// If there is none, or a bad one.
    pub fn verify_cosignature(&self, name: &str, key: &PublicKey) -> Result<u64, NoteError> {
        let line = self.line(name, Algorithm::Cosignature, key)?;
        let (time, signature) = line.bytes.split_first_chunk::<8>().ok_or(SignatureError::Length)?;
        let time = u64::from_be_bytes(*time);
        key.verify_note(&cosigned(&self.text, time), &Signature::parse(signature)?)?;
        Ok(time)
    }

    fn line(&self, name: &str, algorithm: Algorithm, key: &PublicKey) -> Result<&Line, NoteError> {
        let id = key_id(name, algorithm, key)?;
        self.signatures.iter().find(|line| line.name == name && line.id == id).ok_or(NoteError::Unsigned)
    }

    /// One line a key: a newer one takes the place of the older.
    fn put(&mut self, line: Line) {
        self.signatures.retain(|old| (&old.name, old.id) != (&line.name, line.id));
        self.signatures.push(line);
    }
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let all = Base64::decode_vec(encoded).ok()?;
        let (id, bytes) = all.split_first_chunk::<4>()?;
        (is_name(name) && !bytes.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: *id,
            bytes: bytes.to_vec(),
        })
    }
}

/// The key as other tools take it: `name+key id+base64(algorithm ‖ key)`.
///
/// # Errors
/// If the name is none a key can have.
pub fn verifier_key(name: &str, key: &PublicKey) -> Result<String, NoteError> {
    let id = key_id(name, Algorithm::Ed25519, key)?;
    let encoded = Base64::encode_string(&[&[Algorithm::Ed25519 as u8], key.as_bytes().as_slice()].concat());
    Ok(format!("{name}+{:08x}+{encoded}", u32::from_be_bytes(id)))
}

/// Reads what [`verifier_key`] writes: name and key.
///
/// # Errors
/// If it is none, of another algorithm, or its key id is not that of name and key.
pub fn parse_verifier_key(text: &str) -> Result<(String, PublicKey), NoteError> {
    let (name, rest) = text.split_once('+').ok_or(NoteError::Form)?;
    let (_, encoded) = rest.split_once('+').ok_or(NoteError::Form)?;
    let bytes = Base64::decode_vec(encoded).map_err(|_| NoteError::Form)?;
    let Some((&1, key)) = bytes.split_first() else { return Err(NoteError::Form) };
    let key = PublicKey::parse(key)?;
    if verifier_key(name, &key)? == text { Ok((name.to_owned(), key)) } else { Err(NoteError::Form) }
}

fn key_id(name: &str, algorithm: Algorithm, key: &PublicKey) -> Result<[u8; 4], NoteError> {
    if !is_name(name) {
        return Err(NoteError::Name);
    }
    let hash = sha256(&[name.as_bytes(), &[b'\n', algorithm as u8], key.as_bytes()]);
    Ok(*hash.as_bytes().first_chunk().expect("32 bytes have a first four"))
}

fn cosigned(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// Names have no spaces and no `+`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '+')
}

/// Why a note or a signature of it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// Control characters, or no newline at the end.
    #[error("not a text a note can have")]
    Text,
    /// No empty line before the signatures, or a bad signature line.
    #[error("not a signed note")]
    Form,
    /// More bytes or signatures than we look at.
    #[error("the note is too long")]
    TooLong,
    /// Not a name of a key.
    #[error("not a name a key can have")]
    Name,
    /// The key has not signed it.
    #[error("not signed by the key")]
    Unsigned,
    /// The signature is bad.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Longest note, in bytes.
pub const MAX_NOTE: usize = 1 << 16;
/// Most signatures under a note.
pub const MAX_SIGNATURES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn a_note_reads_as_written_and_names_its_signers() {
        let mut note = Note::new("a/b\n3\nroot=\n".to_owned()).unwrap();
        note.sign("a/b", &key(1)).unwrap();
        note.cosign("w", &key(2), 77).unwrap();
        let read = Note::parse(&note.to_bytes()).unwrap();
        assert_eq!(read, note);
        assert_eq!(read.verify("a/b", key(1).public()), Ok(()));
        assert_eq!(read.verify_cosignature("w", key(2).public()), Ok(77));
        assert_eq!(read.verify("a/b", key(2).public()), Err(NoteError::Unsigned));
        assert_eq!(read.verify("w", key(2).public()), Err(NoteError::Unsigned));
        assert_eq!(read.verify("a/c", key(1).public()), Err(NoteError::Unsigned));
    }

    /// A note of the Go implementation's own example: its verifier key is read and its signature verifies.
    #[test]
    fn a_note_of_another_implementation_verifies() {
        let verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let (name, key) = parse_verifier_key(verifier).unwrap();
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let note = Note::parse(text.as_bytes()).unwrap();
        assert_eq!(note.verify(&name, &key), Ok(()));
        let other = Note::parse(text.replace("cryptography", "Cryptography").as_bytes()).unwrap();
        assert!(matches!(other.verify(&name, &key), Err(NoteError::Signature(_))));
        assert!(parse_verifier_key(&verifier.replace("c74f20a3", "c74f20a4")).is_err());
    }

    /// RT-46: no prefix of a note is a signed note, and no bit of a signature may change.
    #[test]
    fn rt_46_truncated_or_changed_notes_are_refused() {
        let mut note = Note::new("a/b\n3\nroot=\n".to_owned()).unwrap();
        note.sign("a/b", &key(1)).unwrap();
        let bytes = note.to_bytes();
        for end in 0..bytes.len() {
            let read = Note::parse(&bytes[..end]).and_then(|note| note.verify("a/b", key(1).public()));
            assert!(read.is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let read = Note::parse(&changed).and_then(|note| note.verify("a/b", key(1).public()));
            assert!(read.is_err(), "{at}");
        }
    }
}

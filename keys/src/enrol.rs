//! Enrolment: one-time tokens and proof of possession (PROTOCOL.md §2, [REG-2]).
//!
//! The operator issues a token out of band; the party sends public key, token and a signature over
//! `H(enrol; deployment, u64le(0), token hash, key)`, which shows that it holds the secret key *now*, for this
//! deployment and this token. [`Registry::enrol`](crate::registry::Registry::enrol) checks all of it.
//!
//! # Security
//!
//! Who holds a token may enrol one key of its own choice, so tokens travel on confidential channels only. The book
//! keeps hashes: a stolen book enrols nobody. Token hash is plain SHA-256 of the 32 random bytes.

use std::collections::BTreeMap;
use std::fmt;

use quorate_crypto::hash::{Digest, sha256};
use quorate_crypto::labels;
use quorate_crypto::sign::{PublicKey, Signature, SignatureError, SigningKey};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::deployment::signed;
use crate::identity::PartyId;
use crate::registry::RegistryError;

/// A one-time secret that entitles its holder to enrol one key; wiped on drop.
pub struct EnrolmentToken(Zeroizing<[u8; 32]>);

impl EnrolmentToken {
    /// A fresh token.
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// The token of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself: for the party that shall have it, and for its enrolment message.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the token.
    #[must_use]
    pub fn hash(&self) -> Digest {
        sha256(&[self.0.as_slice()])
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentToken")
    }
}

/// What a party sends to enrol ([REG-2]).
#[derive(Debug)]
pub struct EnrolmentRequest {
    /// The key to register.
    pub key: PublicKey,
    /// The token from the operator.
    pub token: EnrolmentToken,
    /// Signature by `key` over the token's hash and the key.
    pub proof: Signature,
}

impl EnrolmentRequest {
    /// Makes the request of the holder of `key` ([REG-2]).
    #[must_use]
    pub fn new(key: &SigningKey, deployment: &Digest, token: EnrolmentToken) -> Self {
        let proof = key.sign(&possession(deployment, &token.hash(), key.public()));
        Self { key: key.public().clone(), token, proof }
    }

    /// Verifies the proof of possession ([REG-2]).
    ///
    /// # Errors
    /// Whatever is wrong with the signature.
    pub fn verify_possession(&self, deployment: &Digest) -> Result<(), SignatureError> {
        self.key.verify(&possession(deployment, &self.token.hash(), &self.key), &self.proof)
    }
}

/// What the proof of possession signs.
fn possession(deployment: &Digest, token_hash: &Digest, key: &PublicKey) -> Digest {
    signed(labels::ENROL, deployment, 0, &[token_hash.as_bytes(), key.as_bytes()])
}

/// Why an enrolment is refused ([REG-2]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EnrolError {
    /// The sender has not shown that it holds the key.
    #[error("no proof of possession: {0}")]
    Possession(SignatureError),
    /// The token entitles to nothing.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The registry can't take the key.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Never issued here.
    #[error("unknown token")]
    Unknown,
    /// It has enrolled a party already.
    #[error("the token was used by party {0}")]
    Used(PartyId),
}

/// All tokens of a deployment by their hashes, with the party each has enrolled ([REG-2]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenBook(BTreeMap<Digest, Option<PartyId>>);

impl TokenBook {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The book with these entries, for one that was stored.
    #[must_use]
    pub fn restore(entries: impl IntoIterator<Item = (Digest, Option<PartyId>)>) -> Self {
        Self(entries.into_iter().collect())
    }

    /// Every token hash with the party it has enrolled, if any.
    pub fn entries(&self) -> impl Iterator<Item = (&Digest, Option<PartyId>)> {
        self.0.iter().map(|(hash, party)| (hash, *party))
    }

    /// Issues a fresh token.
    pub fn issue<R: CryptoRng + ?Sized>(&mut self, rng: &mut R) -> EnrolmentToken {
        let token = EnrolmentToken::generate(rng);
        self.0.insert(token.hash(), None);
        token
    }

    /// Enters a token issued elsewhere; a used one stays used.
    pub fn admit(&mut self, token_hash: Digest) {
        self.0.entry(token_hash).or_insert(None);
    }

    /// Whether the token may still enrol somebody.
    ///
    /// # Errors
    /// [`TokenError`] if it is unknown or used.
    pub fn check(&self, token: &EnrolmentToken) -> Result<(), TokenError> {
        match self.0.get(&token.hash()) {
            None => Err(TokenError::Unknown),
            Some(Some(party)) => Err(TokenError::Used(*party)),
            Some(None) => Ok(()),
        }
    }

    /// Marks the token as used by `party`: one token, one party.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn redeem(&mut self, token: &EnrolmentToken, party: PartyId) -> Result<(), TokenError> {
        self.check(token)?;
        self.0.insert(token.hash(), Some(party));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use quorate_crypto::merkle;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::deployment::DeploymentId;
    use crate::registry::Registry;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn setup() -> (Registry, TokenBook, DeploymentId, ChaCha20Rng) {
        let deployment = DeploymentId::new("test", key(0).public());
        (Registry::new(deployment), TokenBook::new(), deployment, ChaCha20Rng::seed_from_u64(1))
    }

    #[test]
    fn reg_2_enrolment() {
        let (mut registry, mut book, deployment, mut rng) = setup();
        for seed in 1..=3 {
            let request = EnrolmentRequest::new(&key(seed), &deployment, book.issue(&mut rng));
            let id = registry.enrol(&mut book, &request).unwrap();
            assert_eq!(id, PartyId::new(u32::from(seed) - 1, key(seed).public()));
        }
        assert_eq!(registry.len(), 3);
        assert_eq!(TokenBook::restore(book.entries().map(|(hash, party)| (*hash, party))), book);
    }

    #[test]
    fn reg_2_a_token_enrols_once() {
        let (mut registry, mut book, deployment, mut rng) = setup();
        let token = book.issue(&mut rng);
        let replay = EnrolmentToken::from_bytes(*token.expose());
        let id = registry.enrol(&mut book, &EnrolmentRequest::new(&key(1), &deployment, token)).unwrap();
        let again = EnrolmentRequest::new(&key(2), &deployment, replay);
        let used = Err(EnrolError::Token(TokenError::Used(id)));
        assert_eq!(registry.enrol(&mut book, &again), used);
        book.admit(again.token.hash());
        assert_eq!(registry.enrol(&mut book, &again), used);
        let unknown = EnrolmentRequest::new(&key(2), &deployment, EnrolmentToken::generate(&mut rng));
        assert_eq!(registry.enrol(&mut book, &unknown), Err(EnrolError::Token(TokenError::Unknown)));
        assert_eq!(registry.len(), 1);
    }

    /// [REG-2], RT-08: a key is registered by who holds it, for this deployment and this token.
    #[test]
    fn reg_2_nobody_registers_the_key_of_another() {
        let (mut registry, mut book, deployment, mut rng) = setup();
        let mut expect_refused = |request: &EnrolmentRequest| {
            let refused = Err(EnrolError::Possession(SignatureError::Equation));
            assert_eq!(registry.enrol(&mut book, request), refused);
            assert_eq!(registry.head().root, merkle::root(&[]));
        };
        // The thief signs with its own key.
        let mut request = EnrolmentRequest::new(&key(2), &deployment, EnrolmentToken::generate(&mut rng));
        request.key = key(1).public().clone();
        expect_refused(&request);
        // The thief moves the victim's proof to its own token, or to another deployment.
        let honest = EnrolmentRequest::new(&key(1), &deployment, EnrolmentToken::generate(&mut rng));
        let token = EnrolmentToken::generate(&mut rng);
        expect_refused(&EnrolmentRequest { key: honest.key.clone(), token, proof: honest.proof });
        let elsewhere = DeploymentId::new("elsewhere", key(0).public());
        expect_refused(&EnrolmentRequest::new(&key(1), &elsewhere, EnrolmentToken::generate(&mut rng)));
    }

    #[test]
    fn reg_1_a_refused_enrolment_leaves_the_token_unused() {
        let (mut registry, mut book, deployment, mut rng) = setup();
        let first = EnrolmentRequest::new(&key(1), &deployment, book.issue(&mut rng));
        let id = registry.enrol(&mut book, &first).unwrap();
        let second = EnrolmentRequest::new(&key(1), &deployment, book.issue(&mut rng));
        let duplicate = Err(EnrolError::Registry(RegistryError::Duplicate(id)));
        assert_eq!(registry.enrol(&mut book, &second), duplicate);
        assert_eq!(book.check(&second.token), Ok(()));
        // A retry of the first request learns the id it was given.
        assert_eq!(registry.enrol(&mut book, &first), duplicate);
        assert_eq!(registry.len(), 1);
    }
}

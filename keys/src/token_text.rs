//! An enrolment token as text: for the eyes, the mail and the clipboard of the people who carry it.
//!
//! ```text
//! quorate- ‖ base32(token ‖ first 4 bytes of SHA-256(token))      36 bytes, 58 letters a–z and digits 2–7
//! ```
//!
//! # Security
//!
//! The text is the secret. The checksum finds typing errors and nothing else; it is a prefix of the token's hash, which
//! is no secret. Errors name a place, never a letter of the text.

use quorate_crypto::hash::sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::enrol::EnrolmentToken;

/// Why a text is no enrolment token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenTextError {
    /// It begins with something else.
    #[error("an enrolment token begins with \"quorate-\"")]
    Prefix,
    /// Letters are missing, or there are too many.
    #[error("the token has {found} letters after \"quorate-\" and should have 58: copy all of it")]
    Length {
        /// How many it has.
        found: usize,
    },
    /// A letter that never stands in a token.
    #[error("letter {at} after \"quorate-\" does not belong in a token: only a to z and 2 to 7 do")]
    Letter {
        /// Its place, from 1.
        at: usize,
    },
    /// The checksum does not fit.
    #[error("the token has a typing error: its checksum does not fit")]
    Checksum,
}

/// The text of a token.
#[must_use]
pub fn token_text(token: &EnrolmentToken) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0_u8; BYTES]);
    bytes[..32].copy_from_slice(token.expose());
    bytes[32..].copy_from_slice(&checksum(token.expose()));
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + LETTERS));
    text.push_str(PREFIX);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes.iter() {
        held = (held << 8 | u32::from(*byte)) & 0xffff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(letter(held >> bits));
        }
    }
    text.push(letter(held << (5 - bits)));
    text
}

/// The token of a text. White space around it and capital letters are forgiven.
///
/// # Errors
/// [`TokenTextError`].
pub fn parse_token(text: &str) -> Result<EnrolmentToken, TokenTextError> {
    let text = text.trim();
    let prefix = text.get(..PREFIX.len()).filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX));
    let letters = prefix.and_then(|_| text.get(PREFIX.len()..)).ok_or(TokenTextError::Prefix)?;
    let mut bytes = Zeroizing::new([0_u8; BYTES]);
    let (mut held, mut bits, mut filled) = (0_u32, 0, 0);
    for (at, letter) in (1..).zip(letters.chars()) {
        let value = value(letter).ok_or(TokenTextError::Letter { at })?;
        held = (held << 5 | value) & 0xffff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            if let Some(byte) = bytes.get_mut(filled) {
                *byte = (held >> bits) as u8;
            }
            filled += 1;
        }
    }
    let found = letters.chars().count();
    if found != LETTERS {
        return Err(TokenTextError::Length { found });
    }
    let (token, check) = bytes.split_first_chunk::<32>().ok_or(TokenTextError::Checksum)?;
    let rest = held & ((1 << bits) - 1);
    if *check != checksum(token) || rest != 0 {
        return Err(TokenTextError::Checksum);
    }
    Ok(EnrolmentToken::from_bytes(*token))
}

fn checksum(token: &[u8; 32]) -> [u8; 4] {
    let [a, b, c, d, ..] = *sha256(&[token]).as_bytes();
    [a, b, c, d]
}

fn letter(value: u32) -> char {
    let value = (value & 31) as u8;
    char::from(if value < 26 { b'a' + value } else { b'2' + value - 26 })
}

fn value(letter: char) -> Option<u32> {
    match letter.to_ascii_lowercase() {
        letter @ 'a'..='z' => Some(u32::from(letter) - u32::from('a')),
        letter @ '2'..='7' => Some(u32::from(letter) - u32::from('2') + 26),
        _ => None,
    }
}

const PREFIX: &str = "quorate-";
/// Token and checksum.
const BYTES: usize = 36;
/// ⌈36·8 / 5⌉.
const LETTERS: usize = 58;

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> EnrolmentToken {
        EnrolmentToken::from_bytes(std::array::from_fn(|at| (at * 7) as u8))
    }

    fn refused(text: &str) -> TokenTextError {
        parse_token(text).map(|_| ()).unwrap_err()
    }

    /// RFC 4648, lower-cased; computed with another implementation.
    #[test]
    fn the_text_is_base32() {
        let zero = token_text(&EnrolmentToken::from_bytes([0; 32]));
        // SHA-256 of 32 zero bytes begins with 66687aad.
        assert_eq!(*zero, format!("quorate-{}gm2d2vu", "a".repeat(51)));
        assert_eq!(zero.len(), PREFIX.len() + LETTERS);
    }

    #[test]
    fn a_text_gives_its_token_back() {
        let text = token_text(&token());
        assert_eq!(parse_token(&text).unwrap().hash(), token().hash());
        let loud = format!("  {}\n", text.to_uppercase());
        assert_eq!(parse_token(&loud).unwrap().hash(), token().hash());
    }

    #[test]
    fn every_typing_error_is_found_and_no_letter_told() {
        let text = token_text(&token()).to_string();
        for at in PREFIX.len()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            let wrong = String::from_utf8(bytes.clone()).unwrap();
            assert_eq!(refused(&wrong), TokenTextError::Checksum, "{at}");
            bytes[at] = b'1';
            let wrong = String::from_utf8(bytes).unwrap();
            assert_eq!(refused(&wrong), TokenTextError::Letter { at: at - PREFIX.len() + 1 });
        }
        assert_eq!(refused(&text[..text.len() - 1]), TokenTextError::Length { found: 57 });
        assert_eq!(refused(&format!("{text}a")), TokenTextError::Length { found: 59 });
        assert_eq!(refused("quorate-ü"), TokenTextError::Letter { at: 1 });
        assert_eq!(refused("token"), TokenTextError::Prefix);
        assert_eq!(refused(""), TokenTextError::Prefix);
    }
}

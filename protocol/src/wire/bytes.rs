//! Byte strings in one piece: encoded like a list of bytes, a length and the bytes, but copied at once.
//!
//! For `#[serde(with = "bytes")]` on a `Vec<u8>`.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_byte_buf(Bytes)
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use crate::wire::{body, decode_body};

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct AtOnce(#[serde(with = "super")] Vec<u8>);

    /// [WIRE-2] The encoding is that of a list of bytes.
    #[test]
    fn a_byte_string_is_a_list_of_bytes() {
        for length in [0, 1, 127, 128, 300, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|i: u32| i as u8).collect();
            let encoded = body(&bytes);
            assert_eq!(body(&AtOnce(bytes.clone())), encoded);
            assert_eq!(decode_body::<AtOnce>(&encoded).unwrap().0, bytes);
            assert!(length == 0 || decode_body::<AtOnce>(&encoded[..encoded.len() - 1]).is_err());
        }
    }
}

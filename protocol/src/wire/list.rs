//! Lists whose elements are larger in memory than on the wire ([WIRE-1]).
//!
//! The length of a body does not bound its lists well. Two bytes are enough for an empty sealed share,
//! which takes 48 in memory; and serde reserves memory for as many elements as are announced, up to 1 MiB,
//! as long as there is a byte for each. So lists have a largest count, and their memory grows only with
//! elements that were there. Bytes are read by serde: one takes one.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Elements reserved before the first one is read.
const RESERVED: usize = 4;

/// Most hashes of a Merkle proof: two for each level of a tree of 2⁶⁴ leaves.
pub const PROOF: usize = 128;

/// Reads a list of at most `MOST` elements; a longer one is refused before its first element is read.
pub fn list<'de, D, T, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(List::<T, MOST>(PhantomData))
}

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MOST} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
        let too_long = || A::Error::custom("too many elements");
        if sequence.size_hint().is_some_and(|count| count > MOST) {
            return Err(too_long());
        }
        let mut elements = Vec::with_capacity(RESERVED.min(MOST));
        while let Some(element) = sequence.next_element()? {
            if elements.len() == MOST {
                return Err(too_long());
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

//! Writes a value as postcard would and notes every field on the way.

use std::fmt::{self, Display, Write as _};

use quorate_protocol::error::DecodeError;
use quorate_protocol::wire::decode_body;
use serde::de::DeserializeOwned;
use serde::ser::{self, Impossible, Serialize, Serializer};

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Place of its first byte in the frame.
    pub at: usize,
    /// Its bytes.
    pub bytes: usize,
    /// Its name, with those of what it lies in.
    pub name: String,
    /// What it says; bytes in hexadecimal, long ones cut off.
    pub value: String,
}

/// Fields of a body of this type.
pub(super) fn fields<T: Serialize + DeserializeOwned>(body: &[u8]) -> Result<Vec<Field>, DecodeError> {
    let value: T = decode_body(body)?;
    let mut walk = Walk::default();
    value.serialize(&mut walk).map_err(|_| DecodeError::Body)?;
    Ok(walk.fields)
}

/// Bytes of a value that are shown.
const SHOWN: usize = 64;

type Run = Option<Vec<u8>>;

#[derive(Default)]
struct Walk {
    at: usize,
    path: Vec<String>,
    fields: Vec<Field>,
    /// Bytes of the fixed byte string that is being written, if it is one.
    run: Run,
}

/// Serde wants an error; writing a decoded value has none.
#[derive(Debug)]
struct Never;

impl Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that postcard cannot hold")
    }
}

impl std::error::Error for Never {}

impl ser::Error for Never {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

impl Walk {
    fn note(&mut self, bytes: usize, value: String) {
        let name = self.path.join(".");
        self.fields.push(Field { at: self.at, bytes, name, value });
        self.at += bytes;
    }

    fn length(&mut self, length: usize) {
        self.path.push("length".to_owned());
        self.note(varint(length as u64), length.to_string());
        self.path.pop();
    }

    fn raw(&mut self, bytes: &[u8]) {
        let mut value = String::new();
        for byte in bytes.iter().take(SHOWN) {
            let _ = write!(value, "{byte:02x}");
        }
        if bytes.len() > SHOWN {
            value.push('…');
        }
        self.note(bytes.len(), value);
    }

    fn within<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), Never> {
        self.path.push(name);
        let outcome = value.serialize(&mut *self);
        self.path.pop();
        outcome
    }

    fn element<T: Serialize + ?Sized>(&mut self, index: usize, value: &T) -> Result<(), Never> {
        self.within(index.to_string(), value)
    }
}

const fn varint(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

macro_rules! numbers {
    ($($name:ident $of:ty)*) => {
        $(fn $name(self, value: $of) -> Result<(), Never> {
            self.note(varint(u64::from(value)), value.to_string());
            Ok(())
        })*
    };
}

macro_rules! unknown {
    ($($name:ident $of:ty)*) => {
        $(fn $name(self, _: $of) -> Result<(), Never> {
            Err(Never)
        })*
    };
}

impl<'a> Serializer for &'a mut Walk {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Impossible<(), Never>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    numbers! { serialize_u16 u16 serialize_u32 u32 serialize_u64 u64 }
    unknown! { serialize_i8 i8 serialize_i16 i16 serialize_i32 i32 serialize_i64 i64 serialize_f32 f32 serialize_char char }

    fn serialize_bool(self, value: bool) -> Result<(), Never> {
        self.note(1, value.to_string());
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Never> {
        match &mut self.run {
            Some(run) => run.push(value),
            None => self.note(1, value.to_string()),
        }
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Never> {
        self.note(8, value.to_string());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Never> {
        self.length(value.len());
        self.raw(value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Never> {
        self.length(value.len());
        self.raw(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.note(1, "none".to_owned());
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        self.note(1, "some".to_owned());
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, variant: &'static str) -> Result<(), Never> {
        self.note(varint(index.into()), format!("{index} {variant}"));
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.serialize_unit_variant(name, index, variant)?;
        self.within(variant.to_owned(), value)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Parts<'a>, Never> {
        self.length(length.ok_or(Never)?);
        Ok(Parts::of(self))
    }

    fn serialize_tuple(self, length: usize) -> Result<Parts<'a>, Never> {
        let parts = Parts::of(self);
        // Fixed byte strings are tuples of bytes: one field.
        parts.walk.run = Some(Vec::with_capacity(length));
        Ok(parts)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, Never> {
        Ok(Parts::of(self))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Never> {
        self.serialize_unit_variant(name, index, variant)?;
        self.path.push(variant.to_owned());
        Ok(Parts { pushed: true, ..Parts::of(self) })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Impossible<(), Never>, Never> {
        Err(Never)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, Never> {
        Ok(Parts::of(self))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        fields: usize,
    ) -> Result<Parts<'a>, Never> {
        self.serialize_tuple_variant(name, index, variant, fields)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of something, one after the other.
struct Parts<'a> {
    walk: &'a mut Walk,
    next: usize,
    pushed: bool,
    /// The byte string around it, if any.
    outer: Run,
}

impl<'a> Parts<'a> {
    fn of(walk: &'a mut Walk) -> Self {
        let outer = walk.run.take();
        Self { walk, next: 0, pushed: false, outer }
    }

    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        let index = self.next;
        self.next += 1;
        self.walk.element(index, value)
    }

    fn finish(self) -> Result<(), Never> {
        if self.pushed {
            self.walk.path.pop();
        }
        self.walk.run = self.outer;
        Ok(())
    }
}

impl ser::SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.part(value)
    }
    fn end(self) -> Result<(), Never> {
        self.finish()
    }
}

impl ser::SerializeTuple for Parts<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.part(value)
    }
    fn end(self) -> Result<(), Never> {
        if let Some(run) = self.walk.run.take().filter(|run| !run.is_empty()) {
            self.walk.raw(&run);
        }
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Parts<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.part(value)
    }
    fn end(self) -> Result<(), Never> {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Parts<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.part(value)
    }
    fn end(self) -> Result<(), Never> {
        self.finish()
    }
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Never> {
        self.walk.within(name.to_owned(), value)
    }
    fn end(self) -> Result<(), Never> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Parts<'_> {
    type Ok = ();
    type Error = Never;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Never> {
        self.walk.within(name.to_owned(), value)
    }
    fn end(self) -> Result<(), Never> {
        self.finish()
    }
}

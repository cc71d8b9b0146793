//! Safetensors files: written byte for byte the same every time, read with the library.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use super::ModelError;

/// Names and shapes of a model's tensors, in the order of their names; that is how coordinates are numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout(BTreeMap<String, Vec<usize>>);

impl Layout {
    /// One tensor that holds all coordinates.
    pub(super) fn flat(name: &str, dim: usize) -> Self {
        Self(BTreeMap::from([(name.to_owned(), vec![dim])]))
    }

    /// Bytes of a file: these tensors of 4- or 8-byte numbers with this metadata.
    pub(super) fn write(&self, metadata: &[(&str, String)], dtype: Dtype, data: &[u8]) -> Vec<u8> {
        let size = if dtype == Dtype::F64 { 8 } else { 4 };
        let mut header = Map::new();
        let metadata: BTreeMap<_, _> = metadata.iter().map(|(key, value)| (*key, value)).collect();
        header.insert("__metadata__".to_owned(), json!(metadata));
        let mut begin = 0;
        for (name, shape) in &self.0 {
            let end = begin + shape.iter().product::<usize>() * size;
            let name_of = if size == 8 { "F64" } else { "F32" };
            let entry = json!({ "dtype": name_of, "shape": shape, "data_offsets": [begin, end] });
            header.insert(name.clone(), entry);
            begin = end;
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        // The data begins at a multiple of 8.
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut bytes = Vec::with_capacity(8 + header.len() + data.len());
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(data);
        bytes
    }
}

/// A file that was read.
pub(super) struct Read {
    pub(super) layout: Layout,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) numbers: Vec<f32>,
}

/// Reads a model: 32-bit floats only, all finite.
pub(super) fn read(bytes: &[u8]) -> Result<Read, ModelError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|_| ModelError::Form)?;
    let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
    let tensors: BTreeMap<_, _> =
        SafeTensors::deserialize(bytes).map_err(|_| ModelError::Form)?.tensors().into_iter().collect();
    let mut layout = BTreeMap::new();
    let mut numbers = Vec::new();
    for (name, tensor) in &tensors {
        if tensor.dtype() != Dtype::F32 {
            return Err(ModelError::Type);
        }
        layout.insert(name.clone(), tensor.shape().to_vec());
        let (words, _) = tensor.data().as_chunks();
        numbers.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
    }
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err(ModelError::NotFinite);
    }
    Ok(Read { layout: Layout(layout), metadata: metadata.collect(), numbers })
}

/// Reads one tensor of 64-bit floats.
pub(super) fn read_f64(bytes: &[u8], name: &str) -> Result<Vec<f64>, ModelError> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|_| ModelError::Form)?;
    let tensor = tensors.tensor(name).map_err(|_| ModelError::Form)?;
    if tensor.dtype() != Dtype::F64 {
        return Err(ModelError::Type);
    }
    let (words, _) = tensor.data().as_chunks();
    Ok(words.iter().map(|word| f64::from_le_bytes(*word)).collect())
}

/// The metadata of any safetensors file.
pub(super) fn metadata(bytes: &[u8]) -> Result<BTreeMap<String, String>, ModelError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|_| ModelError::Form)?;
    Ok(header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect())
}

pub(super) fn bytes_f32(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

pub(super) fn bytes_f64<'a>(numbers: impl IntoIterator<Item = &'a f64>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| number.to_le_bytes()).collect()
}

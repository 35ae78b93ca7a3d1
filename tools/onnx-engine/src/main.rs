//! `onnx-engine MODEL BATCH CHANNELS HEIGHT WIDTH`: images as little-endian f32 on standard input, what the model makes of
//! them likewise on standard output.

use rten::Model;
use rten_tensor::Tensor;
use rten_tensor::prelude::*;
use std::error::Error;
use std::io::{Read, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("no model")?;
    let shape = arguments.map(|length| length.parse()).collect::<Result<Vec<usize>, _>>()?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || numbers.len() != shape.iter().product::<usize>() {
        return Err(format!("{} bytes for {shape:?}", bytes.len()).into());
    }
    let images = Tensor::from_data(&shape, numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect::<Vec<_>>());
    let model = Model::load(std::fs::read(path)?)?;
    let output: Tensor<f32> = model.run_one(images.into(), None)?.try_into()?;
    let output: Vec<u8> = output.to_vec().into_iter().flat_map(f32::to_le_bytes).collect();
    std::io::stdout().write_all(&output)?;
    Ok(())
}

//! Name the digit of an image: cargo run --release -- digits.hornbeam seven.pgm

use std::error::Error;

use hornbeam_runtime::{Buffer, DType, FrozenModel, TensorType};

const SIDE: usize = 28;

/// Read a binary PGM image of 28x28 pixels; white digits on black, as in MNIST.
fn read_image(path: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let pixels = bytes.strip_prefix(b"P5 28 28 255\n").filter(|p| p.len() == SIDE * SIDE);
    let pixels = pixels.ok_or_else(|| format!("{path} is not a PGM image of 28x28 pixels"))?;
    Ok(pixels.iter().flat_map(|&p| (f32::from(p) / 255.0).to_ne_bytes()).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, image] = arguments.as_slice() else { return Err("usage: digits MODEL.hornbeam IMAGE.pgm".into()) };
    let model = FrozenModel::open(model)?;
    let image = Buffer::from_bytes(TensorType::new(DType::F32, vec![1, SIDE, SIDE, 1]), &read_image(image)?);
    let outputs = model.signature("predict")?.run(&[image])?;
    let number = |bytes: &[u8]| f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let scores = outputs[0].bytes().chunks_exact(4).map(number);
    let best = scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).ok_or("the model has no classes")?;
    println!("{} ({:.2}%)", best.0, 100.0 * best.1);
    Ok(())
}

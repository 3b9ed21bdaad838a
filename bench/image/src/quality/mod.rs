//! How good a server's picture is: SSIMULACRA2 against a reference that is made without hurry.
//!
//! The reference is the whole source, decoded in full and resized to the size of the answer with Lanczos3 in floating
//! point, in gamma space (as all servers here do), never compressed. 100 is identical, 80 and more very good, 50 visible.
//! Decoder, resizer and metric are others than the server's.

mod lanczos;
mod source;

pub use source::{Unscored, comparable, decode};

use std::collections::HashMap;

use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

/// Pixels in sRGB, each component between 0 and 1.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row by row, red, green, blue.
    pub pixels: Vec<[f32; 3]>,
}

impl Picture {
    fn into_rgb(self) -> Result<Rgb, Unscored> {
        Rgb::new(self.pixels, self.width, self.height, TransferCharacteristic::SRGB, ColorPrimaries::BT709)
            .map_err(|error| Unscored(error.to_string()))
    }
}

/// How near an answer comes to its reference.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// SSIMULACRA2: 100 is identical.
    pub ssimulacra2: f64,
    /// Peak signal to noise over all components, in gamma space, in dB.
    pub psnr: f64,
}

/// Scores answers to one source; keeps the references that it made.
pub struct Judge {
    source: Picture,
    references: HashMap<(usize, usize), Picture>,
}

impl Judge {
    /// Reads the source, or says why its answers cannot be compared.
    pub fn new(source: &[u8]) -> Result<Self, Unscored> {
        comparable(source)?;
        Ok(Self { source: decode(source)?, references: HashMap::new() })
    }

    /// The SSIMULACRA2 score of a picture that a server made of the source.
    pub fn score(&mut self, answer: &[u8]) -> Result<f64, Unscored> {
        Ok(self.compare(answer)?.ssimulacra2)
    }

    /// All scores of a picture that was made of the source.
    pub fn compare(&mut self, answer: &[u8]) -> Result<Score, Unscored> {
        let answer = decode(answer)?;
        let size = (answer.width, answer.height);
        let same_shape = self.source.height * answer.width / self.source.width;
        if same_shape.abs_diff(answer.height) > 1 {
            return Err(Unscored(format!("{}×{} is another shape than the source's", size.0, size.1)));
        }
        let source = &self.source;
        let reference = self.references.entry(size).or_insert_with(|| lanczos::resize(source, size.0, size.1)).clone();
        let psnr = psnr(&reference, &answer);
        let ssimulacra2 = compute_frame_ssimulacra2(reference.into_rgb()?, answer.into_rgb()?)
            .map_err(|error| Unscored(error.to_string()))?;
        Ok(Score { ssimulacra2, psnr })
    }
}

/// Of two pictures of the same size.
fn psnr(one: &Picture, other: &Picture) -> f64 {
    let components = || one.pixels.iter().flatten().zip(other.pixels.iter().flatten());
    let squares: f64 = components().map(|(one, other)| f64::from(one - other).powi(2)).sum();
    -10.0 * (squares / components().count() as f64).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::photos;

    #[test]
    fn a_careful_answer_scores_high_and_a_careless_one_low() {
        let source = photos::generated(400, 304, 95);
        let mut judge = Judge::new(&source).unwrap();
        let small = lanczos::resize(&decode(&source).unwrap(), 200, 152);
        let careful = judge.score(&photos::encode(&small, 95)).unwrap();
        let careless = judge.score(&photos::encode(&small, 20)).unwrap();
        assert!(careful > 80.0, "{careful}");
        assert!(careless < careful - 15.0, "{careless} against {careful}");
    }

    #[test]
    fn scans_of_one_component_each_score_as_interleaved_ones_do() {
        let source = photos::generated(400, 304, 95);
        let mut judge = Judge::new(&source).unwrap();
        let small = lanczos::resize(&decode(&source).unwrap(), 200, 152);
        let bytes: Vec<u8> = small.pixels.iter().flatten().map(|component| (component * 255.0).round() as u8).collect();
        let mut separate = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut separate, 80);
        encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_2_0);
        encoder.set_optimized_huffman_tables(true);
        encoder.encode(&bytes, 200, 152, jpeg_encoder::ColorType::Rgb).unwrap();
        assert_eq!(separate.windows(2).filter(|marker| *marker == [0xff, 0xda]).count(), 3);
        let score = judge.score(&separate).unwrap();
        assert!(score > 50.0, "{score}");
    }

    #[test]
    fn noise_of_one_percent_is_forty_decibels() {
        let grey = |value| Picture { width: 2, height: 1, pixels: vec![[value; 3]; 2] };
        assert!((psnr(&grey(0.5), &grey(0.51)) - 40.0).abs() < 1e-3);
        assert_eq!(psnr(&grey(0.5), &grey(0.5)), f64::INFINITY);
    }

    #[test]
    fn a_picture_of_another_shape_is_not_scored() {
        let mut judge = Judge::new(&photos::generated(400, 304, 80)).unwrap();
        assert!(judge.score(&photos::generated(152, 200, 80)).is_err());
    }
}

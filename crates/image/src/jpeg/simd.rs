//! What the machine has: the hot loops are compiled twice, once for every machine of the architecture and once for those with AVX2 and the
//! bit instructions, whose shifts by any register shorten the way from one symbol to the next.
//!
//! Both are the same source, so they give the same samples. This is the only module of the crate with `unsafe`: a call of a function that
//! asks for instructions is not safe before somebody has looked whether they are there.
#![allow(unsafe_code)]

use super::baseline::ScanDecoder;
use super::bits::BitReader;
use super::plane::Plane;
use crate::Error;

/// Which build of the loops runs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    /// Any of the architecture.
    Plain,
    /// x86-64 with AVX2, BMI1, BMI2, LZCNT and MOVBE (2013 on).
    #[cfg(target_arch = "x86_64")]
    Wide,
}

impl Machine {
    /// The best that this machine can run. The answer is kept by the standard library.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("movbe")
        {
            return Self::Wide;
        }
        Self::Plain
    }

    /// [`ScanDecoder::decode_units`] as this machine can run it.
    pub(super) fn decode_units(
        self,
        scan: &mut ScanDecoder<'_>,
        bits: &mut BitReader<'_>,
        planes: &mut [Plane],
        starts: [usize; 4],
        count: u32,
    ) -> Result<(), Error> {
        match self {
            Self::Plain => scan.decode_units(bits, planes, starts, count),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: only `detect` makes this value, after it has found all of the features.
            Self::Wide => unsafe { wide::decode_units(scan, bits, planes, starts, count) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::*;

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,movbe")]
    pub(super) fn decode_units(
        scan: &mut ScanDecoder<'_>,
        bits: &mut BitReader<'_>,
        planes: &mut [Plane],
        starts: [usize; 4],
        count: u32,
    ) -> Result<(), Error> {
        scan.decode_units(bits, planes, starts, count)
    }
}

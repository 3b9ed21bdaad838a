//! What the benches with pictures share: the photos that they measure with, and the judge of what became of them.
//!
//! A package of its own, because the other benches take minutes to build and this one does not.

#![forbid(unsafe_code)]

pub mod photos;
pub mod quality;

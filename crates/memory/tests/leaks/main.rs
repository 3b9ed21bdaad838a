//! The leak detector in simulated workers: thousands of hours in which nothing leaks, and leaks of every speed.
//!
//! `LEAK_SEEDS` says how many workers of each kind live (20 if it does not).

#![allow(clippy::unwrap_used)]

mod found;
mod quiet;
mod random;
mod world;

fn seeds() -> u64 {
    std::env::var("LEAK_SEEDS").map_or(20, |text| text.parse().unwrap())
}

//! [`HeavyWork`]: the number loop of `POST /process`, a million dependent steps for each number, whose cost is their purpose.
//!
//! One chain of steps leaves most of a core idle, because each step waits for the one before (3 ms a number on the
//! machine of BENCHMARKS.md). Chains of *different* numbers do not depend on each other, so several run interleaved on
//! one thread and the processor overlaps them (0.6 ms a number with eight). No step is left out.

use super::Timed;
use phalanx::{Task, TaskContext, TaskError};
use serde::{Deserialize, Serialize};

/// Steps for each number.
const STEPS: u32 = 1_000_000;
/// Steps between two looks at the clock: about 50 µs.
const STEPS_BETWEEN_CHECKS: u32 = 10_000;
/// The largest integer that a JSON number holds exactly everywhere (2^53 − 1).
pub(crate) const LARGEST_NUMBER: u64 = (1 << 53) - 1;

/// The loop for each of these numbers, none of which may be larger than [`LARGEST_NUMBER`] (then 17 times the number still fits).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HeavyWork {
    pub(crate) numbers: Vec<u64>,
}

impl Task for HeavyWork {
    const NAME: &'static str = "numbers";
    type Output = Timed<Vec<u64>>;

    fn run(self, cx: &TaskContext) -> Result<Self::Output, TaskError> {
        Timed::measure(|| {
            let results = process(&self.numbers, &mut || cx.is_cancelled());
            results.map_err(|Stopped| cx.check().err().unwrap_or(TaskError::Cancelled))
        })
    }
}

/// The work was stopped before its end.
#[derive(Debug, PartialEq, Eq)]
struct Stopped;

/// Runs the loop for each number; `stop` is asked every 10 000 steps.
fn process(numbers: &[u64], stop: &mut impl FnMut() -> bool) -> Result<Vec<u64>, Stopped> {
    let mut results = numbers.to_vec();
    for group in results.chunks_mut(8) {
        match group.len() {
            1 => interleaved::<1>(group, stop)?,
            2 => interleaved::<2>(group, stop)?,
            3..=4 => interleaved::<4>(group, stop)?,
            _ => interleaved::<8>(group, stop)?,
        }
    }
    Ok(results)
}

/// Runs at most `CHAINS` chains side by side; idle ones cost less than a second pass would.
fn interleaved<const CHAINS: usize>(numbers: &mut [u64], stop: &mut impl FnMut() -> bool) -> Result<(), Stopped> {
    let mut chains = [0; CHAINS];
    chains[..numbers.len()].copy_from_slice(numbers);
    for _ in 0..STEPS / STEPS_BETWEEN_CHECKS {
        if stop() {
            return Err(Stopped);
        }
        for _ in 0..STEPS_BETWEEN_CHECKS {
            for r in &mut chains {
                *r = (*r * 17 + 13) % 99_991;
            }
        }
    }
    numbers.copy_from_slice(&chains[..numbers.len()]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(mut r: u64) -> u64 {
        for _ in 0..STEPS {
            r = (r * 17 + 13) % 99_991;
        }
        r
    }

    #[test]
    fn the_known_answers_come_out() {
        assert_eq!(process(&[10, 20, 30, 40], &mut || false), Ok(vec![75306, 75596, 75886, 76176]));
    }

    #[test]
    fn interleaving_changes_no_result_at_any_length() {
        let numbers: Vec<u64> = [0, 1, 99_990, 99_991, LARGEST_NUMBER].into_iter().chain(1000..1012).collect();
        let expected: Vec<u64> = numbers.iter().map(|&n| plain(n)).collect();
        for length in [0, 1, 2, 3, 7, 8, 9, 15, numbers.len()] {
            assert_eq!(process(&numbers[..length], &mut || false).unwrap(), expected[..length], "{length} numbers");
        }
    }

    #[test]
    fn it_stops_within_ten_thousand_steps_of_being_told() {
        let mut looks = 0;
        let stopped = process(&[1; 100], &mut || {
            looks += 1;
            looks == 3
        });
        assert_eq!((stopped, looks), (Err(Stopped), 3));
    }
}

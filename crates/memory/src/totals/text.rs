//! The texts: lines of `name number`, and lines of pressure.

use super::{Pressure, Stall};

/// The number of the line `NAME NUMBER`, as in `memory.stat`, `memory.events`, `memory.oom_control`.
pub(super) fn keyed(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        if key == name { value.trim().parse().ok() } else { None }
    })
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same with `full`, which a kernel before 5.13 may lack.
pub(super) fn parse_pressure(text: &str) -> Option<Pressure> {
    Some(Pressure { some: stall(text, "some")?, full: stall(text, "full").unwrap_or_default() })
}

fn stall(text: &str, kind: &str) -> Option<Stall> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
    let share = |name: &str| {
        let value = line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
        value.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent))
    };
    Some(Stall { ten_seconds: share("avg10")?, minute: share("avg60")? })
}

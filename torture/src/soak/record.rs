//! What was seen, as lines of CSV: one for each process and second, one for the store, one for each blow.
//!
//! `at,what,place,pid,epoch,age,resting,resident_kib,pss_kib,unique_kib,live_kib,descriptors,threads,words`

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

/// The first line.
pub(crate) const HEAD: &str =
    "at,what,place,pid,epoch,age,resting,resident_kib,pss_kib,unique_kib,live_kib,descriptors,threads,words";

/// What a process is in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Primary,
    Front,
    Owner,
    Worker,
    /// A job process of a worker.
    Job,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Primary => "primary",
            Role::Front => "front",
            Role::Owner => "queue",
            Role::Worker => "worker",
            Role::Job => "job process",
        })
    }
}

/// One process at one moment. Times in seconds, memory in KiB.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    pub(crate) role: Role,
    pub(crate) place: Option<u16>,
    pub(crate) pid: u32,
    /// A process that became another program is another one.
    pub(crate) epoch: u32,
    pub(crate) age: f64,
    pub(crate) resting: bool,
    pub(crate) resident: u64,
    pub(crate) proportional: u64,
    pub(crate) unique: u64,
    pub(crate) live: Option<u64>,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

/// A line.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Sample(Sample),
    Store { at: f64, files: u64, kib: u64 },
    Blow { at: f64, words: String },
}

impl Entry {
    fn at(&self) -> f64 {
        match self {
            Entry::Sample(Sample { at, .. }) | Entry::Store { at, .. } | Entry::Blow { at, .. } => *at,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Sample(sample) => {
                let place = sample.place.map_or_else(String::new, |place| place.to_string());
                let live = sample.live.map_or_else(String::new, |live| live.to_string());
                let Sample { at, role, pid, epoch, age, resting, resident, proportional, unique, .. } = sample;
                let (descriptors, threads) = (sample.descriptors, sample.threads);
                let resting = u8::from(*resting);
                write!(f, "{at:.1},{role},{place},{pid},{epoch},{age:.0},{resting},")?;
                write!(f, "{resident},{proportional},{unique},{live},{descriptors},{threads},")
            }
            Entry::Store { at, files, kib } => write!(f, "{at:.1},store,,,,,,{kib},,,,{files},,"),
            Entry::Blow { at, words } => write!(f, "{at:.1},event,,,,,,,,,,,,{}", words.replace([',', '\n'], ";")),
        }
    }
}

/// Writes all entries in the order of their times.
pub(crate) fn write(file: &Path, entries: &mut [Entry]) -> io::Result<()> {
    entries.sort_by(|one, other| one.at().total_cmp(&other.at()));
    let mut out = io::BufWriter::new(std::fs::File::create(file)?);
    writeln!(out, "{HEAD}")?;
    for entry in entries {
        writeln!(out, "{entry}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_has_all_columns() {
        let sample = Sample {
            at: 1.04,
            role: Role::Worker,
            place: Some(1),
            pid: 7,
            epoch: 0,
            age: 0.6,
            resting: true,
            resident: 10,
            proportional: 9,
            unique: 8,
            live: None,
            descriptors: 5,
            threads: 3,
        };
        let lines = [
            Entry::Sample(sample),
            Entry::Store { at: 1.0, files: 2, kib: 3 },
            Entry::Blow { at: 2.0, words: "reload, and more".into() },
        ];
        for line in &lines {
            assert_eq!(line.to_string().split(',').count(), HEAD.split(',').count(), "{line}");
        }
        assert_eq!(lines[0].to_string(), "1.0,worker,1,7,0,1,1,10,9,8,,5,3,");
    }
}

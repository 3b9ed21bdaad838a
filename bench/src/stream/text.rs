//! The input: lines as a server logs them, which gzip makes about a third of.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use measuring::{During, Failure};

const BUFFER: usize = 1 << 20;
const ROUTES: [&str; 8] =
    ["/v1/images", "/v1/images/info", "/v1/jobs", "/upload", "/process", "/livez", "/metrics", "/v1/hash/blake3"];
const STATUS: [u16; 8] = [200, 200, 200, 200, 201, 202, 404, 503];

pub(super) fn write(file: &Path, bytes: u64) -> Result<(), Failure> {
    let created = File::create(file).during("create the input")?;
    let mut out = BufWriter::with_capacity(BUFFER, created);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut left, mut milliseconds) = (bytes, 0);
    while left > 0 {
        milliseconds += random.below(20);
        let line = line(&mut random, milliseconds);
        let part = line.as_bytes();
        let part = &part[..part.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        out.write_all(part).during("write the input")?;
        left -= part.len() as u64;
    }
    out.flush().during("write the input")
}

fn line(random: &mut Random, milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    let route = ROUTES[random.below(8) as usize];
    let status = STATUS[random.below(8) as usize];
    format!(
        "{{\"time\":\"2026-11-21T{hours:02}:{minutes:02}:{seconds:02}.{rest:03}Z\",\"level\":\"info\",\"id\":\"{:016x}\",\
         \"from\":\"10.{}.{}.{}\",\"session\":\"{:016x}{:016x}\",\"path\":\"{route}\",\"status\":{status},\"bytes\":{},\
         \"ms\":{}.{:03}}}\n",
        random.next(),
        random.below(8),
        random.below(256),
        random.below(256),
        random.next(),
        random.next(),
        random.below(400_000),
        random.below(90),
        random.below(1000),
    )
}

/// xorshift64*: the same text on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_is_as_long_as_it_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text");
        for bytes in [0, 1, 5000, 100_001] {
            write(&file, bytes).unwrap();
            assert_eq!(file.metadata().unwrap().len(), bytes);
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["level"], "info");
    }
}

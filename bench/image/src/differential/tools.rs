//! libjpeg-turbo's own programs.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where they are.
pub(crate) struct Tools {
    cjpeg: PathBuf,
    djpeg: PathBuf,
    jpegtran: PathBuf,
}

/// What came of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Whole,
    /// A picture, but something was wrong.
    Warned,
    /// None.
    Refused,
}

/// Pixels of one or three channels.
#[derive(Debug)]
pub(crate) struct Pixels {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) samples: Vec<u8>,
}

impl Tools {
    /// Finds them.
    pub(crate) fn find() -> Result<Self, String> {
        let find = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path)
                .map(|folder| folder.join(name))
                .find(|candidate| candidate.is_file())
                .ok_or_else(|| format!("{name} is not installed (Debian package libjpeg-turbo-progs)"))
        };
        Ok(Self { cjpeg: find("cjpeg")?, djpeg: find("djpeg")?, jpegtran: find("jpegtran")? })
    }

    pub(crate) fn version(&self) -> String {
        let said = Command::new(&self.djpeg).arg("-version").output();
        let said = said.map(|said| String::from_utf8_lossy(&said.stderr).into_owned()).unwrap_or_default();
        said.lines().next().unwrap_or("libjpeg-turbo").to_owned()
    }

    /// Pixels to JPEG. What cannot be made so is an error.
    pub(crate) fn encode(&self, options: &[String], pixels: &Pixels) -> Result<Vec<u8>, String> {
        made(run(Command::new(&self.cjpeg).args(options), &pixels.to_pnm())?)
    }

    /// JPEG to JPEG, lossless.
    pub(crate) fn transform(&self, options: &[String], jpeg: &[u8]) -> Result<Vec<u8>, String> {
        made(run(Command::new(&self.jpegtran).args(options), jpeg)?)
    }

    /// JPEG to pixels, and whether something was wrong.
    pub(crate) fn decode(&self, options: &[&str], jpeg: &[u8]) -> Result<(Outcome, Option<Pixels>), String> {
        let said = run(Command::new(&self.djpeg).args(options).arg("-pnm"), jpeg)?;
        let pixels = Pixels::of_pnm(&said.output);
        // 2 is EXIT_WARNING.
        let outcome = match said.code {
            Some(0) => Outcome::Whole,
            Some(2) if pixels.is_some() => Outcome::Warned,
            _ => Outcome::Refused,
        };
        Ok((outcome, pixels.filter(|_| outcome != Outcome::Refused)))
    }
}

struct Said {
    code: Option<i32>,
    output: Vec<u8>,
    errors: String,
}

fn made(said: Said) -> Result<Vec<u8>, String> {
    if said.code == Some(0) { Ok(said.output) } else { Err(said.errors.trim().to_owned()) }
}

fn run(command: &mut Command, input: &[u8]) -> Result<Said, String> {
    let name = command.get_program().display().to_string();
    let failed = |error: std::io::Error| format!("cannot run {name}: {error}");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (mut to, mut from) = (child.stdin.take(), child.stdout.take());
    let mut errors = child.stderr.take();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It may stop reading early: what it says then counts.
            if let Some(mut to) = to.take() {
                let _ = to.write_all(input);
            }
        });
        let said = scope.spawn(move || {
            let mut bytes = Vec::new();
            if let Some(errors) = &mut errors {
                let _ = errors.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let mut output = Vec::new();
        if let Some(from) = &mut from {
            from.read_to_end(&mut output).map_err(failed)?;
        }
        let status = child.wait().map_err(failed)?;
        Ok(Said { code: status.code(), output, errors: said.join().unwrap_or_default() })
    })
}

impl Pixels {
    fn to_pnm(&self) -> Vec<u8> {
        let kind = if self.channels == 1 { 5 } else { 6 };
        let mut file = format!("P{kind}\n{} {}\n255\n", self.width, self.height).into_bytes();
        file.extend_from_slice(&self.samples);
        file
    }

    /// The whole of a binary PGM or PPM.
    fn of_pnm(file: &[u8]) -> Option<Self> {
        let mut fields = Vec::new();
        let mut at = 0;
        while fields.len() < 4 {
            let end = at + file.get(at..)?.iter().position(u8::is_ascii_whitespace)?;
            fields.push(std::str::from_utf8(&file[at..end]).ok()?);
            at = end + 1;
        }
        let channels = if fields[0] == "P5" { 1 } else { 3 };
        let (width, height): (usize, usize) = (fields[1].parse().ok()?, fields[2].parse().ok()?);
        let samples = file.get(at..at + width * height * channels)?.to_vec();
        Some(Self { width, height, channels, samples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_the_same_after_it_was_written() {
        let pixels = Pixels { width: 2, height: 1, channels: 3, samples: vec![10, 32, 13, 0, 255, 9] };
        let read = Pixels::of_pnm(&pixels.to_pnm()).expect("it is whole");
        assert_eq!((read.width, read.height, read.channels, read.samples), (2, 1, 3, pixels.samples.clone()));
        assert!(Pixels::of_pnm(&pixels.to_pnm()[..14]).is_none(), "half a picture is none");
    }
}

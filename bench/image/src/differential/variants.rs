//! JPEG files of every kind that libjpeg-turbo's programs can make.

use std::path::{Path, PathBuf};

use super::tools::{Pixels, Tools};

/// One file.
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) jpeg: Vec<u8>,
    /// Whether libjpeg makes up coefficients that are not there (a progressive file without all of its scans).
    pub(crate) is_smoothed: bool,
}

const SIZES: [(usize, usize); 7] = [(1, 1), (7, 9), (8, 8), (17, 33), (33, 16), (64, 48), (129, 67)];
/// The one size with which everything is tried that does not depend on it.
const USUAL_SIZE: (usize, usize) = (129, 67);
/// Of luma and both chroma components.
const SAMPLINGS: [&str; 10] = [
    "1x1,1x1,1x1",
    "2x1,1x1,1x1",
    "1x2,1x1,1x1",
    "2x2,1x1,1x1",
    "4x1,1x1,1x1",
    "1x4,1x1,1x1",
    "4x2,1x1,1x1",
    "3x1,1x1,1x1",
    "2x2,2x1,1x2",
    "1x1,2x2,1x1",
];
const USUAL_SAMPLING: &str = "2x2,1x1,1x1";
const QUALITIES: [u32; 6] = [1, 10, 50, 75, 95, 100];

/// Scans as libjpeg reads them from a file: what is in the picture, `first-last`, and the bit before and after.
const SCRIPTS: [(&str, &str); 4] = [
    ("scans of one component each", "0;\n1;\n2;\n"),
    (
        "bands, no refinement",
        "0,1,2: 0-0, 0, 0;\n0: 1-1, 0, 0;\n0: 2-9, 0, 0;\n2: 1-63, 0, 0;\n0: 10-63, 0, 0;\n1: 1-63, 0, 0;\n",
    ),
    (
        "deep, odd successive approximation",
        "0,1,2: 0-0, 0, 3;\n0: 1-2, 0, 5;\n2: 1-63, 0, 2;\n1: 1-63, 0, 2;\n0: 3-63, 0, 5;\n0: 1-2, 5, 4;\n0,1,2: 0-0, 3, 2;\n\
         0: 3-20, 5, 4;\n0: 21-63, 5, 4;\n0: 1-63, 4, 3;\n0: 1-63, 3, 2;\n0: 1-63, 2, 1;\n0: 1-63, 1, 0;\n1: 1-63, 2, 1;\n1: 1-63, 1, 0;\n\
         2: 1-63, 2, 1;\n2: 1-63, 1, 0;\n0: 0-0, 2, 1;\n1: 0-0, 2, 1;\n2: 0-0, 2, 1;\n0,1,2: 0-0, 1, 0;\n",
    ),
    (
        "one coefficient a scan at first",
        "0: 0-0, 0, 1;\n1,2: 0-0, 0, 0;\n0: 1-1, 0, 3;\n0: 2-2, 0, 1;\n0: 3-3, 0, 2;\n0: 4-63, 0, 2;\n1: 1-63, 0, 1;\n2: 1-63, 0, 1;\n\
         0: 1-1, 3, 2;\n0: 3-63, 2, 1;\n0: 1-1, 2, 1;\n0: 0-0, 1, 0;\n0: 1-63, 1, 0;\n1: 1-63, 1, 0;\n2: 1-63, 1, 0;\n",
    ),
];
/// The last bits and some coefficients never come.
const UNFINISHED: &str = "0,1,2: 0-0, 0, 1;\n0: 1-5, 0, 2;\n0: 6-63, 0, 2;\n0: 1-63, 2, 1;\n";

/// How many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Small ones.
    Short,
    /// And all photos, each coded in several ways.
    Whole,
}

/// All files; `folder` is for the scripts.
pub(crate) fn all(tools: &Tools, folder: &Path, extent: Extent, photos: Option<&Path>) -> Result<Vec<Variant>, String> {
    let scripts = Scripts::write(folder)?;
    let mut variants = Vec::new();
    for size in SIZES {
        for sampling in SAMPLINGS {
            for options in ["", "-progressive", "-restart 1B", "-optimize -restart 1"] {
                made(tools, &mut variants, size, &format!("-sample {sampling} {options}"))?;
            }
        }
        for options in ["-grayscale", "-grayscale -progressive", "-rgb", "-rgb -progressive"] {
            made(tools, &mut variants, size, options)?;
        }
    }
    for quality in QUALITIES {
        for options in ["", "-baseline", "-progressive", "-optimize"] {
            made(tools, &mut variants, USUAL_SIZE, &format!("-quality {quality} -sample {USUAL_SAMPLING} {options}"))?;
        }
    }
    for (name, file) in &scripts.complete {
        for sampling in SAMPLINGS {
            for options in ["", "-restart 3B"] {
                let options = format!("-sample {sampling} -scans {} {options}", file.display());
                made_as(tools, &mut variants, USUAL_SIZE, &options, &format!("{name}, {sampling}"))?;
            }
        }
    }
    let unfinished = format!("-sample {USUAL_SAMPLING} -scans {}", scripts.unfinished.display());
    made_as(tools, &mut variants, USUAL_SIZE, &unfinished, "scans that are never finished")?;
    if let Some(last) = variants.last_mut() {
        last.is_smoothed = true;
    }
    if extent == Extent::Whole {
        for photo in pictures::photos::load(photos) {
            for (mark, options) in [
                ("", None),
                (", progressive", Some("-progressive".to_owned())),
                (", restart every row", Some("-optimize -restart 1".to_owned())),
                (", deep", Some(format!("-scans {}", scripts.complete[2].1.display()))),
            ] {
                let jpeg = match options {
                    None => Ok(photo.jpeg.to_vec()),
                    Some(options) => tools.transform(&words(&format!("-copy all {options}")), &photo.jpeg),
                };
                match jpeg {
                    Ok(jpeg) => {
                        variants.push(Variant { name: format!("{}{mark}", photo.name), jpeg, is_smoothed: false });
                    }
                    // A script for three components does not fit others.
                    Err(why) => eprintln!("{}{mark} is left out: {why}", photo.name),
                }
            }
        }
    }
    Ok(variants)
}

/// One that we refuse, and libjpeg-turbo does not.
pub(crate) fn arithmetic(tools: &Tools) -> Result<Vec<Vec<u8>>, String> {
    ["-arithmetic", "-arithmetic -progressive"]
        .map(|options| tools.encode(&words(options), &pixels(USUAL_SIZE)))
        .into_iter()
        .collect()
}

fn made(tools: &Tools, to: &mut Vec<Variant>, size: (usize, usize), options: &str) -> Result<(), String> {
    made_as(tools, to, size, options, options)
}

fn made_as(
    tools: &Tools,
    to: &mut Vec<Variant>,
    size: (usize, usize),
    options: &str,
    name: &str,
) -> Result<(), String> {
    let jpeg = tools.encode(&words(options), &pixels(size)).map_err(|why| format!("cjpeg {options}: {why}"))?;
    to.push(Variant { name: format!("{}×{} {}", size.0, size.1, name.trim()), jpeg, is_smoothed: false });
    Ok(())
}

fn words(options: &str) -> Vec<String> {
    options.split_whitespace().map(str::to_owned).collect()
}

/// Smooth, with an edge and some noise, in colours that are not clipped by their quantisation alone.
fn pixels((width, height): (usize, usize)) -> Pixels {
    let mut noise = 0x2545_f491_u32;
    let mut samples = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let grain = (noise >> 27) as usize;
            let edge = if (x + 2 * y) % 48 < 24 { 60 } else { 0 };
            let ramp = x * 60 / width.max(1);
            samples
                .extend([60 + edge + grain, 70 + ramp + grain, 150 - edge + y * 40 / height.max(1)].map(|v| v as u8));
        }
    }
    Pixels { width, height, channels: 3, samples }
}

struct Scripts {
    complete: Vec<(&'static str, PathBuf)>,
    unfinished: PathBuf,
}

impl Scripts {
    fn write(folder: &Path) -> Result<Self, String> {
        let write = |name: &str, script: &str| {
            let file = folder.join(name);
            std::fs::write(&file, script).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
            Ok::<_, String>(file)
        };
        let mut complete = Vec::new();
        for (index, (name, script)) in SCRIPTS.into_iter().enumerate() {
            complete.push((name, write(&format!("script-{index}"), script)?));
        }
        Ok(Self { complete, unfinished: write("script-unfinished", UNFINISHED)? })
    }
}

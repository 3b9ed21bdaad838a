//! The pictures, as files: photos of a folder, the same coded otherwise, and what is made of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use phalanx_image::{Format, Limits, Output, Png, Scratch, Size, Transform, WebP, plan, probe, process};
use pictures::photos::{self, Photo};
use pictures::quality::{self, Judge, Picture};
use tempfile::TempDir;

use crate::cases::progress;
use crate::peers::find_program;

/// How a JPEG comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Baseline,
    Progressive,
    /// No JPEG.
    Other,
}

impl Coding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Progressive => "progressive",
            Self::Other => "–",
        }
    }
}

/// One picture.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) coding: Coding,
    pub(super) pixels: u64,
    size: (u32, u32),
    /// Whether it is upright, in sRGB, and no print: most photos are, and all contenders show them alike.
    pub(super) is_plain: bool,
    /// Whether it has the very pixels of another one.
    pub(super) is_twin: bool,
}

/// The pictures, and the folder in which they and the results are.
pub(crate) struct Subjects {
    pub(super) folder: TempDir,
    pub(super) all: Vec<Subject>,
}

/// Pixels across and down of the photo that is made of another one's mirror images.
const TILED: (usize, usize) = (6000, 4000);
const TILED_QUALITY: u8 = 88;
/// Photos smaller than this have no twin: they say little.
const TWIN_FROM_PIXELS: u64 = 1_000_000;
/// Width of what is made of the largest photo in other formats, and of that with transparency.
const RGB_WIDTH: u32 = 2400;
const RGBA_WIDTH: u32 = 3640;
/// Of the WebP file that is made.
const MADE_QUALITY: u8 = 85;

impl Subjects {
    /// Photos as [`photos::load`] finds them, those whose names begin with one of `names`; with all others that are wanted.
    pub(super) fn new(folder: Option<&Path>, names: &[String], others: Others) -> std::io::Result<Self> {
        let mut subjects = Self { folder: TempDir::with_prefix("phalanx-bench-image-")?, all: Vec::new() };
        let wanted = |name: &str| names.is_empty() || names.iter().any(|start| name.starts_with(start.as_str()));
        let photos: Vec<Photo> = photos::load(folder).into_iter().filter(|photo| wanted(&photo.name)).collect();
        for photo in &photos {
            subjects.add(&photo.name, "jpg", &photo.jpeg)?;
        }
        if others.derived {
            subjects.add_tiled()?;
            subjects.add_twins()?;
        }
        if others.formats {
            for (name, extension, bytes) in photos::others(folder) {
                if wanted(&name) {
                    subjects.add(&format!("{name}.{extension}"), &extension, &bytes)?;
                }
            }
            subjects.add_made()?;
        }
        Ok(subjects)
    }

    fn add(&mut self, name: &str, extension: &str, bytes: &[u8]) -> std::io::Result<()> {
        let header = match probe(bytes) {
            Ok(header) => header,
            Err(error) => {
                progress(&format!("{name} is left out: {error}"));
                return Ok(());
            }
        };
        let file = self.folder.path().join(format!("{}.{extension}", self.all.len()));
        fs::write(&file, bytes)?;
        let coding = match (header.format, header.progressive) {
            (Format::Jpeg, false) => Coding::Baseline,
            (Format::Jpeg, true) => Coding::Progressive,
            _ => Coding::Other,
        };
        self.all.push(Subject {
            name: name.to_owned(),
            file,
            coding,
            pixels: header.pixels(),
            size: (header.width, header.height),
            is_plain: quality::comparable(bytes).is_ok(),
            is_twin: false,
        });
        Ok(())
    }

    /// A photo of 24 million pixels: a smaller one and its mirror images, side by side.
    fn add_tiled(&mut self) -> std::io::Result<()> {
        let source = self.all.iter().find(|subject| {
            let covers = subject.size.0 as usize * 2 >= TILED.0 && subject.size.1 as usize * 2 >= TILED.1;
            subject.is_plain && subject.coding == Coding::Baseline && covers
        });
        let Some(source) = source else { return Ok(()) };
        let Ok(picture) = quality::decode(&fs::read(&source.file)?) else { return Ok(()) };
        let mirrored = |at: usize, side: usize| if at < side { at } else { side * 2 - 1 - at };
        let row = |y: usize| mirrored(y, picture.height) * picture.width;
        let pixels = (0..TILED.1)
            .flat_map(|y| (0..TILED.0).map(move |x| (x, y)))
            .map(|(x, y)| picture.pixels[row(y) + mirrored(x, picture.width)])
            .collect();
        let tiled = Picture { width: TILED.0, height: TILED.1, pixels };
        self.add("t-tiled-24mp-base420", "jpg", &photos::encode(&tiled, TILED_QUALITY))
    }

    /// Every photo also coded the other way, lossless, where there is none such already.
    fn add_twins(&mut self) -> std::io::Result<()> {
        let Some(jpegtran) = find_program("jpegtran") else {
            progress("jpegtran is not installed (package libjpeg-turbo-progs): no photo is coded both ways");
            return Ok(());
        };
        for index in 0..self.all.len() {
            let subject = &self.all[index];
            let (other, mark) = match subject.coding {
                Coding::Baseline => (Coding::Progressive, "prog"),
                _ => (Coding::Baseline, "base"),
            };
            let is_there = self.all.iter().any(|twin| twin.coding == other && twin.size == subject.size);
            if is_there || !subject.is_plain || subject.pixels < TWIN_FROM_PIXELS {
                continue;
            }
            let mut command = Command::new(&jpegtran);
            if other == Coding::Progressive {
                command.arg("-progressive");
            }
            let output = command.args(["-copy", "none"]).arg(&subject.file).output()?;
            if output.status.success() {
                let name = format!("{} as {mark}", subject.name);
                self.add(&name, "jpg", &output.stdout)?;
                if let Some(added) = self.all.last_mut() {
                    added.is_twin = true;
                }
            }
        }
        Ok(())
    }

    /// The largest photo as PNG, with and without transparency, and as WebP.
    fn add_made(&mut self) -> std::io::Result<()> {
        let photos = self.all.iter().filter(|subject| subject.is_plain && subject.coding != Coding::Other);
        let Some(largest) = photos.max_by_key(|subject| (subject.pixels, subject.coding == Coding::Baseline)) else {
            return Ok(());
        };
        let photo = fs::read(&largest.file)?;
        let shrunk = |width, output: Output| shrink(&photo, width, output).map_err(std::io::Error::other);
        let (opaque, wide) = (shrunk(RGB_WIDTH, Png::new().into())?, shrunk(RGBA_WIDTH, Png::new().into())?);
        let webp = shrunk(RGB_WIDTH, WebP::quality(MADE_QUALITY).into())?;
        let wide = quality::decode(&wide).map_err(|why| std::io::Error::other(why.to_string()))?;
        self.add("made-rgb.png", "png", &opaque)?;
        self.add("made-rgba.png", "png", &photos::fading(&wide))?;
        self.add("made.webp", "webp", &webp)
    }
}

fn shrink(photo: &[u8], width: u32, output: Output) -> Result<Vec<u8>, phalanx_image::Error> {
    let wish = Transform::default().size(Size::width(width)).output(output);
    let plan = plan(&probe(photo)?, &wish, &Limits::default())?;
    Ok(process(photo, &plan, &mut Scratch::new(), &|| false)?.bytes)
}

/// What is wanted beside the photos.
#[derive(Clone, Copy, Debug)]
pub(super) struct Others {
    /// Photos coded otherwise, and one of 24 million pixels.
    pub(super) derived: bool,
    /// PNG, WebP and GIF.
    pub(super) formats: bool,
}

/// Judges results of one of the pictures.
pub(super) fn judge(subject: &Subject) -> Result<Judge, String> {
    let source = fs::read(&subject.file).map_err(|error| error.to_string())?;
    Judge::new(&source).map_err(|why| why.to_string())
}

//! What `phalanx image` can be asked.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, value_parser};
use phalanx::image::jpeg::Damage;
use phalanx::image::{Background, Enlarge, Fit, Format, Jpeg, Output, Png, Rotate, Size, Transform, WebP};

use crate::config::quantity::ByteSize;
use crate::parameters::{FITS, MOST_ASKED_PIXELS, colour};

const EXAMPLES: &str = "\
Examples:
  phalanx image photo.jpg small.jpg -w 800
      at most 800 px wide, upright, sRGB, without metadata; never larger than it was
  phalanx image photos small -w 800
      every picture of a folder, on all cores; the same again makes only what is missing
  phalanx image photos avatars -w 256 -h 256 --fit cover --format webp -q 75 --recursive
      filled squares, also from the folders below
  curl -s https://example.org/photo.jpg | phalanx image - - -w 300 > small.jpg
      standard input and output
  phalanx image photos small --json | jq -r 'select(.outcome==\"failed\") | .from'
      one line of JSON for each picture

What is in a folder and is no JPEG, PNG, WebP or GIF (by its first bytes, not its name), and names that begin with a dot, are \
skipped and counted. Pictures keep their names and get the extension of their format. A picture that cannot be made is told with \
its name and why; the rest goes on.

An output that is there already is kept, and counted; --force replaces it. The input is never written. Output appears whole or \
not at all: after an error, a full disk, SIGINT or kill -9 there is no half picture.

Exit code: 0 all made or kept; 1 a picture could not be made, or nothing at all; 2 a wrong command line; 129, 130, 143 ended \
by SIGHUP, SIGINT, SIGTERM; 141 whoever read standard output is gone.";

/// Makes pictures smaller: one file, or all of a folder on all cores, in bounded memory
#[derive(Debug, Clone, Args)]
#[command(
    after_help = EXAMPLES,
    disable_help_flag = true,
    override_usage = "phalanx image IN OUT [-w PIXELS] [-h PIXELS] [OPTIONS]"
)]
pub(crate) struct ImageArguments {
    /// A picture, a folder of pictures, or - for standard input
    #[arg(value_name = "IN")]
    pub(super) from: PathBuf,
    /// The picture to be made, a folder (is made if IN is one, or if it ends in /), or - for standard output
    #[arg(value_name = "OUT")]
    pub(super) to: PathBuf,

    /// Replace outputs that are there
    #[arg(long)]
    pub(super) force: bool,
    /// One line of JSON for each picture on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// Print help
    #[arg(long = "help", action = ArgAction::Help)]
    _help: Option<bool>,

    // All that follows is under the heading that this begins with, or its own.
    #[command(flatten)]
    pub(super) wish: WishArguments,

    /// Also the folders below
    #[arg(long, short, help_heading = "Folders")]
    pub(super) recursive: bool,
    /// Threads at most: as many pictures at once, or parts of a large JPEG [default: the cores]
    #[arg(long, short = 'j', value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Memory for all pictures that are worked on at once [default: 40 % of what may be used]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(super) memory: Option<ByteSize>,
    /// Memory that one picture may need [default: 512MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(super) job_memory: Option<ByteSize>,
    /// Largest source picture in megapixels [default: 50]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=268), help_heading = "Limits")]
    pub(super) max_megapixels: Option<u32>,
}

/// What is to become of each picture; the words are those of the server's query.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The picture")]
pub(crate) struct WishArguments {
    /// Width in pixels [default: 800 if neither side is given]
    #[arg(long, short, value_name = "PIXELS", value_parser = side())]
    width: Option<u32>,
    /// Height in pixels (help is --help only)
    #[arg(long, short = 'h', value_name = "PIXELS", value_parser = side())]
    height: Option<u32>,
    /// The size that it has
    #[arg(long, conflicts_with_all = ["width", "height", "dpr"])]
    original_size: bool,
    /// How width and height are meant, as in sharp: inside is at most so large, cover is filled and cut
    #[arg(long, value_name = "FIT", default_value = "inside", value_parser = fit())]
    fit: Fit,
    /// Let it become larger than it is
    #[arg(long)]
    enlarge: bool,
    /// What is written; auto is PNG for what is transparent, else JPEG [default: by the extension of OUT, else jpeg]
    #[arg(long, short, value_name = "FORMAT", value_parser = format())]
    format: Option<Asked>,
    /// Quality of JPEG and WebP, 1 to 100
    #[arg(long, short, value_name = "N", default_value_t = 80, value_parser = value_parser!(u8).range(1..=100))]
    quality: u8,
    /// Fewer bytes for several times the time: for what is made once and sent often
    #[arg(long)]
    small: bool,
    /// Device pixels for each pixel of -w and -h, 0.1 to 8
    #[arg(long, value_name = "RATIO", default_value_t = 1.0, value_parser = ratio, hide_default_value = true)]
    dpr: f32,
    /// Colour behind transparent pixels and in the bars of --fit contain: ff8800, f80, white [default: black]
    #[arg(long, value_name = "COLOUR", visible_alias = "bg", value_parser = background)]
    background: Option<Background>,
    /// Turn it clockwise, after it was set upright
    #[arg(long, value_name = "DEGREES", default_value = "0", hide_default_value = true, value_parser = rotate())]
    rotate: Rotate,
    /// Mirror top and bottom
    #[arg(long)]
    flip: bool,
    /// Mirror left and right
    #[arg(long)]
    flop: bool,
    /// Make a picture of what there is of a JPEG that is cut or damaged, and say so, instead of an error
    #[arg(long)]
    keep_damaged: bool,
}

/// The output format that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// What suits the picture.
    Auto,
    /// This one.
    This(Format),
}

const FORMATS: [(&str, Asked); 5] = [
    ("auto", Asked::Auto),
    ("jpeg", Asked::This(Format::Jpeg)),
    ("jpg", Asked::This(Format::Jpeg)),
    ("png", Asked::This(Format::Png)),
    ("webp", Asked::This(Format::WebP)),
];
const TURNS: [(&str, Rotate); 4] =
    [("0", Rotate::None), ("90", Rotate::Quarter), ("180", Rotate::Half), ("270", Rotate::ThreeQuarters)];

impl WishArguments {
    pub(super) fn format(&self) -> Option<Asked> {
        self.format
    }

    pub(super) fn keeps_damaged(&self) -> bool {
        self.keep_damaged
    }

    /// All but the format.
    pub(super) fn transform(&self) -> Transform {
        let mut wish = match (self.width, self.height) {
            (None, None) if self.original_size => Transform::default().size(Size::original()),
            (None, None) => Transform::default(),
            (width, height) => Transform::default().size(Size::sides(width, height, self.fit)),
        };
        if self.flip {
            wish = wish.flip();
        }
        if self.flop {
            wish = wish.flop();
        }
        wish.enlarge(if self.enlarge { Enlarge::Allow } else { Enlarge::Never })
            .dpr(self.dpr)
            .background(self.background.unwrap_or_default())
            .rotate(self.rotate)
            .damage(if self.keep_damaged { Damage::Keep } else { Damage::Refuse })
    }

    /// How this format is written.
    pub(super) fn output(&self, format: Format) -> Output {
        match (format, self.small) {
            (Format::Png, false) => Png::new().into(),
            (Format::Png, true) => Png::new().small().into(),
            (Format::WebP, false) => WebP::quality(self.quality).into(),
            (Format::WebP, true) => WebP::quality(self.quality).small().into(),
            (_, false) => Jpeg::quality(self.quality).into(),
            (_, true) => Jpeg::quality(self.quality).small().into(),
        }
    }
}

fn side() -> impl TypedValueParser<Value = u32> {
    value_parser!(u32).range(1..=i64::from(MOST_ASKED_PIXELS))
}

fn fit() -> impl TypedValueParser<Value = Fit> {
    words(&FITS)
}

fn format() -> impl TypedValueParser<Value = Asked> {
    words(&FORMATS)
}

fn rotate() -> impl TypedValueParser<Value = Rotate> {
    words(&TURNS)
}

/// One of a few words.
fn words<T: Copy + Send + Sync + 'static>(choices: &'static [(&'static str, T)]) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(choices.iter().map(|(word, _)| *word)).try_map(|said| {
        let found = choices.iter().find(|(word, _)| *word == said);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| std::io::Error::other("no such word"))
    })
}

fn ratio(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(ratio) if (0.1..=8.0).contains(&ratio) => Ok(ratio),
        _ => Err("it must be a number from 0.1 to 8".into()),
    }
}

fn background(text: &str) -> Result<Background, String> {
    colour(text).ok_or_else(|| "write a colour such as ff8800, f80, white or black".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        image: ImageArguments,
    }

    fn wish(line: &str) -> Transform {
        let words = ["image", "in", "out"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().image.wish.transform()
    }

    #[test]
    fn nothing_asked_is_what_the_server_makes() {
        assert_eq!(wish(""), Transform::default());
    }

    #[test]
    fn the_words_are_those_of_the_query() {
        let sized = |size| Transform::default().size(size);
        for (line, expected) in [
            ("-w 300", sized(Size::width(300))),
            ("-h 300", sized(Size::height(300))),
            ("-w 9 -h 8 --fit cover", sized(Size::cover(9, 8))),
            ("--original-size", sized(Size::original())),
            ("--dpr 2", Transform::default().dpr(2.0)),
            ("--bg f80", Transform::default().background(Background { red: 255, green: 136, blue: 0 })),
            ("--rotate 270 --flip --flop", Transform::default().rotate(Rotate::ThreeQuarters).flip().flop()),
            ("--enlarge", Transform::default().enlarge(Enlarge::Allow)),
        ] {
            assert_eq!(wish(line), expected, "{line}");
        }
    }
}

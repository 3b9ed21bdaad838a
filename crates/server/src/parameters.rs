//! The parameters of an image request. An unknown, repeated or contradictory one is refused by name, never ignored.

use crate::accept::Accept;
use crate::problem::{Code, Problem};
use crate::query::Pairs;
use phalanx::image::{Background, Fit, Format, Jpeg, Output, Png, Rotate, Size, Transform, WebP};

/// All names, with their aliases, for the answer to an unknown one.
const NAMES: &str =
    "w (width), h (height), fit, q (quality), format (type, f), small, dpr, bg, rotate, flip, flop, download, store";
/// Width when neither side is asked for, in pixels.
const DEFAULT_WIDTH: u32 = 800;
/// Quality when none is asked for.
const DEFAULT_QUALITY: u8 = 80;

/// What was asked for, checked as far as possible without the picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameters {
    transform: Transform,
    quality: u8,
    format: Asked,
    /// Fewer bytes for more time.
    small: bool,
    /// What the answer should be, if it was said.
    pub(crate) answer: Option<Answer>,
}

/// The output format that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// `format` was not given: JPEG if `Accept` has it.
    Nothing,
    /// `format=auto`: the best that `Accept` names.
    Best,
    /// One format, whatever `Accept` says.
    This(Format),
}

/// The two forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The picture itself.
    Picture,
    /// JSON with the path of the stored picture.
    Stored,
}

/// Whether a source has transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transparency {
    /// None, or not known.
    Opaque,
    /// Some pixels may be see-through.
    Transparent,
}

impl Parameters {
    /// Checks all pairs, wherever they came from (query, fields of the form).
    pub(crate) fn new(pairs: &Pairs) -> Result<Self, Problem> {
        let mut seen: Vec<(&'static str, &str)> = Vec::new();
        let (mut width, mut height, mut fit) = (None, None, Fit::default());
        let mut transform = Transform::default();
        let (mut quality, mut format, mut small, mut answer) = (DEFAULT_QUALITY, Asked::Nothing, false, None);
        for (name, value) in pairs {
            let canonical = canonical(name).ok_or_else(|| {
                Problem::parameter(name, format!("the parameter {name:?} is unknown; the names are {NAMES}"))
            })?;
            if let Some((_, before)) = seen.iter().find(|(known, _)| *known == canonical) {
                let detail = match before == name {
                    true => format!("the parameter {name:?} is given more than once"),
                    false => format!("the parameters {before:?} and {name:?} mean the same; give one of them"),
                };
                return Err(Problem::parameter(name, detail));
            }
            seen.push((canonical, name));
            match canonical {
                "w" => width = Some(number(name, value, 1..=MOST_ASKED_PIXELS)?),
                "h" => height = Some(number(name, value, 1..=MOST_ASKED_PIXELS)?),
                "fit" => fit = one_of(name, value, &FITS)?,
                "q" => quality = number(name, value, 1..=100)? as u8,
                "small" => small = switch(name, value)?,
                "format" => format = one_of(name, value, &FORMATS)?,
                "dpr" => match value.parse::<f32>() {
                    Ok(ratio) if (0.1..=8.0).contains(&ratio) => transform = transform.dpr(ratio),
                    _ => return Err(wrong(name, value, "a number from 0.1 to 8")),
                },
                "bg" => {
                    transform = transform.background(
                        colour(value)
                            .ok_or_else(|| wrong(name, value, "a colour such as ff8800, f80, white or black"))?,
                    );
                }
                "rotate" => {
                    transform = transform.rotate(
                        Rotate::from_degrees(number(name, value, 0..=359)?)
                            .map_err(|_| wrong(name, value, "0, 90, 180 or 270"))?,
                    );
                }
                "flip" if switch(name, value)? => transform = transform.flip(),
                "flop" if switch(name, value)? => transform = transform.flop(),
                "download" | "store" if switch(name, value)? => {
                    let wish = if canonical == "store" { Answer::Stored } else { Answer::Picture };
                    if answer.is_some_and(|other| other != wish) {
                        return Err(Problem::parameter(name, "download=1 and store=1 contradict each other; give one"));
                    }
                    answer = Some(wish);
                }
                _switched_off => {}
            }
        }
        if width.is_none() && height.is_none() {
            width = Some(DEFAULT_WIDTH);
        }
        Ok(Parameters { transform: transform.size(Size::sides(width, height, fit)), quality, format, small, answer })
    }

    /// The whole wish, once it is known what the client takes and what the source is.
    pub(crate) fn transform(&self, accept: &Accept, source: Transparency) -> Result<Transform, Problem> {
        let chosen = match self.format {
            Asked::This(format) => format,
            Asked::Best => best(accept, source, accept.named(Format::WebP.media_type()).is_some())?,
            Asked::Nothing => best(accept, Transparency::Opaque, false)?,
        };
        Ok(self.transform.clone().output(self.output(chosen)))
    }

    fn output(&self, format: Format) -> Output {
        let (png, webp, jpeg) = (Png::new(), WebP::quality(self.quality), Jpeg::quality(self.quality));
        match (format, self.small) {
            (Format::Png, false) => png.into(),
            (Format::Png, true) => png.small().into(),
            (Format::WebP, false) => webp.into(),
            (Format::WebP, true) => webp.small().into(),
            (_, false) => jpeg.into(),
            (_, true) => jpeg.small().into(),
        }
    }
}

/// The largest side that can be typed, in pixels; the limit of the output is checked against the whole plan.
pub(crate) const MOST_ASKED_PIXELS: u32 = 16_384;

pub(crate) const FITS: [(&str, Fit); 5] = [
    ("cover", Fit::Cover),
    ("contain", Fit::Contain),
    ("fill", Fit::Fill),
    ("inside", Fit::Inside),
    ("outside", Fit::Outside),
];

const FORMATS: [(&str, Asked); 5] = [
    ("auto", Asked::Best),
    ("jpeg", Asked::This(Format::Jpeg)),
    ("jpg", Asked::This(Format::Jpeg)),
    ("png", Asked::This(Format::Png)),
    ("webp", Asked::This(Format::WebP)),
];

fn canonical(name: &str) -> Option<&'static str> {
    Some(match name {
        "w" | "width" => "w",
        "h" | "height" => "h",
        "q" | "quality" => "q",
        "format" | "type" | "f" => "format",
        "fit" => "fit",
        "small" => "small",
        "dpr" => "dpr",
        "bg" => "bg",
        "rotate" => "rotate",
        "flip" => "flip",
        "flop" => "flop",
        "download" => "download",
        "store" => "store",
        _ => return None,
    })
}

/// The most wanted format that we can make; among equally wanted ones the best suited.
fn best(accept: &Accept, source: Transparency, webp_first: bool) -> Result<Format, Problem> {
    let mut order = match source {
        Transparency::Opaque => vec![Format::Jpeg, Format::Png, Format::WebP],
        Transparency::Transparent => vec![Format::Png, Format::WebP, Format::Jpeg],
    };
    if webp_first {
        order.sort_by_key(|&format| format != Format::WebP);
    }
    // The first of the greatest weight.
    let weight = |format: Format| accept.weight(format.media_type());
    let wanted = order.into_iter().rev().max_by_key(|&format| weight(format)).filter(|&format| weight(format) > 0);
    wanted.ok_or_else(|| {
        Problem::new(
            Code::NotAcceptable,
            "Accept has none of image/jpeg, image/png and image/webp; accept one of them, or name it with format=",
        )
    })
}

fn wrong(name: &str, value: &str, expected: &str) -> Problem {
    let shown: String = value.chars().take(40).collect();
    Problem::parameter(name, format!("the parameter {name:?} is {shown:?} and must be {expected}"))
}

pub(crate) fn number(name: &str, value: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, Problem> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    match value.parse() {
        Ok(number) if digits && range.contains(&number) => Ok(number),
        _ => Err(wrong(name, value, &format!("a whole number from {} to {}", range.start(), range.end()))),
    }
}

pub(crate) fn one_of<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Problem> {
    let found = choices.iter().find(|(word, _)| *word == value);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        wrong(name, value, &format!("one of {}", words.join(", ")))
    })
}

pub(crate) fn switch(name: &str, value: &str) -> Result<bool, Problem> {
    one_of(name, value, &[("1", true), ("true", true), ("", true), ("0", false), ("false", false)])
}

/// `ff8800`, `f80`, either with `#`, or the two names that need no table.
pub(crate) fn colour(text: &str) -> Option<Background> {
    match text {
        "white" => return Some(Background::WHITE),
        "black" => return Some(Background::BLACK),
        _ => {}
    }
    let digits: Option<Vec<u8>> = text
        .strip_prefix('#')
        .unwrap_or(text)
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    match digits?[..] {
        [r, g, b] => Some(Background { red: r * 17, green: g * 17, blue: b * 17 }),
        [r, r2, g, g2, b, b2] => Some(Background { red: r * 16 + r2, green: g * 16 + g2, blue: b * 16 + b2 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::pairs;
    use http::header::{ACCEPT, HeaderValue};

    fn parse(query: &str) -> Result<Parameters, Problem> {
        Parameters::new(&pairs(Some(query)).unwrap())
    }

    fn output(query: &str, accept: &str, source: Transparency) -> Result<Output, Problem> {
        let mut headers = http::HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        }
        let wish = parse(query)?.transform(&Accept::new(&headers), source)?;
        // Transform has no getter for its output: find it by equality.
        let quality = parse(query)?.quality;
        let all: [Output; 3] = [Jpeg::quality(quality).into(), Png::new().into(), WebP::quality(quality).into()];
        Ok(all.into_iter().find(|&o| wish.clone().output(o) == wish).unwrap())
    }

    #[test]
    fn nothing_asked_is_the_default_transform() {
        let none = parse("").unwrap();
        assert_eq!(
            none.transform(&Accept::new(&http::HeaderMap::new()), Transparency::Opaque).unwrap(),
            Transform::default()
        );
        assert_eq!(none.answer, None);
    }

    #[test]
    fn every_parameter_has_its_effect_under_each_of_its_names() {
        let wish = |query: &str| {
            parse(query).unwrap().transform(&Accept::new(&http::HeaderMap::new()), Transparency::Opaque).unwrap()
        };
        let sized = |size| Transform::default().size(size);
        let orange = Background { red: 255, green: 136, blue: 0 };
        for (queries, expected) in [
            (&["w=300", "width=300"][..], sized(Size::width(300))),
            (&["h=300", "height=300"], sized(Size::height(300))),
            (&["w=9&h=8&fit=cover"], sized(Size::cover(9, 8))),
            (&["q=50", "quality=50"], Transform::default().output(Jpeg::quality(50))),
            (&["format=png", "type=png", "f=png"], Transform::default().output(Png::new())),
            (&["small", "small=1", "small=true"], Transform::default().output(Jpeg::quality(80).small())),
            (&["q=60&format=webp&small=1"], Transform::default().output(WebP::quality(60).small())),
            (&["dpr=2", "dpr=2.0"], Transform::default().dpr(2.0)),
            (&["bg=ff8800", "bg=%23f80", "bg=F80"], Transform::default().background(orange)),
            (&["rotate=270"], Transform::default().rotate(Rotate::ThreeQuarters)),
            (&["flip", "flip=1", "flip=true"], Transform::default().flip()),
            (&["flop=1&flip=0"], Transform::default().flop()),
        ] {
            for query in queries {
                assert_eq!(wish(query), expected, "{query}");
            }
        }
        assert_eq!(parse("download=1").unwrap().answer, Some(Answer::Picture));
        assert_eq!(parse("store=1&download=0").unwrap().answer, Some(Answer::Stored));
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        for (query, complaint) in [
            ("widht=3", "\"widht\" is unknown; the names are w (width)"),
            ("w=3&w=3", "\"w\" is given more than once"),
            ("w=3&width=4", "\"w\" and \"width\" mean the same"),
            ("f=png&type=jpeg", "\"f\" and \"type\" mean the same"),
            ("store=1&download=1", "contradict"),
            ("w=0", "\"w\" is \"0\" and must be a whole number from 1 to 16384"),
            ("w=+3", "must be a whole number"),
            ("w=99999999999", "must be a whole number"),
            ("w=", "must be a whole number"),
            ("q=101", "1 to 100"),
            ("fit=stretch", "cover, contain, fill, inside, outside"),
            ("format=gif", "auto, jpeg, jpg, png, webp"),
            ("dpr=NaN", "0.1 to 8"),
            ("dpr=9", "0.1 to 8"),
            ("bg=reddish", "a colour"),
            ("bg=ff88", "a colour"),
            ("rotate=45", "0, 90, 180 or 270"),
            ("flip=maybe", "1, true"),
            ("small=very", "1, true"),
        ] {
            let problem = parse(query).unwrap_err();
            assert_eq!(problem.code(), Code::BadParameter);
            assert!(problem.detail().contains(complaint), "{query}: {}", problem.detail());
        }
    }

    #[test]
    fn accept_chooses_the_format_only_where_none_is_named() {
        use Transparency::{Opaque, Transparent};
        let (jpeg, png, webp): (Output, Output, Output) =
            (Jpeg::default().into(), Png::new().into(), WebP::default().into());
        let browser = "image/avif,image/webp,image/*,*/*;q=0.8";
        for (query, accept, source, expected) in [
            ("", "", Opaque, jpeg),
            ("", browser, Transparent, jpeg),
            ("", "image/png", Opaque, png),
            ("format=auto", "", Opaque, jpeg),
            ("format=auto", "*/*", Transparent, png),
            ("format=auto", browser, Opaque, webp),
            ("format=auto", "image/jpeg, image/webp;q=0.5", Opaque, jpeg),
            ("format=auto", "image/webp;q=0, */*", Opaque, jpeg),
            ("format=png", "image/jpeg", Opaque, png),
        ] {
            assert_eq!(output(query, accept, source).unwrap(), expected, "{query} {accept}");
        }
        assert_eq!(output("format=auto", "text/html", Opaque).unwrap_err().code(), Code::NotAcceptable);
    }
}

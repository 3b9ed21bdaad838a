//! The profile as a flame graph: an SVG without scripts.
//!
//! Each box is a function, as wide as what lives of what it and those above it allocated; below it is who called it. Boxes of one
//! function beside each other under the same caller are one. The whole name and the bytes are told on hover.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::HeapProfile;

/// Of the picture, in pixels.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const TITLE: f64 = 34.0;
const ROW: f64 = 17.0;
/// What is narrower is left out: nobody could see it.
const NARROWEST: f64 = 0.5;
/// Of a character in the font, on average; a box that has no room for three has no text.
const CHARACTER: f64 = 7.1;
const LEAST_TEXT: usize = 3;

/// A function under its callers.
#[derive(Default)]
struct Node<'a> {
    bytes: u64,
    objects: u64,
    callees: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn add(&mut self, bytes: u64, objects: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.objects = self.objects.saturating_add(objects);
    }

    fn add_stack(&mut self, outermost_first: impl Iterator<Item = &'a str>, bytes: u64, objects: u64) {
        self.add(bytes, objects);
        let mut node = self;
        for function in outermost_first {
            node = node.callees.entry(function).or_default();
            node.add(bytes, objects);
        }
    }

    /// Rows that can be seen, this one included.
    fn rows(&self, scale: f64) -> usize {
        let seen = self.callees.values().filter(|callee| callee.bytes as f64 * scale >= NARROWEST);
        1 + seen.map(|callee| callee.rows(scale)).max().unwrap_or(0)
    }
}

impl HeapProfile {
    /// The profile as a picture: an SVG of 1200 pixels width, without scripts. The title begins with `title`.
    pub fn to_flame_graph(&self, title: &str) -> Vec<u8> {
        let mut root = Node::default();
        for stack in &self.stacks {
            let innermost_first = stack.places.iter().flat_map(|place| &self.places[*place].lines);
            let functions: Vec<&str> = innermost_first.map(|line| line.function.as_str()).collect();
            root.add_stack(functions.into_iter().rev(), stack.bytes, stack.objects);
        }
        let title = format!("{title}: {} live, in {} samples", Size(root.bytes), self.samples());
        let mut picture = String::new();
        // A string takes all that is written.
        let _ = draw(&mut picture, &root, &title);
        picture.into_bytes()
    }
}

fn draw(out: &mut String, root: &Node<'_>, title: &str) -> fmt::Result {
    let scale = (WIDTH - 2.0 * MARGIN) / root.bytes.max(1) as f64;
    let height = TITLE + MARGIN + ROW * root.rows(scale) as f64;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"ui-monospace,DejaVu Sans Mono,monospace\" font-size=\"11.5\">"
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#fffdf8\"/>")?;
    writeln!(out, "<text x=\"{MARGIN}\" y=\"22\" font-size=\"15\" fill=\"#222\">{}</text>", Escaped(title))?;
    let mut canvas = Canvas { out, scale, total: root.bytes.max(1) };
    canvas.boxes("all", root, MARGIN, height - MARGIN - ROW)?;
    writeln!(out, "</svg>")
}

struct Canvas<'a> {
    out: &'a mut String,
    /// Pixels for a byte.
    scale: f64,
    total: u64,
}

impl Canvas<'_> {
    /// A function and, above it, what it calls.
    fn boxes(&mut self, function: &str, node: &Node<'_>, x: f64, y: f64) -> fmt::Result {
        let width = node.bytes as f64 * self.scale;
        if width < NARROWEST {
            return Ok(());
        }
        let share = node.bytes as f64 / self.total as f64 * 100.0;
        let (name, size, objects) = (Escaped(function), Size(node.bytes), node.objects);
        writeln!(
            self.out,
            "<g><title>{name}: {size}, {share:.1} %, about {objects} objects</title><rect x=\"{x:.1}\" y=\"{y:.0}\" \
             width=\"{:.1}\" height=\"{:.0}\" rx=\"1.5\" fill=\"{}\"/>",
            (width - 0.4).max(0.3),
            ROW - 1.0,
            colour(function)
        )?;
        let room = ((width - 6.0) / CHARACTER) as usize;
        if room >= LEAST_TEXT {
            let text = clipped(function, room);
            writeln!(self.out, "<text x=\"{:.1}\" y=\"{:.0}\">{}</text>", x + 3.0, y + 12.0, Escaped(&text))?;
        }
        writeln!(self.out, "</g>")?;
        let mut left = x;
        for (function, callee) in &node.callees {
            self.boxes(function, callee, left, y - ROW)?;
            left += callee.bytes as f64 * self.scale;
        }
        Ok(())
    }
}

/// The beginning of a text that is too long.
fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// The same for a function wherever it stands: warm, and light enough for black text.
fn colour(function: &str) -> String {
    let hash = function.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    format!("hsl({},{}%,{}%)", 14 + hash % 38, 78 + hash / 38 % 15, 66 + hash / 570 % 10)
}

/// Text that means nothing to a reader of XML. What XML cannot hold becomes a question mark.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                character if character.is_control() => f.write_char('?')?,
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Bytes as a person reads them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1024 => write!(f, "{} B", self.0),
            1024..0x10_0000 => write!(f, "{:.1} KiB", bytes / 1024.0),
            0x10_0000..0x4000_0000 => write!(f, "{:.1} MiB", bytes / f64::from(1 << 20)),
            _ => write!(f, "{:.2} GiB", bytes / f64::from(1 << 30)),
        }
    }
}

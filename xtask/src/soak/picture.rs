//! The curve of a soak as an SVG: memory of each process over time, with marks for what was done to them.
//!
//! Colours are such that it can be read on a white page and on a black one.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::curve::{Line, Recorded};

const WIDTH: f64 = 1100.0;
const HEIGHT: f64 = 560.0;
/// Room for the names of the marks.
const LEFT: f64 = 130.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 105.0;
/// Of texts and axes.
const GREY: &str = "#808890";
/// Steps of an axis: as many as fit, of one of these sizes.
const STEPS: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
const MOST_STEPS: f64 = 10.0;

/// Who has which colour, in the order of the legend.
const COLOURS: [(&str, &str); 7] = [
    ("primary", "#e4572e"),
    ("front", "#a05bd6"),
    ("queue", "#c98a00"),
    ("worker 0", "#1789d6"),
    ("worker 1", "#74b9e8"),
    ("job process 0", "#2a9d57"),
    ("job process 1", "#8fcf9f"),
];
/// Everybody else: workers that came and went as the cluster was scaled.
const OTHERS: (&str, &str) = ("others", "#a8a8a8");
/// What stands below the axis, each kind in a row of its own.
const MARKS: [(&str, &str, &str); 5] = [
    ("upgrade", "upgrades", "#e4572e"),
    ("reload", "reloads", "#1789d6"),
    ("kill worker", "workers killed", "#d62246"),
    ("kill job process", "job processes killed", "#2a9d57"),
    ("kill ", "front or queue killed", "#a05bd6"),
];
const ROW: f64 = 11.0;

/// The whole file.
pub(crate) fn draw(recorded: &Recorded) -> String {
    let highest = recorded.lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(1.0, f64::max);
    let step = step_for(highest * 1.05);
    let scale = Scale { seconds: recorded.seconds.max(1.0), mebibytes: (highest * 1.05 / step).ceil() * step };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"{GREY}\">\n"
    );
    let minutes = recorded.seconds / 60.0;
    text(
        &mut svg,
        LEFT,
        22.0,
        "start",
        "15",
        &format!("Resident memory of each process, {minutes:.0} minutes of soak"),
    );
    axes(&mut svg, &scale, step);
    legend(&mut svg, &recorded.lines);
    // Those that are many and short first: nobody is hidden behind them.
    for (who, colour) in std::iter::once(OTHERS).chain(COLOURS.into_iter().rev()) {
        let width = if who == "primary" || who == "worker 0" { 1.8 } else { 1.1 };
        for line in recorded.lines.iter().filter(|line| colour_of(&line.who) == colour) {
            path(&mut svg, &scale, line, colour, width);
        }
    }
    marks(&mut svg, &scale, &recorded.blows);
    svg.push_str("</svg>\n");
    svg
}

/// From seconds and MiB to places on the page.
struct Scale {
    seconds: f64,
    mebibytes: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.seconds * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, mebibytes: f64) -> f64 {
        HEIGHT - BOTTOM - mebibytes / self.mebibytes * (HEIGHT - TOP - BOTTOM)
    }
}

fn step_for(highest: f64) -> f64 {
    STEPS.into_iter().find(|step| highest / step <= MOST_STEPS).unwrap_or(500.0)
}

fn colour_of(who: &str) -> &'static str {
    COLOURS.iter().find(|(name, _)| *name == who).map_or(OTHERS.1, |(_, colour)| *colour)
}

// Writing to a string cannot fail.
fn text(svg: &mut String, x: f64, y: f64, anchor: &str, size: &str, words: &str) {
    let _ =
        writeln!(svg, "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{words}</text>");
}

fn axes(svg: &mut String, scale: &Scale, step: f64) {
    let mut height = 0.0;
    while height <= scale.mebibytes + 0.001 {
        let y = scale.y(height);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{:.0}\" stroke=\"{GREY}\" stroke-opacity=\"0.25\"/>",
            WIDTH - RIGHT
        );
        text(svg, LEFT - 8.0, y + 4.0, "end", "12", &format!("{height}"));
        height += step;
    }
    text(svg, LEFT - 8.0, TOP - 12.0, "end", "12", "MiB");
    let minutes = scale.seconds / 60.0;
    let step = step_for(minutes);
    let mut at = 0.0;
    while at <= minutes {
        let x = scale.x(at * 60.0);
        let bottom = HEIGHT - BOTTOM;
        let _ = writeln!(svg, "<path d=\"M{x:.1} {bottom}v5\" stroke=\"{GREY}\"/>");
        text(svg, x, bottom + 18.0, "middle", "12", &format!("{at}"));
        at += step;
    }
    text(svg, WIDTH - RIGHT, HEIGHT - BOTTOM + 32.0, "end", "12", "minutes");
}

fn legend(svg: &mut String, lines: &[Line]) {
    let there: BTreeSet<&str> = lines.iter().map(|line| colour_of(&line.who)).collect();
    let mut x = LEFT;
    for (who, colour) in COLOURS.into_iter().chain([OTHERS]).filter(|(_, colour)| there.contains(colour)) {
        let _ = writeln!(svg, "<path d=\"M{x:.0} 42h18\" stroke=\"{colour}\" stroke-width=\"3\"/>");
        text(svg, x + 23.0, 46.0, "start", "12", who);
        x += 45.0 + 6.7 * who.len() as f64;
    }
}

fn path(svg: &mut String, scale: &Scale, line: &Line, colour: &str, width: f64) {
    let mut points = line.points.iter().map(|(at, mebibytes)| (scale.x(*at), scale.y(*mebibytes)));
    let Some((x, y)) = points.next() else { return };
    let _ = write!(svg, "<path d=\"M{x:.1} {y:.1}");
    // A process that was seen once is a dot.
    let rest: Vec<(f64, f64)> = points.collect();
    if rest.is_empty() {
        let _ = write!(svg, "h0.1");
    }
    for (x, y) in rest {
        let _ = write!(svg, "L{x:.1} {y:.1}");
    }
    let _ = writeln!(
        svg,
        "\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
    );
}

fn marks(svg: &mut String, scale: &Scale, blows: &[(f64, String)]) {
    for (row, (_, words, colour)) in MARKS.into_iter().enumerate() {
        let y = HEIGHT - BOTTOM + 46.0 + row as f64 * ROW;
        text(svg, LEFT - 8.0, y + 4.0, "end", "10", words);
        let mut path = String::new();
        let kind = |words: &str| MARKS.iter().position(|(prefix, ..)| words.starts_with(prefix));
        for (at, _) in blows.iter().filter(|(_, words)| kind(words) == Some(row)) {
            let _ = write!(path, "M{:.1} {:.1}v7", scale.x(*at), y - 3.5);
        }
        if !path.is_empty() {
            let _ = writeln!(svg, "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_axes_a_legend_a_line_for_each_process_and_marks() {
        let line = |who: &str, height| Line { who: who.to_owned(), points: vec![(0.0, height), (60.0, height)] };
        let recorded = Recorded {
            lines: vec![line("primary", 8.0), line("worker 0", 20.0), line("worker 7", 30.0)],
            blows: vec![(10.0, "reload".into()), (20.0, "kill front".into())],
            seconds: 60.0,
        };
        let svg = draw(&recorded);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("fill=\"none\"").count(), 3);
        for words in ["MiB", "minutes", "worker 0", "others", "reloads"] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(svg.contains(COLOURS[0].1) && svg.contains(MARKS[4].2));
    }

    #[test]
    fn steps_of_an_axis_are_few() {
        for highest in [1.0, 9.0, 37.0, 160.0, 999.0] {
            assert!(highest / step_for(highest) <= MOST_STEPS);
        }
    }
}

//! The record of a soak as lines for a picture: one for each process, thinned so that it stays small.

use std::collections::BTreeMap;

/// Points of a line at most, where the life of a process is as long as the run.
const MOST_POINTS: f64 = 400.0;

/// One process over its life.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Such as `worker 0`.
    pub(crate) who: String,
    /// Seconds, and MiB of resident memory.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Everything in the picture.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) lines: Vec<Line>,
    /// When, and what was done.
    pub(crate) blows: Vec<(f64, String)>,
    pub(crate) seconds: f64,
}

/// Reads the CSV of `phalanx-soak`; a line that it does not know is left out.
pub(crate) fn read(csv: &str) -> Recorded {
    let mut recorded = Recorded::default();
    let mut lives: BTreeMap<(String, u32, String), Vec<(f64, f64)>> = BTreeMap::new();
    for line in csv.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let [at, what, place, pid, epoch, _, _, resident, .., words] = columns[..] else { continue };
        let Ok(at) = at.parse::<f64>() else { continue };
        recorded.seconds = recorded.seconds.max(at);
        match (what, pid.parse::<u32>(), resident.parse::<f64>()) {
            ("event", ..) => recorded.blows.push((at, words.to_owned())),
            (_, Ok(pid), Ok(kib)) => {
                let who = format!("{what} {place}").trim().to_owned();
                lives.entry((who, pid, epoch.to_owned())).or_default().push((at, kib / 1024.0));
            }
            _ => {}
        }
    }
    let step = recorded.seconds / MOST_POINTS;
    recorded.lines =
        lives.into_iter().map(|((who, _, _), points)| Line { who, points: thinned(&points, step) }).collect();
    recorded
}

/// The median of each piece of time.
fn thinned(points: &[(f64, f64)], step: f64) -> Vec<(f64, f64)> {
    let mut thin = Vec::new();
    let mut rest = points;
    while let Some((first, _)) = rest.first() {
        let count = rest.iter().take_while(|(at, _)| *at < first + step.max(0.001)).count();
        let (piece, others) = rest.split_at(count.max(1));
        let mut values: Vec<f64> = piece.iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        thin.push((piece[piece.len() / 2].0, values[values.len() / 2]));
        rest = others;
    }
    thin
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "head\n\
        0.0,primary,,1,0,0,0,8192,1,1,,9,3,\n\
        0.0,worker,1,2,0,0,0,2048,1,1,,9,3,\n\
        1.0,event,,,,,,,,,,,,kill worker\n\
        2.0,worker,1,3,0,0,1,4096,1,1,,9,3,\n\
        2.0,store,,,,,,77,,,,5,,\n\
        nonsense\n";

    #[test]
    fn each_process_is_a_line_of_its_own() {
        let recorded = read(CSV);
        let lines: Vec<(&str, usize)> =
            recorded.lines.iter().map(|line| (line.who.as_str(), line.points.len())).collect();
        assert_eq!(lines, [("primary", 1), ("worker 1", 1), ("worker 1", 1)]);
        assert_eq!(recorded.lines[0].points, [(0.0, 8.0)]);
        assert_eq!((recorded.blows.len(), recorded.seconds), (1, 2.0));
    }

    #[test]
    fn a_thinned_line_keeps_its_height() {
        let points: Vec<(f64, f64)> = (0..1000).map(|second| (f64::from(second), 10.0)).collect();
        let thin = thinned(&points, 10.0);
        assert!(thin.len() == 100 && thin.iter().all(|(_, value)| *value == 10.0));
    }
}

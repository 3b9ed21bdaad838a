//! Files that were cut, or in whose picture data a byte was changed: does a picture come of them where libjpeg-turbo makes one?

use phalanx_image::Scratch;
use phalanx_image::jpeg::{Damage, Decoder};

use super::tools::{Outcome, Tools};
use super::variants::Variant;

/// How many pieces of a file are left, and how many bytes are changed, one at a time.
const CUTS: usize = 5;
const CHANGES: usize = 6;
/// Of the variants every so many is enough: damage hits one kind of scan as the other.
const EVERY: usize = 9;
/// Larger ones take long and show nothing new.
const LARGEST_BYTES: usize = 64 * 1024;
/// Of the files of which libjpeg-turbo makes a picture, the share of which we make one too. Not all: where damage makes a marker of data, it
/// depends on the reader what that means. The reverse (a picture here and none there) is no fault.
pub(crate) const KEPT_AT_LEAST: f64 = 0.95;

const SOS: [u8; 2] = [0xFF, 0xDA];

/// What came of all damaged files: ours, then theirs.
#[derive(Default)]
pub(crate) struct Outcomes {
    counts: [[u32; 3]; 3],
    /// A picture there and none here.
    pub(crate) refused: Vec<String>,
}

impl Outcomes {
    /// Damages some of `variants` in every way.
    pub(crate) fn of(tools: &Tools, variants: &[Variant]) -> Result<Self, String> {
        let mut outcomes = Self::default();
        for variant in variants.iter().filter(|variant| variant.jpeg.len() <= LARGEST_BYTES).step_by(EVERY) {
            for (how, jpeg) in damaged(&variant.jpeg) {
                let (theirs, _) = tools.decode(&["-dct", "int"], &jpeg)?;
                outcomes.note(&format!("{}, {how}", variant.name), ours(&jpeg), theirs);
            }
        }
        Ok(outcomes)
    }

    fn note(&mut self, what: &str, ours: Outcome, theirs: Outcome) {
        self.counts[ours as usize][theirs as usize] += 1;
        if ours == Outcome::Refused && theirs != Outcome::Refused {
            self.refused.push(format!("{what}: refused here, a picture there"));
        }
    }

    /// The share of their pictures of which there is one here.
    pub(crate) fn share_kept(&self) -> f64 {
        let theirs: u32 = self.counts.iter().flat_map(|row| &row[..Outcome::Refused as usize]).sum();
        1.0 - self.refused.len() as f64 / f64::from(theirs.max(1))
    }

    pub(crate) fn print(&self) {
        println!("\n| damaged files: ours, theirs | whole | with a warning | refused |\n|---|---|---|---|");
        for (name, row) in ["whole", "with a warning", "refused"].into_iter().zip(self.counts) {
            println!("| {name} | {} | {} | {} |", row[0], row[1], row[2]);
        }
    }
}

fn ours(jpeg: &[u8]) -> Outcome {
    let decoded = Decoder::new(jpeg).and_then(|decoder| decoder.damage(Damage::Keep).decode(&mut Scratch::new()));
    match decoded {
        Err(_) => Outcome::Refused,
        Ok(planes) if planes.warnings().is_empty() => Outcome::Whole,
        Ok(_) => Outcome::Warned,
    }
}

/// What was done, and the file after it.
fn damaged(jpeg: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut made = Vec::new();
    for part in 1..=CUTS {
        let length = jpeg.len() * part / (CUTS + 1);
        made.push((format!("cut after {length} of {} bytes", jpeg.len()), jpeg[..length].to_vec()));
    }
    let Some(scan) = jpeg.windows(2).position(|bytes| bytes == SOS) else { return made };
    // Behind the longest scan header.
    let data = (scan + 16).min(jpeg.len());
    for change in 0..CHANGES.min(jpeg.len() - data) {
        let at = data + (jpeg.len() - data) * change / CHANGES;
        let mut other = jpeg.to_vec();
        other[at] ^= 0x55 << (change % 2);
        made.push((format!("byte {at} changed"), other));
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_picture_there_and_none_here_is_a_fault() {
        let mut outcomes = Outcomes::default();
        outcomes.note("one", Outcome::Whole, Outcome::Warned);
        outcomes.note("other", Outcome::Refused, Outcome::Refused);
        outcomes.note("third", Outcome::Warned, Outcome::Refused);
        assert_eq!((outcomes.refused.len(), outcomes.share_kept()), (0, 1.0));
        outcomes.note("fourth", Outcome::Refused, Outcome::Warned);
        assert_eq!((outcomes.refused.len(), outcomes.share_kept(), outcomes.counts[2]), (1, 0.5, [0, 1, 1]));
    }

    #[test]
    fn every_cut_is_shorter_and_every_change_is_in_the_data() {
        let file = pictures::photos::generated(64, 48, 80);
        let made = damaged(&file);
        assert_eq!(made.len(), CUTS + CHANGES);
        assert!(made[..CUTS].iter().all(|(_, cut)| cut.len() < file.len() && file.starts_with(cut)));
        assert!(made[CUTS..].iter().all(|(_, other)| other.len() == file.len() && *other != file));
    }
}

//! Pictures of every kind, as our own and others' encoders write them; JPEG files also with their segments in other orders.

use phalanx_fuzz::{decoder, picture};
use phalanx_image::Format;

#[path = "../../../crates/image/tests/pictures/mod.rs"]
mod pictures;

use pictures::{Jpeg, rgb, zoo::zoo};

/// Wishes that take different ways through the code: one of each for each file.
const WISHES: [[u8; 4]; 5] =
    [[10, 0, 0, 80], [0, 0, 0, 80], [20, 20, 1, 80], [30, 15, 2 | 16 | 128, 128], [200, 0, 8 | 32 | 64, 95]];

/// All files of the format, with several wishes each; what was rearranged with one.
pub fn of(format: Format) -> Vec<Vec<u8>> {
    let files = if format == Format::Jpeg { jpegs() } else { of_the_zoo(format) };
    let mut seeds: Vec<Vec<u8>> = files.iter().flat_map(|file| WISHES.map(|wish| picture::write(wish, file))).collect();
    if format == Format::Jpeg {
        let with_wish = |(file, wish): (Vec<u8>, _)| picture::write(wish, &file);
        seeds.extend(rearranged_jpegs().into_iter().zip(WISHES.into_iter().cycle()).map(with_wish));
    }
    seeds
}

/// JPEG files for the decoder alone, at several scales; what was rearranged at one.
pub fn for_the_decoder() -> Vec<Vec<u8>> {
    let scales = [(0, 0), (1, 0), (3, 1), (7, 7), (2, 4)];
    let jpegs = jpegs();
    let sound = jpegs.iter().flat_map(|file| scales.map(|(luma, chroma)| decoder::write(luma, chroma, file)));
    let rearranged = rearranged_jpegs().into_iter().zip(scales.into_iter().cycle());
    sound.chain(rearranged.map(|(file, (luma, chroma))| decoder::write(luma, chroma, &file))).collect()
}

fn of_the_zoo(format: Format) -> Vec<Vec<u8>> {
    zoo().into_iter().map(|(_, file)| file).filter(|file| Format::sniff(file) == Some(format)).collect()
}

/// JPEG files: of the zoo, and of all samplings.
pub fn jpegs() -> Vec<Vec<u8>> {
    use jpeg_encoder::SamplingFactor as Sampling;
    let mut files = of_the_zoo(Format::Jpeg);
    for sampling in
        [Sampling::F_2_2, Sampling::F_2_1, Sampling::F_1_2, Sampling::F_4_1, Sampling::F_1_4, Sampling::F_4_2]
    {
        for (progressive, restart) in [(false, 0), (false, 1), (true, 0), (true, 3)] {
            let jpeg = Jpeg { sampling, progressive, restart, ..Jpeg::default() };
            files.push(jpeg.encode(&rgb(37, 29), 37, 29));
        }
    }
    files
}

/// What becomes of the JPEG files of the zoo when somebody moves their segments about.
pub fn rearranged_jpegs() -> Vec<Vec<u8>> {
    of_the_zoo(Format::Jpeg).iter().flat_map(|file| rearranged(file)).collect()
}

/// The file without each of its segments, with each of them twice, with neighbours exchanged, with other parameters of each scan.
fn rearranged(file: &[u8]) -> Vec<Vec<u8>> {
    let parts = segments(file);
    let mut variants = Vec::new();
    for index in 1..parts.len() {
        let mut fewer = parts.clone();
        fewer.remove(index);
        variants.push(fewer.concat());
        let mut twice = parts.clone();
        twice.insert(index, parts[index]);
        variants.push(twice.concat());
        let mut exchanged = parts.clone();
        exchanged.swap(index, index - 1);
        variants.push(exchanged.concat());
        // The last three bytes of a scan's head: first and last coefficient, bits before and after.
        if parts[index].get(1) == Some(&0xDA) {
            let end = 2 + usize::from(u16::from_be_bytes([parts[index][2], parts[index][3]]));
            for band in [[0, 0, 0], [0, 0, 0x10], [1, 63, 0], [1, 63, 0x21], [5, 5, 0x02], [0, 63, 0x0F]] {
                let mut scan = parts[index].to_vec();
                scan[end - 3..end].copy_from_slice(&band);
                let mut changed: Vec<&[u8]> = parts.clone();
                changed[index] = &scan;
                variants.push(changed.concat());
            }
        }
    }
    variants
}

/// The file cut before each marker; entropy-coded data stays with the head of its scan.
fn segments(file: &[u8]) -> Vec<&[u8]> {
    let mut cuts = vec![0];
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = file.get(at..at + 4) {
        cuts.push(at);
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        if marker == 0xDA {
            let is_end = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xD0..=0xD7);
            at += file[at..].windows(2).position(is_end).unwrap_or(file.len() - at);
        }
    }
    cuts.push(at.min(file.len()));
    cuts.push(file.len());
    cuts.windows(2).map(|cut| &file[cut[0]..cut[1]]).collect()
}

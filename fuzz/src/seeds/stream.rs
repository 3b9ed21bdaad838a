//! gzip and zstd, as we write them and as others do; age, and orders of its pieces.

use std::io::Write;

use phalanx_fuzz::{Carried, Script, Step, sealed};
use phalanx_stream::{Chunk, Stage, encrypt, gzip, through, zstd};

/// The smallest, so that a small input has several.
const BLOCK_BYTES: usize = 16 << 10;

pub fn gzip_members() -> Vec<Vec<u8>> {
    let zlib = |bytes: &[u8], builder: flate2::GzBuilder| {
        let mut encoder = builder.write(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(bytes).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    };
    let named = flate2::GzBuilder::new().filename("name").comment("comment").extra(*b"XY\x02\0hi");
    let mut bgzf = zlib(b"a block", flate2::GzBuilder::new().extra(*b"BC\x02\0\0\0"));
    bgzf[16] = (bgzf.len() - 1) as u8;
    let mut crc = b"\x1f\x8b\x08\x02\0\0\0\0\0\x03\x1d\x26".to_vec();
    crc.extend_from_slice(&zlib(b"head with crc", flate2::GzBuilder::new())[10..]);
    let ours = through_all(gzip().block(BLOCK_BYTES));
    let all = [ours[2].clone(), named_and_zeros(&zlib(b"hello", named)), bgzf.repeat(2), crc];
    scripts(ours.into_iter().chain(all))
}

fn named_and_zeros(member: &[u8]) -> Vec<u8> {
    [member, &[0; 8]].concat()
}

pub fn zstd_frames() -> Vec<Vec<u8>> {
    let stream = |bytes: &[u8]| {
        let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder");
        encoder.window_log(20).expect("a window");
        encoder.write_all(bytes).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    };
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
    let others = [stream(b"hello"), [skipped, stream(&vec![7; 3_000_000])].concat()];
    scripts(through_all(zstd().block(BLOCK_BYTES)).into_iter().chain(others))
}

pub fn age_files() -> Vec<Vec<u8>> {
    let to = sealed::identity().recipient();
    let file = |plain: &[u8], is_armored: bool| {
        let stage = if is_armored { encrypt(to.clone()).armor() } else { encrypt(to.clone()) };
        through(stage, vec![plain.to_vec()]).expect("memory takes all")
    };
    let orders = [vec![0, 1, 2, 3, 4, 5], vec![0, 1, 2, 3, 4], vec![0, 1, 3, 2, 4, 5], vec![5]];
    let files = [file(b"", false), file(b"hello", false), file(b"hello", true), file(&[7; 5000], false)];
    scripts(files.into_iter().chain(orders))
}

/// Nothing, a little, several blocks, and what cannot be packed.
fn through_all<S: Stage<In = Chunk, Out = Chunk> + Clone>(stage: S) -> Vec<Vec<u8>> {
    let text: Vec<u8> = b"to and fro ".iter().copied().cycle().take(3 * BLOCK_BYTES + 100).collect();
    let noise: Vec<u8> = (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let inputs = [Vec::new(), b"hello".to_vec(), text, noise];
    inputs.map(|input| through(stage.clone(), vec![input]).expect("packing does not fail")).into()
}

fn scripts(streams: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let steps = [5, 20, 1, 200].map(|length| Step { length, carried: Carried::Nothing });
    streams.map(|stream| Script::write(&steps, &stream)).collect()
}

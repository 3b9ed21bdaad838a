//! gzip there and back, in all pieces, damaged in all places, and with the programs that everybody has.

#![allow(clippy::unwrap_used)] // Also in the functions that the tests share.

mod pieces;
mod programs;

use std::io::Write;

use phalanx_stream::{Chunk, DecodeError, Error, Limits, Source, Stage, gunzip, gzip, pipeline, through};
use pieces::{cut, log_lines, noise};
use proptest::prelude::*;

const BLOCK: usize = 16 << 10;

fn pack(bytes: &[u8]) -> Vec<u8> {
    through(gzip().block(BLOCK), vec![bytes.to_vec()]).unwrap()
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    through(gunzip(), vec![bytes.to_vec()])
}

fn why(outcome: Result<Vec<u8>, Error>) -> DecodeError {
    let error = outcome.unwrap_err();
    error.cause_as::<DecodeError>().unwrap_or_else(|| panic!("{error} has another cause")).clone()
}

/// One member as zlib makes it, with these fields in its head.
fn member(bytes: &[u8], builder: flate2::GzBuilder) -> Vec<u8> {
    let mut encoder = builder.write(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn plain(bytes: &[u8]) -> Vec<u8> {
    member(bytes, flate2::GzBuilder::new())
}

#[test]
fn nothing_becomes_a_member_and_back() {
    let packed = pack(b"");
    assert_eq!(packed[..3], [0x1f, 0x8b, 8]);
    assert_eq!(unpack(&packed).unwrap(), b"");
    assert_eq!(why(unpack(b"")), DecodeError::Truncated { format: "gzip", offset: 0 });
}

#[test]
fn all_levels_and_threads_give_what_came() {
    let text = log_lines(100_000);
    let mut sizes = Vec::new();
    for level in 0..=12 {
        let packed = through(gzip().level(level).block(BLOCK).parallel(3), cut(&text, &[7, 1000, 60_000])).unwrap();
        assert_eq!(through(gunzip().parallel(3), cut(&packed, &[1, 999, 5000])).unwrap(), text, "level {level}");
        sizes.push(packed.len());
    }
    assert!(sizes[0] > text.len() && sizes[1] < text.len() / 2 && sizes[12] < sizes[1], "{sizes:?}");
}

#[test]
fn what_zlib_made_is_unpacked() {
    let text = log_lines(700_000);
    let named = flate2::GzBuilder::new().filename("a name").comment("a comment").extra(*b"XY\x02\0hi").mtime(7);
    let one = member(&text, named);
    for piece in [1 << 20, 100_000, 4096, 1] {
        assert_eq!(through(gunzip(), cut(&one, &[piece])).unwrap(), text);
    }
    let many = [one, plain(b""), plain(b"in the middle"), pack(&text[..100_000]), plain(&text)].concat();
    let all = [&text[..], b"in the middle", &text[..100_000], &text].concat();
    assert_eq!(unpack(&many).unwrap(), all);
}

#[test]
fn our_members_and_then_others() {
    let text = log_lines(50_000);
    let both = [pack(&text), plain(&text), pack(&text)].concat();
    for piece in [1 << 20, 5000, 3] {
        assert_eq!(through(gunzip(), cut(&both, &[piece])).unwrap(), text.repeat(3));
    }
}

#[test]
fn blocks_of_bgzf_are_unpacked() {
    let text = log_lines(200_000);
    let mut file = Vec::new();
    for block in text.chunks(60_000).chain([&b""[..]]) {
        let mut bytes = member(block, flate2::GzBuilder::new().extra(*b"BC\x02\0\0\0"));
        let size = u16::try_from(bytes.len() - 1).unwrap().to_le_bytes();
        bytes[16..18].copy_from_slice(&size);
        file.extend(bytes);
    }
    for piece in [1 << 20, 10_000, 17] {
        assert_eq!(through(gunzip(), cut(&file, &[piece])).unwrap(), text);
    }
}

#[test]
fn a_size_that_is_a_lie_is_not_believed() {
    let text = log_lines(40_000);
    let packed = pack(&text);
    for size in [0, 1, 33, 100, 2000, 5000, 1 << 20, 3 << 20, u32::MAX] {
        let mut lying = packed.clone();
        lying[16..20].copy_from_slice(&size.to_le_bytes());
        assert_eq!(unpack(&lying).unwrap(), text, "size {size}");
    }
}

#[test]
fn a_size_of_two_members_loses_none() {
    let same = |size: u16| {
        member(b"the same", flate2::GzBuilder::new().extra([&b"BC\x02\0"[..], &size.to_le_bytes()].concat()))
    };
    let bytes = same(0).len() as u16;
    let both = [same(2 * bytes - 1), same(bytes - 1), same(bytes - 1)].concat();
    assert_eq!(unpack(&both).unwrap(), b"the samethe samethe same");
}

#[test]
fn truncated_anywhere_it_is_an_error() {
    let text = log_lines(40_000);
    for packed in [pack(&text), plain(&text)] {
        for end in 0..packed.len() {
            assert_eq!(why(unpack(&packed[..end])), DecodeError::Truncated { format: "gzip", offset: end as u64 });
        }
    }
}

#[test]
fn changed_anywhere_it_is_an_error_or_the_same() {
    let text = log_lines(34_000);
    for mut packed in [pack(&text), plain(&text)] {
        for at in 0..packed.len() {
            let change = [1, 0x80, 0xff][at % 3];
            packed[at] ^= change;
            match unpack(&packed) {
                Ok(given) => assert!(given == text, "byte {at} changed by {change:#x} is not noticed"),
                Err(error) => assert!(error.cause_as::<DecodeError>().is_some(), "{error}"),
            }
            packed[at] ^= change;
        }
    }
}

#[test]
fn a_wrong_checksum_is_called_so() {
    for mut packed in [pack(b"hello"), plain(b"hello")] {
        let end = packed.len();
        for at in [end - 1, end - 8] {
            packed[at] ^= 1;
            assert_eq!(why(unpack(&packed)), DecodeError::Checksum { format: "gzip", offset: 0 });
            packed[at] ^= 1;
        }
    }
}

#[test]
fn zeros_behind_the_end_are_ignored_and_other_things_are_not() {
    for packed in [pack(b"hello"), plain(b"hello")] {
        assert_eq!(unpack(&[&packed[..], &[0; 1000]].concat()).unwrap(), b"hello");
        for behind in [&b"x"[..], b"\0\0x", b"\x1f\x8c", b"\0\x1f\x8b\x08"] {
            let outcome = why(unpack(&[&packed[..], behind].concat()));
            assert!(matches!(outcome, DecodeError::Malformed { .. }), "{behind:?}: {outcome:?}");
        }
    }
}

#[test]
fn what_is_no_gzip_is_called_so() {
    for other in [&b"hello"[..], b"\x1f\x8b\x07\0\0\0\0\0\0\x03", b"\x28\xb5\x2f\xfd\0\0\0", b"\x1f\x8b\x08\xe0\0\0\0"]
    {
        let outcome = why(unpack(other));
        assert!(matches!(outcome, DecodeError::Malformed { format: "gzip", offset: 0, .. }), "{other:?}: {outcome:?}");
    }
}

#[test]
fn a_bomb_stops_at_the_limits() {
    let zeros = vec![0; 20 << 20];
    for bomb in [through(gzip(), vec![zeros.clone()]).unwrap(), plain(&zeros)] {
        let run = |limits| through(gunzip().limit(limits), vec![bomb.clone()]);
        let bytes = Limits { most_bytes: Some(10 << 20), most_ratio: None };
        assert_eq!(why(run(bytes)), DecodeError::TooLarge { limit: 10 << 20 });
        let ratio = Limits { most_bytes: None, most_ratio: Some(100) };
        assert_eq!(why(run(ratio)), DecodeError::RatioTooHigh { limit: 100 });
        let enough = Limits { most_bytes: Some(20 << 20), most_ratio: Some(1100) };
        assert_eq!(run(enough).unwrap().len(), zeros.len());
    }
}

#[test]
fn the_programs_read_what_we_write() {
    let text = log_lines(3 << 20);
    let packed = through(gzip(), vec![text.clone()]).unwrap();
    for program in ["gzip", "pigz"] {
        for packed in [&packed, &pack(b""), &pack(&text[..40_000])] {
            let Some(given) = programs::run(program, &["-dc"], packed) else { continue };
            assert_eq!(given, unpack(packed).unwrap(), "{program}");
        }
    }
}

#[test]
fn we_read_what_the_programs_write() {
    let inputs = [log_lines(3 << 20), noise(300_000), Vec::new()];
    for (program, arguments) in [("gzip", "-6c"), ("gzip", "-1c"), ("pigz", "-6c"), ("pigz", "-9ic")] {
        for input in &inputs {
            let Some(packed) = programs::run(program, &[arguments], input) else { continue };
            assert!(unpack(&packed).unwrap() == *input, "{program} {arguments}");
        }
    }
}

#[test]
fn it_is_no_larger_than_what_pigz_makes() {
    let text = log_lines(8 << 20);
    let Some(pigz) = programs::run("pigz", &["-6c"], &text) else { return };
    let ours = through(gzip(), vec![text]).unwrap();
    assert!(ours.len() <= pigz.len(), "{} bytes, pigz {}", ours.len(), pigz.len());
}

fn same<S: Stage<In = Chunk, Out = Chunk>>(stage: S, pieces: Vec<Vec<u8>>) -> Vec<u8> {
    let chunks = pieces.into_iter().filter(|piece| !piece.is_empty()).map(Chunk::from);
    let given = pipeline(Source::iter(chunks)).threads(2).through(stage).through(gunzip()).collect_blocking().unwrap();
    given.iter().flat_map(|chunk| chunk.iter().copied()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn in_any_pieces_what_went_in_comes_out(
        length in 0_usize..200_000,
        seed in any::<u8>(),
        block in BLOCK..80_000,
        there in prop::collection::vec(1_usize..50_000, 1..6),
        back in prop::collection::vec(1_usize..20_000, 1..6),
    ) {
        let text = if seed % 2 == 0 { log_lines(length) } else { noise(length) };
        prop_assert!(same(gzip().block(block), cut(&text, &there)) == text);
        let packed = through(gzip().block(block), cut(&text, &there)).unwrap();
        prop_assert!(through(gunzip(), cut(&packed, &back)).unwrap() == text);
        prop_assert!(through(gunzip(), cut(&plain(&text), &back)).unwrap() == text);
    }
}

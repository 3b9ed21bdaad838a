//! zstd there and back, in all pieces, damaged in all places, and with the program that everybody has.

#![allow(clippy::unwrap_used)] // Also in the functions that the tests share.

mod pieces;
mod programs;

use std::io::Write;

use phalanx_stream::{DecodeError, Error, Limits, through, unzstd, zstd};
use pieces::{cut, log_lines, noise};
use proptest::prelude::*;

const BLOCK: usize = 16 << 10;
/// The end mark that shows whether the last of several frames is there comes behind the first.
const MARK_BYTES: usize = 12;

fn pack(bytes: &[u8]) -> Vec<u8> {
    through(zstd().block(BLOCK), vec![bytes.to_vec()]).unwrap()
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    through(unzstd(), vec![bytes.to_vec()])
}

fn why(outcome: Result<Vec<u8>, Error>) -> DecodeError {
    let error = outcome.unwrap_err();
    error.cause_as::<DecodeError>().unwrap_or_else(|| panic!("{error} has another cause")).clone()
}

/// One frame as a stream makes it: its size is not in its head.
fn stream(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn nothing_becomes_a_frame_and_back() {
    let packed = pack(b"");
    assert_eq!(packed[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    assert_eq!(unpack(&packed).unwrap(), b"");
    assert_eq!(why(unpack(b"")), DecodeError::Truncated { format: "zstd", offset: 0 });
}

#[test]
fn all_levels_and_threads_give_what_came() {
    let text = log_lines(100_000);
    for level in [-100, -1, 0, 1, 3, 9, 10, 19, 22, 100] {
        let packed = through(zstd().level(level).block(BLOCK).parallel(3), cut(&text, &[7, 1000, 60_000])).unwrap();
        assert!(packed.len() < text.len() / 2, "level {level}: {}", packed.len());
        assert_eq!(through(unzstd().parallel(3), cut(&packed, &[1, 999, 5000])).unwrap(), text, "level {level}");
    }
}

#[test]
fn what_a_stream_made_is_unpacked() {
    let text = log_lines(700_000);
    let one = stream(&text);
    for piece in [1 << 20, 100_000, 4096, 1] {
        assert_eq!(through(unzstd(), cut(&one, &[piece])).unwrap(), text);
    }
    let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], b"\x5f\x2a\x4d\x18\0\0\0\0"].concat();
    let many = [&skipped[..], &one, &stream(b""), &skipped, &stream(b"in the middle"), &pack(&text), &one].concat();
    let all = [&text[..], b"in the middle", &text, &text].concat();
    for piece in [1 << 20, 1000, 3] {
        assert_eq!(through(unzstd(), cut(&many, &[piece])).unwrap(), all);
    }
}

#[test]
fn a_large_frame_comes_in_parts() {
    let large = [log_lines(9 << 20), noise(9 << 20)].concat();
    let packed = [pack(&large[..50_000]), stream(&large), stream(b"end")].concat();
    for piece in [100_000, 1 << 20] {
        let given = through(unzstd(), cut(&packed, &[piece])).unwrap();
        assert!(given == [&large[..50_000], &large, b"end"].concat());
    }
    let mut damaged = stream(&large);
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(why(unpack(&damaged)), DecodeError::Checksum { format: "zstd", .. }));
    damaged.truncate(damaged.len() - 1);
    assert!(matches!(why(unpack(&damaged)), DecodeError::Truncated { format: "zstd", .. }));
}

#[test]
fn truncated_anywhere_it_is_an_error() {
    let text = log_lines(40_000);
    let first = pack(&text[..BLOCK]).len();
    for packed in [pack(&text), stream(&text)] {
        let end_of_first = first..first + MARK_BYTES;
        for end in 0..packed.len() {
            match unpack(&packed[..end]) {
                // The one place at which nothing shows it.
                Ok(given) => assert!(end == end_of_first.start && given == text[..BLOCK], "{end}"),
                outcome => assert_eq!(why(outcome), DecodeError::Truncated { format: "zstd", offset: end as u64 }),
            }
        }
    }
}

#[test]
fn changed_anywhere_it_is_an_error_or_the_same() {
    let text = log_lines(34_000);
    for mut packed in [pack(&text), stream(&text)] {
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
    let mut packed = [pack(b"hello"), pack(b"world")].concat();
    let end = packed.len();
    packed[end - 1] ^= 1;
    assert_eq!(why(unpack(&packed)), DecodeError::Checksum { format: "zstd", offset: end as u64 / 2 });
}

#[test]
fn what_is_no_zstd_is_called_so() {
    for other in [&b"hello"[..], b"\x1f\x8b\x08\0\0\0\0", b"\x28\xb5\x2f\xfe", b"\x28\xb5\x2f\xfd\x08"] {
        let outcome = why(unpack(other));
        assert!(matches!(outcome, DecodeError::Malformed { format: "zstd", offset: 0, .. }), "{other:?}: {outcome:?}");
    }
    let behind = why(unpack(&[&pack(b"hello")[..], b"x"].concat()));
    assert!(matches!(behind, DecodeError::Malformed { .. }), "{behind:?}");
}

#[test]
fn a_window_that_is_too_large_is_refused() {
    let mut packed = stream(&log_lines(3 << 20));
    assert_eq!((packed[4] & 0x20, packed[5] >> 3), (0, 21 - 10), "a window of 2 MiB");
    assert!(matches!(why(through(unzstd().window(20), vec![packed.clone()])), DecodeError::Malformed { .. }));
    assert!(through(unzstd().window(21), vec![packed.clone()]).is_ok());
    packed[5] = (28 - 10) << 3;
    let refused = why(unpack(&packed));
    assert!(refused.to_string().contains("a window of 268435456 bytes, 134217728 are allowed"), "{refused}");
}

#[test]
fn a_bomb_stops_at_the_limits() {
    let zeros = vec![0; 20 << 20];
    for bomb in [through(zstd(), vec![zeros.clone()]).unwrap(), stream(&zeros)] {
        let run = |limits| through(unzstd().limit(limits), vec![bomb.clone()]);
        let bytes = Limits { most_bytes: Some(10 << 20), most_ratio: None };
        assert_eq!(why(run(bytes)), DecodeError::TooLarge { limit: 10 << 20 });
        let ratio = Limits { most_bytes: None, most_ratio: Some(100) };
        assert_eq!(why(run(ratio)), DecodeError::RatioTooHigh { limit: 100 });
        let enough = Limits { most_bytes: Some(20 << 20), most_ratio: Some(100_000) };
        assert_eq!(run(enough).unwrap().len(), zeros.len());
    }
}

#[test]
fn the_program_reads_what_we_write() {
    let text = log_lines(5 << 20);
    let packed = through(zstd(), vec![text.clone()]).unwrap();
    for packed in [&packed, &pack(b""), &pack(&text[..40_000])] {
        let Some(given) = programs::run("zstd", &["-dcq"], packed) else { return };
        assert_eq!(given, unpack(packed).unwrap());
    }
}

#[test]
fn we_read_what_the_program_writes() {
    let inputs = [log_lines(12 << 20), noise(300_000), Vec::new()];
    for arguments in
        [&["-cq"][..], &["-cq", "-1", "-T2", "--no-check"], &["-cq", "-5", "--long=27"], &["-cq", "--fast"]]
    {
        for input in &inputs {
            let Some(packed) = programs::run("zstd", arguments, input) else { return };
            assert!(unpack(&packed).unwrap() == *input, "{arguments:?}");
        }
    }
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
        let packed = through(zstd().block(block), cut(&text, &there)).unwrap();
        prop_assert!(through(unzstd(), cut(&packed, &back)).unwrap() == text);
        prop_assert!(through(unzstd(), cut(&stream(&text), &back)).unwrap() == text);
    }
}

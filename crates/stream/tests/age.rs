//! Encryption in the age format: round trips, and everything that is wrong with a file or a key.
#![allow(clippy::unwrap_used)]

use phalanx_stream::{
    DecodeError, Error, Identities, Identity, KeyError, Recipient, Recipients, decrypt, encrypt, through,
};
use proptest::prelude::*;

/// The plain bytes of a piece.
const PIECE: usize = 64 << 10;
/// A passphrase that costs no second.
const CHEAP: u8 = 4;

fn sealed(identity: &Identity, plain: &[u8]) -> Vec<u8> {
    through(encrypt(identity.recipient()), vec![plain.to_vec()]).unwrap()
}

fn opened(identity: &Identity, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    through(decrypt(identity.clone()), vec![bytes.to_vec()]).map_err(|error| cause(&error))
}

fn cause(error: &Error) -> DecodeError {
    error.cause_as::<DecodeError>().unwrap_or_else(|| panic!("{error}")).clone()
}

/// Where the pieces begin.
fn payload_of(file: &[u8]) -> usize {
    let mac = file.windows(4).position(|bytes| bytes == b"--- ").unwrap();
    mac + file[mac..].iter().position(|byte| *byte == b'\n').unwrap() + 1 + 16
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

fn cut(bytes: &[u8], lengths: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).clamp(1, rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

#[test]
fn every_length_around_a_piece_comes_back() {
    let identity = Identity::generate();
    for length in [0, 1, 15, 16, 17, PIECE - 1, PIECE, PIECE + 1, 4 * PIECE - 1, 4 * PIECE, 4 * PIECE + 1, 9 * PIECE] {
        let plain = bytes(length);
        let file = sealed(&identity, &plain);
        let pieces = length.div_ceil(PIECE).max(1);
        assert_eq!(file.len() - payload_of(&file), length + 16 * pieces, "{length} bytes");
        assert!(opened(&identity, &file).unwrap() == plain, "{length} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_chunks_the_round_trip_is_the_same(
        length in 0..12 * PIECE,
        chunks_in in prop::collection::vec(1_usize..200_000, 1..6),
        chunks_out in prop::collection::vec(1_usize..200_000, 1..6),
        permits in 1_usize..4,
        is_armored: bool,
    ) {
        let identity = Identity::generate();
        let plain = bytes(length);
        let stage = encrypt(identity.recipient()).parallel(permits);
        let stage = if is_armored { stage.armor() } else { stage };
        let file = through(stage, cut(&plain, &chunks_in)).unwrap();
        prop_assert_eq!(is_armored, file.starts_with(b"-----BEGIN AGE"));
        let back = through(decrypt(identity).parallel(permits), cut(&file, &chunks_out)).unwrap();
        prop_assert!(back == plain);
    }
}

#[test]
fn byte_by_byte_it_is_the_same() {
    let identity = Identity::generate();
    for stage in [encrypt(identity.recipient()), encrypt(identity.recipient()).armor()] {
        let file = through(stage, cut(b"a few words", &[1])).unwrap();
        assert_eq!(through(decrypt(identity.clone()), cut(&file, &[1])).unwrap(), b"a few words");
    }
}

#[test]
fn a_change_of_any_byte_is_found() {
    let identity = Identity::generate();
    let file = sealed(&identity, b"every byte counts");
    let payload = payload_of(&file);
    for at in 0..file.len() {
        for change in [1, 0x80] {
            let mut changed = file.clone();
            changed[at] ^= change;
            let error = opened(&identity, &changed).expect_err(&format!("byte {at} of {} changed", file.len()));
            if at >= payload {
                assert_eq!(error, DecodeError::Tampered { format: "age", chunk: 0 }, "byte {at}");
            }
        }
    }
}

#[test]
fn a_change_of_any_byte_of_armor_is_found_or_is_none() {
    let identity = Identity::generate();
    let file = through(encrypt(identity.recipient()).armor(), vec![b"every byte counts".to_vec()]).unwrap();
    for at in 0..file.len() - 1 {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(opened(&identity, &changed).is_err(), "byte {at}: {}", String::from_utf8_lossy(&changed));
    }
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_found() {
    let identity = Identity::generate();
    let plain = bytes(4 * PIECE + 100);
    let file = sealed(&identity, &plain);
    let payload = payload_of(&file);
    let at_borders = (0..6).flat_map(|piece| {
        let border = payload + piece * (PIECE + 16);
        [border - 1, border, border + 1, border + 15, border + 16, border + 17]
    });
    for length in (0..payload + 40).chain(at_borders).filter(|length| *length < file.len()) {
        match opened(&identity, &file[..length]).expect_err(&format!("cut to {length} of {}", file.len())) {
            DecodeError::Truncated { offset, .. } => assert_eq!(offset, length as u64),
            // In the middle of a piece it cannot be told from a change.
            DecodeError::Tampered { chunk, .. } => assert_eq!(chunk, ((length - payload) / (PIECE + 16)) as u64),
            DecodeError::Malformed { what, .. } => assert_eq!(what, "its last chunk is empty"),
            other => panic!("cut to {length}: {other:?}"),
        }
    }
    let armored = through(encrypt(identity.recipient()).armor(), vec![plain]).unwrap();
    for length in (0..1000).chain([armored.len() / 2, armored.len() - 2]) {
        opened(&identity, &armored[..length]).expect_err("cut armor");
    }
}

#[test]
fn pieces_in_another_order_twice_or_left_out_are_found() {
    let identity = Identity::generate();
    let file = sealed(&identity, &bytes(6 * PIECE + 5));
    let (header, payload) = file.split_at(payload_of(&file));
    let pieces: Vec<&[u8]> = payload.chunks(PIECE + 16).collect();
    for order in [&[0, 2, 1, 3, 4, 5, 6][..], &[0, 1, 2, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5, 6], &[0, 1, 2, 3, 4, 6], &[6]]
    {
        let mut changed = header.to_vec();
        order.iter().for_each(|piece| changed.extend_from_slice(pieces[*piece]));
        let error = opened(&identity, &changed).unwrap_err();
        assert!(matches!(error, DecodeError::Tampered { .. }), "{order:?}: {error}");
    }
    let mut longer = file.clone();
    longer.extend_from_slice(b"something behind the end, longer than a tag");
    assert!(matches!(opened(&identity, &longer).unwrap_err(), DecodeError::Tampered { chunk: 6, .. }));
}

#[test]
fn what_is_no_age_file_is_refused_at_once() {
    let identity = Identity::generate();
    assert_eq!(opened(&identity, b"").unwrap_err(), DecodeError::Truncated { format: "age", offset: 0 });
    for other in [&b"hello"[..], b"\x1f\x8b\x08", b"age-encryption.org/v2\n", b"\0", b"-----BEGIN PGP MESSAGE-----\n"] {
        let error = opened(&identity, other).unwrap_err();
        assert!(matches!(error, DecodeError::Malformed { offset: 0, .. }), "{error}");
    }
}

#[test]
fn a_header_without_end_is_given_up() {
    let identity = Identity::generate();
    let mut endless = b"age-encryption.org/v1\n-> X25519 abc\n".to_vec();
    endless.resize(10 << 20, b'A');
    let error = opened(&identity, &endless).unwrap_err();
    assert!(error.to_string().contains("its header is larger than the limit of 262144 bytes"), "{error}");

    let file = sealed(&identity, b"hello");
    let stage = || decrypt(identity.clone()).header_limit(100);
    let error = cause(&through(stage(), vec![file]).unwrap_err());
    assert!(error.to_string().contains("limit of 100 bytes"), "{error}");
}

#[test]
fn a_thousand_recipients_are_read_in_one_go() {
    let identity = Identity::generate();
    let strangers = std::iter::repeat_with(|| Identity::generate().recipient()).take(999);
    let all = Recipients::new(strangers.chain([identity.recipient()])).unwrap();
    let file = through(encrypt(all), vec![b"hello all".to_vec()]).unwrap();
    assert_eq!(opened(&identity, &file).unwrap(), b"hello all");
}

#[test]
fn another_key_opens_nothing() {
    let file = sealed(&Identity::generate(), b"secret");
    let wrong = Err(DecodeError::WrongKey { format: "age" });
    assert_eq!(opened(&Identity::generate(), &file), wrong);
    let with = |identities: Identities| through(decrypt(identities), vec![file.clone()]).map_err(|error| cause(&error));
    assert_eq!(with(Identities::default()), wrong);
    assert_eq!(with(Identities::passphrase("no").most_work_factor(CHEAP)), wrong);
}

#[test]
fn a_passphrase_opens_what_it_sealed_and_a_wrong_one_does_not() {
    let to = Recipients::passphrase("correct horse").work_factor(CHEAP);
    let file = through(encrypt(to), vec![b"battery staple".to_vec()]).unwrap();
    let with = |identities: Identities| through(decrypt(identities), vec![file.clone()]).map_err(|error| cause(&error));
    let right = Identities::passphrase("correct horse");
    assert_eq!(with(right.clone()).unwrap(), b"battery staple");
    assert_eq!(with(Identities::passphrase("wrong").and(right.clone())).unwrap(), b"battery staple");
    assert_eq!(with(Identities::from(Identity::generate()).and(right.clone())).unwrap(), b"battery staple");
    let wrong = Err(DecodeError::WrongKey { format: "age" });
    assert_eq!(with(Identities::passphrase("Correct horse")), wrong);
    assert_eq!(with(Identity::generate().into()), wrong);
    let too_much = DecodeError::TooMuchWork { format: "age", asked: CHEAP, limit: CHEAP - 1 };
    assert_eq!(with(right.most_work_factor(CHEAP - 1)), Err(too_much));
}

#[test]
fn keys_are_text_both_ways_and_secrets_do_not_show() {
    let identity = Identity::generate();
    let same: Identity = identity.expose().parse().unwrap();
    assert_eq!(same.recipient(), identity.recipient());
    let recipient: Recipient = format!(" {}\n", identity.recipient()).parse().unwrap();
    assert_eq!(recipient, identity.recipient());
    let shown = format!("{identity:?} {:?}", Identities::from(identity.clone()).and(Identities::passphrase("word")));
    assert!(!shown.contains("AGE-SECRET") && !shown.contains("word"), "{shown}");

    let secret = identity.expose();
    for wrong in [&secret[..secret.len() - 1], &secret.replace("AGE", "AGF"), "ssh-ed25519 AAAA", "hello", ""] {
        let (as_identity, as_recipient) = (wrong.parse::<Identity>(), wrong.parse::<Recipient>());
        let told = format!("{} {}", as_identity.unwrap_err(), as_recipient.unwrap_err());
        assert!(!told.contains(&secret[20..40]), "{told}");
    }
    let told = secret.parse::<Recipient>().unwrap_err().to_string();
    assert!(told.contains("is not a recipient") && !told.contains(&secret[20..40]), "{told}");
}

#[test]
fn key_files_say_the_line_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.txt");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    let (first, second) = (Identity::generate(), Identity::generate());

    write(&format!("# created: today\n\n{}\r\n{}", first.expose(), second.expose()));
    let identities = Identities::file(&path).unwrap();
    let file = sealed(&second, b"to the second");
    assert_eq!(through(decrypt(identities), vec![file]).unwrap(), b"to the second");

    write(&format!("# friends\n{}\n", first.recipient()));
    let file = through(encrypt(Recipients::file(&path).unwrap()), vec![b"to the first".to_vec()]).unwrap();
    assert_eq!(opened(&first, &file).unwrap(), b"to the first");
    let error = Identities::file(&path).unwrap_err().to_string();
    assert!(error.contains("keys.txt line 2: not an identity"), "{error}");

    write("# nothing\n");
    assert!(matches!(Identities::file(&path), Err(KeyError::NoKey { .. })));
    assert!(matches!(Recipients::new([]), Err(KeyError::NoKey { .. })));
    let missing = Identities::file(folder.path().join("none")).unwrap_err().to_string();
    assert!(missing.contains("cannot read the key file") && missing.contains("/none: No such file"), "{missing}");
}

#[test]
fn a_key_file_is_made_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.txt");
    let identity = Identity::generate();
    identity.write_file(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let file = sealed(&identity, b"hello");
    assert_eq!(through(decrypt(Identities::file(&path).unwrap()), vec![file]).unwrap(), b"hello");
    let twice = Identity::generate().write_file(&path).unwrap_err().to_string();
    assert!(twice.contains("cannot create the key file"), "{twice}");
}

#[test]
fn two_files_of_the_same_content_have_nothing_in_common() {
    let identity = Identity::generate();
    let (one, other) = (sealed(&identity, &bytes(1000)), sealed(&identity, &bytes(1000)));
    assert_ne!(one[payload_of(&one) - 16..payload_of(&one)], other[payload_of(&other) - 16..payload_of(&other)]);
    assert_ne!(one[payload_of(&one)..], other[payload_of(&other)..]);
}

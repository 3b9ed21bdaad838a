//! What we encrypt, others decrypt, and the other way round: the crate `age` in its whole, and the programs `age` and `rage`.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::iter::once;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use age::secrecy::SecretString;
use phalanx_stream::{Identities, Identity, Recipients, decrypt, encrypt, through};

const PIECE: usize = 64 << 10;
const LENGTHS: [usize; 6] = [0, 1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE];

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

#[test]
fn the_crate_age_reads_ours() {
    let identity = Identity::generate();
    let theirs: age::x25519::Identity = identity.expose().parse().unwrap();
    for length in LENGTHS {
        let file = through(encrypt(identity.recipient()), vec![bytes(length)]).unwrap();
        let decryptor = age::Decryptor::new(&file[..]).unwrap();
        let mut plain = Vec::new();
        decryptor.decrypt(once(&theirs as &dyn age::Identity)).unwrap().read_to_end(&mut plain).unwrap();
        assert!(plain == bytes(length), "{length} bytes");
    }
    let to = Recipients::passphrase("correct horse").work_factor(4);
    let file = through(encrypt(to), vec![b"battery".to_vec()]).unwrap();
    let theirs = age::scrypt::Identity::new(SecretString::from("correct horse".to_owned()));
    let mut plain = Vec::new();
    let decryptor = age::Decryptor::new(&file[..]).unwrap();
    decryptor.decrypt(once(&theirs as &dyn age::Identity)).unwrap().read_to_end(&mut plain).unwrap();
    assert_eq!(plain, b"battery");
}

#[test]
fn we_read_what_the_crate_age_writes() {
    fn written(recipient: &dyn age::Recipient, plain: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let encryptor = age::Encryptor::with_recipients(once(recipient)).unwrap();
        let mut writer = encryptor.wrap_output(&mut file).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap();
        file
    }
    let identity = Identity::generate();
    let theirs: age::x25519::Recipient = identity.recipient().to_string().parse().unwrap();
    for length in LENGTHS {
        let file = written(&theirs, &bytes(length));
        let plain = through(decrypt(identity.clone()), vec![file]).unwrap();
        assert!(plain == bytes(length), "{length} bytes");
    }
    let mut theirs = age::scrypt::Recipient::new(SecretString::from("correct horse".to_owned()));
    theirs.set_work_factor(4);
    let file = written(&theirs, b"battery");
    assert_eq!(through(decrypt(Identities::passphrase("correct horse")), vec![file]).unwrap(), b"battery");
}

/// A program on the path, or the one that a variable names.
fn find(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(format!("PHALANX_TEST_{}", name.to_uppercase())).map(PathBuf::from);
    named.or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
    })
}

/// Gives it the bytes, and gives what it writes.
fn run(program: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|threads| {
        threads.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {told}", program.display());
    output.stdout
}

/// Both ways, with bytes and with text.
fn interoperates(program: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.txt");
    let identity = Identity::generate();
    identity.write_file(&key).unwrap();
    let key = key.to_str().unwrap();
    let recipient = identity.recipient().to_string();
    for length in LENGTHS {
        let plain = bytes(length);
        let others = vec![Identity::generate().recipient(), identity.recipient()];
        for stage in [encrypt(identity.recipient()), encrypt(Recipients::new(others).unwrap()).armor()] {
            let file = through(stage, vec![plain.clone()]).unwrap();
            assert!(run(program, &["--decrypt", "--identity", key], &file) == plain, "{length} bytes");
        }
        for arguments in [&["--recipient", &recipient][..], &["--armor", "--recipient", &recipient]] {
            let file = run(program, arguments, &plain);
            assert!(through(decrypt(Identities::file(key).unwrap()), vec![file]).unwrap() == plain, "{length} bytes");
        }
    }
}

#[test]
fn the_program_age_reads_ours_and_we_read_its() {
    match find("age") {
        Some(program) => interoperates(&program),
        None => {
            assert!(std::env::var_os("CI").is_none(), "age is missing, and nothing may be skipped");
            println!("skipped without age (apt-get install age)");
        }
    }
}

/// No distribution that we test on has it, so it may be missing.
#[test]
fn the_program_rage_reads_ours_and_we_read_its() {
    match find("rage") {
        Some(program) => interoperates(&program),
        None => println!("skipped without rage (cargo install rage, PHALANX_TEST_RAGE)"),
    }
}

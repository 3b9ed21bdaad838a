//! A file is compressed and encrypted on the way out, and decrypted and inflated on the way back, on all cores and in a few
//! megabytes of memory whatever its size. What is stored can also be read with `age -d -i KEY | gunzip`.
//!
//! `cargo run --release --example stream_encrypt [FILE]`

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use phalanx::stream::{Algorithm, Identity, Sink, Source, decrypt, encrypt, gunzip, gzip, hash, pipeline};

/// Lines of the file that is made if none is named: about 8 MiB.
const LINES: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let original = match std::env::args_os().nth(1) {
        Some(file) => PathBuf::from(file),
        None => write_log(&folder.path().join("requests.log"))?,
    };
    let (stored, back) = (folder.path().join("requests.log.gz.age"), folder.path().join("back.log"));

    // Who has the recipient encrypts; only who has the identity decrypts.
    let identity = Identity::generate();

    let (hashed, digest) = hash(Algorithm::Blake3);
    pipeline(Source::file(&original)?)
        .through(hashed)
        .through(gzip())
        .through(encrypt(identity.recipient()))
        .into(Sink::file(&stored)?)
        .run_blocking()?;

    let (hashed, digest_of_back) = hash(Algorithm::Blake3);
    pipeline(Source::file(&stored)?)
        .through(decrypt(identity))
        .through(gunzip())
        .through(hashed)
        .into(Sink::file(&back)?)
        .run_blocking()?;

    if digest.hex() != digest_of_back.hex() || back.metadata()?.len() != original.metadata()?.len() {
        return Err("what came back is not what went out".into());
    }
    println!("round trip ok, stored {} bytes", stored.metadata()?.len());
    Ok(())
}

fn write_log(path: &Path) -> Result<PathBuf, std::io::Error> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for line in 0..LINES {
        let (status, micros) = (200 + line % 7, line * 7919 % 10_007);
        writeln!(file, r#"{{"request":{line},"method":"GET","path":"/v1/images/{micros}","status":{status}}}"#)?;
    }
    file.flush()?;
    Ok(path.into())
}

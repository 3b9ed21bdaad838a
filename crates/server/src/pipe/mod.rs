//! `phalanx pipe`: bytes from a file or standard input through stages into a file or standard output. A thin face of
//! `phalanx-stream`: threads of its own, no runtime, a few MiB of memory.

mod advice;
mod arguments;
mod digests;
mod keys;
mod progress;
mod stages;
mod terminal;

pub(crate) use arguments::PipeArguments;

use std::io::{self, IsTerminal};

use keys::Keys;
use phalanx_stream::{
    Chunk, Digest, Error, Limits, Pipe, Sink, Source, decrypt, encrypt, gunzip, gzip, hash, pipeline, tee, throttle,
    unzstd, uppercase, uppercase_unicode, zstd,
};
use stages::{Asked, Letters};

use crate::config::quantity::ByteSize;
use crate::ending::Ending;
use crate::interruption;

/// Runs the whole command.
pub(crate) fn run(arguments: &PipeArguments) -> Result<(), Ending> {
    arguments.check().map_err(Ending::usage)?;
    if let Some(path) = &arguments.keys.keygen {
        return keys::generate(path);
    }
    if arguments.output().is_none() && arguments.gives_binary() && !arguments.force && io::stdout().is_terminal() {
        let told = "compressed or encrypted bytes are nothing for a terminal: name OUT, redirect, or say --force";
        return Err(Ending::usage(told));
    }
    interruption::watch("pipe", terminal::restore).map_err(Ending::failed)?;
    let keys = Keys::gather(arguments)?;
    let digests = copy(arguments, &keys)?;
    digests::tell(&digests, arguments)
}

/// Moves all the bytes; the digests that were asked for, in their order.
fn copy(arguments: &PipeArguments, keys: &Keys) -> Result<Vec<Digest>, Ending> {
    let source = match arguments.input() {
        Some(path) => Source::file(path)?,
        None => Source::stdin()?,
    };
    let mut pipe = pipeline(source);
    if let Some(threads) = arguments.threads {
        pipe = pipe.threads(threads.into());
    }
    let mut digests = Vec::new();
    pipe = buffered(pipe, arguments);
    for asked in &arguments.stages.0 {
        pipe = buffered(attached(pipe, asked, arguments, keys, &mut digests)?, arguments);
    }
    let sink = match arguments.output() {
        Some(path) => Sink::file(path)?,
        None => Sink::stdout()?,
    };
    let pipeline = pipe.into(sink);
    let shown = if arguments.progress { progress::show(pipeline.progress())? } else { None };
    let abort = pipeline.abort_handle();
    let guard = interruption::running(move |signal| abort.abort(signal));
    let outcome = pipeline.run_blocking();
    drop(guard);
    if let Some(shown) = shown {
        let _ = shown.join();
    }
    outcome.map(|_| digests).map_err(|error| told(error, arguments))
}

/// The pipeline with one stage more.
fn attached(
    pipe: Pipe<Chunk>,
    asked: &Asked,
    arguments: &PipeArguments,
    keys: &Keys,
    digests: &mut Vec<Digest>,
) -> Result<Pipe<Chunk>, Ending> {
    let hands = pipe.hands();
    let limits =
        || Limits { most_bytes: arguments.max_size.map(|ByteSize(bytes)| bytes), most_ratio: arguments.max_ratio };
    Ok(match asked {
        Asked::Upper(Letters::Ascii) => pipe.through(uppercase()),
        Asked::Upper(Letters::Unicode) => pipe.through(uppercase_unicode().parallel(hands)),
        Asked::Gzip(level) => pipe.through(gzip().level(*level)),
        Asked::Gunzip => pipe.through(gunzip().limit(limits())),
        Asked::Zstd(level) => pipe.through(zstd().level(*level)),
        Asked::Unzstd => pipe.through(unzstd().limit(limits())),
        Asked::Encrypt => {
            let stage = encrypt(keys.recipients()?);
            pipe.through(if arguments.keys.armor { stage.armor() } else { stage })
        }
        Asked::Decrypt => pipe.through(decrypt(keys.identities()?)),
        Asked::Hash(algorithm) => {
            let (stage, digest) = hash(*algorithm);
            digests.push(digest);
            pipe.through(stage.parallel(hands))
        }
        Asked::Tee(path) => pipe.through(tee(Sink::file(path)?)),
        Asked::Throttle(bytes) => pipe.through(throttle(*bytes)),
    })
}

fn buffered(pipe: Pipe<Chunk>, arguments: &PipeArguments) -> Pipe<Chunk> {
    match arguments.buffer {
        Some(ByteSize(bytes)) => pipe.mark(usize::try_from(bytes).unwrap_or(usize::MAX)),
        None => pipe,
    }
}

/// Why it failed; a signal that came is the reason for everything after it.
fn told(error: Error, arguments: &PipeArguments) -> Ending {
    if let Some(ending) = interruption::came() {
        return ending;
    }
    let kind = error.cause_as::<io::Error>().map(io::Error::kind);
    let is_stdout = matches!(error, Error::Sink { .. }) && arguments.output().is_none();
    if is_stdout && kind == Some(io::ErrorKind::BrokenPipe) {
        return Ending::reader_gone();
    }
    error.into()
}

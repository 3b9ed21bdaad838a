//! The digests of `--hash`, as `sha256sum --tag` writes them and `sha256sum -c` reads them.

use std::path::Path;

use phalanx_stream::{Algorithm, Chunk, Digest, Sink, Source, pipeline};

use super::PipeArguments;
use super::stages::Asked;
use crate::ending::Ending;

/// Tells all of them: in the file if there is to be one, else on standard error.
pub(super) fn tell(digests: &[Digest], arguments: &PipeArguments) -> Result<(), Ending> {
    let named = digests.iter().zip(names(arguments));
    let lines: String = named.filter_map(|(digest, name)| line(digest, &name)).collect();
    match &arguments.hash_file {
        Some(path) => {
            let file = pipeline(Source::iter([Chunk::from(lines)])).into(Sink::file(path)?);
            Ok(file.run_blocking().map(drop)?)
        }
        None => {
            eprint!("{lines}");
            Ok(())
        }
    }
}

/// `SHA256 (file) = 9f86…`
fn line(digest: &Digest, name: &str) -> Option<String> {
    let algorithm = match digest.algorithm() {
        Algorithm::Sha256 => "SHA256",
        _ => "BLAKE3",
    };
    Some(format!("{algorithm} ({name}) = {}\n", digest.hex()?))
}

/// Of what each is: of OUT if nothing changes the bytes behind it, of IN if nothing does before it, else of neither.
fn names(arguments: &PipeArguments) -> Vec<String> {
    let stages = &arguments.stages.0;
    let keep = |stages: &[Asked]| stages.iter().all(|stage| !stage.changes());
    let shown = |path: Option<&Path>| path.map_or_else(|| "-".to_owned(), |path| path.display().to_string());
    let name = |place: usize| match (keep(&stages[..place]), keep(&stages[place..])) {
        (true, true) => shown(arguments.output().or(arguments.input())),
        (_, true) => shown(arguments.output()),
        (true, _) => shown(arguments.input()),
        (false, false) => "-".to_owned(),
    };
    let places = (0..stages.len()).filter(|place| matches!(stages[*place], Asked::Hash(_)));
    places.map(name).collect()
}

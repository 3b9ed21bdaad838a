//! Standard input → upper case → standard output.
//!
//! `echo hello | cargo run --release --example stream_upper`

use phalanx::stream::{Error, Sink, Source, pipeline, uppercase_unicode};

fn main() -> Result<(), Error> {
    // What comes in small pieces goes out as they come; a character that is cut between two waits for its rest.
    pipeline(Source::stdin()?).through(uppercase_unicode()).into(Sink::stdout()?).run_blocking()?;
    Ok(())
}

//! `phalanx.toml`: the same names as the flags, one a line. An unknown key is an error, never ignored.

use super::ConfigError;
use super::settings::Settings;
use std::path::Path;

/// Read when it is there and no `--config` is given.
const DEFAULT_FILE: &str = "phalanx.toml";
/// More than any real file of settings has (100 times the full set of keys).
const LARGEST_FILE_BYTES: u64 = 256 * 1024;

/// The settings of the file that was named, or of `./phalanx.toml` if there is one.
pub(super) fn read(named: Option<&Path>) -> Result<Settings, ConfigError> {
    let path = match named {
        Some(path) => path,
        None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
        None => return Ok(Settings::default()),
    };
    let unreadable =
        |why: String| ConfigError(format!("cannot read {}: {why}; give --config a file of settings", path.display()));
    let length = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
    if length > LARGEST_FILE_BYTES {
        return Err(unreadable(format!("it has {length} bytes, more than {LARGEST_FILE_BYTES}")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
    parse(&text).map_err(|(line, what)| ConfigError(format!("{} line {line}: {what}", path.display())))
}

/// The settings in `text`, or the line that is wrong and what is wrong with it.
fn parse(text: &str) -> Result<Settings, (usize, String)> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(at).filter(|&b| b == b'\n').count() + 1;
        (line, one_line(error.message()))
    })
}

/// `unknown field `x`, expected one of …` becomes one short line.
fn one_line(message: &str) -> String {
    match message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        Some((key, _)) => format!("unknown key `{key}`; the keys are the flags of `phalanx serve --help` without `--`"),
        None => message.lines().collect::<Vec<_>>().join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::quantity::{ByteSize, Span};
    use std::time::Duration;

    #[test]
    fn keys_are_named_like_the_flags() {
        let settings =
            parse("listen = [\"127.0.0.1:4000\"]\nworkers = 3\nbody-limit = \"2MiB\"\njob-deadline = 4\n").unwrap();
        assert_eq!(settings.listen, ["127.0.0.1:4000"]);
        assert_eq!(settings.workers, Some(3));
        assert_eq!(settings.body_limit, Some(ByteSize(2 << 20)));
        assert_eq!(settings.job_deadline, Some(Span(Duration::from_secs(4))));
    }

    #[test]
    fn apps_of_run_are_left_alone() {
        let settings = parse("workers = 3\n[[app]]\nprogram = \"x\"\nwhatever = 1\n").unwrap();
        assert_eq!(settings.workers, Some(3));
        let snapshot = settings.to_snapshot().unwrap();
        assert_eq!(Settings::from_snapshot(&snapshot).unwrap(), settings);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let (line, what) = parse("workers = 2\n\nwrokers = 3\n").unwrap_err();
        assert_eq!(line, 3);
        assert!(what.starts_with("unknown key `wrokers`"), "{what}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        let (line, what) = parse("workers = 2\nbody-limit = \"much\"\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(what.contains("\"much\" is not a size"), "{what}");
        let (line, what) = parse("workers = \n").unwrap_err();
        assert_eq!((line, what.contains('\n')), (1, false));
    }

    #[test]
    fn a_named_file_must_exist() {
        let error = read(Some(Path::new("no-such-file.toml"))).unwrap_err();
        assert!(error.to_string().starts_with("cannot read no-such-file.toml: "), "{error}");
    }
}

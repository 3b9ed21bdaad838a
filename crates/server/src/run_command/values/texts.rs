//! What may be one text or a list of texts in a file; and arguments, which may be one text that is cut as a shell does.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// Arguments: a list, or one text with blanks and quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::run_command) struct Words(pub(in crate::run_command) Vec<String>);

impl FromStr for Words {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        shlex::split(text).map(Words).ok_or_else(|| format!("{text:?} has a quote without its other half"))
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_any(Written { bool: false })? {
            Given::One(text) => text.parse().map_err(de::Error::custom),
            Given::Many(words) => Ok(Words(words)),
            Given::Switch(_) => Err(de::Error::custom("expected a text or a list of texts")),
        }
    }
}

/// For a list that may also be one text.
pub(in crate::run_command) fn one_or_many<'de, T: From<String>, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let given = from.deserialize_any(Written { bool: false })?;
    Ok(given.into_texts().into_iter().map(T::from).collect())
}

/// For paths that are watched: `true` is the working directory, which is the empty path.
pub(in crate::run_command) fn watched<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
    Ok(match from.deserialize_any(Written { bool: true })? {
        Given::Switch(true) => vec![PathBuf::new()],
        other => other.into_texts().into_iter().map(PathBuf::from).collect(),
    })
}

enum Given {
    Switch(bool),
    One(String),
    Many(Vec<String>),
}

impl Given {
    fn into_texts(self) -> Vec<String> {
        match self {
            Given::Switch(_) => Vec::new(),
            Given::One(text) => vec![text],
            Given::Many(texts) => texts,
        }
    }
}

/// Whether a boolean is right as well.
struct Written {
    bool: bool,
}

impl<'de> Visitor<'de> for Written {
    type Value = Given;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.bool { "true, false, a text or a list of texts" } else { "a text or a list of texts" })
    }
    fn visit_bool<E: de::Error>(self, switch: bool) -> Result<Given, E> {
        match self.bool {
            true => Ok(Given::Switch(switch)),
            false => Err(E::invalid_type(de::Unexpected::Bool(switch), &self)),
        }
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Given, E> {
        Ok(Given::One(text.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(Given::Many(texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct File {
        #[serde(default)]
        args: Words,
        #[serde(default, deserialize_with = "one_or_many")]
        listen: Vec<String>,
        #[serde(default, deserialize_with = "watched")]
        watch: Vec<PathBuf>,
    }

    #[test]
    fn arguments_are_cut_as_a_shell_does() {
        assert_eq!("-x 'a b' c\\ d".parse(), Ok(Words(["-x", "a b", "c d"].map(str::to_owned).into())));
        assert!("-x 'a".parse::<Words>().unwrap_err().contains("quote"));
    }

    #[test]
    fn a_file_may_say_one_or_many() {
        let file: File = toml::from_str("args = \"a 'b c'\"\nlisten = \"x\"\nwatch = true").unwrap();
        assert_eq!(
            (file.args.0, file.listen, file.watch),
            (vec!["a".into(), "b c".into()], vec!["x".into()], vec!["".into()])
        );
        let file: File = toml::from_str("args = [\"a\", \"b c\"]\nlisten = [\"x\", \"y\"]\nwatch = [\"src\"]").unwrap();
        assert_eq!((file.args.0.len(), file.listen.len(), file.watch), (2, 2, vec!["src".into()]));
        assert!(toml::from_str::<File>("watch = false").unwrap().watch.is_empty());
        assert!(toml::from_str::<File>("listen = true").unwrap_err().message().contains("a text or a list of texts"));
    }
}

//! What stands behind the `?`: known keys only, each once.

use std::str::FromStr;

/// The keys and values of a request. [`Query::finish`] refuses what nobody has asked for.
#[derive(Debug)]
pub(super) struct Query<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
}

impl<'a> Query<'a> {
    pub(super) fn of(text: Option<&'a str>) -> Query<'a> {
        let parts = text.unwrap_or_default().split('&').filter(|part| !part.is_empty());
        let pairs = parts.map(|part| part.split_once('=').unwrap_or((part, ""))).collect();
        Query { pairs, known: Vec::new() }
    }

    /// The value of `key`, if it is there.
    pub(super) fn take<T: FromStr>(&mut self, key: &'static str, meaning: &str) -> Result<Option<T>, String> {
        self.known.push(key);
        let Some(value) = self.text(key) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("{key}={value}: {key} is {meaning}"))
    }

    /// Whether `key` is there, as `key`, `key=1` or `key=true`.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, String> {
        self.known.push(key);
        match self.text(key) {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(other) => Err(format!("{key}={other}: {key} is 1 or 0")),
        }
    }

    /// Refuses keys that were not asked for.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.pairs.iter().find(|(key, _)| !self.known.contains(key)) {
            None => Ok(()),
            Some((key, _)) if self.known.is_empty() => Err(format!("unknown key \"{key}\"; there are none here")),
            Some((key, _)) => Err(format!("unknown key \"{key}\"; known here: {}", self.known.join(", "))),
        }
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.pairs.iter().rev().find(|(its, _)| *its == key).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_read_and_others_are_refused_by_name() {
        let mut query = Query::of(Some("worker=3&follow&lines=x"));
        assert_eq!(query.take("worker", "a number"), Ok(Some(3u32)));
        assert_eq!(query.flag("follow"), Ok(true));
        let refusal = query.take::<usize>("lines", "a number of lines").unwrap_err();
        assert_eq!(refusal, "lines=x: lines is a number of lines");
        assert_eq!(query.finish(), Ok(()));
        let mut query = Query::of(Some("wait=3&wiat=4"));
        assert_eq!(query.take("wait", ""), Ok(Some(3u32)));
        assert_eq!(query.finish().unwrap_err(), "unknown key \"wiat\"; known here: wait");
        assert!(Query::of(Some("x")).finish().is_err() && Query::of(None).finish().is_ok());
    }
}

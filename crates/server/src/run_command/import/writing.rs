//! [`Table`]: an `[[app]]` as text.

use std::fmt;

use serde_json::Value;

/// Lines of one app: keys with values, and comments.
#[derive(Debug, Default)]
pub(super) struct Table {
    lines: Vec<String>,
    comments: Vec<String>,
}

impl Table {
    /// A key with a value of TOML.
    pub(super) fn key(&mut self, name: &str, value: impl fmt::Display) {
        self.lines.push(format!("{name} = {value}"));
    }

    /// What was not taken over, and what to do instead.
    pub(super) fn comment(&mut self, name: &str, value: &Value, instead: &str) {
        self.comments.push(format!("# {name} = {value}: {instead}"));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n[[app]]")?;
        self.lines.iter().chain(&self.comments).try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A text as TOML writes it: as JSON does, but for one character.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A list of texts.
pub(super) fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A table on one line.
pub(super) fn inline(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

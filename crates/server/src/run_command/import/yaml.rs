//! As much YAML as lists of apps are written in: mappings and sequences in blocks or in brackets, texts plain or in quotes, comments.
//!
//! Anchors, tags, texts over several lines and the like are errors that say so: nothing is guessed.

use serde_json::{Map, Value};

/// Blocks and brackets within each other; more than any list of apps has.
const DEEPEST: usize = 32;
/// First characters of what is not read.
const NOT_READ: [char; 8] = ['&', '*', '!', '|', '>', '%', '@', '`'];

/// The one value of a file, or the line that is not understood and why.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut lines = Vec::new();
    for (index, whole) in text.lines().enumerate() {
        let line = without_comment(whole);
        let content = line.trim_start_matches(' ');
        if content.trim().is_empty() || (lines.is_empty() && content.trim_end() == "---") {
            continue;
        }
        if content.starts_with('\t') {
            return Err(format!("line {}: a tab cannot indent", index + 1));
        }
        lines.push(Line { number: index + 1, indent: line.len() - content.len(), text: content.trim_end() });
    }
    let mut parser = Parser { lines, at: 0, depth: 0 };
    let value = match parser.lines.first() {
        Some(first) => parser.block(first.indent)?,
        None => Value::Null,
    };
    match parser.current() {
        None => Ok(value),
        Some(line) => Err(line.wrong("it is indented in a way that makes no sense")),
    }
}

/// A line with something in it.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

impl Line<'_> {
    fn wrong(&self, why: &str) -> String {
        format!("line {}: {why}", self.number)
    }

    fn is_item(&self) -> bool {
        self.text == "-" || self.text.starts_with("- ")
    }
}

struct Parser<'a> {
    lines: Vec<Line<'a>>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn current(&self) -> Option<Line<'a>> {
        self.lines.get(self.at).copied()
    }

    /// What begins at this line, all of which is indented like it.
    fn block(&mut self, indent: usize) -> Result<Value, String> {
        let Some(line) = self.current() else { return Ok(Value::Null) };
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(line.wrong("there is too much within each other"));
        }
        let value = match () {
            () if line.is_item() => self.sequence(indent),
            () if key_of(line.text).is_some() => self.mapping(indent),
            () => {
                self.at += 1;
                scalar(line.text).map_err(|why| line.wrong(&why))
            }
        };
        self.depth -= 1;
        value
    }

    fn sequence(&mut self, indent: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        while let Some(line) = self.current().filter(|line| line.indent == indent && line.is_item()) {
            let rest = line.text[1..].trim_start_matches(' ');
            if rest.is_empty() {
                self.at += 1;
                items.push(self.below(indent, false)?);
            } else {
                // What stands behind the dash is a block that begins there.
                let inner = indent + line.text.len() - rest.len();
                self.lines[self.at] = Line { indent: inner, text: rest, ..line };
                items.push(self.block(inner)?);
            }
        }
        Ok(Value::Array(items))
    }

    fn mapping(&mut self, indent: usize) -> Result<Value, String> {
        let mut members = Map::new();
        while let Some(line) = self.current().filter(|line| line.indent == indent && !line.is_item()) {
            let (key, rest) = key_of(line.text).ok_or_else(|| line.wrong("here a key and a colon should be"))?;
            let key = scalar(key).map_err(|why| line.wrong(&why))?;
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            self.at += 1;
            let value = match rest {
                "" => self.below(indent, true)?,
                text => scalar(text).map_err(|why| line.wrong(&why))?,
            };
            if members.insert(key.clone(), value).is_some() {
                return Err(line.wrong(&format!("{key} is there twice")));
            }
        }
        Ok(Value::Object(members))
    }

    /// What is indented below a key or a dash. The items of a key may stand right below it.
    fn below(&mut self, indent: usize, of_key: bool) -> Result<Value, String> {
        match self.current() {
            Some(line) if line.indent > indent => self.block(line.indent),
            Some(line) if of_key && line.indent == indent && line.is_item() => self.sequence(indent),
            _ => Ok(Value::Null),
        }
    }
}

/// A key, and what stands behind its colon.
fn key_of(text: &str) -> Option<(&str, &str)> {
    let from = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => end_of_quoted(text, quote)?,
        Some('[' | '{') | None => return None,
        Some(_) => 0,
    };
    let colon = text[from..].match_indices(':').map(|(at, _)| from + at).find(|at| {
        let behind = &text[at + 1..];
        behind.is_empty() || behind.starts_with(' ')
    })?;
    Some((text[..colon].trim_end(), text[colon + 1..].trim_start()))
}

/// A value on one line, all of it.
fn scalar(text: &str) -> Result<Value, String> {
    let (value, rest) = value(text, "", 0)?;
    match rest.trim().is_empty() {
        true => Ok(value),
        false => Err(format!("{rest:?} is behind the end of a value")),
    }
}

/// A value at the beginning of `text`, which if it is plain goes to one of `ends`; and what is behind it.
fn value<'a>(text: &'a str, ends: &str, depth: usize) -> Result<(Value, &'a str), String> {
    let text = text.trim_start();
    match text.chars().next() {
        _ if depth > DEEPEST => Err("there is too much within each other".into()),
        Some('[') => list(&text[1..], depth + 1),
        Some('{') => table(&text[1..], depth + 1),
        Some(quote @ ('"' | '\'')) => {
            let end = end_of_quoted(text, quote).ok_or("a quote without its other half")?;
            Ok((Value::String(unquoted(&text[..end], quote)?), &text[end..]))
        }
        Some(first) if NOT_READ.contains(&first) => Err(format!("what begins with {first} is not read")),
        _ => {
            let end = text.find(|c| ends.contains(c)).unwrap_or(text.len());
            Ok((plain(text[..end].trim_end()), &text[end..]))
        }
    }
}

/// Behind a `[`.
fn list(text: &str, depth: usize) -> Result<(Value, &str), String> {
    let (mut items, mut rest) = (Vec::new(), text.trim_start());
    while !rest.starts_with(']') {
        let (item, behind) = value(rest, ",]", depth)?;
        items.push(item);
        rest = next_of(behind, ']')?;
    }
    Ok((Value::Array(items), &rest[1..]))
}

/// Behind a `{`.
fn table(text: &str, depth: usize) -> Result<(Value, &str), String> {
    let (mut members, mut rest) = (Map::new(), text.trim_start());
    while !rest.starts_with('}') {
        let (key, behind) = value(rest, ":,}", depth)?;
        let behind = behind.trim_start().strip_prefix(':').ok_or("here a key and a colon should be")?;
        let (value, behind) = value(behind, ",}", depth)?;
        members.insert(key.as_str().map_or_else(|| key.to_string(), str::to_owned), value);
        rest = next_of(behind, '}')?;
    }
    Ok((Value::Object(members), &rest[1..]))
}

/// Behind a comma, or at the end.
fn next_of(text: &str, end: char) -> Result<&str, String> {
    let text = text.trim_start();
    match text.strip_prefix(',') {
        Some(rest) => Ok(rest.trim_start()),
        None if text.starts_with(end) => Ok(text),
        None => Err(format!("a bracket is not closed by {end} on its line")),
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => {
            let number = text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from));
            // What a float can be called is a name here.
            number.ok().filter(|_| text.contains(|c: char| c.is_ascii_digit())).unwrap_or_else(|| text.into())
        }
    }
}

/// Where the closing quote ends.
fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        let is_escape = match quote {
            '"' => character == '\\',
            // Two of them are one.
            _ => character == quote && next == Some(quote),
        };
        if is_escape {
            characters.next();
        } else if character == quote {
            return Some(at + 1);
        }
    }
    None
}

fn unquoted(text: &str, quote: char) -> Result<String, String> {
    match quote {
        '\'' => Ok(text[1..text.len() - 1].replace("''", "'")),
        _ => serde_json::from_str(text).map_err(|_| format!("{text} has an escape that is not read")),
    }
}

/// A `#` begins a comment at the start of a line or behind a blank, but not in quotes.
fn without_comment(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (None, '#') if before.is_whitespace() => return &line[..at],
            (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => quote = Some(character),
            (Some(open), _) if character == open && before != '\\' => quote = None,
            _ => {}
        }
        before = character;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_list_of_apps_is_read() {
        let text = "\
# the apps
apps:
  - script: ./api.js   # the first
    name: 'it''s api'
    instances: 4
    exec_mode: cluster
    args: \"--port 3000 #1\"
    watch: [src, \"lib dir\"]
    env:
      NODE_ENV: production
      PORT: 3000
      RATIO: 0.5
      EMPTY:
    ignore_watch:
    - node_modules
    - '*.log'
  -
    script: mail.py
    env: { A: 1, \"B\": x }
    autorestart: false
    url: http://127.0.0.1:3000/
";
        let expected = json!({ "apps": [
            { "script": "./api.js", "name": "it's api", "instances": 4, "exec_mode": "cluster", "args": "--port 3000 #1",
              "watch": ["src", "lib dir"], "env": { "NODE_ENV": "production", "PORT": 3000, "RATIO": 0.5, "EMPTY": null },
              "ignore_watch": ["node_modules", "*.log"] },
            { "script": "mail.py", "env": { "A": 1, "B": "x" }, "autorestart": false, "url": "http://127.0.0.1:3000/" },
        ]});
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse("---\n- a\n- nan\n- 1.5.0\n"), Ok(json!(["a", "nan", "1.5.0"])));
        assert_eq!(parse("# nothing\n"), Ok(Value::Null));
    }

    #[test]
    fn what_is_not_read_says_so_with_its_line() {
        for (text, why) in [
            ("a: 1\nb: &x 2\n", "line 2: what begins with & is not read"),
            ("a: |\n  text\n", "line 1: what begins with | is not read"),
            ("a: 'x\n", "line 1: a quote without its other half"),
            ("a: [1, 2\n", "line 1: a bracket is not closed by ]"),
            ("a: 1\n  b: 2\n", "line 2: it is indented in a way"),
            ("a: 1\na: 2\n", "line 2: a is there twice"),
            ("a:\n\t- x\n", "line 2: a tab"),
            ("a: 1\nplain\n", "line 2: here a key"),
            ("a: \"x\" y\n", "line 1: \" y\" is behind"),
        ] {
            assert!(parse(text).unwrap_err().starts_with(why), "{text:?}: {:?}", parse(text));
        }
        assert!(parse(&"[".repeat(10_000)).unwrap_err().contains("too much within each other"));
        assert!(parse(&"- ".repeat(10_000)).unwrap_err().contains("too much within each other"));
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[-a:#'\"\\[\\]{},& \\\\\n\té0.]{0,60}") {
            let _ = parse(&text);
        }
    }
}

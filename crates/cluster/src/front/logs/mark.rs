//! Whose line it is.
//!
//! One rule: a line that begins with `{` and ends with `}` is a JSON object and gets a member in front, `{"worker":3,…`, so that
//! it stays one; any other gets a prefix, `worker 3 | …`. Nothing is parsed: a line that only looks like an object stays as wrong
//! as it was.

use crate::WorkerId;

/// Whether a line is taken for a JSON object.
pub(super) fn is_object(line: &[u8]) -> bool {
    line.first() == Some(&b'{') && line.last() == Some(&b'}') && line.len() > 1
}

/// The line with the number of its worker, after the name of the cluster if there is one, and an end of line.
pub(super) fn marked(name: &str, worker: WorkerId, line: &[u8]) -> Vec<u8> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut out = Vec::with_capacity(line.len() + 24);
    if is_object(line) {
        out.push(b'{');
        if !name.is_empty() {
            out.extend_from_slice(format!("\"app\":{},", serde_json::Value::from(name)).as_bytes());
        }
        out.extend_from_slice(format!("\"worker\":{worker}").as_bytes());
        let members = &line[1..];
        if members.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'}') {
            out.push(b',');
        }
        out.extend_from_slice(members);
    } else {
        let blank = if name.is_empty() { "" } else { " " };
        out.extend_from_slice(format!("{name}{blank}worker {worker} | ").as_bytes());
        out.extend_from_slice(line);
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_stays_one_and_any_other_line_gets_a_prefix() {
        let text = |line: &str| String::from_utf8(marked("", WorkerId::new(3), line.as_bytes())).unwrap();
        assert_eq!(text("hello"), "worker 3 | hello\n");
        assert_eq!(text(""), "worker 3 | \n");
        assert_eq!(text("{\"level\":\"info\"}\r"), "{\"worker\":3,\"level\":\"info\"}\n");
        assert_eq!(text("{}"), "{\"worker\":3}\n");
        assert_eq!(text("{ }"), "{\"worker\":3 }\n");
        assert_eq!(text("{"), "worker 3 | {\n");
        for line in ["{\"a\":[1,2]}", "{}", "{ \"b\" : {} }"] {
            let value: serde_json::Value = serde_json::from_str(&text(line)).unwrap();
            assert_eq!(value["worker"], 3);
        }
    }

    #[test]
    fn a_name_stands_before_the_worker() {
        let text = |line: &str| String::from_utf8(marked("a\"i", WorkerId::new(3), line.as_bytes())).unwrap();
        assert_eq!(text("hello"), "a\"i worker 3 | hello\n");
        assert_eq!(text("{\"x\":1}"), "{\"app\":\"a\\\"i\",\"worker\":3,\"x\":1}\n");
    }
}

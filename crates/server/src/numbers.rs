//! The body of `POST /process`: `{"numbers":[10, 20]}`, checked.
//!
//! A number is taken if its *value* is a whole number from 0 to 2^53 − 1. So `10.0` and `1e1` are taken as 10: JSON makes
//! no difference, and neither do the clients that write them.

use crate::problem::{Code, Problem};
use crate::tasks::LARGEST_NUMBER;
use serde_json::Value;

/// Most numbers in one request.
pub(crate) const MOST_NUMBERS: usize = 1_000;
/// Bytes for 1 000 numbers of 16 digits, with room for generous white space.
pub(crate) const LARGEST_BODY_BYTES: u64 = 64 * 1024;

/// What it looks like.
const SHAPE: &str = "send {\"numbers\":[10,20,30,40]}";

/// The numbers of a request.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<u64>, Problem> {
    let bad = |detail: String| Problem::new(Code::BadRequest, detail);
    let value: Value =
        serde_json::from_slice(body).map_err(|error| bad(format!("the body is no JSON: {error}; {SHAPE}")))?;
    of_json(&value)
}

/// The same, of JSON that was read.
pub(crate) fn of_json(value: &Value) -> Result<Vec<u64>, Problem> {
    let bad = |detail: String| Problem::new(Code::BadRequest, detail);
    let Value::Object(members) = value else {
        return Err(bad(format!("the body is no JSON object; {SHAPE}")));
    };
    if let Some(unknown) = members.keys().find(|name| *name != "numbers") {
        return Err(Problem::parameter(unknown, format!("the member {unknown:?} is unknown; {SHAPE}")));
    }
    let Some(Value::Array(items)) = members.get("numbers") else {
        return Err(Problem::parameter("numbers", format!("there is no array \"numbers\"; {SHAPE}")));
    };
    if items.len() > MOST_NUMBERS {
        let detail = format!("there are {} numbers; at most {MOST_NUMBERS} are taken", items.len());
        return Err(Problem::parameter("numbers", detail).limit(MOST_NUMBERS as u64, "numbers"));
    }
    let number = |(index, item): (usize, &Value)| {
        whole(item).ok_or_else(|| {
            let shown: String = item.to_string().chars().take(40).collect();
            let detail = format!("numbers[{index}] is {shown} and must be a whole number from 0 to {LARGEST_NUMBER}");
            Problem::parameter("numbers", detail).limit(LARGEST_NUMBER, "largest number")
        })
    };
    items.iter().enumerate().map(number).collect()
}

fn whole(item: &Value) -> Option<u64> {
    let Value::Number(number) = item else { return None };
    let from_float = || number.as_f64().filter(|f| f.fract() == 0.0 && (0.0..=LARGEST_NUMBER as f64).contains(f));
    number.as_u64().or_else(|| from_float().map(|f| f as u64)).filter(|&n| n <= LARGEST_NUMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_taken_however_they_are_written() {
        let parsed = parse(br#"{"numbers":[10, 20.0, 3e1, 0, -0, 9007199254740991]}"#).unwrap();
        assert_eq!(parsed, [10, 20, 30, 0, 0, LARGEST_NUMBER]);
        assert_eq!(parse(br#"{"numbers":[]}"#).unwrap(), [0; 0]);
    }

    #[test]
    fn everything_else_is_refused_with_its_place() {
        for (body, complaint) in [
            ("", "no JSON"),
            ("{\"numbers\":[1", "no JSON"),
            ("[1]", "no JSON object"),
            ("{}", "no array"),
            ("{\"numbers\":7}", "no array"),
            ("{\"numbers\":[1],\"colour\":1}", "\"colour\" is unknown"),
            ("{\"numbers\":[1,-1]}", "numbers[1] is -1 and must be"),
            ("{\"numbers\":[1.5]}", "numbers[0] is 1.5"),
            ("{\"numbers\":[9007199254740992]}", "numbers[0] is 9007199254740992"),
            ("{\"numbers\":[1e300]}", "numbers[0] is 1e+300"),
            ("{\"numbers\":[\"10\"]}", "numbers[0] is \"10\""),
            ("{\"numbers\":[null]}", "numbers[0] is null"),
        ] {
            let problem = parse(body.as_bytes()).unwrap_err();
            assert_eq!(problem.code().status(), 400);
            assert!(problem.detail().contains(complaint), "{body}: {}", problem.detail());
        }
    }

    #[test]
    fn more_than_a_thousand_are_refused_with_the_limit() {
        let body = |count: usize| format!("{{\"numbers\":[{}]}}", vec!["1"; count].join(","));
        assert_eq!(parse(body(1000).as_bytes()).unwrap().len(), 1000);
        let problem = parse(body(1001).as_bytes()).unwrap_err();
        assert!(problem.detail().contains("1001 numbers; at most 1000"), "{}", problem.detail());
    }
}

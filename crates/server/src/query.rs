//! Parameters as they were sent: decoded, each name once.

use crate::problem::{Code, Problem};

/// Most parameters in one request; there are fewer names than that.
const MOST_PARAMETERS: usize = 32;

/// Names and values in the order in which they came.
pub(crate) type Pairs = Vec<(String, String)>;

/// Takes a query string apart.
pub(crate) fn pairs(query: Option<&str>) -> Result<Pairs, Problem> {
    let mut pairs = Pairs::new();
    for piece in query.unwrap_or_default().split('&').filter(|piece| !piece.is_empty()) {
        if pairs.len() == MOST_PARAMETERS {
            return Err(Problem::new(Code::BadParameter, format!("there are more than {MOST_PARAMETERS} parameters")));
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        pairs.push((decoded(name)?, decoded(value)?));
    }
    Ok(pairs)
}

/// The same, where none may be repeated.
pub(crate) fn once_each(pairs: &Pairs) -> Result<impl Iterator<Item = (&str, &str)>, Problem> {
    for (index, (name, _)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(before, _)| before == name) {
            return Err(Problem::parameter(name, format!("the parameter {name:?} is given more than once")));
        }
    }
    Ok(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// Undoes percent-encoding, and `+` for a space.
fn decoded(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                match (digit(rest.next()), digit(rest.next())) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err(badly_encoded(text)),
                }
            }
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| badly_encoded(text))
}

fn badly_encoded(text: &str) -> Problem {
    Problem::new(Code::BadParameter, format!("{text:?} is no percent-encoded UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_in_order() {
        let expected = [("w", "1 0"), ("bg", "#fff"), ("flip", ""), ("w", "é=")].map(|(n, v)| (n.into(), v.into()));
        assert_eq!(pairs(Some("w=1+0&bg=%23fff&&flip&w=%C3%a9=")).unwrap(), expected);
        assert_eq!(pairs(None).unwrap(), []);
    }

    #[test]
    fn broken_encoding_and_floods_are_refused() {
        for query in ["w=%", "w=%2", "w=%zz", "w=%ff", "%+1=2", &"a&".repeat(40)] {
            assert_eq!(pairs(Some(query)).unwrap_err().code(), Code::BadParameter, "{query}");
        }
    }
}

//! The words of `node:cluster`: what a worker says, and what it is answered.
//!
//! Every message carries a number of its sender (`seq`); an answer names the one that it answers (`ack`). Members that are not
//! there are `undefined` in JavaScript, and `null` after some of Node's own detours: both mean that nothing was said.

use phalanx_channel::node::Value;
use rustix::io::Errno;

use super::query::Query;

/// What the `cmd` of these messages is.
const CLUSTER: &str = "NODE_CLUSTER";

/// What a worker has said.
#[derive(Debug, PartialEq)]
pub(super) enum Word {
    Online,
    /// It wants to listen, and waits for the answer.
    Query {
        seq: f64,
        query: Result<Query, String>,
    },
    Listening(Query),
    /// It does not listen there any more.
    Close {
        key: String,
    },
    /// It leaves by itself, and waits for the answer.
    Leaves {
        seq: f64,
    },
    /// The answer to a connection that was handed to it.
    Answer {
        ack: u32,
        accepted: bool,
    },
}

impl Word {
    /// The word in this message. Nothing if it is none of those of `node:cluster`, or one that we need not know.
    ///
    /// Errors: what is wrong with it.
    pub(super) fn of(message: &Value) -> Option<Result<Word, String>> {
        if message.get("cmd")?.as_str()? != CLUSTER {
            return None;
        }
        Word::read(message).transpose()
    }

    fn read(message: &Value) -> Result<Option<Word>, String> {
        if let Some(ack) = message.get("ack").and_then(Value::as_f64) {
            let whole = ack >= 0.0 && ack <= f64::from(u32::MAX) && ack.fract() == 0.0;
            let ack = whole.then_some(ack as u32).ok_or_else(|| format!("an answer to message {ack}"))?;
            return Ok(Some(Word::Answer { ack, accepted: message.get("accepted") == Some(&true.into()) }));
        }
        let seq = || {
            let seq = message.get("seq").and_then(Value::as_f64);
            seq.ok_or_else(|| "a question without a number (seq)".to_owned())
        };
        Ok(Some(match message.get("act").and_then(Value::as_str) {
            Some("online") => Word::Online,
            Some("queryServer") => Word::Query { seq: seq()?, query: Query::read(message) },
            Some("listening") => Word::Listening(Query::read(message)?),
            Some("close") => match message.get("key").and_then(Value::as_str) {
                Some(key) => Word::Close { key: key.to_owned() },
                None => return Err("a server is closed that has no key".to_owned()),
            },
            Some("exitedAfterDisconnect") => Word::Leaves { seq: seq()? },
            _ => return Ok(None),
        }))
    }
}

/// A message to a worker, with the number that it gets from us.
pub(super) fn message<'a>(members: impl IntoIterator<Item = (&'a str, Value)>, seq: u32) -> Value {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    let first = [("cmd".to_owned(), CLUSTER.into())];
    Value::Object(first.into_iter().chain(members).chain([("seq".to_owned(), seq.into())]).collect())
}

/// The word with which a connection goes; its number is filled in each time.
pub(super) fn new_connection(key: &str) -> Value {
    Value::object([("cmd", CLUSTER), ("act", "newconn"), ("key", key)])
}

/// What Node's errors are on the wire.
pub(super) fn errno(why: Errno) -> Value {
    (-why.raw_os_error()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx_channel::node::json;

    fn word(line: &str) -> Option<Result<Word, String>> {
        Word::of(&json::decode::<Value>(line.as_bytes()).unwrap())
    }

    #[test]
    fn each_word_is_told_apart() {
        assert_eq!(word(r#"{"cmd":"NODE_CLUSTER","act":"online","seq":0}"#), Some(Ok(Word::Online)));
        assert_eq!(
            word(r#"{"cmd":"NODE_CLUSTER","ack":7,"accepted":false,"seq":3}"#),
            Some(Ok(Word::Answer { ack: 7, accepted: false }))
        );
        assert_eq!(
            word(r#"{"cmd":"NODE_CLUSTER","act":"close","key":"k","seq":3}"#),
            Some(Ok(Word::Close { key: "k".into() }))
        );
        assert_eq!(
            word(r#"{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":3}"#),
            Some(Ok(Word::Leaves { seq: 3.0 }))
        );
    }

    #[test]
    fn what_is_not_known_is_ignored_and_what_is_wrong_is_said() {
        for ignored in [r#"{"cmd":"NODE_CLUSTER","act":"dance","seq":1}"#, r#"{"cmd":"NODE_OTHER"}"#, "[]", "null"] {
            assert_eq!(word(ignored), None, "{ignored}");
        }
        for wrong in [
            r#"{"cmd":"NODE_CLUSTER","ack":-1}"#,
            r#"{"cmd":"NODE_CLUSTER","ack":1.5}"#,
            r#"{"cmd":"NODE_CLUSTER","ack":1e300}"#,
            r#"{"cmd":"NODE_CLUSTER","act":"close"}"#,
            r#"{"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect"}"#,
            r#"{"cmd":"NODE_CLUSTER","act":"queryServer","port":80}"#,
        ] {
            assert!(matches!(word(wrong), Some(Err(_))), "{wrong}");
        }
    }
}

//! Messages of Node's own: those whose `cmd` begins with `NODE_`.

use memchr::memmem;

use super::{Error, Serialization, Value, advanced, json};

/// What the `cmd` of an internal message begins with; there must be more.
const PREFIX: &str = "NODE_";
const PREFIX_IN_UTF16: &[u8] = b"N\0O\0D\0E\0_\0";

pub(super) const HANDLE: &str = "NODE_HANDLE";
pub(super) const ACK: &str = "NODE_HANDLE_ACK";
/// [`ACK`], as Node writes it in JSON: by far the most frequent message where connections are handed out.
pub(super) const ACK_LINE: &[u8] = br#"{"cmd":"NODE_HANDLE_ACK"}"#;
pub(super) const NACK: &str = "NODE_HANDLE_NACK";
pub(super) const GET_COUNT: &str = "NODE_SOCKET_GET_COUNT";
pub(super) const NOTIFY_CLOSE: &str = "NODE_SOCKET_NOTIFY_CLOSE";

/// The command, if this is an internal message.
pub(super) fn command(message: &Value) -> Option<&str> {
    message.get("cmd")?.as_str().filter(|command| command.len() > PREFIX.len() && command.starts_with(PREFIX))
}

/// The message on these bytes, if it is internal. Most are told apart without being decoded; what cannot be decoded is left
/// to whoever wants the message.
pub(super) fn parse(serialization: Serialization, frame: &[u8]) -> Option<Value> {
    let candidate = memmem::find(frame, PREFIX.as_bytes()).is_some()
        || match serialization {
            // Any letter may be written as an escape.
            Serialization::Json => memmem::find(frame, b"\\u").is_some(),
            Serialization::Advanced => memmem::find(frame, PREFIX_IN_UTF16).is_some(),
        };
    if !candidate {
        return None;
    }
    let message = match serialization {
        Serialization::Json => json::decode(frame),
        Serialization::Advanced => advanced::decode(frame),
    };
    message.ok().filter(|message| command(message).is_some())
}

/// The message inside a `NODE_HANDLE`. Node wraps a handle once more each time it sends it again.
pub(super) fn unwrap(mut envelope: Value) -> (Value, Envelope) {
    loop {
        let (mut message, mut name, mut key) = (Value::Undefined, String::new(), None);
        if let Value::Object(members) = envelope {
            for (member, value) in members {
                match (member.as_str(), value) {
                    ("msg", value) => message = value,
                    ("type", Value::String(text)) => name = text,
                    ("key", Value::String(text)) => key = Some(text),
                    _ => {}
                }
            }
        }
        if command(&message) != Some(HANDLE) {
            return (message, Envelope { name, key });
        }
        envelope = message;
    }
}

/// What stands beside a message with a handle.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    /// What the handle is to become.
    pub(super) name: String,
    /// The server that counts the connection.
    pub(super) key: Option<String>,
}

pub(super) fn answer(command: &str) -> Value {
    Value::object([("cmd", command)])
}

/// The bytes of a whole message, as they go out.
pub(super) fn encode(serialization: Serialization, message: &Value) -> Result<Vec<u8>, Error> {
    match serialization {
        Serialization::Json => json::encode(message),
        Serialization::Advanced => {
            let mut bytes = Vec::new();
            advanced::frame(&advanced::encode(message)?, &mut bytes)?;
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_is_what_has_a_longer_command_that_begins_with_the_prefix() {
        for (line, internal) in [
            (r#"{"cmd":"NODE_FOO"}"#, true),
            (r#"{"a":1,"cmd":"\u004eODE_FOO"}"#, true),
            (r#"{"cmd":"NODE_"}"#, false),
            (r#"{"cmd":"XNODE_FOO"}"#, false),
            (r#"{"cmd":17,"x":"NODE_FOO"}"#, false),
            (r#""NODE_FOO""#, false),
            (r#"["NODE_FOO"]"#, false),
        ] {
            assert_eq!(parse(Serialization::Json, line.as_bytes()).is_some(), internal, "{line}");
            let value: Value = json::decode(line.as_bytes()).unwrap();
            let bytes = advanced::encode(&value).unwrap();
            assert_eq!(parse(Serialization::Advanced, &bytes).is_some(), internal, "{line}");
        }
    }

    #[test]
    fn a_handle_that_was_sent_again_is_unwrapped_to_the_innermost() {
        let inner = r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"a":1},"key":"4::80"}"#;
        let line = format!(r#"{{"cmd":"NODE_HANDLE","type":"net.Native","msg":{inner}}}"#);
        let (message, envelope) = unwrap(json::decode(line.as_bytes()).unwrap());
        assert_eq!(message, Value::object([("a", 1)]));
        assert_eq!(envelope, Envelope { name: "net.Socket".into(), key: Some("4::80".into()) });
    }
}

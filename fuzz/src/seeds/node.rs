//! Messages as Node writes them, and the internal ones that carry descriptors.

use phalanx_fuzz::{Carried, Script, Step};

const JSON: [&str; 12] = [
    r#"{"id":1,"name":"job.run","values":[1,2,3,4],"flag":true}"#,
    r#""text with \" and \u2028 and \ud83d\ude00""#,
    r#"[null,true,false,0,-0.0,1e300,-17]"#,
    r#"{"type":"Buffer","data":[1,2,3]}"#,
    "\"\u{e9}\u{20ac}\u{1f600}\"",
    r#"{"cmd":"NODE_HANDLE","type":"net.Server","msg":{"hello":1}}"#,
    r#"{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"x","key":"4:127.0.0.1:0"}"#,
    r#"{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_HANDLE","type":"net.Socket","msg":1,"key":"k"}}"#,
    r#"{"cmd":"NODE_HANDLE_ACK"}"#,
    r#"{"cmd":"NODE_HANDLE_NACK"}"#,
    r#"{"cmd":"NODE_SOCKET_GET_COUNT","key":"4:127.0.0.1:0"}"#,
    r#"{"cmd":"NODE_"}"#,
];

/// Contents of `advanced` messages, behind the two bytes of the version.
const ADVANCED: [&[u8]; 22] = [
    b"_",
    b"0",
    b"I\xd8\x04",
    b"N\x00\x00\x00\x00\x00\x00\xf8\x7f",
    b"Z\x10\x01\x00\x00\x00\x00\x00\x00\x00",
    b"\"\x05hello",
    b"\x00c\x04\xac\x20\x3d\xd8",
    b"S\x03\xe2\x82\xac",
    b"o\"\x02idI\x02\"\x04nameS\x07job.run{\x02",
    b"A\x03I\x02-I\x06$\x00\x03",
    b"a\xe8\x07I\x02I\x04@\x01\xe8\x07",
    b"o\"\x01ao{\x00\"\x01b^\x01{\x02",
    b"o\"\x04self^\x00{\x01",
    b"D\x00\x00\x00\x00\x00\x00\xf0\x3f",
    b"R\"\x02a+\x03",
    b";I\x02\"\x01xI\x04T:\x04",
    b"'I\x02I\x04,\x02",
    b"B\x04\x01\x02\x03\x04",
    b"~\x02\x08\x01\x02",
    b"rTm\"\x03bads\"\x05stack.",
    b"\\\x00\x0a\x03\x01\x02\x03",
    b"o\"\x03cmd\"\x0bNODE_HANDLE\"\x04type\"\x0anet.Server\"\x03msgI\x02{\x03",
];

pub fn json() -> Vec<Vec<u8>> {
    let lines: Vec<Vec<u8>> = JSON.iter().map(|line| [line.as_bytes(), b"\n"].concat()).collect();
    scripts(&lines)
}

pub fn advanced() -> Vec<Vec<u8>> {
    let messages: Vec<Vec<u8>> = ADVANCED
        .iter()
        .map(|content| {
            let length = (content.len() + 2) as u32;
            [&length.to_be_bytes()[..], b"\xff\x0f", content].concat()
        })
        .collect();
    scripts(&messages)
}

/// Each message alone, all together in small pieces, and with descriptors at each place.
fn scripts(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let all = messages.concat();
    let mut seeds: Vec<Vec<u8>> = messages.iter().map(|message| Script::write(&[], message)).collect();
    seeds.push(Script::write(&[], &all));
    seeds.push(Script::write(&[Step { length: 3, carried: Carried::Nothing }; 200], &all));
    for carried in [Carried::Listener, Carried::Pipe, Carried::TwoPipes, Carried::File] {
        for message in messages {
            seeds.push(Script::write(&[Step { length: 8, carried }], &[message.clone(), all.clone()].concat()));
        }
    }
    seeds
}

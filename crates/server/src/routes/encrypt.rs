//! `POST /v1/encrypt` and `POST /v1/decrypt`, in the age format.
//!
//! **Secrets travel in headers**, never in the URL, which ends in logs and histories; nothing here logs a header, and no
//! problem repeats what a secret was. Whoever sends one trusts this server with it, as with the content, so it should come
//! over HTTPS.
//!
//! With `--identity FILE` the server opens what brings no key with identities of its own: then **whoever reaches the server can
//! have everything decrypted that was encrypted to them**, and the private keys stay where they are. It is off by default.

use super::opaque;
use crate::app::App;
use crate::parameters::switch;
use crate::problem::{Code, Problem};
use crate::query::pairs;
use crate::request::Arrived;
use crate::streams::{Operation, RequestStream, secrets};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::{Extension, http::HeaderMap};
use http::header::{CACHE_CONTROL, HeaderValue};
use phalanx_stream::{Recipient, Recipients, decrypt as decrypted, encrypt as encrypted};

/// Names under which somebody might put a secret into the URL.
const SECRETS: [&str; 6] = ["passphrase", "password", "identity", "key", "secret", "i"];
const MEDIA_TYPE: &str = "application/age-encryption";
/// Most bytes in the header of what is decrypted: room for 300 recipients, each of which costs a calculation for each identity.
const LARGEST_HEADER_BYTES: usize = 32 << 10;
/// So many bytes have to be there before a passphrase is tried: the header of what was encrypted with one has fewer.
const HEADER_BYTES: usize = 512;

/// What is encrypted, and how it is written.
struct Wish {
    recipients: Vec<Recipient>,
    is_armored: bool,
}

/// `POST /v1/encrypt?recipient=age1…`, or with a passphrase in its header.
pub(crate) async fn encrypt(
    State(app): State<App>,
    Extension(arrived): Extension<Arrived>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Wish { recipients, is_armored } = wish(query.as_deref())?;
    let passphrase = secrets::passphrase(&headers)?;
    let answer = opaque(if is_armored { "text/plain; charset=utf-8" } else { MEDIA_TYPE });
    let begin = |bytes| RequestStream::begin(&app, Operation::Encrypt, bytes, arrived, &headers, body);
    let (recipients, stream, _lane) = match (passphrase, recipients.is_empty()) {
        (Some(passphrase), true) => {
            let work = app.passphrases.work_to_encrypt();
            let stream = begin(work.bytes())?;
            let lane = match app.passphrases.lane(&app).await {
                Ok(lane) => lane,
                Err(problem) => return Err(stream.refused(problem)),
            };
            (Recipients::passphrase(passphrase).work_factor(work.log2()), stream, Some(lane))
        }
        (None, false) => {
            let recipients = Recipients::new(recipients)
                .map_err(|error| Problem::parameter("recipient", format!("the recipients cannot be used: {error}")))?;
            (recipients, begin(0)?, None)
        }
        (Some(_), false) => {
            return Err(Problem::new(
                Code::BadRequest,
                "there is a passphrase and a recipient; the age format takes one or the other",
            ));
        }
        (None, true) => {
            return Err(Problem::parameter(
                "recipient",
                "for whom? give recipient=age1… (once or more), or a passphrase in the header Phalanx-Passphrase",
            ));
        }
    };
    let stage = encrypted(recipients);
    let stage = if is_armored { stage.armor() } else { stage };
    uncached(stream.answer(|pipe| pipe.through(stage), answer).await)
}

/// `POST /v1/decrypt`, with an identity or a passphrase in its header, or with the identities of the server.
pub(crate) async fn decrypt(
    State(app): State<App>,
    Extension(arrived): Extension<Arrived>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if let Some((name, _)) = pairs(query.as_deref())?.first() {
        refuse_secret(name)?;
        return Err(Problem::unknown_parameter(name, "none: keys come in headers"));
    }
    let passphrase = secrets::passphrase(&headers)?;
    let identities = secrets::identities(&headers)?;
    let work = passphrase.is_some().then(|| app.passphrases.most_work_to_decrypt());
    let keys = secrets::keys(&app, passphrase, identities)?;
    let bytes = work.map_or(0, |work| work.bytes());
    let mut stream = RequestStream::begin(&app, Operation::Decrypt, bytes, arrived, &headers, body)?;
    let mut _lane = None;
    if work.is_some() {
        // Who holds the lane must not make it wait for a header that does not come.
        if let Err(problem) = stream.first_bytes(HEADER_BYTES).await.map(|_| ()) {
            return Err(stream.refused(problem));
        }
        match app.passphrases.lane(&app).await {
            Ok(lane) => _lane = Some(lane),
            Err(problem) => return Err(stream.refused(problem)),
        }
    }
    uncached(
        stream
            .answer(
                |pipe| pipe.through(decrypted(keys).header_limit(LARGEST_HEADER_BYTES)),
                opaque("application/octet-stream"),
            )
            .await,
    )
}

fn wish(query: Option<&str>) -> Result<Wish, Problem> {
    let (mut recipients, mut armor) = (Vec::new(), None);
    for (name, value) in pairs(query)? {
        match name.as_str() {
            "recipient" => recipients.push(value.parse::<Recipient>().map_err(|error| {
                Problem::parameter(
                    &name,
                    format!("a recipient is a public key of age (age1…), and this is none: {error}"),
                )
            })?),
            "armor" if armor.is_some() => {
                return Err(Problem::parameter(&name, "the parameter \"armor\" is given more than once"));
            }
            "armor" => armor = Some(switch(&name, &value)?),
            _ => {
                refuse_secret(&name)?;
                return Err(Problem::unknown_parameter(&name, "recipient, armor"));
            }
        }
    }
    Ok(Wish { recipients, is_armored: armor.unwrap_or(false) })
}

fn refuse_secret(name: &str) -> Result<(), Problem> {
    match SECRETS.contains(&name) {
        true => Err(Problem::parameter(
            name,
            "a secret must not be in a URL, which ends in logs; send it in the header Phalanx-Passphrase or Phalanx-Identity, and take a new one: this one was seen",
        )),
        false => Ok(()),
    }
}

fn uncached(answer: Result<Response, Problem>) -> Result<Response, Problem> {
    answer.map(|mut response| {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_refused_by_name_and_secrets_are_not_repeated() {
        for (query, complaint) in [
            ("recipient=bob", "public key of age"),
            ("recipients=age1", "\"recipients\" is unknown; the names are recipient, armor"),
            ("armor=maybe", "1, true"),
            ("armor=1&armor=1", "more than once"),
            ("passphrase=sesame", "must not be in a URL"),
        ] {
            let problem = wish(Some(query)).err().unwrap();
            assert_eq!(problem.code(), Code::BadParameter, "{query}");
            assert!(problem.detail().contains(complaint), "{query}: {}", problem.detail());
            assert!(!problem.detail().contains("sesame"));
        }
        assert!(wish(None).unwrap().recipients.is_empty());
    }
}

//! `POST /v1/hash/{algorithm}`: the hash of the body, as JSON or, for who would rather have that, as text.

use crate::accept::Accept;
use crate::app::App;
use crate::problem::{Code, Problem};
use crate::query::pairs;
use crate::request::Arrived;
use crate::streams::{Operation, RequestStream};
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, http::HeaderMap};
use http::header::{ACCEPT, HeaderValue, VARY};
use phalanx_stream::{Algorithm, hash};
use serde_json::json;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// How a hash is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Text,
}

pub(crate) async fn post(
    State(app): State<App>,
    Extension(arrived): Extension<Arrived>,
    Path(algorithm): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let algorithm = named(&algorithm)?;
    if let Some((name, _)) = pairs(query.as_deref())?.first() {
        return Err(Problem::unknown_parameter(name, "none: the algorithm is in the path"));
    }
    let form = form(&Accept::new(&headers))?;
    let stream = RequestStream::begin(&app, Operation::Hash, 0, arrived, &headers, body)?;
    let (hash, digest) = hash(algorithm);
    let bytes = stream.pass_through(|pipe| pipe.through(hash)).await?;
    let Some(hex) = digest.hex() else {
        return Err(Problem::new(Code::Internal, "the hash has no end"));
    };
    let mut response = match form {
        Form::Json => Json(json!({ "algorithm": algorithm.to_string(), "hash": hex, "bytes": bytes })).into_response(),
        Form::Text => format!("{hex}\n").into_response(),
    };
    response.headers_mut().insert(VARY, HeaderValue::from(ACCEPT));
    Ok(response)
}

fn named(algorithm: &str) -> Result<Algorithm, Problem> {
    algorithm.parse().map_err(|_| {
        let shown: String = algorithm.chars().take(40).collect();
        Problem::new(Code::NotFound, format!("there is no algorithm {shown:?}; there are blake3 and sha-256"))
    })
}

fn form(accept: &Accept) -> Result<Form, Problem> {
    match (accept.weight(JSON), accept.weight(TEXT)) {
        (0, 0) => Err(Problem::new(Code::NotAcceptable, "Accept has neither application/json nor text/plain")),
        (json, text) if text > json => Ok(Form::Text),
        _ => Ok(Form::Json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_unless_text_is_wanted_more() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            form(&Accept::new(&headers))
        };
        assert_eq!(form(&Accept::anything()).unwrap(), Form::Json);
        for (accept, wanted) in [
            ("*/*", Form::Json),
            ("text/plain", Form::Text),
            ("text/plain, */*;q=0.1", Form::Text),
            ("application/json, text/plain;q=0.5", Form::Json),
        ] {
            assert_eq!(of(accept).unwrap(), wanted, "{accept}");
        }
        assert_eq!(of("image/png").unwrap_err().code(), Code::NotAcceptable);
    }

    #[test]
    fn an_unknown_algorithm_is_not_found() {
        assert_eq!(named("md5").unwrap_err().code(), Code::NotFound);
        assert_eq!(named("sha-256").unwrap(), Algorithm::Sha256);
    }
}

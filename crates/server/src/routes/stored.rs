//! `GET /v1/images/{id}`: a stored result, byte for byte, for ever the same under its name.

use crate::app::App;
use crate::body::FileBody;
use crate::problem::{Code, Problem};
use crate::query::pairs;
use crate::store::{ImageId, StoreError};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH,
};
use http::{HeaderMap, Method, StatusCode};
use tokio::task::spawn_blocking;

/// A picture that somebody sent can never act as a page of this site, even if a browser is told to open it.
pub(crate) const PICTURE_POLICY: &str = "default-src 'none'; sandbox";
/// The bytes under a name never change: keep them a year, never ask again.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

pub(crate) async fn get(
    State(app): State<App>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let not_found = || {
        Problem::new(
            Code::NotFound,
            "there is no stored picture of this name; the oldest are deleted when the store is full",
        )
    };
    let id: ImageId = name.map_err(|_| not_found())?.parse().map_err(|_| not_found())?;
    let disposition = disposition(query.as_deref())?;
    let store = app.store.clone();
    let opened = spawn_blocking(move || store.open(id)).await.map_err(|error| failed(&error))?;
    let (file, length) = match opened {
        Ok(Some(opened)) => opened,
        Ok(None) => return Err(not_found()),
        Err(StoreError::Io(error)) => return Err(failed(&error)),
        Err(StoreError::Full) => return Err(failed(&"no room")),
    };
    let tag = id.entity_tag();
    let unchanged = matches(&headers, &tag);
    let body = match unchanged || method == Method::HEAD {
        true => Body::empty(),
        false => Body::new(FileBody::new(file, length)),
    };
    let mut response = body.into_response();
    let answer = response.headers_mut();
    answer.insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    answer.insert("content-security-policy", HeaderValue::from_static(PICTURE_POLICY));
    answer.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    let header = |text: String| HeaderValue::try_from(text).map_err(|error| failed(&error));
    answer.insert(ETAG, header(tag)?);
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    answer.insert(CONTENT_TYPE, HeaderValue::from_static(id.format().media_type()));
    answer.insert(CONTENT_LENGTH, HeaderValue::from(length));
    answer.insert(CONTENT_DISPOSITION, header(format!("{disposition}; filename=\"{id}\""))?);
    Ok(response)
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::Internal, format!("the stored picture cannot be read: {error}"))
}

/// `download=1` is the only parameter here.
fn disposition(query: Option<&str>) -> Result<&'static str, Problem> {
    let pairs = pairs(query)?;
    match pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>()[..] {
        [] | [("download", "0")] => Ok("inline"),
        [("download", "1")] => Ok("attachment"),
        [(name, _), ..] => Err(Problem::parameter(
            name,
            format!("a stored picture takes no parameter but download=1, and that once; {name:?} was given"),
        )),
    }
}

/// `If-None-Match` has this tag (weakly compared, RFC 9110 §13.1.2).
fn matches(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|candidate| {
            let candidate = candidate.trim();
            candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly_in_lists() {
        let mut headers = HeaderMap::new();
        assert!(!matches(&headers, "\"a\""));
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"x\", W/\"a\""));
        assert!(matches(&headers, "\"a\"") && !matches(&headers, "\"b\""));
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        assert!(matches(&headers, "\"b\""));
    }

    #[test]
    fn only_download_is_a_parameter() {
        assert_eq!(disposition(None).unwrap(), "inline");
        assert_eq!(disposition(Some("download=1")).unwrap(), "attachment");
        for query in ["w=3", "download=yes", "download=1&download=1"] {
            assert_eq!(disposition(Some(query)).unwrap_err().code(), Code::BadParameter, "{query}");
        }
    }
}

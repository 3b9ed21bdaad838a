//! `GET /`: one page to try the server with, complete in itself.

use crate::app::App;
use crate::problem::{Code, Problem};
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};

const PAGE: &str = include_str!("page.html");

pub(crate) async fn get(State(app): State<App>) -> Result<Response, Problem> {
    let random = getrandom::u64().map_err(|error| {
        Problem::new(Code::Internal, format!("the page cannot be sent, there are no random numbers: {error}"))
    })?;
    let nonce = format!("{random:016x}");
    let who = format!("worker {} (pid {})", app.worker.id().get(), std::process::id());
    // Only the script and the style that carry this random word run; pictures come from here or from memory.
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' blob: data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = Html(PAGE.replace("{nonce}", &nonce).replace("{worker}", &who)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::PAGE;

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for outside in ["http://", "https://", "src=\"", "@import", "style=\"", "onclick=\""] {
            assert!(!PAGE.contains(outside), "the page has {outside}");
        }
    }
}

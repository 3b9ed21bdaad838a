//! Answers for the moments in which there is no request to answer, or nobody but us to do it.

/// The media type of a problem document (RFC 9457).
pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// A whole HTTP/1.1 response with a problem document, after which the connection ends.
pub(super) fn response(status: &str, why: &str) -> String {
    let body = document(status, why);
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The problem document alone. Both texts are ours: nothing in them has to be escaped.
pub(super) fn document(status: &str, why: &str) -> String {
    let (code, title) = status.split_once(' ').unwrap_or((status, ""));
    format!(r#"{{"type":"about:blank","title":"{title}","status":{code},"detail":"{why}","error":"{why}"}}"#)
}

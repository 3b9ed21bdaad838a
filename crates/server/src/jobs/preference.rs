//! The header `Prefer` (RFC 7240): whether a client would rather be answered at once, and how long it waits.

use http::HeaderMap;
use http::header::HeaderName;
use std::time::Duration;

/// The header.
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Longest wait that is honoured: behind proxies, longer ones break.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a client would rather have. Preferences that are not known are passed over, as the RFC has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Preference {
    /// 202 and a place to look, instead of waiting for the result.
    pub(crate) respond_async: bool,
    /// How long to wait for the result before that.
    pub(crate) wait: Option<Duration>,
}

impl Preference {
    pub(crate) fn of(headers: &HeaderMap) -> Preference {
        let mut preference = Preference::default();
        let values = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
        for piece in values.flat_map(|value| value.split(',')) {
            // Parameters behind `;` belong to preferences that we do not know.
            let piece = piece.split(';').next().unwrap_or_default().trim();
            let (name, value) = piece.split_once('=').map_or((piece, ""), |(name, value)| (name.trim(), value.trim()));
            if name.eq_ignore_ascii_case("respond-async") {
                preference.respond_async = true;
            } else if name.eq_ignore_ascii_case("wait")
                && preference.wait.is_none()
                && let Ok(seconds) = value.trim_matches('"').parse::<u32>()
            {
                preference.wait = Some(Duration::from_secs(seconds.into()).min(LONGEST_WAIT));
            }
        }
        preference
    }

    /// What `Preference-Applied` says where a job was made of it.
    pub(crate) fn applied(self) -> String {
        match self.wait {
            Some(wait) => format!("respond-async, wait={}", wait.as_secs()),
            None => "respond-async".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(values: &[&str]) -> Preference {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_str(value).unwrap());
        }
        Preference::of(&headers)
    }

    #[test]
    fn preferences_come_in_one_header_or_in_several_and_in_any_case() {
        let both = Preference { respond_async: true, wait: Some(Duration::from_secs(7)) };
        for values in
            [&["respond-async, wait=7"][..], &["Respond-Async", "WAIT = 7"], &["wait=\"7\"; x=1,respond-async"]]
        {
            assert_eq!(of(values), both, "{values:?}");
        }
        assert_eq!(both.applied(), "respond-async, wait=7");
    }

    #[test]
    fn what_is_not_understood_is_passed_over_and_no_wait_is_too_long() {
        assert_eq!(of(&["return=minimal, wait=soon, handling=strict"]), Preference::default());
        assert_eq!(of(&["wait=4000000000"]).wait, Some(LONGEST_WAIT));
        assert_eq!(of(&["wait=3, wait=5"]).wait, Some(Duration::from_secs(3)));
    }
}

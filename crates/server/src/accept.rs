//! The `Accept` header (RFC 9110 §12.5.1): which media types a client takes, and how gladly.

use http::HeaderMap;
use http::header::ACCEPT;

/// Most media ranges that are looked at; browsers send fewer than ten.
const MOST_RANGES: usize = 64;

/// A parsed `Accept`; without the header everything is acceptable.
#[derive(Debug)]
pub(crate) struct Accept {
    ranges: Vec<Range>,
}

#[derive(Debug)]
struct Range {
    /// Lower case, without parameters.
    media: String,
    /// 0 to 1000.
    weight: u16,
}

impl Accept {
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let ranges = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(Range::parse)
            .take(MOST_RANGES)
            .collect();
        Accept { ranges }
    }

    /// Everything is acceptable.
    pub(crate) fn anything() -> Self {
        Accept { ranges: Vec::new() }
    }

    /// How gladly `media` is taken: 0 (not at all) to 1000. The most specific range decides.
    pub(crate) fn weight(&self, media: &str) -> u16 {
        if self.ranges.is_empty() {
            return 1000;
        }
        let kind = media.split('/').next().unwrap_or_default();
        let of = |wanted: &str| self.ranges.iter().find(|range| range.media == wanted).map(|range| range.weight);
        of(media).or_else(|| of(&format!("{kind}/*"))).or_else(|| of("*/*")).unwrap_or(0)
    }

    /// How gladly it is taken if it is named itself, not by a wildcard.
    pub(crate) fn named(&self, media: &str) -> Option<u16> {
        self.ranges.iter().find(|range| range.media == media && range.weight > 0).map(|range| range.weight)
    }

    /// The greatest weight of a range that names pictures: `image/jpeg` or `image/*`, but not `*/*`.
    pub(crate) fn picture(&self) -> Option<u16> {
        let pictures = self.ranges.iter().filter(|range| range.media.starts_with("image/") && range.weight > 0);
        pictures.map(|range| range.weight).max()
    }
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let mut pieces = text.split(';');
        let media = pieces.next()?.trim().to_ascii_lowercase();
        let weight = pieces.find_map(|piece| piece.trim().strip_prefix("q=").or(piece.trim().strip_prefix("Q=")));
        let weight = match weight {
            None => 1000,
            Some(text) => (text.trim().parse::<f32>().ok()?.clamp(0.0, 1.0) * 1000.0) as u16,
        };
        media.contains('/').then_some(Range { media, weight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn accept(value: &str) -> Accept {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(value).unwrap());
        Accept::new(&headers)
    }

    #[test]
    fn without_the_header_everything_is_taken() {
        let accept = Accept::new(&HeaderMap::new());
        assert_eq!((accept.weight("image/png"), accept.picture(), accept.named("image/png")), (1000, None, None));
    }

    #[test]
    fn the_most_specific_range_decides() {
        let accept = accept("*/*;q=0.1, image/*;q=0.5, IMAGE/PNG ; q=0, image/webp");
        assert_eq!(accept.weight("image/webp"), 1000);
        assert_eq!(accept.weight("image/jpeg"), 500);
        assert_eq!(accept.weight("image/png"), 0);
        assert_eq!(accept.weight("text/html"), 100);
        assert_eq!((accept.named("image/jpeg"), accept.named("image/png")), (None, None));
        assert_eq!(accept.picture(), Some(1000));
    }

    #[test]
    fn nonsense_is_passed_over() {
        let accept = accept("nonsense, image/png;q=many, text/html;level=1;q=0.25");
        assert_eq!((accept.weight("image/png"), accept.weight("text/html")), (0, 250));
    }
}

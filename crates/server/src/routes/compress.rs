//! `POST /v1/compress` and `POST /v1/decompress`.

use super::opaque;
use crate::app::App;
use crate::parameters::{number, one_of};
use crate::problem::{Code, Problem};
use crate::query::{once_each, pairs};
use crate::request::Arrived;
use crate::streams::{Operation, RequestStream, hands};
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::{Extension, http::HeaderMap};
use phalanx_stream::{Limits, gunzip, gzip, unzstd, zstd};

/// The levels of gzip that can be asked for, and the usual one.
const GZIP_LEVELS: std::ops::RangeInclusive<u32> = 1..=9;
const GZIP_LEVEL: u32 = 6;
/// The levels of zstd: higher ones need more memory than they are worth here.
const ZSTD_LEVELS: std::ops::RangeInclusive<u32> = 1..=12;
const ZSTD_LEVEL: u32 = 3;
/// What is compressed by itself: small, as a request shall hold little and be answered soon. Larger blocks would gain a
/// percent or two with gzip, and a few with zstd.
const GZIP_BLOCK_BYTES: usize = 256 << 10;
const ZSTD_BLOCK_BYTES: usize = 512 << 10;
/// For each thread that works on a request: about five blocks, and the tables of the highest level.
const GZIP_BYTES: u64 = 2 << 20;
const ZSTD_BYTES: u64 = 16 << 20;
/// What one who reads what strangers compressed must look back on at most (RFC 9659: 8 MiB).
const ZSTD_WINDOW_LOG: u32 = 23;
/// Members of gzip that are inflated at a time, and frames of zstd: up to 4 and 8 MiB each.
const MEMBERS_AT_ONCE: usize = 2;
const FRAMES_AT_ONCE: usize = 1;
/// What either of them holds at most, besides what each pipeline does.
const INFLATING_BYTES: u64 = 40 << 20;
/// No signature is longer.
const SIGNATURE_BYTES: usize = 4;

const FORMATS: [(&str, Format); 2] = [("gzip", Format::Gzip), ("zstd", Format::Zstd)];

/// What is compressed to, and inflated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Zstd,
}

impl Format {
    /// Told by its first bytes.
    fn sniff(bytes: &[u8]) -> Option<Format> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Format::Gzip),
            // A frame, or one to be skipped.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Format::Zstd),
            _ => None,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Format::Gzip => "application/gzip",
            Format::Zstd => "application/zstd",
        }
    }
}

/// `POST /v1/compress?format=gzip&level=6`: the body, smaller.
pub(crate) async fn compress(
    State(app): State<App>,
    Extension(arrived): Extension<Arrived>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (format, level) = wish(query.as_deref())?;
    let bytes = hands(&app)
        * match format {
            Format::Gzip => GZIP_BYTES,
            Format::Zstd => ZSTD_BYTES,
        };
    let stream = RequestStream::begin(&app, Operation::Compress, bytes, arrived, &headers, body)?;
    let headers = opaque(format.media_type());
    match format {
        Format::Gzip => stream.answer(|pipe| pipe.through(gzip().level(level).block(GZIP_BLOCK_BYTES)), headers).await,
        Format::Zstd => {
            let zstd = zstd().level(level as i32).block(ZSTD_BLOCK_BYTES);
            stream.answer(|pipe| pipe.through(zstd), headers).await
        }
    }
}

/// `POST /v1/decompress`: the body as it was, by `format` or by its first bytes.
pub(crate) async fn decompress(
    State(app): State<App>,
    Extension(arrived): Extension<Arrived>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let mut asked = None;
    for (name, value) in once_each(&pairs(query.as_deref())?)? {
        match name {
            "format" => asked = Some(one_of(name, value, &FORMATS)?),
            _ => return Err(Problem::unknown_parameter(name, "format")),
        }
    }
    let mut stream = RequestStream::begin(&app, Operation::Decompress, INFLATING_BYTES, arrived, &headers, body)?;
    let format = match asked {
        Some(format) => format,
        None => match stream.first_bytes(SIGNATURE_BYTES).await.and_then(sniffed) {
            Ok(format) => format,
            Err(problem) => return Err(stream.refused(problem)),
        },
    };
    let streaming = &app.config.streaming;
    let limits = Limits { most_bytes: Some(streaming.inflated_bytes), most_ratio: Some(streaming.inflated_ratio) };
    let headers = opaque("application/octet-stream");
    match format {
        Format::Gzip => {
            let gunzip = gunzip().limit(limits).parallel(MEMBERS_AT_ONCE);
            stream.answer(|pipe| pipe.through(gunzip), headers).await
        }
        Format::Zstd => {
            let unzstd = unzstd().limit(limits).window(ZSTD_WINDOW_LOG).parallel(FRAMES_AT_ONCE);
            stream.answer(|pipe| pipe.through(unzstd), headers).await
        }
    }
}

/// What to compress to, and how well.
fn wish(query: Option<&str>) -> Result<(Format, u32), Problem> {
    let pairs = pairs(query)?;
    let (mut format, mut level) = (Format::Gzip, None);
    for (name, value) in once_each(&pairs)? {
        match name {
            "format" => format = one_of(name, value, &FORMATS)?,
            "level" => level = Some(value),
            _ => return Err(Problem::unknown_parameter(name, "format, level")),
        }
    }
    let (levels, usual) = match format {
        Format::Gzip => (GZIP_LEVELS, GZIP_LEVEL),
        Format::Zstd => (ZSTD_LEVELS, ZSTD_LEVEL),
    };
    Ok((format, level.map_or(Ok(usual), |level| number("level", level, levels))?))
}

fn sniffed(first: &[u8]) -> Result<Format, Problem> {
    Format::sniff(first).ok_or_else(|| match first {
        [] => Problem::new(Code::Undecodable, "the body is empty; send gzip or zstd data"),
        _ => Problem::new(
            Code::UnknownFormat,
            "the first bytes of the body are neither of gzip nor of zstd; send one of them, or say which it is with format=",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_has_its_levels() {
        for (query, wanted) in [
            ("", (Format::Gzip, 6)),
            ("level=1", (Format::Gzip, 1)),
            ("format=zstd", (Format::Zstd, 3)),
            ("level=12&format=zstd", (Format::Zstd, 12)),
        ] {
            assert_eq!(wish(Some(query)).unwrap(), wanted, "{query}");
        }
        for (query, complaint) in [
            ("level=10", "\"level\" is \"10\" and must be a whole number from 1 to 9"),
            ("level=0", "from 1 to 9"),
            ("format=zstd&level=13", "from 1 to 12"),
            ("format=br", "one of gzip, zstd"),
            ("format=gzip&format=gzip", "\"format\" is given more than once"),
            ("quality=3", "\"quality\" is unknown; the names are format, level"),
        ] {
            let problem = wish(Some(query)).unwrap_err();
            assert_eq!(problem.code(), Code::BadParameter, "{query}");
            assert!(problem.detail().contains(complaint), "{query}: {}", problem.detail());
        }
    }

    #[test]
    fn the_format_is_told_by_the_first_bytes() {
        for (bytes, format) in [
            (&b"\x1f\x8b\x08\x00"[..], Some(Format::Gzip)),
            (b"\x28\xb5\x2f\xfd", Some(Format::Zstd)),
            (b"\x5a\x2a\x4d\x18", Some(Format::Zstd)),
            (b"\x28\xb5\x2f", None),
            (b"PK\x03\x04", None),
            (b"", None),
        ] {
            assert_eq!(Format::sniff(bytes), format, "{bytes:?}");
        }
        assert_eq!(sniffed(b"").unwrap_err().code(), Code::Undecodable);
        assert_eq!(sniffed(b"text").unwrap_err().code(), Code::UnknownFormat);
    }
}

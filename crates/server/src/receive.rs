//! From a request body to a picture: raw, or as the field `image` or `file` of a form.

use crate::app::App;
use crate::body::{BodyReader, Event, Malformed, Multipart, Picture, Upload, announced_length, boundary};
use crate::config::quantity::ByteSize;
use crate::problem::{Code, Problem};
use crate::query::Pairs;
use axum::body::Body;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Names under which a form may carry the picture.
const PICTURE_FIELDS: [&str; 2] = ["image", "file"];
/// Most bytes in a field that is not the picture; the values of parameters have a handful.
const LARGEST_FIELD_BYTES: usize = 64 * 1024;

/// A picture, and the other fields of its form.
pub(crate) struct Received {
    pub(crate) picture: Picture,
    pub(crate) fields: Pairs,
}

impl From<Malformed> for Problem {
    fn from(Malformed(what): Malformed) -> Self {
        Problem::new(Code::BadRequest, format!("the form is malformed: {what}"))
    }
}

/// Reads the body within all its limits. The type of the picture is told by its first bytes, never by a name or a
/// header; so `curl --data-binary @photo.jpg`, which calls it a URL-encoded form, works.
pub(crate) async fn receive(app: &App, headers: &HeaderMap, body: Body) -> Result<Received, Problem> {
    let reader = BodyReader::new(headers, body, app.config.body)?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let upload = Upload::new(&app.budget, announced_length(headers))?;
    match boundary(content_type) {
        Some(boundary) => form(app, reader, upload, Multipart::new(&boundary?)).await,
        None => raw(app, reader, upload).await,
    }
}

async fn raw(app: &App, mut reader: BodyReader, mut upload: Upload) -> Result<Received, Problem> {
    while let Some(piece) = reader.next().await? {
        upload.push(&piece, &app.limits)?;
    }
    Ok(Received { picture: upload.finish()?, fields: Pairs::new() })
}

async fn form(app: &App, mut reader: BodyReader, upload: Upload, mut parser: Multipart) -> Result<Received, Problem> {
    /// Where the content of the current part goes.
    enum Target {
        Picture,
        Field,
    }
    let bad = |detail: &str| Problem::new(Code::BadRequest, detail);
    let (mut coming, mut picture) = (Some(upload), None);
    let mut fields: Vec<(String, Vec<u8>)> = Vec::new();
    let mut target = Target::Field;
    while let Some(piece) = reader.next().await? {
        parser.feed(piece);
        while let Some(event) = parser.next()? {
            match event {
                Event::Part(name) if PICTURE_FIELDS.contains(&name.as_str()) => {
                    if picture.is_some() {
                        return Err(bad("the form has more than one picture; send one in each request"));
                    }
                    target = Target::Picture;
                }
                Event::Part(name) => {
                    fields.push((name, Vec::new()));
                    target = Target::Field;
                }
                Event::Content(bytes) => match (&target, coming.as_mut(), fields.last_mut()) {
                    (Target::Picture, Some(upload), _) => upload.push(&bytes, &app.limits)?,
                    (Target::Field, _, Some((name, value))) => {
                        if value.len() + bytes.len() > LARGEST_FIELD_BYTES {
                            let limit = ByteSize(LARGEST_FIELD_BYTES as u64);
                            let detail = format!("the field {name:?} has more than {limit}");
                            return Err(Problem::new(Code::BodyTooLarge, detail).limit(limit.0, "bytes"));
                        }
                        value.extend_from_slice(&bytes);
                    }
                    _ => {}
                },
                Event::PartEnd => {
                    if let Some(upload) = coming.take_if(|_| matches!(target, Target::Picture)) {
                        picture = Some(upload.finish()?);
                    }
                }
            }
        }
    }
    parser.finish()?;
    let Some(picture) = picture else {
        return Err(bad("the form has no picture; send it as the field \"image\" or \"file\""));
    };
    let text = |(name, value): (String, Vec<u8>)| match String::from_utf8(value) {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(Problem::parameter(&name, format!("the field {name:?} is no UTF-8 text"))),
    };
    Ok(Received { picture, fields: fields.into_iter().map(text).collect::<Result<_, _>>()? })
}

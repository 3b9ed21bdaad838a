//! [`WebService`]: what a tower service must be for us to serve it, in one word.

use ::http::{Request, Response};
use bytes::Buf;
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service;

use crate::builder::AnyError;

/// A tower service that answers HTTP requests. Implemented for all that are such.
pub(super) trait WebService:
    Service<Request<Incoming>, Response = Response<Self::ResponseBody>, Error: Into<AnyError>, Future: Send>
    + Clone
    + Send
    + 'static
{
    type ResponseBody: Body<Data: Buf + Send, Error: Into<AnyError>> + Send + 'static;
}

impl<S, B> WebService for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<AnyError>, Future: Send> + Clone + Send + 'static,
    B: Body<Data: Buf + Send, Error: Into<AnyError>> + Send + 'static,
{
    type ResponseBody = B;
}

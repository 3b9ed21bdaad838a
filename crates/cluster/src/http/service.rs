//! Counts each request on the scoreboard, and marks on its connection when it begins, is answered, and is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::header::CONNECTION;
use ::http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use phalanx_shared::{Field, Slot};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::mark::{Mark, Order, Phase};
use super::peer::Peer;

/// The user's service, as one connection uses it.
pub(super) struct Counted<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) mark: Arc<Mark>,
    pub(super) slot: Arc<Slot>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone,
{
    type Response = Response<CountedBody<B>>;
    type Error = S::Error;
    type Future = CountedFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let underway = Underway::begin(&self.mark, &self.slot, &request);
        request.extensions_mut().insert(self.peer.clone());
        CountedFuture {
            service: self.service.clone(),
            step: Step::NotReady { request: Some(request) },
            underway: Some(underway),
        }
    }
}

/// A request from its head to the end of its response, or to the end of its connection.
struct Underway {
    mark: Arc<Mark>,
    slot: Arc<Slot>,
    connect: bool,
    answered: bool,
}

impl Underway {
    fn begin(mark: &Arc<Mark>, slot: &Arc<Slot>, request: &Request<Incoming>) -> Underway {
        mark.begin_request(!request.body().is_end_stream());
        slot.add(Field::Requests, 1);
        slot.add(Field::InFlight, 1);
        let connect = request.method() == Method::CONNECT;
        Underway { mark: Arc::clone(mark), slot: Arc::clone(slot), connect, answered: false }
    }

    /// Notes the response, and says in it if it is the last of its connection.
    fn answer<B>(&mut self, response: &mut Response<B>) {
        self.answered = true;
        self.mark.begin_response();
        if self.mark.is_multiplexed() {
            return;
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS || (self.connect && response.status().is_success()) {
            self.mark.enter(Phase::Upgraded);
        } else if self.mark.order() != Order::Serve {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.slot.subtract(Field::InFlight, 1);
        self.mark.end_request(self.answered);
    }
}

pin_project! {
    /// Waits until the service is ready, calls it, and waits for its response.
    pub(super) struct CountedFuture<S: Service<Request<Incoming>>> {
        service: S,
        #[pin]
        step: Step<S::Future>,
        underway: Option<Underway>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        NotReady { request: Option<Request<Incoming>> },
        Called { #[pin] future: F },
    }
}

impl<S, B> Future for CountedFuture<S>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    type Output = Result<Response<CountedBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let request = match this.step.as_mut().project() {
                StepProjection::NotReady { request } => {
                    ready!(this.service.poll_ready(cx))?;
                    request.take()
                }
                StepProjection::Called { future } => {
                    let mut response = ready!(future.poll(cx))?;
                    let mut underway = this.underway.take();
                    if let Some(underway) = &mut underway {
                        underway.answer(&mut response);
                    }
                    return Poll::Ready(Ok(response.map(|body| CountedBody { body, underway })));
                }
            };
            if let Some(request) = request {
                let future = this.service.call(request);
                this.step.set(Step::Called { future });
            }
        }
    }
}

pin_project! {
    /// A response's body; the request is over when it is dropped.
    pub(super) struct CountedBody<B> {
        #[pin]
        body: B,
        underway: Option<Underway>,
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx);
        if polled.is_ready()
            && let Some(underway) = this.underway
        {
            underway.mark.touch();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! Counts each request on the scoreboard, marks on its connection when it begins, is answered, and is over, and ends it
//! when it takes too long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::http::header::{CONNECTION, CONTENT_TYPE};
use ::http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use phalanx_shared::{Field, Histogram, Slot};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::CountedBody;
use super::clock::RequestClock;
use super::mark::{Mark, Order, Phase};
use super::peer::Peer;
use super::problem;
use super::web_service::WebService;

/// The user's service, as one connection uses it.
pub(super) struct Counted<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) mark: Arc<Mark>,
    pub(super) slot: Arc<Slot>,
    pub(super) request_timeout: Option<Duration>,
}

impl<S: WebService> hyper::service::Service<Request<Incoming>> for Counted<S> {
    type Response = Response<CountedBody<S::ResponseBody>>;
    type Error = S::Error;
    type Future = CountedFuture<S>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let clock = RequestClock::start(self.request_timeout);
        let underway = Underway::begin(&self.mark, &self.slot, &request, clock.began());
        request.extensions_mut().insert(self.peer.clone());
        CountedFuture {
            service: self.service.clone(),
            step: Step::NotReady { request: Some(request) },
            clock,
            underway: Some(underway),
        }
    }
}

/// A request from its head to the end of its response, or to the end of its connection.
pub(super) struct Underway {
    mark: Arc<Mark>,
    slot: Arc<Slot>,
    began: Instant,
    connect: bool,
    answered: bool,
}

impl Underway {
    fn begin(mark: &Arc<Mark>, slot: &Arc<Slot>, request: &Request<Incoming>, began: Instant) -> Underway {
        mark.begin_request(!hyper::body::Body::is_end_stream(request.body()));
        slot.add(Field::Requests, 1);
        slot.add(Field::InFlight, 1);
        let connect = request.method() == Method::CONNECT;
        Underway { mark: Arc::clone(mark), slot: Arc::clone(slot), began, connect, answered: false }
    }

    /// Notes the response, and says in it if it is the last of its connection.
    fn answer<B>(&mut self, response: &mut Response<B>) {
        self.answered = true;
        self.mark.begin_response();
        let status = response.status();
        if let Some(class) = Field::of_status(status.as_u16()) {
            self.slot.add(class, 1);
        }
        if self.mark.is_multiplexed() {
            return;
        }
        if status == StatusCode::SWITCHING_PROTOCOLS || (self.connect && status.is_success()) {
            self.mark.enter(Phase::Upgraded);
            self.slot.add(Field::Upgraded, 1);
        } else if self.mark.order() != Order::Serve {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// Notes that a part of the response was taken.
    pub(super) fn progress(&self) {
        self.mark.touch();
    }

    /// Notes that the request took too long.
    pub(super) fn timed_out(&self) {
        self.slot.add(Field::TimedOut, 1);
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.slot.subtract(Field::InFlight, 1);
        self.mark.end_request(self.answered);
        if self.answered {
            self.slot.histogram(Histogram::Request).record(self.began.elapsed());
        }
    }
}

pin_project! {
    /// Waits until the service is ready, calls it, and waits for its response.
    pub(super) struct CountedFuture<S: Service<Request<Incoming>>> {
        service: S,
        #[pin]
        step: Step<S::Future>,
        clock: RequestClock,
        underway: Option<Underway>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        NotReady { request: Option<Request<Incoming>> },
        Called { #[pin] future: F },
        // The request took too long: nobody waits for the service any more.
        Over,
    }
}

impl<S: WebService> Future for CountedFuture<S> {
    type Output = Result<Response<CountedBody<S::ResponseBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let polled = match this.step.as_mut().project() {
                StepProjection::NotReady { request } => match this.service.poll_ready(cx)? {
                    Poll::Ready(()) => {
                        if let Some(request) = request.take() {
                            let future = this.service.call(request);
                            this.step.set(Step::Called { future });
                        }
                        continue;
                    }
                    Poll::Pending => Poll::Pending,
                },
                StepProjection::Called { future } => future.poll(cx)?,
                StepProjection::Over => Poll::Pending,
            };
            if let Poll::Ready(mut response) = polled {
                let mut underway = this.underway.take();
                if let Some(underway) = &mut underway {
                    underway.answer(&mut response);
                }
                let clock = this.clock.go_on();
                return Poll::Ready(Ok(response.map(|body| CountedBody::of_service(body, clock, underway))));
            }
            let Poll::Ready(limit) = this.clock.poll_over(cx) else { return Poll::Pending };
            this.step.set(Step::Over);
            return Poll::Ready(Ok(timed_out(limit, this.underway.take(), this.clock.go_on())));
        }
    }
}

/// The answer to a request to which the service has none in time.
fn timed_out<B>(limit: Duration, mut underway: Option<Underway>, clock: RequestClock) -> Response<CountedBody<B>> {
    let why = format!("the request was not answered within {limit:?}");
    let mut response = Response::new(problem::document("504 Gateway Timeout", &why));
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
    if let Some(underway) = &mut underway {
        underway.timed_out();
        underway.answer(&mut response);
    }
    response.map(|text| CountedBody::ours(text, clock, underway))
}

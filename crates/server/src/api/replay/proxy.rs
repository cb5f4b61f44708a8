//! Passing a request on, and writing down what comes back while it passes by.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body as HttpBody;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::Stream;
use tempfile::TempDir;

use super::intake::Intake;
use super::kept::Kept;
use super::made;
use super::outgoing::Outgoing;
use crate::api::batches::base_url;
use crate::api::exchange::{Exchange as HttpExchange, Outcome};
use cassette::{
    Body, Deck, End, Exchange, OtherCoding, Pieces, Recorder, Redactor, Response as Recorded,
    Timing, Translation,
};
use workspace::verify::Made;

/// Headers of an answer that say when and where it was given.
const VOLATILE: [&str; 5] = [
    "cf-ray",
    "date",
    "server-timing",
    "traceresponse",
    "x-envoy-upstream-service-time",
];

/// Sends the request to whom is recorded.
pub(super) async fn pass_on(
    deck: Arc<Deck>,
    redactor: Redactor,
    exchange: &mut HttpExchange,
    (intake, names): (Intake, Translation),
) -> Outcome {
    let Some(recorder) = deck.recorder() else {
        return Err(super::unreachable("nobody is recorded"));
    };
    let upstream = recorder.upstream.clone();
    let (order, started_ms) = recorder.begin_exchange();
    let began = Instant::now();
    // What is recorded goes on with the ids that are recorded.
    let intake = intake.translated(&names);
    let asked = &intake.request;
    let outgoing = Outgoing::new(names, asked, &base_url(exchange.headers()));
    let query = asked.query.as_ref();
    let path = query.map_or_else(
        || asked.path.clone(),
        |query| format!("{}?{query}", asked.path),
    );
    let headers = exchange.headers().iter();
    let answered = upstream
        .send(
            &asked.method,
            &path,
            headers.map(|(name, value)| (name.as_str(), value.as_bytes())),
            intake.sent(),
        )
        .await;
    let mut tee = Tee {
        deck: Arc::clone(&deck),
        redactor,
        intake: Some(intake),
        order,
        status: 0,
        headers: Vec::new(),
        timing: Timing {
            started_ms,
            head_ms: millis(began),
            ..Timing::default()
        },
        kept: Kept::default(),
        head_at: Instant::now(),
        made: exchange.caller.made.clone(),
        outgoing,
        coding: None,
        inner: Box::pin(futures_util::stream::empty()),
        is_over: false,
    };
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            let why = error.to_string();
            tracing::warn!(upstream.url = upstream.url(), %why, "the recorded service did not answer");
            tee.finish(End::UpstreamBroke(why.clone()));
            return Err(super::unreachable(&why));
        }
    };
    tee.status = answer.status;
    tee.coding = answer.coding;
    exchange.noted.of_service = true;
    let is_head = exchange.head.method == Method::HEAD;
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers {
        let text = String::from_utf8_lossy(&value).into_owned();
        // The client would know the end of a body before that is written. An answer to HEAD has none.
        if name.as_str() == header::CONTENT_LENGTH && !is_head {
            continue;
        }
        if VOLATILE.contains(&name.as_str()) {
            tee.timing.headers.push((name.clone(), text));
        } else {
            tee.headers.push((name.clone(), text));
        }
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(&value),
        ) {
            headers.append(name, value);
        }
    }
    let kind = tee.headers.iter().find(|(name, _)| name == "content-type");
    if let (Some((_, kind)), None) = (kind, &tee.coding) {
        tee.outgoing.is_of(kind);
    }
    // Of an answer to HEAD nobody asks for the body.
    exchange.noted.passes = !is_head;
    tee.inner = answer.body;
    let status = StatusCode::from_u16(tee.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let body = if is_head {
        tee.finish(End::Complete);
        HttpBody::empty()
    } else {
        HttpBody::from_stream(tee)
    };
    let mut response = (status, body).into_response();
    *response.headers_mut() = headers;
    Ok(response)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A body on its way to the client. Its exchange is written before the client knows the end.
struct Tee {
    deck: Arc<Deck>,
    redactor: Redactor,
    /// Until it is written.
    intake: Option<Intake>,
    order: u64,
    status: u16,
    headers: Vec<(String, String)>,
    timing: Timing,
    kept: Kept,
    head_at: Instant,
    made: Made,
    outgoing: Outgoing,
    /// Of an answer that cannot be kept.
    coding: Option<OtherCoding>,
    inner: Pieces,
    is_over: bool,
}

impl Tee {
    fn finish(&mut self, end: End) {
        let (Some(intake), Some(recorder)) = (self.intake.take(), self.deck.recorder()) else {
            return;
        };
        let is_text = self.headers.iter().any(|(name, value)| {
            name == "content-type"
                && (value.starts_with("text/") || value.starts_with("application/json"))
        });
        let kept = std::mem::take(&mut self.kept).whole();
        let kept = kept.and_then(|whole| whole.body(is_text));
        let kept = kept.map_err(|error| {
            let told = error.public().map(|(told, _)| told);
            told.unwrap_or_else(|| error.to_string())
        });
        let (body, _folder) = match (kept, &self.coding) {
            (Ok((Body::Empty, folder)), Some(_)) => (Body::Empty, folder),
            (Ok(_), Some(coding)) => lost(recorder, coding.to_string()),
            (Ok(kept), None) => kept,
            (Err(why), _) => lost(recorder, why),
        };
        let exchange = Exchange {
            request: Some(intake.request.clone()),
            response: Recorded {
                status: self.status,
                headers: std::mem::take(&mut self.headers),
                body,
                end,
            },
            timing: Some(std::mem::take(&mut self.timing)),
        };
        if let Some(asked) = &exchange.request {
            made::note(&self.made, asked, &exchange.response);
        }
        let redactor = recorder.redactor(self.redactor.clone(), &exchange);
        match redactor.exchange(exchange) {
            Ok(exchange) => recorder.put(self.order, &exchange),
            Err(error) => recorder.lose(&error.to_string()),
        }
    }
}

/// What stands in the place of a body that is not kept.
fn lost(recorder: &Recorder, why: String) -> (Body, Option<TempDir>) {
    recorder.lose(&why);
    (Body::Missing(why), None)
}

impl Stream for Tee {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.is_over {
                return Poll::Ready(None);
            }
            let told = match ready!(this.inner.as_mut().poll_next(cx)) {
                Some(Ok(bytes)) => {
                    this.timing.chunks.push((millis(this.head_at), bytes.len()));
                    this.kept.push(&bytes);
                    this.outgoing.feed(bytes)
                }
                Some(Err(error)) => {
                    this.is_over = true;
                    this.finish(End::UpstreamBroke(error.to_string()));
                    return Poll::Ready(Some(Err(std::io::Error::other(error))));
                }
                None => {
                    this.is_over = true;
                    this.finish(End::Complete);
                    this.outgoing.rest()
                }
            };
            if !told.is_empty() {
                return Poll::Ready(Some(Ok(told)));
            }
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.finish(End::ClientLeft);
    }
}

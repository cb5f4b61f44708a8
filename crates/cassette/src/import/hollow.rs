//! Exchanges that came in without what was said: they can be neither matched nor answered.

use serde_json::Value;

use super::takes_files;
use crate::{Body, Cassette, End, Exchange};

/// Calls that are made without a body.
const ACTIONS: [&str; 2] = ["/cancel", "/archive"];

/// The bodies that a cassette lacks although there must have been some, in words; none if all came in. A form
/// whose files a recorder never keeps is no such lack.
pub fn hollow(cassette: &Cassette) -> Vec<String> {
    let numbers = |lacks: fn(&Exchange) -> bool| -> Vec<String> {
        let exchanges = (1..).zip(&cassette.exchanges);
        let hollow = exchanges.filter(|(_, exchange)| lacks(exchange));
        hollow.map(|(at, _): (usize, _)| at.to_string()).collect()
    };
    let told = |what: &str, numbers: &[String]| match numbers {
        [] => None,
        [one] => Some(format!("exchange {one} has no body of its {what}")),
        many => Some(format!(
            "exchanges {} have no bodies of their {what}s",
            many.join(", ")
        )),
    };
    let answers = told("answer", &numbers(lacks_answer));
    let requests = told("request", &numbers(lacks_request));
    answers.into_iter().chain(requests).collect()
}

fn lacks_answer(exchange: &Exchange) -> bool {
    let Exchange {
        request, response, ..
    } = exchange;
    let says_nothing = |method: &str, path: &str| method == "HEAD" || path.ends_with("/content");
    let may_be_empty = !(200..300).contains(&response.status)
        || response.status == 204
        || request
            .as_ref()
            .is_some_and(|request| says_nothing(&request.method, &request.path));
    response.end == End::Complete
        && match &response.body {
            Body::Missing(_) | Body::Json(Value::Null) => true,
            Body::Empty => !may_be_empty,
            Body::Json(_) | Body::Text(_) | Body::Bytes(_) | Body::Blob(_) | Body::Form(_) => false,
        }
}

fn lacks_request(exchange: &Exchange) -> bool {
    let Some(request) = &exchange.request else {
        return false;
    };
    let path = request.path.trim_end_matches('/');
    let says_something = ["POST", "PUT", "PATCH"].contains(&request.method.as_str())
        && !ACTIONS.iter().any(|action| path.ends_with(action));
    says_something
        && match &request.body {
            Body::Empty | Body::Json(Value::Null) => true,
            Body::Missing(_) => !takes_files(path),
            Body::Json(_) | Body::Text(_) | Body::Bytes(_) | Body::Blob(_) | Body::Form(_) => false,
        }
}

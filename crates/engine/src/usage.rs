//! Token counts by a stated rule, and what a turn used.
//!
//! The rule: each text of the system prompt, the tools, and the messages (names of keys excepted) counts
//! one token for every four bytes, rounded up, and a request counts at least one. It never falls when
//! something is added, and is the same in every run and for every model; it is not the service's
//! tokenizer. `count_tokens` and `usage` follow it alike.

use std::borrow::Cow;

use serde_json::Value;
use wire::member::{self, at};
use wire::usage::{
    CacheCreation, DeltaUsage, Iteration, IterationKind, OutputTokensDetails, ServerToolUsage,
    Usage,
};

use model::UsageOverride;

/// Tokens of a text.
pub(super) fn tokens(text: &str) -> u64 {
    u64::try_from(text.len().div_ceil(4)).unwrap_or(u64::MAX)
}

/// Tokens of what a request puts before the model: system, tools, and messages.
pub(super) fn input_tokens(body: &Value) -> u64 {
    let messages = since_compaction(at(body, "messages"));
    (tokens_before_messages(body) + tokens_of_strings(&messages))
        .saturating_sub(tokens_of_code_calls(&messages))
        .max(1)
}

/// Tokens of the system prompt and the tools.
pub(super) fn tokens_before_messages(body: &Value) -> u64 {
    tokens_of_strings(at(body, "system")) + tokens_of_strings(at(body, "tools"))
}

/// The messages from the last compaction on, which stands for those before it (F203).
fn since_compaction(messages: &Value) -> Cow<'_, Value> {
    let whole = Cow::Borrowed(messages);
    let Some(list) = messages.as_array() else {
        return whole;
    };
    let stands = |block: &Value| {
        at(block, "type") == "compaction" && at(block, "content").as_str().is_some()
    };
    let of = |message: &Value| at(message, "content").as_array()?.iter().rposition(stands);
    let mut latest = list.iter().enumerate().rev();
    let last = latest.find_map(|(index, message)| Some((index, of(message)?)));
    let Some((message, block)) = last else {
        return whole;
    };
    let mut rest = list[message..].to_vec();
    if let Some(Value::Array(blocks)) = rest[0].get_mut("content") {
        blocks.drain(..block);
    }
    Cow::Owned(Value::Array(rest))
}

/// The tokens of calls that code has made and of their results, which never come before the model (F058).
fn tokens_of_code_calls(messages: &Value) -> u64 {
    let blocks = || {
        let messages = messages.as_array().into_iter().flatten();
        messages.flat_map(|message| at(message, "content").as_array().into_iter().flatten())
    };
    let calls: Vec<&Value> = blocks()
        .filter(|block| {
            at(block, "type") == "tool_use" && at(at(block, "caller"), "tool_id").is_string()
        })
        .collect();
    let answers = blocks().filter(|block| {
        at(block, "type") == "tool_result"
            && calls
                .iter()
                .any(|call| at(call, "id") == at(block, "tool_use_id"))
    });
    answers
        .chain(calls.iter().copied())
        .map(tokens_of_strings)
        .sum()
}

/// The same without the bytes of inline images and documents, which are no text: what has to fit into a
/// model's context.
pub(super) fn text_tokens(body: &Value) -> u64 {
    let messages = since_compaction(at(body, "messages"));
    input_tokens(body).saturating_sub(tokens_of_bytes(&messages))
}

fn tokens_of_bytes(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(tokens_of_bytes).sum(),
        Value::Object(members)
            if member::of(members, "type").is_some_and(|kind| kind == "base64") =>
        {
            tokens_of_strings(at(value, "data"))
        }
        Value::Object(members) => members.values().map(tokens_of_bytes).sum(),
        _ => 0,
    }
}

fn tokens_of_strings(value: &Value) -> u64 {
    match value {
        Value::String(text) => tokens(text),
        Value::Array(items) => items.iter().map(tokens_of_strings).sum(),
        Value::Object(members) => members.values().map(tokens_of_strings).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// The counters of one turn.
#[derive(Debug)]
pub(super) struct Meter {
    /// Input of one sampling round; every round of server calls reads it again (F004).
    context: u64,
    /// Of all samplings, the next one's with it.
    input: u64,
    output: u64,
    thinking: Option<u64>,
    /// Results or a summary stand at the end, which the next sampling reads.
    goes_on: bool,
    calls: u64,
    /// Whether the answer says how many calls there were.
    tells_calls: bool,
    container: bool,
    /// Searches and fetches, once a web tool has taken part.
    web: Option<(u64, u64)>,
    /// A tool of the service took part that is neither code nor the web.
    hosted: bool,
    iterations: Iterations,
    apart: Vec<Apart>,
    /// As much of the output as models have made that declined.
    output_declined: u64,
    inference_geo: Cow<'static, str>,
    speed: Option<&'static str>,
    service_tier: &'static str,
    given: UsageOverride,
    /// Whether what is written into the cache stays there for an hour.
    for_an_hour: bool,
}

impl Meter {
    pub(super) fn new(context: u64, prints_details: bool) -> Self {
        Self {
            context,
            input: context,
            output: 0,
            thinking: prints_details.then_some(0),
            goes_on: false,
            calls: 0,
            tells_calls: true,
            container: false,
            web: None,
            hosted: false,
            iterations: Iterations::default(),
            apart: Vec::new(),
            output_declined: 0,
            inference_geo: Cow::Borrowed("global"),
            speed: None,
            service_tier: "standard",
            given: UsageOverride::default(),
            for_an_hour: false,
        }
    }

    /// Where the model runs, and how fast, where the request asks for that.
    pub(super) fn told_of(
        mut self,
        inference_geo: Cow<'static, str>,
        speed: Option<&'static str>,
    ) -> Self {
        self.inference_geo = inference_geo;
        self.speed = speed;
        self
    }

    /// Quirk `code-execution-counter`.
    pub(super) fn counting_code(mut self, tells: bool) -> Self {
        self.tells_calls = tells;
        self
    }

    /// Items of batches have a tier of their own.
    pub(super) fn in_batch(mut self, is: bool) -> Self {
        if is {
            self.service_tier = "batch";
        }
        self
    }

    pub(super) fn emitted(&mut self, text: &str) {
        self.output += tokens(text);
    }

    pub(super) fn thought(&mut self, text: &str) {
        self.emitted(text);
        *self.thinking.get_or_insert(0) += tokens(text);
    }

    /// A round of server calls ended; the next one reads everything again, and the results. An answer that begins with
    /// results has had no sampling before them: its first is the one that reads them (F004).
    pub(super) fn round(&mut self, calls: u64, result_tokens: u64, advice: Vec<Advised>) {
        self.calls += calls;
        if self.is_unread() {
            self.input -= self.context;
        } else {
            self.context += self.sampled();
        }
        for Advised {
            model,
            output_tokens,
        } in advice
        {
            // It sees what the model has seen, and no advice of its own.
            self.tell_iterations();
            self.apart.push(Apart {
                model: Some(model.clone()),
                input: self.context,
                output: output_tokens,
            });
            self.iterations.add(
                IterationKind::AdvisorMessage,
                Some(model),
                self.context,
                output_tokens,
            );
        }
        self.context += result_tokens;
        self.input += self.context;
        self.goes_on = true;
    }

    /// Server calls ended, and code waits for the client: nothing more is sampled, and nothing was in an answer that
    /// begins with it (F063).
    pub(super) fn waits(&mut self, calls: u64) {
        self.calls += calls;
        if self.is_unread() {
            self.leaves_unread();
        }
    }

    /// The answer pauses: what it would have read next, the one that goes on reads.
    pub(super) fn pauses(&mut self) {
        if self.goes_on && self.is_unread() {
            self.leaves_unread();
        }
    }

    fn leaves_unread(&mut self) {
        self.input -= self.context;
        self.iterations.over = true;
    }

    /// Whether nothing has come yet of the sampling that is next.
    fn is_unread(&self) -> bool {
        self.output == self.iterations.output_told
    }

    /// A container took part, or files were preloaded.
    pub(super) fn uses_container(&mut self) {
        self.container = true;
    }

    /// If web tools took part: so many searches and fetches by now.
    pub(super) fn uses_web(&mut self, counted: Option<(u64, u64)>) {
        self.web = counted;
    }

    /// A tool took part that the service carries out without container and web.
    pub(super) fn uses_hosted(&mut self) {
        self.hosted = true;
    }

    /// The answer tells each sampling by itself.
    pub(super) fn tell_iterations(&mut self) {
        self.iterations.told = true;
    }

    /// The model's context has become `summary`, and `fixed` tokens before it; unless the answer ends with it, the model
    /// goes on from there. Parity: the counters of the message leave the compaction out (F205).
    pub(super) fn compacted(&mut self, summary: &str, fixed: u64, then: AfterCompaction) {
        let unread = self.is_unread();
        if !unread {
            self.sampled();
        }
        let (input, output) = (self.context, tokens(summary).max(1));
        self.tell_iterations();
        self.apart.push(Apart {
            model: self.iterations.model.clone(),
            input,
            output,
        });
        self.iterations
            .add(IterationKind::Compaction, None, input, output);
        if unread {
            self.input -= self.context;
        }
        self.context = fixed + tokens(summary);
        match then {
            AfterCompaction::GoesOn => {
                self.input += self.context;
                self.goes_on = true;
            }
            AfterCompaction::Ends => self.iterations.over = true,
        }
    }

    /// `from` has declined, and `to` goes on. Parity: the input is that of the model that has answered (F206).
    pub(super) fn fell_back(&mut self, from: String, to: String) {
        self.tell_iterations();
        self.apart.push(Apart {
            model: Some(from.clone()),
            input: self.input,
            output: self.output - self.output_declined,
        });
        self.output_declined = self.output;
        self.iterations.model = Some(from);
        self.sampled();
        self.iterations.model = Some(to);
        self.iterations.fell_back = true;
        self.input = self.context;
        self.goes_on = false;
    }

    /// The last of them has declined as well, so none has answered.
    pub(super) fn declines(&mut self) {
        self.iterations.fell_back = false;
    }

    /// The samplings that are billed beside the counters of the message; and how much of its output is that of models that
    /// have declined, which is among them.
    pub(super) fn apart(&self) -> (&[Apart], u64) {
        (&self.apart, self.output_declined)
    }

    /// The model's own sampling has come to an end, with so many tokens.
    fn sampled(&mut self) -> u64 {
        let output = self.output - self.iterations.output_told;
        self.iterations.output_told = self.output;
        let model = self.iterations.model.clone();
        self.iterations
            .add(IterationKind::Message, model, self.context, output);
        output
    }

    /// The request asks for an hour with each of its marks of the cache.
    pub(super) fn caches_for_an_hour(&mut self) {
        self.for_an_hour = true;
    }

    /// What was written into the cache, by how long it stays.
    fn written(&self, tokens: u64) -> CacheCreation {
        let (minutes, hour) = if self.for_an_hour {
            (0, tokens)
        } else {
            (tokens, 0)
        };
        CacheCreation {
            ephemeral_5m_input_tokens: minutes,
            ephemeral_1h_input_tokens: hour,
        }
    }

    pub(super) fn set(&mut self, given: UsageOverride) {
        let UsageOverride {
            input_tokens,
            output_tokens,
            cache_creation_input_tokens,
            cache_read_input_tokens,
        } = given;
        self.given.input_tokens = input_tokens.or(self.given.input_tokens);
        self.given.output_tokens = output_tokens.or(self.given.output_tokens);
        self.given.cache_creation_input_tokens =
            cache_creation_input_tokens.or(self.given.cache_creation_input_tokens);
        self.given.cache_read_input_tokens =
            cache_read_input_tokens.or(self.given.cache_read_input_tokens);
    }

    /// `usage` of `message_start`.
    pub(super) fn start(&self) -> Usage {
        let written = self.given.cache_creation_input_tokens.unwrap_or(0);
        Usage {
            input_tokens: self.given.input_tokens.unwrap_or(self.input),
            cache_creation_input_tokens: written,
            cache_read_input_tokens: self.given.cache_read_input_tokens.unwrap_or(0),
            cache_creation: self.written(written),
            iterations: None,
            output_tokens: 1,
            output_tokens_details: None,
            service_tier: self.service_tier,
            inference_geo: self.inference_geo.clone(),
            speed: self.speed,
            server_tool_use: None,
        }
    }

    /// `usage` of the last `message_delta`.
    pub(super) fn end(&self) -> DeltaUsage {
        DeltaUsage {
            input_tokens: self.given.input_tokens.unwrap_or(self.input),
            cache_creation_input_tokens: self.given.cache_creation_input_tokens.unwrap_or(0),
            cache_read_input_tokens: self.given.cache_read_input_tokens.unwrap_or(0),
            output_tokens: self.given.output_tokens.unwrap_or_else(|| {
                let least = u64::from(!self.iterations.over);
                self.output.max(least)
            }),
            output_tokens_details: self
                .thinking
                .map(|thinking_tokens| OutputTokensDetails { thinking_tokens }),
            server_tool_use: (self.container || self.web.is_some() || self.hosted).then(|| {
                let (searches, fetches) = self.web.unwrap_or_default();
                ServerToolUsage {
                    web_search_requests: searches,
                    web_fetch_requests: fetches,
                    code_execution_requests: self.tells_calls.then_some(self.calls),
                }
            }),
            iterations: self.iterations.told.then(|| self.all_iterations()),
        }
    }

    /// Those that have ended, and the last.
    fn all_iterations(&self) -> Vec<Iteration> {
        let mut all = self.iterations.ended.clone();
        if self.iterations.over {
            return all;
        }
        let is_models = |one: &Iteration| match one.kind {
            IterationKind::Message | IterationKind::FallbackMessage => true,
            IterationKind::Compaction | IterationKind::AdvisorMessage => false,
        };
        let only = !all.iter().any(is_models);
        let output = self.output - self.iterations.output_told;
        // What a script sets is that of the one sampling there was.
        let given = |given: Option<u64>, own: u64| given.filter(|_| only).unwrap_or(own);
        let kind = if self.iterations.fell_back {
            IterationKind::FallbackMessage
        } else {
            IterationKind::Message
        };
        let input = given(self.given.input_tokens, self.context);
        let output = given(self.given.output_tokens, output.max(u64::from(only)));
        let mut last = iteration(kind, self.iterations.model.clone(), input, output);
        last.cache_read_input_tokens = given(self.given.cache_read_input_tokens, 0);
        let written = given(self.given.cache_creation_input_tokens, 0);
        last.cache_creation_input_tokens = written;
        last.cache_creation = self.written(written);
        all.push(last);
        all
    }
}

/// Samplings that are not those of the model that has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Apart {
    /// None is the request's.
    pub(super) model: Option<String>,
    pub(super) input: u64,
    pub(super) output: u64,
}

/// One sampling of an advisor: its model and output tokens.
#[derive(Debug, Clone)]
pub(super) struct Advised {
    pub(super) model: String,
    pub(super) output_tokens: u64,
}

/// What follows a compaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterCompaction {
    GoesOn,
    Ends,
}

/// The samplings of one turn.
#[derive(Debug, Default)]
struct Iterations {
    /// Whether the answer has them.
    told: bool,
    ended: Vec<Iteration>,
    /// As much of the output as stands in one that has ended.
    output_told: u64,
    /// Whether nothing is sampled any more.
    over: bool,
    /// Said only where two models have answered.
    model: Option<String>,
    fell_back: bool,
}

impl Iterations {
    fn add(&mut self, kind: IterationKind, model: Option<String>, input: u64, output: u64) {
        self.ended.push(iteration(kind, model, input, output));
    }
}

fn iteration(kind: IterationKind, model: Option<String>, input: u64, output: u64) -> Iteration {
    Iteration {
        input_tokens: input,
        output_tokens: output,
        cache_read_input_tokens: 0,
        cache_creation_input_tokens: 0,
        cache_creation: CacheCreation::default(),
        kind,
        model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// A conversation, as far as the rule looks at it.
    fn bodies() -> impl Strategy<Value = Value> {
        let block = prop_oneof![
            ".{0,40}".prop_map(|text| json!({"type": "text", "text": text})),
            ("[a-z]{1,9}", ".{0,40}")
                .prop_map(|(name, text)| json!({"type": "tool_use", "name": name, "input": {"x": text, "n": 7}})),
        ];
        let message = prop::collection::vec(block, 0..4)
            .prop_map(|content| json!({"role": "user", "content": content}));
        let parts = (
            prop::collection::vec(message, 0..5),
            prop::option::of(".{0,40}"),
            prop::collection::vec("[a-z]{1,9}", 0..3),
        );
        parts.prop_map(|(messages, system, tools)| {
            let tools: Vec<_> = tools.iter().map(|name| json!({"name": name})).collect();
            json!({"messages": messages, "system": system, "tools": tools})
        })
    }

    proptest! {
        #[test]
        fn no_addition_lowers_the_count(body in bodies(), more in bodies(), text in ".{0,60}") {
            let before = input_tokens(&body);
            let mut grown = body.clone();
            for key in ["messages", "tools"] {
                let added = more[key].as_array().unwrap().clone();
                grown[key].as_array_mut().unwrap().extend(added);
                prop_assert!(input_tokens(&grown) >= before);
            }
            let system = body["system"].as_str().unwrap_or_default();
            grown["system"] = json!(format!("{system}{text}"));
            prop_assert!(input_tokens(&grown) >= before);
            if let Some(block) = body["messages"][0]["content"].get(0) {
                let mut longer = body.clone();
                let old = block["text"].as_str().unwrap_or_default();
                longer["messages"][0]["content"][0]["text"] = json!(format!("{text}{old}"));
                prop_assert!(input_tokens(&longer) >= before);
            }
        }
    }

    #[test]
    fn more_input_never_counts_less() {
        let small = json!({"messages": [{"role": "user", "content": "hello"}]});
        let large =
            json!({"messages": [{"role": "user", "content": "hello there"}], "system": "be brief"});
        assert!(input_tokens(&small) < input_tokens(&large));
    }

    #[test]
    fn what_a_script_sets_wins_over_the_estimate() {
        let mut meter = Meter::new(10, false);
        meter.emitted("some words");
        meter.set(UsageOverride {
            input_tokens: Some(1500),
            output_tokens: Some(800),
            ..UsageOverride::default()
        });
        let end = meter.end();
        assert_eq!((end.input_tokens, end.output_tokens), (1500, 800));
    }

    #[test]
    fn a_compaction_that_ends_the_answer_is_its_only_sampling() {
        let kinds = |meter: &Meter| {
            let all = meter.end().iterations.unwrap_or_default();
            all.iter().map(|one| one.kind).collect::<Vec<_>>()
        };
        let mut meter = Meter::new(10, false);
        meter.compacted("a summary", 2, AfterCompaction::GoesOn);
        assert_eq!(
            kinds(&meter),
            [IterationKind::Compaction, IterationKind::Message]
        );
        assert_eq!(
            (meter.end().input_tokens, meter.end().output_tokens),
            (5, 1)
        );
        let mut meter = Meter::new(10, false);
        meter.compacted("a summary", 2, AfterCompaction::Ends);
        assert_eq!(kinds(&meter), [IterationKind::Compaction]);
        // The message itself has none.
        assert_eq!(
            (meter.end().input_tokens, meter.end().output_tokens),
            (0, 0)
        );
        let mut meter = Meter::new(10, false);
        meter.emitted("said before");
        meter.compacted("a summary", 2, AfterCompaction::Ends);
        assert_eq!(
            kinds(&meter),
            [IterationKind::Message, IterationKind::Compaction]
        );
        assert_eq!(
            (meter.end().input_tokens, meter.end().output_tokens),
            (10, 3)
        );
    }

    /// The input of each sampling, that of all, and the output.
    fn told(meter: &Meter) -> (Vec<u64>, u64, u64) {
        let end = meter.end();
        let all = end.iterations.unwrap_or_default();
        let inputs = all.iter().map(|one| one.input_tokens).collect();
        (inputs, end.input_tokens, end.output_tokens)
    }

    fn counting() -> Meter {
        let mut meter = Meter::new(10, false);
        meter.tell_iterations();
        meter
    }

    #[test]
    fn each_sampling_reads_once_what_stands_before_it() {
        let mut meter = counting();
        for _ in 0..2 {
            meter.emitted("four");
            meter.round(1, 2, Vec::new());
        }
        meter.emitted("four");
        assert_eq!(told(&meter), (vec![10, 13, 16], 39, 3));
        // What an answer begins with, the first sampling reads.
        let mut meter = counting();
        meter.round(1, 2, Vec::new());
        meter.emitted("four");
        assert_eq!(told(&meter), (vec![12], 12, 1));
        let mut meter = counting();
        meter.round(1, 2, Vec::new());
        meter.compacted("four", 1, AfterCompaction::GoesOn);
        assert_eq!(told(&meter), (vec![12, 2], 2, 1));
        let mut meter = counting();
        meter.round(1, 2, Vec::new());
        meter.fell_back("a".to_owned(), "b".to_owned());
        assert_eq!(told(&meter), (vec![12, 12], 12, 1));
    }

    #[test]
    fn what_an_answer_leaves_unread_is_not_counted() {
        let mut meter = counting();
        meter.emitted("four");
        meter.round(1, 2, Vec::new());
        meter.pauses();
        assert_eq!(told(&meter), (vec![10], 10, 1));
        let mut meter = counting();
        meter.round(1, 2, Vec::new());
        meter.pauses();
        assert_eq!(told(&meter), (vec![], 0, 0));
        let mut meter = counting();
        meter.compacted("four", 1, AfterCompaction::GoesOn);
        meter.pauses();
        assert_eq!(told(&meter), (vec![10], 0, 0));
        // Code that waits again, and code that a sampling has begun.
        let mut meter = counting();
        meter.waits(1);
        assert_eq!(told(&meter), (vec![], 0, 0));
        let mut meter = counting();
        meter.emitted("four");
        meter.waits(1);
        assert_eq!(told(&meter), (vec![10], 10, 1));
        // A sampling that was made, though nothing stands before the pause.
        let mut meter = counting();
        meter.pauses();
        assert_eq!(told(&meter), (vec![10], 10, 1));
    }

    #[test]
    fn an_advisor_reads_what_the_model_has_and_not_its_own_advice() {
        let mut meter = counting();
        meter.emitted("four");
        let advised = Advised {
            model: "a".to_owned(),
            output_tokens: 900,
        };
        meter.round(0, 900, vec![advised]);
        meter.emitted("four");
        assert_eq!(told(&meter), (vec![10, 11, 911], 921, 2));
    }

    #[test]
    fn images_before_a_compaction_count_neither_way() {
        let image =
            json!({"type": "image", "source": {"type": "base64", "data": "x".repeat(4000)}});
        let text = json!({"type": "text", "text": "y".repeat(400)});
        let compaction = json!({"type": "compaction", "content": "a summary"});
        let body = |before: &Value| {
            json!({"messages": [
                {"role": "user", "content": [before]},
                {"role": "assistant", "content": [compaction]},
                {"role": "user", "content": [text, image]},
            ]})
        };
        assert_eq!(text_tokens(&body(&image)), text_tokens(&body(&text)));
        assert!(text_tokens(&body(&image)) > 100);
    }

    #[test]
    fn cache_writes_are_told_by_how_long_they_stay() {
        let mut meter = Meter::new(10, false);
        meter.set(UsageOverride {
            cache_creation_input_tokens: Some(1000),
            ..UsageOverride::default()
        });
        meter.tell_iterations();
        let told = |meter: &Meter| {
            let of = |kept: &CacheCreation| {
                (
                    kept.ephemeral_5m_input_tokens,
                    kept.ephemeral_1h_input_tokens,
                )
            };
            let last = meter.end().iterations.unwrap_or_default().remove(0);
            [of(&meter.start().cache_creation), of(&last.cache_creation)]
        };
        assert_eq!(told(&meter), [(1000, 0); 2]);
        meter.caches_for_an_hour();
        assert_eq!(told(&meter), [(0, 1000); 2]);
    }

    #[test]
    fn the_counters_of_server_tools_come_only_with_a_container() {
        let mut meter = Meter::new(10, false);
        assert_eq!(meter.end().server_tool_use, None);
        meter.uses_container();
        assert_eq!(
            meter.end().server_tool_use.unwrap().code_execution_requests,
            Some(0)
        );
    }
}

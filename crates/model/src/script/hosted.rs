//! The calls of a rule that the service carries out with the request alone.

use serde_json::{Value, json};

use super::rule::{Rule, ScriptCall, ScriptTool};
use super::run::{Run, list_of};
use crate::{Advice, Call, Finding, McpAnswer, ModelError, ServerTool};

impl Run {
    /// A search for tools, a question to the advisor, or a call of a connector.
    pub(super) fn hosted_call(
        &self,
        rule: &Rule,
        call: &ScriptCall,
        tool: &ScriptTool,
    ) -> Result<Call, ModelError> {
        let failure = self.failure(rule, call)?;
        let (tool, input, found) = match tool {
            ScriptTool::ToolSearch {
                variant,
                asked,
                limit,
                finds,
            } => {
                let tool = variant.unwrap_or_else(|| declared_search(self.body()));
                let by_words = tool == ServerTool::ToolSearchBm25;
                let key = if by_words { "query" } else { "pattern" };
                let mut input = json!({ key: self.render_json(rule, asked)? });
                if let Some(limit) = limit {
                    input["limit"] = json!(limit);
                }
                let names = finds.as_ref().map(|names| self.render_json(rule, names));
                let names = names.transpose()?.map(|names| {
                    let names = list_of(names).into_iter();
                    names
                        .filter_map(|name| name.as_str().map(str::to_owned))
                        .collect()
                });
                (tool, input, names.map(Finding::Tools))
            }
            ScriptTool::Mcp {
                server,
                name,
                input,
                texts,
                is_error,
            } => {
                let texts: Result<_, ModelError> = texts
                    .iter()
                    .map(|text| Ok(self.render(rule, text)?.into_owned()))
                    .collect();
                return Ok(Call::Mcp {
                    server: self.render(rule, server)?.into_owned(),
                    name: name.clone(),
                    input: self.render_json(rule, input)?,
                    answer: McpAnswer {
                        texts: texts?,
                        is_error: *is_error,
                    },
                });
            }
            ScriptTool::Advisor {
                text,
                redacted,
                stop_reason,
            } => {
                let advice = Advice {
                    text: self.render(rule, text)?.into_owned(),
                    redacted: *redacted,
                    stop_reason: stop_reason.clone(),
                };
                let found = Some(Finding::Advice(advice));
                (ServerTool::Advisor, json!({}), found)
            }
            // They are made where code and the web are known.
            ScriptTool::Bash(_)
            | ScriptTool::Python(_)
            | ScriptTool::Editor(_)
            | ScriptTool::Client { .. }
            | ScriptTool::AnyClient(_)
            | ScriptTool::Web { .. } => {
                return Err(ModelError::new(format!(
                    "`{}` is no tool of the service alone",
                    call.key
                )));
            }
        };
        Ok(Call::Server {
            tool,
            input,
            failure,
            found,
        })
    }
}

/// The search that the request declares.
fn declared_search(body: &Value) -> ServerTool {
    let tools = body["tools"].as_array().into_iter().flatten();
    let mut kinds = tools.filter_map(|tool| tool["type"].as_str());
    let found = kinds.find_map(|kind| {
        [ServerTool::ToolSearchRegex, ServerTool::ToolSearchBm25]
            .into_iter()
            .find(|tool| kind.starts_with(tool.name()))
    });
    found.unwrap_or(ServerTool::ToolSearchRegex)
}

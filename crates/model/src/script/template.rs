//! Templates: `${{ … }}` and `${% … %}` in the strings of a step.
//!
//! The usual delimiters collide with shell, awk, and Python. A string without `${` never reaches
//! the template engine. What one may make and read is bounded: see `respell` and `meter`.

mod meter;
mod respell;

mod names;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value as Item;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;

use super::view::{ROOTS, View, item};
use crate::ModelError;
use common::document::{Lines, did_you_mean, list};
use common::work;

/// The fields of `last`, and of each of `results`.
pub(super) const RESULT_FIELDS: [&str; 8] = [
    "id",
    "name",
    "stdout",
    "stderr",
    "return_code",
    "error_code",
    "content",
    "files",
];
/// Work one template may do before it is taken for endless.
const FUEL: u64 = 1_000_000;
/// Macros and recursive loops in one another; each takes some of the stack.
const RECURSION: usize = 100;
/// Marks a condition's template as true.
const TRUE: &str = "1";

/// A string of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text {
    /// No template in it.
    Plain(String),
    Template(TemplateId),
}

/// A template, by its number in [`Templates`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateId {
    name: String,
    /// Where its text stands in the file.
    lines: Lines,
    /// Which of [`ROOTS`] it reads: a request may be large, so only these are built.
    reads: [bool; ROOTS.len()],
    /// It may take long, whatever it reads.
    loops: bool,
}

/// JSON of a step, with templates in its strings.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Plain(Value),
    Text(Text),
    /// A string that is one expression and nothing else: gives the value, not its text.
    Native(TemplateId),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// The compiled templates of one file.
#[derive(Debug)]
pub(super) struct Templates {
    file: Arc<str>,
    environment: Environment<'static>,
    count: usize,
}

/// A mistake in a template: its line in the file, and what is wrong.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) line: u64,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

static SYNTAX: LazyLock<SyntaxConfig> = LazyLock::new(|| {
    SyntaxConfig::builder()
        .variable_delimiters("${{", "}}")
        .block_delimiters("${%", "%}")
        // Not `${#`: that is the length of a shell variable.
        .comment_delimiters("${//", "//}")
        .keep_trailing_newline(true)
        .build()
        .expect("the delimiters differ from one another")
});

impl Json {
    /// Text, plain if there is no template in it.
    pub(super) fn text(text: Text) -> Self {
        match text {
            Text::Plain(text) => Self::Plain(Value::String(text)),
            template @ Text::Template(_) => Self::Text(template),
        }
    }

    /// A list, plain if all of it is.
    pub(super) fn list(items: Vec<Self>) -> Self {
        let plain: Option<Vec<Value>> = items.iter().map(Self::as_plain).collect();
        plain.map_or(Self::List(items), |items| Self::Plain(items.into()))
    }

    /// A map, plain if all of it is.
    pub(super) fn map(entries: Vec<(String, Self)>) -> Self {
        let plain: Option<serde_json::Map<_, _>> = entries
            .iter()
            .map(|(key, value)| Some((key.clone(), value.as_plain()?)))
            .collect();
        plain.map_or(Self::Map(entries), |entries| Self::Plain(entries.into()))
    }

    fn as_plain(&self) -> Option<Value> {
        if let Self::Plain(value) = self {
            return Some(value.clone());
        }
        None
    }
}

impl Templates {
    pub(super) fn new(file: Arc<str>) -> Self {
        let mut environment = Environment::new();
        environment.set_syntax(SYNTAX.clone());
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(true);
        environment.set_recursion_limit(RECURSION);
        environment.add_filter("fromjson", from_json);
        meter::install(&mut environment);
        Self {
            file,
            environment,
            count: 0,
        }
    }

    /// Compiles `source` if there is a template in it. `captures` collects the names it reads.
    pub(super) fn text(
        &mut self,
        source: &str,
        lines: Lines,
        captures: &mut Vec<(String, u64)>,
    ) -> Result<Text, Mistake> {
        if has_template(source) {
            self.add(source.to_owned(), lines, captures)
                .map(Text::Template)
        } else {
            Ok(Text::Plain(source.to_owned()))
        }
    }

    /// Compiles a string inside JSON.
    pub(super) fn json_text(
        &mut self,
        source: &str,
        lines: Lines,
        captures: &mut Vec<(String, u64)>,
    ) -> Result<Json, Mistake> {
        let expression = source
            .strip_prefix("${{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .filter(|inner| !inner.contains("}}"));
        match expression {
            Some(inner) => {
                check_expression(inner, lines)?;
                self.add(format!("${{{{ ({inner})|tojson }}}}"), lines, captures)
                    .map(Json::Native)
            }
            None => self.text(source, lines, captures).map(Json::text),
        }
    }

    /// Compiles an expression that is true or false.
    pub(super) fn condition(
        &mut self,
        source: &str,
        lines: Lines,
        captures: &mut Vec<(String, u64)>,
    ) -> Result<TemplateId, Mistake> {
        let bare = source.trim();
        let bare = bare
            .strip_prefix("${{")
            .and_then(|rest| rest.strip_suffix("}}"))
            .unwrap_or(bare);
        check_expression(bare, lines)?;
        let wrapped = format!("${{% if ({bare}) %}}{TRUE}${{% endif %}}");
        self.add(wrapped, lines, captures)
    }

    fn add(
        &mut self,
        source: String,
        lines: Lines,
        captures: &mut Vec<(String, u64)>,
    ) -> Result<TemplateId, Mistake> {
        let name = self.count.to_string();
        self.count += 1;
        let text = source;
        let source = respell::respell(&text, &SYNTAX).map_err(|error| mistake(&error, lines))?;
        let line_of = |path: &str| {
            let before = text.find(path).map_or("", |index| &text[..index]);
            let newlines = before.bytes().filter(|byte| *byte == b'\n').count();
            lines.behind(newlines)
        };
        self.environment
            .add_template_owned(name.clone(), source)
            .map_err(|error| mistake(&error, lines))?;
        if let Some(unknown) = names::unknown(&self.environment, &text) {
            return Err(Mistake {
                line: lines.behind(unknown.line),
                message: format!("unknown {} `{}`", unknown.kind, unknown.name),
                hint: Some("templates have the filters and tests of minijinja".to_owned()),
            });
        }
        let plain =
            respell::without_slices(&text, &SYNTAX).map_err(|error| mistake(&error, lines))?;
        let plain = self
            .environment
            .template_from_str(&plain)
            .map_err(|error| mistake(&error, lines))?;
        let mut names: Vec<String> = plain.undeclared_variables(true).into_iter().collect();
        names.sort();
        let mut reads = [false; ROOTS.len()];
        for path in names {
            let mut parts = path.split('.');
            let root = parts.next().unwrap_or_default();
            if self.environment.globals().any(|(name, _)| name == root) {
                continue;
            }
            let Some(index) = ROOTS.iter().position(|known| *known == root) else {
                return Err(unknown_name(
                    root,
                    &ROOTS,
                    "a template can name",
                    line_of(&path),
                ));
            };
            reads[index] = true;
            match (root, parts.next()) {
                ("last", Some(field)) if !RESULT_FIELDS.contains(&field) => {
                    return Err(unknown_name(
                        field,
                        &RESULT_FIELDS,
                        "`last` has",
                        line_of(&path),
                    ));
                }
                ("captures", Some(capture)) => captures.push((capture.to_owned(), line_of(&path))),
                _ => {}
            }
        }
        Ok(TemplateId {
            loops: respell::can_loop(&text),
            name,
            lines,
            reads,
        })
    }

    /// The text of a step's string.
    pub(super) fn render<'t>(
        &self,
        text: &'t Text,
        view: View<'_>,
    ) -> Result<Cow<'t, str>, ModelError> {
        match text {
            Text::Plain(text) => Ok(Cow::Borrowed(text)),
            Text::Template(id) => self.evaluate(id, view).map(Cow::Owned),
        }
    }

    /// The value of a step's JSON.
    pub(super) fn render_json(&self, json: &Json, view: View<'_>) -> Result<Value, ModelError> {
        Ok(match json {
            Json::Plain(value) => value.clone(),
            Json::Text(text) => Value::String(self.render(text, view)?.into_owned()),
            Json::Native(id) => {
                let text = self.evaluate(id, view)?;
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            }
            Json::List(items) => Value::Array(
                items
                    .iter()
                    .map(|item| self.render_json(item, view))
                    .collect::<Result<_, _>>()?,
            ),
            Json::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.render_json(value, view)?)))
                    .collect::<Result<_, ModelError>>()?,
            ),
        })
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, id: &TemplateId, view: View<'_>) -> Result<bool, ModelError> {
        self.evaluate(id, view).map(|text| text == TRUE)
    }

    fn evaluate(&self, id: &TemplateId, view: View<'_>) -> Result<String, ModelError> {
        self.environment
            .get_template(&id.name)
            .and_then(|template| {
                let render = || meter::metered(|| template.render(view.context(id.reads)));
                if id.loops {
                    work::apart(render)
                } else {
                    work::apart_if_large(view.text_bytes(id.reads), render)
                }
            })
            .map_err(|error| {
                let Mistake {
                    line,
                    message,
                    hint,
                } = mistake(&error, id.lines);
                ModelError {
                    message: format!("{}:{line}: {message}", self.file),
                    hint: hint.map(Cow::Owned),
                }
            })
    }
}

/// Whether the template engine is needed for `text`.
pub(crate) fn has_template(text: &str) -> bool {
    text.contains("${{") || text.contains("${%") || text.contains("${//")
}

/// An expression alone, before something is put around it.
fn check_expression(source: &str, lines: Lines) -> Result<(), Mistake> {
    respell::check_expression(source).map_err(|error| mistake(&error, lines))
}

fn from_json(text: &str) -> Result<Item, minijinja::Error> {
    serde_json::from_str::<Value>(text)
        .map(|value| item(&value))
        .map_err(|error| {
            minijinja::Error::new(
                ErrorKind::InvalidOperation,
                format!("`fromjson` got no JSON: {error}"),
            )
        })
}

fn mistake(error: &minijinja::Error, lines: Lines) -> Mistake {
    let into_text = error.line().unwrap_or(1).saturating_sub(1);
    let line = lines.behind(into_text);
    let (message, hint) = match error.kind() {
        ErrorKind::UndefinedError => {
            let what = error
                .range()
                .and_then(|range| whole_path(error.template_source()?, range))
                .map_or_else(
                    || "a name in a template is undefined".to_owned(),
                    |name| format!("`{}` is undefined in a template", name.trim()),
                );
            let hint = if what.starts_with("`last") {
                "`last` exists after the first call; `is defined` asks whether a name exists"
            } else {
                "`is defined` asks whether a name exists, and `default(…)` stands in for one that does not"
            };
            (what, Some(hint.to_owned()))
        }
        ErrorKind::OutOfFuel => ("a template does not come to an end".to_owned(), None),
        kind => {
            let detail = error.detail().map(|text| format!(": {text}"));
            let hint = (kind == ErrorKind::SyntaxError).then(|| {
                "an expression stands between `${{` and `}}`, such as `${{ last.stdout }}`"
                    .to_owned()
            });
            let message = format!("template: {kind}{}", detail.unwrap_or_default());
            (message, hint)
        }
    };
    Mistake {
        line,
        message,
        hint,
    }
}

/// What is at `range`, and before it what it is a part of: of `[3].stdout` the `results`.
fn whole_path(source: &str, range: Range<usize>) -> Option<&str> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']');
    let found = source.get(range.clone())?;
    // A filter is given what does not exist: it stands before the bar, and before what was put between.
    if let Some(mut before) = source[..range.start].trim_end().strip_suffix('|') {
        loop {
            before = before.trim_end();
            let (rest, path) = before.split_at(before.trim_end_matches(part).len());
            match rest.trim_end().strip_suffix('|') {
                Some(rest) if path.starts_with(meter::PREFIX) => before = rest,
                Some(_) | None => return (!path.is_empty()).then_some(path),
            }
        }
    }
    if !found.starts_with(['.', '[']) {
        return Some(found);
    }
    let start = source[..range.start].trim_end_matches(part).len();
    source.get(start..range.end)
}

fn unknown_name(name: &str, known: &[&str], what: &str, line: u64) -> Mistake {
    let hint = did_you_mean(name, known.iter().copied(), || {
        format!("{what} {}", list(known))
    });
    Mistake {
        line,
        message: format!("unknown name `{name}` in a template"),
        hint: Some(hint),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::{CallResult, Upload};

    fn from_line(first: u64) -> Lines {
        Lines {
            first,
            are_kept: true,
        }
    }

    fn render_with(source: &str, results: &[Arc<CallResult>]) -> Result<String, String> {
        let mut templates = Templates::new("a.yaml".into());
        let text = templates
            .text(source, from_line(7), &mut Vec::new())
            .map_err(|mistake| {
                format!("{}: {} ({:?})", mistake.line, mistake.message, mistake.hint)
            })?;
        let captures = BTreeMap::from([("city".to_owned(), "Oslo".to_owned())]);
        let uploads = [Upload {
            file_id: "file_1".into(),
            filename: "a.csv".to_owned(),
        }];
        let view = View {
            body: &json!({"model": "m", "zeta": {"b": 1, "a": [1, 2]}}),
            uploads: &uploads,
            results,
            last: None,
            captures: &captures,
        };
        templates
            .render(&text, view)
            .map(Cow::into_owned)
            .map_err(|error| error.message)
    }

    fn result(stdout: &str) -> Arc<CallResult> {
        Arc::new(CallResult {
            id: "srvtoolu_1".to_owned(),
            name: "bash_code_execution".to_owned(),
            stdout: stdout.to_owned(),
            stderr: String::new(),
            return_code: Some(0),
            error_code: None,
            content: json!({"type": "bash_code_execution_result"}),
            files: Vec::new(),
        })
    }

    #[test]
    fn shell_awk_and_python_pass_untouched() {
        let source = "echo ${HOME} {{ x }} {% y %} | awk '{print $1}' # {# no #}";
        assert_eq!(render_with(source, &[]).unwrap(), source);
        let mixed = "${HOME} ${{ captures.city }} ${#array[@]}${// a note //}.";
        assert_eq!(
            render_with(mixed, &[]).unwrap(),
            "${HOME} Oslo ${#array[@]}."
        );
    }

    #[test]
    fn request_results_files_and_captures_are_there() {
        let source = "${{ request.model }} ${{ request.zeta|tojson }} ${{ last.stdout }} \
                      ${{ results|length }} ${{ files[0].filename }} ${{ captures.city }}\n";
        assert_eq!(
            render_with(source, &[result("out")]).unwrap(),
            "m {\"b\": 1, \"a\": [1, 2]} out 1 a.csv Oslo\n"
        );
    }

    #[test]
    fn a_slice_names_what_it_is_taken_of() {
        let source = "${{ last.stdout[0:2] }} ${{ results[0:1][0].stdout[1:] }} ${{ request.model[:(last.stdout|length)] }}";
        assert_eq!(render_with(source, &[result("out")]).unwrap(), "ou ut m");
        let error = render_with("one\n${{ last.stdot[1:] }}", &[]).unwrap_err();
        assert!(
            error.starts_with("8: ") && error.contains("did you mean `stdout`"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_name_is_an_error_with_its_line() {
        let error = render_with("one\n${{ last.stdout }}", &[]).unwrap_err();
        assert!(error.starts_with("a.yaml:8: `last"), "{error}");
        let error = render_with("${{ request.nope }}", &[]).unwrap_err();
        assert!(error.starts_with("a.yaml:7: `request.nope`"), "{error}");
        let error = render_with("${{ lastt.stdout }}", &[]).unwrap_err();
        assert!(error.contains("did you mean `last`"), "{error}");
        let error = render_with("${{ last.stdot }}", &[]).unwrap_err();
        assert!(error.contains("did you mean `stdout`"), "{error}");
    }

    #[test]
    fn a_string_that_is_one_expression_keeps_its_type_in_json() {
        let mut templates = Templates::new("a.yaml".into());
        let json = templates
            .json_text("${{ last.return_code }}", from_line(1), &mut Vec::new())
            .unwrap();
        let results = [result("<b>")];
        let view = View {
            body: &Value::Null,
            uploads: &[],
            results: &results,
            last: None,
            captures: &BTreeMap::new(),
        };
        assert_eq!(templates.render_json(&json, view).unwrap(), json!(0));
        let json = templates
            .json_text("${{ last.stdout }}", from_line(1), &mut Vec::new())
            .unwrap();
        assert_eq!(templates.render_json(&json, view).unwrap(), json!("<b>"));
    }

    #[test]
    fn an_endless_template_is_stopped() {
        let source =
            "${% for a in range(10000) %}${% for b in range(10000) %}${% endfor %}${% endfor %}";
        assert!(render_with(source, &[]).unwrap_err().contains("end"));
    }

    #[test]
    fn a_part_is_taken_of_whatever_an_expression_makes() {
        for (source, said) in [
            ("${{ range(3)[1] }}", "1"),
            ("${{ [1, 2, 3][1] }}", "2"),
            ("${{ (1, 2)[0] }}", "1"),
            ("${{ {'a': {'b': 3}}.a.b }}", "3"),
            ("${{ {'a': 3}['a'] }}", "3"),
            ("${{ ('ab' * 2)[1:3] }}", "ba"),
            ("${{ ('a,b'|split(','))[1:][0] }}", "b"),
            ("${{ (('x' ~ 'y') + 'z')[1:2] }}", "y"),
            ("${{ namespace(a=4).a }}", "4"),
            ("${{ dict(a=[5]).a[0] }}", "5"),
        ] {
            let rendered = render_with(source, &[result("34")]);
            assert_eq!(rendered.as_deref(), Ok(said), "{source}");
        }
    }

    #[test]
    fn a_text_that_is_repeated_is_measured_by_what_it_makes() {
        let of = |source| render_with(source, &[result("34")]).map(|text| text.len());
        // It is made once more where the template is filled in.
        assert_eq!(of("${{ 'x' * 30000000 }}"), Ok(30_000_000));
        assert_eq!(of("${{ 10000000 * 'xyz' }}"), Ok(30_000_000));
        assert!(of("${{ 'x' * 70000000 }}").is_err());
        assert!(of("${{ [1] * 2000000 }}").is_err());
    }

    #[test]
    fn json_in_an_output_can_be_read() {
        let source = "${{ (last.stdout|fromjson).total }}";
        assert_eq!(
            render_with(source, &[result("{\"total\": 3}")]).unwrap(),
            "3"
        );
    }
}

//! Every shipped script is run for real, with the host's shell and Python in a folder of its own.
//!
//! Where the host's Python has no pandas, the scripts must say so in one line; that is checked too.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{Call, CallResult, CodeTool, DeclaredTool, OutputFile, ServerTool, Step, Upload};

const SALES: &str = include_str!("../../../../fixtures/files/sales.csv");
const CHURN: &str = include_str!("../../../../fixtures/files/streaming.csv");

/// A container that lasts for several turns.
struct Host {
    home: tempfile::TempDir,
    calls: u32,
}

/// The answer of a turn as a client would see it.
#[derive(Debug, Default)]
struct Answer {
    text: String,
    tools: Vec<&'static str>,
    /// Of each call.
    return_codes: Vec<Option<i64>>,
    files: Vec<String>,
}

fn request(tool: CodeTool, text: &str, uploads: &[&str]) -> TurnRequest {
    let kind = match tool {
        CodeTool::Python => "code_execution_20250522",
        CodeTool::BashAndEditor => "code_execution_20250825",
        CodeTool::Cells => "code_execution_20260120",
    };
    TurnRequest {
        body: Arc::new(json!({"messages": [{"role": "user", "content": text}]})),
        user_text: text.to_owned(),
        tools: vec![DeclaredTool {
            kind: kind.to_owned(),
            name: "code_execution".to_owned(),
        }],
        code_tool: Some(tool),
        uploads: uploads
            .iter()
            .map(|name| Upload {
                file_id: format!("file_{name}").into(),
                filename: (*name).to_owned(),
            })
            .collect(),
        answered: Vec::new(),
        resumes_pause: false,
    }
}

impl Host {
    /// `None`, said aloud, where there is no Python.
    fn new(uploads: &[(&str, &str)]) -> Option<Self> {
        let python = Command::new("python3").arg("--version").output();
        if python.is_err() {
            let required = std::env::var("SANDTABLE_TEST_REQUIRE").unwrap_or_default();
            assert!(!required.contains("python"), "there is no python3");
            eprintln!("skipped: there is no python3");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        for (name, content) in uploads {
            std::fs::write(home.path().join(name), content).unwrap();
        }
        Some(Self { home, calls: 0 })
    }

    fn ask(&mut self, tool: CodeTool, text: &str, uploads: &[&str]) -> Answer {
        let request = request(tool, text, uploads);
        let mut model =
            answer(&request, &Scripts::default()).unwrap_or_else(|| panic!("no tour for {text:?}"));
        assert_eq!(model.source(), "tour");
        let mut seen = Answer::default();
        let mut results = Vec::new();
        while let Some(step) = model.next(&results).unwrap() {
            results.clear();
            match step {
                Step::Text(text) => seen.text += &text,
                Step::Calls(calls) => {
                    for call in calls {
                        let Call::Server { tool, input, .. } = call else {
                            panic!("{call:?}")
                        };
                        let result = self.run(tool, &input);
                        seen.tools.push(tool.name());
                        seen.return_codes.push(result.return_code);
                        let names = result.files.iter().map(|file| file.filename.clone());
                        seen.files.extend(names);
                        results.push(result);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(seen.text.contains("sandtable's tour answered"), "{seen:?}");
        seen
    }

    fn run(&mut self, tool: ServerTool, input: &Value) -> CallResult {
        self.calls += 1;
        match tool {
            ServerTool::Bash => self.process("bash", &["-c", input["command"].as_str().unwrap()]),
            ServerTool::Python => self.process("python3", &["-c", input["code"].as_str().unwrap()]),
            ServerTool::Editor => self.edit(input),
            ServerTool::WebSearch
            | ServerTool::WebFetch
            | ServerTool::ToolSearchRegex
            | ServerTool::ToolSearchBm25
            | ServerTool::Advisor => panic!("the tour has no use for it"),
        }
    }

    fn process(&self, program: &str, arguments: &[&str]) -> CallResult {
        let output_dir = tempfile::tempdir().unwrap();
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.home.path())
            .env("INPUT_DIR", self.home.path())
            .env("OUTPUT_DIR", output_dir.path())
            .env(
                "MPLCONFIGDIR",
                std::env::temp_dir().join("sandtable-test-mpl"),
            )
            .output()
            .unwrap();
        let mut files: Vec<OutputFile> = std::fs::read_dir(output_dir.path())
            .unwrap()
            .map(|entry| OutputFile {
                file_id: "file_1".into(),
                filename: entry.unwrap().file_name().into_string().unwrap(),
                size_bytes: 1,
            })
            .collect();
        files.sort_by(|a, b| a.filename.cmp(&b.filename));
        CallResult {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            return_code: Some(i64::from(output.status.code().unwrap())),
            files,
            ..self.blank(json!({}))
        }
    }

    /// As much of the editor as the tour needs.
    fn edit(&self, input: &Value) -> CallResult {
        let path = self.home.path().join(input["path"].as_str().unwrap());
        let text = |key: &str| input[key].as_str().unwrap().to_owned();
        match text("command").as_str() {
            "create" => std::fs::write(path, text("file_text")).unwrap(),
            "str_replace" => {
                let old = std::fs::read_to_string(&path).unwrap();
                assert_eq!(old.matches(&text("old_str")).count(), 1);
                std::fs::write(path, old.replace(&text("old_str"), &text("new_str"))).unwrap();
            }
            "view" => {
                let content = std::fs::read_to_string(path).unwrap();
                return self.blank(json!({"content": content}));
            }
            other => panic!("{other}"),
        }
        self.blank(json!({}))
    }

    fn blank(&self, content: Value) -> CallResult {
        CallResult {
            id: format!("srvtoolu_{}", self.calls),
            name: String::new(),
            stdout: String::new(),
            stderr: String::new(),
            return_code: None,
            error_code: None,
            content,
            files: Vec::new(),
        }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap()
    }
}

impl Answer {
    /// Whether all went well; where a library is missing, the answer must say how to get it.
    fn has_libraries(&self) -> bool {
        let missing = self.text.contains("is not in this sandbox");
        if missing {
            assert!(self.text.contains("sandtable image build"), "{self:?}");
            assert_eq!(self.return_codes.last(), Some(&Some(1)), "{self:?}");
            eprintln!("the host's Python lacks a library: {}", self.text);
            return false;
        }
        assert!(
            self.return_codes.iter().flatten().all(|code| *code == 0),
            "{self:?}"
        );
        true
    }
}

const BOTH: [CodeTool; 2] = [CodeTool::Python, CodeTool::BashAndEditor];

#[test]
fn the_mean_and_the_standard_deviation_are_computed() {
    for tool in BOTH {
        let Some(mut host) = Host::new(&[]) else {
            return;
        };
        let prompt = "Calculate the mean and standard deviation of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
        let answer = host.ask(tool, prompt, &[]);
        let expected = "Mean: 5.5\nStandard deviation: 2.8722813232690143\n";
        assert!(answer.text.contains(expected), "{answer:?}");
        assert_eq!(answer.return_codes, [Some(0)]);
    }
}

#[test]
fn the_python_version_and_the_packages_are_listed() {
    for tool in BOTH {
        let Some(mut host) = Host::new(&[]) else {
            return;
        };
        let prompt = "Check the Python version and list installed packages";
        let answer = host.ask(tool, prompt, &[]);
        assert!(answer.text.contains("Python 3."), "{answer:?}");
        assert!(answer.has_libraries());
    }
}

#[test]
fn the_port_in_the_config_file_changes() {
    for tool in BOTH {
        let Some(mut host) = Host::new(&[]) else {
            return;
        };
        let prompt = "Create a config.yaml file with database settings, then update the port from \
                      5432 to 3306";
        let answer = host.ask(tool, prompt, &[]);
        assert!(answer.text.contains("port: 3306"), "{answer:?}");
        assert!(host.read("config.yaml").contains("port: 3306"));
        assert!(!host.read("config.yaml").contains("5432"));
    }
}

#[test]
fn a_random_number_is_squared_in_the_reused_container_only() {
    let name = format!("sandtable-tour-{}.txt", std::process::id());
    let path = Path::new("/tmp").join(&name);
    for (tool, quote) in BOTH.into_iter().zip(["'", "\""]) {
        let Some(mut host) = Host::new(&[]) else {
            return;
        };
        let square =
            format!("Read the number from {quote}/tmp/{name}{quote} and calculate its square");
        let too_early = host.ask(tool, &square, &[]);
        assert!(
            too_early.text.contains("pass the `container` id"),
            "{too_early:?}"
        );
        let write =
            format!("Write a file with a random number and save it to {quote}/tmp/{name}{quote}");
        host.ask(tool, &write, &[]);
        let number: u64 = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let answer = host.ask(tool, &square, &[]);
        std::fs::remove_file(&path).unwrap();
        assert!(
            answer
                .text
                .contains(&format!("Square: {}", number * number)),
            "{answer:?}"
        );
    }
}

#[test]
fn revenue_by_region_gives_a_chart_and_then_a_summary() {
    for tool in BOTH {
        let Some(mut host) = Host::new(&[("sales.csv", SALES)]) else {
            return;
        };
        let prompt = "Load sales.csv with pandas. Report total revenue by region and the \
                      top-selling product. Then save a bar chart of revenue-by-region as chart.png.";
        let answer = host.ask(tool, prompt, &["sales.csv"]);
        let prompt = "Using the same dataframe, compute revenue per unit by product and save the \
                      result as summary.csv.";
        let summary = host.ask(tool, prompt, &[]);
        // The summary lies beside its source now, and must not be taken for it.
        let again = host.ask(tool, prompt, &[]);
        if !answer.has_libraries() {
            continue;
        }
        assert!(answer.text.contains("north: 5,200"), "{answer:?}");
        assert!(
            answer
                .text
                .contains("Top-selling product: widget (72 units, 8,640 revenue)")
        );
        assert_eq!(answer.files, ["chart.png"]);
        assert!(summary.has_libraries() && again.has_libraries());
        assert_eq!(summary.files, ["summary.csv"]);
        assert_eq!(
            host.read("summary.csv"),
            "product,units,revenue_usd,revenue_per_unit\ngadget,33,6600,200.0\nwidget,72,8640,120.0\n"
        );
    }
}

#[test]
fn a_follow_up_without_its_container_says_what_is_missing() {
    let Some(mut host) = Host::new(&[]) else {
        return;
    };
    let prompt = "compute revenue per unit by product and save the result as summary.csv.";
    let answer = host.ask(CodeTool::BashAndEditor, prompt, &[]);
    assert_eq!(answer.return_codes, [Some(1)]);
    let told = answer.text.contains("pass the `container` id");
    assert!(told || !answer.has_libraries(), "{answer:?}");
}

#[test]
fn a_csv_is_described() {
    for tool in BOTH {
        let Some(mut host) = Host::new(&[("data.csv", SALES)]) else {
            return;
        };
        let answer = host.ask(tool, "Analyze this CSV data", &["data.csv"]);
        if answer.has_libraries() {
            assert!(answer.text.contains("9 rows, 5 columns"), "{answer:?}");
        }
    }
}

#[test]
fn a_csv_becomes_a_report_with_charts_and_a_readme() {
    for tool in BOTH {
        let Some(mut host) = Host::new(&[("data.csv", SALES)]) else {
            return;
        };
        let prompt = "Analyze this CSV data: create a summary report, save visualizations, and \
                      create a README with the findings";
        let answer = host.ask(tool, prompt, &["data.csv"]);
        if answer.has_libraries() {
            let expected = [
                "README.md",
                "categories.png",
                "distributions.png",
                "summary_report.txt",
            ];
            assert_eq!(answer.files, expected);
            assert!(host.read("README.md").contains("9 rows, 5 columns"));
        }
    }
}

#[test]
fn a_chart_is_drawn() {
    for tool in BOTH {
        let Some(mut host) = Host::new(&[]) else {
            return;
        };
        let prompt = "Create a matplotlib visualization and save it as output.png";
        let answer = host.ask(tool, prompt, &[]);
        if answer.has_libraries() {
            assert_eq!(answer.files, ["output.png"]);
        }
    }
}

const CHURN_PROMPT: &str = "
Run a detailed analysis to determine major drivers of churn.
Your final output should include at least one detailed plot summarizing your findings.

Critical note: Every time you execute code, you're starting with a completely clean slate. 
No variables or library imports from previous executions exist.
            ";

#[test]
fn the_drivers_of_churn_are_found_and_plotted() {
    for tool in BOTH {
        let Some(mut host) = Host::new(&[("006_streaming.csv", CHURN)]) else {
            return;
        };
        let answer = host.ask(tool, CHURN_PROMPT, &["006_streaming.csv"]);
        if answer.has_libraries() {
            assert_eq!(answer.files, ["churn_drivers.png"]);
            // The fixture was made so that support tickets matter most.
            let strongest = answer.text.split("0 to 1):\n").nth(1).unwrap().trim_start();
            assert!(strongest.starts_with("support_tickets"), "{answer:?}");
        }
    }
}

#[test]
fn churn_is_found_in_columns_nobody_foresaw() {
    let odd = [
        "Customer ID,Plan,Churned?,Joined\n1,a,Yes,2024-01-01\n2,b,No,2024-01-02\n3,a,Yes,\n4,b,No,2024\n",
        "x,is_churn\n1,True\n2,False\n3,True\n2,False\n",
        "tier,churn_score,churn\nA,0.5,1\nB,0.1,0\nA,,1\nB,0.2,0\n",
    ];
    for csv in odd {
        let Some(mut host) = Host::new(&[("a.csv", csv)]) else {
            return;
        };
        let answer = host.ask(CodeTool::BashAndEditor, CHURN_PROMPT, &["a.csv"]);
        if answer.has_libraries() {
            assert_eq!(answer.files, ["churn_drivers.png"], "{answer:?}");
        }
    }
    for (csv, told) in [
        ("a,b\n1,2\n", "no column like `churn`"),
        ("plan,churn\na,1\nb,1\n", "every row has the same"),
    ] {
        let Some(mut host) = Host::new(&[("a.csv", csv)]) else {
            return;
        };
        let answer = host.ask(CodeTool::BashAndEditor, CHURN_PROMPT, &["a.csv"]);
        let missing = answer.text.contains("is not in this sandbox");
        assert!(answer.text.contains(told) || missing, "{answer:?}");
    }
}

#[test]
fn other_prompts_blocks_and_requests_without_the_tool_are_left_alone() {
    let shell = CodeTool::BashAndEditor;
    let scripts = Scripts::default();
    assert!(answer(&request(shell, "Hello", &[]), &scripts).is_none());
    let block = "the mean and standard deviation of [1]\n```bash\nls\n```";
    assert!(answer(&request(shell, block, &[]), &scripts).is_none());
    let mut no_tool = request(shell, "Analyze this CSV data", &[]);
    no_tool.code_tool = None;
    assert!(answer(&no_tool, &scripts).is_none());
}

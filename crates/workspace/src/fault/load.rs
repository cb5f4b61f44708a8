//! Faults given by file: the layer under every workspace.

use std::path::Path;

use super::Fault;
use super::parse::fault;
use common::document::{self, Diagnostic, Node, Position};
use common::input;
use common::limits::{MAX_FAULTS, MAX_INPUT_FILE_BYTES};

/// Reads a YAML or JSON list of faults.
pub fn load(path: &Path) -> Result<Vec<Fault>, Diagnostic> {
    let file = path.display().to_string();
    let wrong = |at, message: String, hint: String| Diagnostic {
        file: file.clone(),
        at,
        message,
        hint: Some(hint),
    };
    let text = input::read_text(path, MAX_INPUT_FILE_BYTES).map_err(|error| {
        let hint = "`--faults` takes a YAML or JSON file";
        wrong(Position::default(), error.to_string(), hint.to_owned())
    })?;
    let tree = document::read(&text, &file).map_err(|mut wrong| {
        let usual = || "the file is no YAML or JSON".to_owned();
        wrong.hint.get_or_insert_with(usual);
        wrong
    })?;
    let one = |node: &Node| {
        let read = fault(&node.to_json());
        read.map_err(|error| wrong(node.at, error.message, error.hint))
    };
    let Some(tree) = tree else {
        let hint = r#"such as [{"at":"http","status":529,"times":2}]"#;
        let message = "there is nothing in it".to_owned();
        return Err(wrong(Position::default(), message, hint.to_owned()));
    };
    let items = tree.items();
    if items.len() > MAX_FAULTS {
        let message = format!(
            "a file has at most {MAX_FAULTS} faults, got {}",
            items.len()
        );
        let hint = "`times` and `every` have one fault fire more often".to_owned();
        return Err(wrong(tree.at, message, hint));
    }
    items.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_list_in_yaml_or_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.yaml");
        std::fs::write(
            &path,
            "- at: http\n  status: 529\n  times: 2\n- {at: stream, do: cut}\n",
        )
        .unwrap();
        assert_eq!(load(&path).unwrap().len(), 2);
        std::fs::write(&path, r#"[{"at": "http", "status": 529, "tmies": 2}]"#).unwrap();
        let error = load(&path).unwrap_err();
        assert!(
            error.message.starts_with("`tmies` is no key") && error.at.line == 1,
            "{error}"
        );
        assert_eq!(error.hint.as_deref(), Some("did you mean `times`?"));
        std::fs::write(
            &path,
            "- at: http\n  status: 529\n- at: http\n  status: 500\n  tmies: 2\n",
        )
        .unwrap();
        let told = common::hinted::told(&load(&path).unwrap_err());
        assert!(
            told.contains("faults.yaml:3:3: `tmies` is no key"),
            "{told}"
        );
        std::fs::write(&path, r#"[{"at": "http", "status": 529, "status": 500}]"#).unwrap();
        let error = load(&path).unwrap_err();
        assert_eq!(
            error.hint.as_deref(),
            Some("leave one of the two out"),
            "{error}"
        );
        let many = "- {at: http, status: 500}\n".repeat(MAX_FAULTS + 1);
        for (text, place) in [
            (many.as_str(), "at most 1000 faults, got 1001"),
            ("- at: [\n", "faults.yaml:"),
            ("# none\n", "nothing in it"),
            ("- - {at: http, status: 500}\n", "a fault is an object"),
        ] {
            std::fs::write(&path, text).unwrap();
            let told = common::hinted::told(&load(&path).unwrap_err());
            assert!(
                told.contains(place) && told.contains("\n  hint: "),
                "{told}"
            );
        }
    }
}

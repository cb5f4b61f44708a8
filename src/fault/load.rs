//! Faults given by file: the layer under every workspace.

use std::path::Path;

use serde_json::Value;

use super::{Fault, FaultError, parse};

/// Reads a YAML or JSON list of faults.
pub fn load(path: &Path) -> Result<Vec<Fault>, FaultError> {
    let bad = |message: String, hint: &str| FaultError {
        message: format!("{}: {message}", path.display()),
        hint: hint.to_owned(),
    };
    let text = crate::input::read_text(path, crate::limits::MAX_INPUT_FILE_BYTES)
        .map_err(|error| bad(error.to_string(), "`--faults` takes a YAML or JSON file"))?;
    let value: Value = serde_saphyr::from_str(&text)
        .map_err(|error| bad(error.to_string(), "the file is no YAML or JSON"))?;
    parse(&value).map_err(|error| bad(error.message, &error.hint))
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
            error.message.contains("faults.yaml: `tmies` is no key"),
            "{error}"
        );
        assert!(error.hint.contains("`times`"), "{}", error.hint);
    }
}

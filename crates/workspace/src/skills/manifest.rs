//! The rules of an upload (F100). Two texts are the service's (F103); the others are inferred,
//! and name the skill as the service's do.

use std::collections::HashSet;

use serde_json::Value;
use wire::refusal::Invalid;

use super::archive::File;
use super::{MANIFEST, too_large, two_files};
use common::limits;

/// Words that no skill's name holds.
const RESERVED: [&str; 2] = ["anthropic", "claude"];

/// An upload that is a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The slug.
    pub name: String,
    /// The folder the files were uploaded in, or the name.
    pub directory: String,
    pub description: String,
    /// By their paths below the folder.
    pub files: Vec<File>,
}

impl Bundle {
    /// Checks uploaded files; the error is the text for the client.
    pub fn new(files: Vec<File>) -> Result<Self, Invalid> {
        let size: usize = files.iter().map(|(_, content)| content.len()).sum();
        if size > limits::MAX_SKILL_BYTES {
            return Err(too_large());
        }
        let mut seen = HashSet::new();
        for (path, _) in &files {
            check_path(path)?;
            if !seen.insert(path.as_str()) {
                return Err(two_files(path));
            }
        }
        check_folders(&seen)?;
        let (folder, files) = below_one_folder(files)?;
        let manifest = files.iter().find(|(path, _)| path == MANIFEST);
        let (_, manifest) = manifest
            // Parity: F103.
            .ok_or_else(|| {
                Invalid::new("SKILL.md file must be exactly in the top-level folder.")
            })?;
        let (name, description) = frontmatter(manifest, folder.as_deref())?;
        if let Some(folder) = folder.as_ref().filter(|folder| **folder != name) {
            // Parity: F103.
            return Err(Invalid::new(format!(
                "The folder name '{folder}' must match the skill name '{name}' in SKILL.md."
            )));
        }
        Ok(Self {
            directory: folder.unwrap_or_else(|| name.clone()),
            name,
            description,
            files,
        })
    }
}

fn check_path(path: &str) -> Result<(), Invalid> {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.chars().count() <= limits::MAX_FILENAME_CHARS
            && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    if path.split('/').all(plain) {
        return Ok(());
    }
    Err(Invalid::new(format!(
        "The skill has a file with an invalid path: `{}`",
        path.escape_debug()
    )))
}

/// No path is a file's and a folder's: nothing could unpack that.
fn check_folders(paths: &HashSet<&str>) -> Result<(), Invalid> {
    let folders = paths
        .iter()
        .flat_map(|path| path.match_indices('/').map(|(end, _)| &path[..end]));
    match folders.filter(|folder| paths.contains(folder)).min() {
        Some(both) => Err(Invalid::new(format!(
            "The skill has a file and a folder of the name `{both}`"
        ))),
        None => Ok(()),
    }
}

/// Takes the one enclosing folder off the paths, if there is one.
fn below_one_folder(files: Vec<File>) -> Result<(Option<String>, Vec<File>), Invalid> {
    if files.iter().any(|(path, _)| path == MANIFEST) {
        return Ok((None, files));
    }
    let top = |path: &str| path.split_once('/').map(|(top, _)| top.to_owned());
    let Some(folder) = files.first().and_then(|(path, _)| top(path)) else {
        return Ok((None, files));
    };
    if files
        .iter()
        .any(|(path, _)| top(path).as_ref() != Some(&folder))
    {
        return Err(Invalid::new(
            "All files of a skill must be in the same top-level folder.",
        ));
    }
    let below = files
        .into_iter()
        .map(|(path, content)| (path[folder.len() + 1..].to_owned(), content))
        .collect();
    Ok((Some(folder), below))
}

/// `name` and `description` of the manifest.
fn frontmatter(manifest: &[u8], folder: Option<&str>) -> Result<(String, String), Invalid> {
    let text = std::str::from_utf8(manifest)
        .map_err(|_| Invalid::new("SKILL.md of the skill must be UTF-8 text"))?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let yaml = text
        .strip_prefix("---\n")
        .and_then(|rest| {
            let end = rest
                .find("\n---\n")
                .or_else(|| rest.ends_with("\n---").then(|| rest.len() - "\n---".len()))?;
            Some(&rest[..end])
        })
        .ok_or_else(|| {
            Invalid::new(
                "SKILL.md of the skill must begin with YAML frontmatter between two lines `---`",
            )
        })?;
    let fields: Value = serde_saphyr::from_str(yaml)
        .map_err(|_| Invalid::new("The frontmatter of the skill's SKILL.md is not valid YAML"))?;
    if !fields.is_object() && !fields.is_null() {
        return Err(Invalid::new(
            "The frontmatter of the skill's SKILL.md must be a mapping of keys to values",
        ));
    }
    let field = |key: &str| match &fields[key] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.trim().to_owned())),
        _ => Err(Invalid::new(format!(
            "The `{key}` of the skill in SKILL.md must be a string"
        ))),
    };
    let name = field("name")?.or_else(|| folder.map(str::to_owned));
    let name = name.ok_or_else(|| Invalid::new("The skill in SKILL.md has no `name`"))?;
    check_name(&name)?;
    let description = field("description")?.unwrap_or_default();
    check_description(&description)?;
    Ok((name, description))
}

fn check_name(name: &str) -> Result<(), Invalid> {
    let fits = (1..=limits::MAX_SKILL_NAME_CHARS).contains(&name.chars().count());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !fits {
        return Err(Invalid::new(format!(
            "The skill name in SKILL.md must have 1 to {} characters",
            limits::MAX_SKILL_NAME_CHARS
        )));
    }
    if !name.chars().all(plain) {
        return Err(Invalid::new(format!(
            "The skill name '{name}' in SKILL.md may only hold lowercase letters, digits, and hyphens"
        )));
    }
    match RESERVED.iter().find(|word| name.contains(*word)) {
        Some(word) => Err(Invalid::new(format!(
            "The skill name '{name}' in SKILL.md must not hold the reserved word '{word}'"
        ))),
        None => Ok(()),
    }
}

fn check_description(description: &str) -> Result<(), Invalid> {
    let fits = (1..=limits::MAX_SKILL_DESCRIPTION_CHARS).contains(&description.chars().count());
    if !fits {
        return Err(Invalid::new(format!(
            "The description of the skill in SKILL.md must have 1 to {} characters",
            limits::MAX_SKILL_DESCRIPTION_CHARS
        )));
    }
    if has_tag(description) {
        return Err(Invalid::new(
            "The description of the skill in SKILL.md must not hold XML tags",
        ));
    }
    Ok(())
}

/// Whether `<`, a letter or a slash, and later `>` follow each other.
fn has_tag(text: &str) -> bool {
    text.match_indices('<').any(|(at, _)| {
        let rest = &text[at + 1..];
        rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && rest.contains('>')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(name: &str, description: &str) -> Vec<u8> {
        format!("---\nname: {name}\ndescription: {description}\n---\n\nText.\n").into_bytes()
    }

    fn bundle(files: &[(&str, &[u8])]) -> Result<Bundle, Invalid> {
        let files = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), content.to_vec()))
            .collect();
        Bundle::new(files)
    }

    #[test]
    fn a_skill_may_lie_at_the_root_or_in_one_folder() {
        let text = manifest("my-skill", "Does it.");
        for folder in ["", "my-skill/"] {
            let skill = bundle(&[
                (&format!("{folder}a/b.py"), b"1"),
                (&format!("{folder}SKILL.md"), &text),
            ])
            .unwrap();
            assert_eq!(
                (skill.name.as_str(), skill.directory.as_str()),
                ("my-skill", "my-skill")
            );
            assert_eq!(skill.description, "Does it.");
            assert_eq!(skill.files[0].0, "a/b.py");
        }
        let nameless = b"---\ndescription: Does it.\n---\n";
        assert_eq!(
            bundle(&[("folder/SKILL.md", nameless)]).unwrap().name,
            "folder"
        );
    }

    #[test]
    fn every_rule_of_an_upload_is_held() {
        let good = manifest("my-skill", "Does it.");
        let long = "x".repeat(1025);
        let with = |name: &str, description: &str| manifest(name, description);
        let top = "SKILL.md file must be exactly in the top-level folder.";
        let cases = vec![
            (vec![], top),
            (vec![("my-skill/docs/SKILL.md", good.clone())], top),
            (vec![("my-skill/skill.md", good.clone())], top),
            (vec![("readme.md", good.clone())], top),
            (
                vec![("skills/SKILL.md", good.clone())],
                "The folder name 'skills' must match the skill name 'my-skill' in SKILL.md.",
            ),
            (
                vec![("my-skill/SKILL.md", good.clone()), ("other/a", vec![])],
                "All files of a skill must be in the same top-level folder.",
            ),
            (
                vec![("my-skill/../SKILL.md", good.clone())],
                "The skill has a file with an invalid path: `my-skill/../SKILL.md`",
            ),
            (
                vec![("/SKILL.md", good.clone())],
                "The skill has a file with an invalid path: `/SKILL.md`",
            ),
            (
                vec![("SKILL.md", good.clone()), ("SKILL.md", good.clone())],
                "The skill has two files of the name `SKILL.md`",
            ),
            (
                vec![
                    ("a/SKILL.md", with("a", "x")),
                    ("a/b/c", vec![]),
                    ("a/b", vec![]),
                ],
                "The skill has a file and a folder of the name `a/b`",
            ),
            (
                vec![("SKILL.md", good.clone()), ("SKILL.md/b/c", vec![])],
                "The skill has a file and a folder of the name `SKILL.md`",
            ),
            (
                vec![("SKILL.md", b"---\n- name\n- description\n---\n".to_vec())],
                "The frontmatter of the skill's SKILL.md must be a mapping of keys to values",
            ),
            (
                vec![("SKILL.md", b"---\njust words\n---\n".to_vec())],
                "The frontmatter of the skill's SKILL.md must be a mapping of keys to values",
            ),
            (
                vec![("SKILL.md", b"no frontmatter".to_vec())],
                "SKILL.md of the skill must begin with YAML frontmatter between two lines `---`",
            ),
            (
                vec![("SKILL.md", b"---\nname: [\n---\n".to_vec())],
                "The frontmatter of the skill's SKILL.md is not valid YAML",
            ),
            (
                vec![("SKILL.md", b"---\nname: 7\n---\n".to_vec())],
                "The `name` of the skill in SKILL.md must be a string",
            ),
            (
                vec![("SKILL.md", b"---\ndescription: x\n---\n".to_vec())],
                "The skill in SKILL.md has no `name`",
            ),
            (
                vec![("SKILL.md", with("My_Skill", "x"))],
                "The skill name 'My_Skill' in SKILL.md may only hold lowercase letters, digits, and hyphens",
            ),
            (
                vec![("SKILL.md", with(&long[..65], "x"))],
                "The skill name in SKILL.md must have 1 to 64 characters",
            ),
            (
                vec![("SKILL.md", with("my-claude-skill", "x"))],
                "The skill name 'my-claude-skill' in SKILL.md must not hold the reserved word 'claude'",
            ),
            (
                vec![("SKILL.md", with("a", ""))],
                "The description of the skill in SKILL.md must have 1 to 1024 characters",
            ),
            (
                vec![("SKILL.md", with("a", &long))],
                "The description of the skill in SKILL.md must have 1 to 1024 characters",
            ),
            (
                vec![("SKILL.md", with("a", "an <b>evil</b> one"))],
                "The description of the skill in SKILL.md must not hold XML tags",
            ),
        ];
        for (files, text) in cases {
            let files: Vec<(&str, &[u8])> = files
                .iter()
                .map(|(path, content)| (*path, &content[..]))
                .collect();
            assert_eq!(bundle(&files).unwrap_err().to_string(), text);
        }
        let large = vec![b'x'; limits::MAX_SKILL_BYTES];
        assert_eq!(
            bundle(&[("SKILL.md", &good), ("data", &large)]).unwrap_err(),
            too_large()
        );
        assert!(bundle(&[("SKILL.md", &with("a", "where a < b and b > c"))]).is_ok());
    }
}

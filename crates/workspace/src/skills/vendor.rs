//! Stand-ins for the vendor's document skills. Texts and scripts are ours; each says that it is a
//! stand-in. They make real files with the documented libraries.

/// A skill of the vendor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorSkill {
    /// Also its directory's name.
    pub id: &'static str,
    pub display_name: &'static str,
    pub description: &'static str,
    /// The newest first.
    pub versions: &'static [&'static str],
    /// By their paths below the directory; every version has the same.
    pub files: &'static [(&'static str, &'static str)],
}

/// The versions that recordings show, the newest first.
const VERSIONS: &[&str] = &["20260803", "20251013"];

impl VendorSkill {
    /// The version that a request means; `None` if there is no such version.
    pub fn resolve(self, version: Option<&str>) -> Option<&'static str> {
        match version {
            None | Some("latest") => self.versions.first().copied(),
            Some(wanted) => self.versions.iter().copied().find(|known| *known == wanted),
        }
    }
}

/// All of them.
pub fn vendors() -> &'static [VendorSkill] {
    SKILLS
}

/// The one of this id.
pub fn vendor(id: &str) -> Option<VendorSkill> {
    SKILLS.iter().find(|skill| skill.id == id).copied()
}

macro_rules! files {
    ($id:literal, $script:literal) => {
        &[
            (
                "SKILL.md",
                include_str!(concat!("vendor/", $id, "/SKILL.md")),
            ),
            (
                concat!("scripts/", $script),
                include_str!(concat!("vendor/", $id, "/scripts/", $script)),
            ),
        ]
    };
}

const SKILLS: &[VendorSkill] = &[
    VendorSkill {
        id: "xlsx",
        display_name: "xlsx (stand-in)",
        description: "Stand-in of sandtable: makes and reads spreadsheets with openpyxl.",
        versions: VERSIONS,
        files: files!("xlsx", "make_workbook.py"),
    },
    VendorSkill {
        id: "pptx",
        display_name: "pptx (stand-in)",
        description: "Stand-in of sandtable: makes and reads presentations with python-pptx.",
        versions: VERSIONS,
        files: files!("pptx", "make_slides.py"),
    },
    VendorSkill {
        id: "pdf",
        display_name: "pdf (stand-in)",
        description: "Stand-in of sandtable: makes PDF documents with reportlab.",
        versions: VERSIONS,
        files: files!("pdf", "make_pdf.py"),
    },
    VendorSkill {
        id: "docx",
        display_name: "docx (stand-in)",
        description: "Stand-in of sandtable: makes and reads text documents with python-docx.",
        versions: VERSIONS,
        files: files!("docx", "make_document.py"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skills::Bundle;

    #[test]
    fn each_stand_in_keeps_the_rules_of_an_upload_and_says_what_it_is() {
        for skill in vendors() {
            let files = skill
                .files
                .iter()
                .map(|(path, text)| (format!("{}/{path}", skill.id), text.as_bytes().to_vec()))
                .collect();
            let bundle = Bundle::new(files).unwrap();
            assert_eq!(bundle.name, skill.id);
            assert_eq!(bundle.description, skill.description);
            assert!(
                skill.files[0].1.contains("not the vendor's"),
                "{}",
                skill.id
            );
        }
    }
}

//! The settings that the host sends to a guest once, in its hello.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where things lie in the sandbox, and its caps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Holds `input/<16 hex>` and `output/<16 hex>`.
    pub files_root: String,
    /// Holds the skills: `<skills_root>/<name>/SKILL.md`.
    pub skills_root: String,
    /// Holds the cells: `<tmp_root>/<call tag>/cell.py`.
    pub tmp_root: String,
    /// Working directory of every call, and its `HOME`.
    pub work_dir: String,
    /// `PATH` of every call.
    pub path: String,
    /// More environment of every call; wins over the built-in variables.
    pub env: BTreeMap<String, String>,
    /// Most bytes that one call may write to stdout, and again to stderr, before the middle is dropped.
    pub max_stream_bytes: u64,
    /// Most files one call hands back, by name.
    pub max_output_files: u64,
    /// Largest file one call hands back.
    pub max_output_file_bytes: u64,
    /// Largest file a program may write (`RLIMIT_FSIZE`); 0 for no limit.
    pub max_file_bytes: u64,
    /// Most bytes that all files together may take, by a watch that looks every second; 0 for no watch.
    pub max_disk_bytes: u64,
    /// Most processes and threads that all programs together may be; 0 where nobody knows.
    pub max_processes: u64,
    /// Most calls of one cell that wait at once.
    pub max_code_calls: u64,
    /// Most bytes that the arguments of all these may come to.
    pub max_code_args_bytes: u64,
    /// Largest text a view hands back.
    pub max_view_bytes: u64,
    /// Largest image or PDF a view hands back.
    pub max_media_bytes: u64,
    /// Largest file the editor reads at all.
    pub max_edit_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            files_root: "/files".to_owned(),
            skills_root: "/skills".to_owned(),
            tmp_root: "/tmp".to_owned(),
            work_dir: "/home/user".to_owned(),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            env: BTreeMap::new(),
            max_stream_bytes: 1024 * 1024,
            max_output_files: 1000,
            max_output_file_bytes: 500 * 1024 * 1024,
            max_file_bytes: 5 * 1024 * 1024 * 1024,
            max_disk_bytes: 0,
            max_processes: 0,
            max_code_calls: 64,
            max_code_args_bytes: 1024 * 1024,
            max_view_bytes: 1024 * 1024,
            max_media_bytes: 16 * 1024 * 1024,
            max_edit_bytes: 64 * 1024 * 1024,
        }
    }
}

//! The text editor.

use super::*;

impl Sandbox {
    async fn edit(&self, edit: Edit) -> Result<EditOutcome, EditError> {
        let call = EditCall {
            edit,
            input_dir: INPUT.to_owned(),
            output_dir: output_dir(0xed),
        };
        self.guest.edit(call).await.unwrap()
    }

    async fn view(&self, path: &str, view_range: Option<(i64, i64)>) -> Result<View, EditError> {
        let path = path.to_owned();
        match self.edit(Edit::View { path, view_range }).await? {
            EditOutcome::View(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }

    async fn create(&self, path: &str, text: &str) -> Result<bool, EditError> {
        let edit = Edit::Create {
            path: path.to_owned(),
            file_text: text.to_owned(),
        };
        match self.edit(edit).await? {
            EditOutcome::Create { is_file_update } => Ok(is_file_update),
            other => panic!("{other:?}"),
        }
    }

    async fn replace(&self, path: &str, old: &str, new: &str) -> Result<Option<Hunk>, EditError> {
        let edit = Edit::StrReplace {
            path: path.to_owned(),
            old_str: old.to_owned(),
            new_str: new.to_owned(),
        };
        match self.edit(edit).await? {
            EditOutcome::StrReplace { hunk } => Ok(hunk),
            other => panic!("{other:?}"),
        }
    }

    async fn view_error(&self, path: &str) -> EditErrorKind {
        self.view(path, None).await.unwrap_err().kind
    }
}

fn text(content: &str, num_lines: u64, start_line: u64, total_lines: u64) -> View {
    View::Text {
        content: content.to_owned(),
        num_lines,
        start_line,
        total_lines,
    }
}

#[tokio::test]
async fn a_view_counts_lines_as_the_service_does() {
    let sandbox = Sandbox::start().await;
    for (content, lines) in [("a\nb\n", 3), ("a", 1), ("", 1), ("a\r\nb", 2)] {
        sandbox.write("f", content);
        let view = sandbox.view("f", None).await.unwrap();
        assert_eq!(view, text(content, lines, 1, lines));
    }
}

#[tokio::test]
async fn a_view_range_shows_these_lines_and_no_others() {
    let sandbox = Sandbox::start().await;
    sandbox.write("f", "1\n2\n3\n4\n");
    for (range, content, lines) in [
        ((2, 3), "2\n3", 2),
        ((1, 1), "1", 1),
        ((3, -1), "3\n4\n", 3),
        ((4, 99), "4\n", 2),
        ((5, 5), "", 1),
    ] {
        let view = sandbox.view("f", Some(range)).await.unwrap();
        let start = u64::try_from(range.0).unwrap();
        assert_eq!(view, text(content, lines, start, 5), "{range:?}");
    }
    for range in [(0, 1), (6, 7), (3, 2), (-1, 2), (1, -2)] {
        let error = sandbox.view("f", Some(range)).await.unwrap_err();
        assert_eq!(error.kind, EditErrorKind::InvalidInput, "{range:?}");
    }
}

#[tokio::test]
async fn images_and_pdfs_are_known_by_their_first_bytes() {
    let sandbox = Sandbox::start().await;
    let png = b"\x89PNG\r\n\x1a\n\0\0\xff".to_vec();
    sandbox.write("f.txt", &png);
    assert_eq!(sandbox.view("f.txt", None).await, Ok(View::Image(png)));
    let webp = b"RIFF\x10\0\0\0WEBPVP8 ".to_vec();
    sandbox.write("f", &webp);
    assert_eq!(sandbox.view("f", None).await, Ok(View::Image(webp)));
    let pdf = b"%PDF-1.7\n\xff".to_vec();
    sandbox.write("f", &pdf);
    assert_eq!(sandbox.view("f", None).await, Ok(View::Pdf(pdf)));
}

#[tokio::test]
async fn what_cannot_be_viewed_gives_an_error_of_its_own_kind_at_once() {
    let sandbox = Sandbox::start().await;
    sandbox
        .bash(1, "mkfifo fifo; mkdir dir; printf '\\377' > binary; ln -s loop loop; truncate -s 2M long; truncate -s 100M huge")
        .await;
    assert_eq!(
        sandbox.view_error("missing").await,
        EditErrorKind::FileNotFound
    );
    assert_eq!(sandbox.view_error("dir").await, EditErrorKind::IsDirectory);
    assert_eq!(sandbox.view_error("fifo").await, EditErrorKind::NotAFile);
    assert_eq!(
        sandbox.view_error("/dev/zero").await,
        EditErrorKind::NotAFile
    );
    assert_eq!(sandbox.view_error("binary").await, EditErrorKind::NotText);
    assert_eq!(sandbox.view_error("loop").await, EditErrorKind::Io);
    assert_eq!(sandbox.view_error("long").await, EditErrorKind::TooLarge);
    assert_eq!(sandbox.view_error("huge").await, EditErrorKind::TooLarge);
    assert_eq!(sandbox.view_error("").await, EditErrorKind::InvalidInput);
    assert_eq!(
        sandbox.view("missing", None).await.unwrap_err().message,
        "`missing` does not exist"
    );
    assert!(sandbox.view("/proc/version", None).await.is_ok());
    let line = "x".repeat(1_500_000);
    sandbox.write("wide", format!("{line}\n{line}\n").as_bytes());
    for (range, hint) in [
        (None, "; use `view_range` to see a part"),
        (Some((1, 2)), "; use a smaller `view_range`"),
        (Some((1, 1)), "; a program can show a part of this line"),
    ] {
        let message = sandbox.view("wide", range).await.unwrap_err().message;
        assert!(message.ends_with(hint), "{message}");
    }
}

#[tokio::test]
async fn a_text_that_repeats_itself_is_counted_at_once() {
    let sandbox = Sandbox::start().await;
    sandbox.write("aa", "a".repeat(4_000_000).as_bytes());
    let old = "a".repeat(1_000_000);
    let error = sandbox.replace("aa", &old, "b").await.unwrap_err();
    assert_eq!(error.kind, EditErrorKind::InvalidInput);
    assert!(error.message.contains("occurs 3000001 times"), "{error}");
    for (text, old, count) in [
        ("abcabcab", "abcab", 2),
        ("éaéaé", "éaé", 2),
        ("aabaab", "aab", 2),
    ] {
        sandbox.write("some", text.as_bytes());
        let error = sandbox.replace("some", old, "x").await.unwrap_err();
        let told = format!("occurs {count} times");
        assert!(error.message.contains(&told), "{text}: {error}");
    }
    sandbox.write("one", b"aaab");
    assert!(sandbox.replace("one", "aab", "x").await.is_ok());
}

#[tokio::test]
async fn a_change_on_a_line_of_megabytes_is_told() {
    let sandbox = Sandbox::start().await;
    let line = "x".repeat(3_000_000);
    sandbox.write("wide", format!("a\n{line}Q\n").as_bytes());
    let hunk = sandbox.replace("wide", "Q", "W").await.unwrap().unwrap();
    assert_eq!(
        hunk.lines,
        [" a".to_owned(), format!("-{line}Q"), format!("+{line}W")]
    );
    sandbox.write("empty", b"a\n\n\nb\n");
    let hunk = sandbox.replace("empty", "b", "c").await.unwrap().unwrap();
    assert_eq!(hunk.lines, [" a", " ", " ", "-b", "+c"]);
}

#[tokio::test]
async fn create_makes_directories_and_says_whether_the_file_was_there() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.create("a/b/c.txt", "one two").await, Ok(false));
    assert_eq!(sandbox.create("a/b/c.txt", "three").await, Ok(true));
    let content = fs::read_to_string(sandbox.work("a/b/c.txt")).unwrap();
    assert_eq!(content, "three");

    let large = "line\n".repeat(1_000_000);
    assert_eq!(sandbox.create("~/large", &large).await, Ok(false));
    let wc = sandbox.bash(1, "wc -c < large").await;
    assert_eq!(wc.stdout, b"5000000\n");
}

#[tokio::test]
async fn create_over_what_is_no_file_is_refused() {
    let sandbox = Sandbox::start().await;
    sandbox.bash(1, "mkfifo fifo; mkdir dir; echo > file").await;
    for (path, kind) in [
        ("fifo", EditErrorKind::NotAFile),
        ("/dev/null", EditErrorKind::NotAFile),
        ("dir", EditErrorKind::IsDirectory),
        ("file/under", EditErrorKind::InvalidInput),
        ("~/file/under/that", EditErrorKind::InvalidInput),
    ] {
        let error = sandbox.create(path, "x").await.unwrap_err();
        assert_eq!(error.kind, kind, "{path}: {error}");
    }
    let under = sandbox.create("./file/under/that", "x").await;
    assert_eq!(under.unwrap_err().message, "`./file` is not a directory");
}

#[tokio::test]
async fn variables_lead_to_the_directories_of_the_call() {
    let sandbox = Sandbox::start().await;
    sandbox
        .bash(1, r#"printf x > "$INPUT_DIR/sample.csv""#)
        .await;
    let view = sandbox.view("$INPUT_DIR/sample.csv", None).await.unwrap();
    assert_eq!(view, text("x", 1, 1, 1));
    sandbox.create("${OUTPUT_DIR}/a.txt", "y").await.unwrap();
    assert!(sandbox.output(0xed).join("a.txt").exists());
}

#[tokio::test]
async fn a_replacement_is_one_hunk_of_a_unified_diff() {
    let sandbox = Sandbox::start().await;
    let config = "{\n  \"name\": \"app\",\n  \"debug\": true,\n  \"port\": 1\n}\n";
    sandbox.write("config.json", config);
    let hunk = sandbox
        .replace("config.json", "\"debug\": true", "\"debug\": false")
        .await
        .unwrap()
        .unwrap();
    let expected = Hunk {
        old_start: 1,
        old_lines: 5,
        new_start: 1,
        new_lines: 5,
        lines: [
            " {",
            "   \"name\": \"app\",",
            "-  \"debug\": true,",
            "+  \"debug\": false,",
            "   \"port\": 1",
            " }",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    assert_eq!(hunk, expected);
    let content = fs::read_to_string(sandbox.work("config.json")).unwrap();
    assert_eq!(content, config.replace("true", "false"));
}

#[tokio::test]
async fn a_replacement_agrees_with_the_systems_diff() {
    let sandbox = Sandbox::start().await;
    let lines: Vec<String> = (1..=60).map(|n| format!("line {}", n % 7)).collect();
    let before = lines.join("\n") + "\n";
    let old = lines[20..30].join("\n") + "\nline 3";
    for (number, new) in [
        "",
        "line 0",
        "other\n",
        "line 0\nline 1\nx\nline 3",
        "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl",
    ]
    .iter()
    .enumerate()
    {
        sandbox.write("f", format!("mark\n{before}"));
        sandbox.write("before", format!("mark\n{before}"));
        let old = format!("mark\n{}", &before[..old.len()]);
        let hunk = sandbox.replace("f", &old, new).await.unwrap().unwrap();
        // `patch` accepts nothing but a correct hunk.
        let patch = format!(
            "--- before\n+++ before\n@@ -{},{} +{},{} @@\n{}\n",
            hunk.old_start,
            hunk.old_lines,
            hunk.new_start,
            hunk.new_lines,
            hunk.lines.join("\n")
        );
        sandbox.write("p", patch);
        let result = sandbox
            .bash(number as u64, "patch -s before p && cmp before f")
            .await;
        assert_eq!(result.return_code, 0, "{result:?}");
    }
}

#[tokio::test]
async fn the_old_text_must_be_there_exactly_once() {
    let sandbox = Sandbox::start().await;
    sandbox.write("f", "aaa b\n");
    let missing = sandbox.replace("f", "x", "y").await.unwrap_err();
    assert_eq!(missing.kind, EditErrorKind::StringNotFound);
    let twice = sandbox.replace("f", "aa", "y").await.unwrap_err();
    assert_eq!(twice.kind, EditErrorKind::InvalidInput);
    assert!(twice.message.contains("occurs 2 times"), "{twice}");
    let empty = sandbox.replace("f", "", "y").await.unwrap_err();
    assert_eq!(empty.kind, EditErrorKind::InvalidInput);
    let no_file = sandbox.replace("g", "x", "y").await.unwrap_err();
    assert_eq!(no_file.kind, EditErrorKind::FileNotFound);
    let directory = sandbox.replace("/", "x", "y").await.unwrap_err();
    assert_eq!(directory.kind, EditErrorKind::IsDirectory);
    assert_eq!(sandbox.replace("f", "b", "b").await, Ok(None));
    assert_eq!(fs::read(sandbox.work("f")).unwrap(), b"aaa b\n");
}

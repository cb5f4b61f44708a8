//! The full image holds every documented library and tool, and each one works as the sandbox's user.

use std::time::Instant;

use cli::image::Flavor;
use sandbox::Limits;
use sandbox::guest::{ExecKind, embedded};

use crate::bench::{bash, bench, exec, new_spec, wake};

const LIBRARIES: [&str; 28] = [
    "pandas",
    "numpy",
    "scipy",
    "scikit-learn",
    "statsmodels",
    "matplotlib",
    "seaborn",
    "pyarrow",
    "openpyxl",
    "xlsxwriter",
    "xlrd",
    "pillow",
    "python-pptx",
    "python-docx",
    "reportlab[pycairo]",
    "pypdf",
    "pdfplumber",
    "pypdfium2",
    "pdf2image",
    "pdfkit",
    "tabula-py",
    "img2pdf",
    "sympy",
    "mpmath",
    "tqdm",
    "python-dateutil",
    "pytz",
    "joblib",
];

/// A command for each documented tool, and what it prints.
const TOOLS: [(&str, &str); 9] = [
    (
        "python -c 'import sys; print(sys.version_info[:2])'",
        "(3, 11)\n",
    ),
    (
        "echo packed > f && python -m zipfile -c f.zip f && unzip -p f.zip f",
        "packed\n",
    ),
    ("7z a f.7z f > /dev/null && 7z e -so f.7z f", "packed\n"),
    ("unrar --version | grep -o -m1 'unrar'", "unrar\n"),
    ("echo 'scale=3; 22/7' | bc", "3.142\n"),
    ("rg --no-filename pack f", "packed\n"),
    ("fd '^f$' .", "./f\n"),
    ("sqlite3 :memory: 'select 6*7'", "42\n"),
    ("pip --version | grep -o 'python 3.11'", "python 3.11\n"),
];

/// Languages that the full image has beside Python: a command for each, and its output.
const LANGUAGES: [(&str, &str); 3] = [
    (
        "cat > slides.js <<'JS'\n\
         const Pptx = require('pptxgenjs');\n\
         const pptx = new Pptx();\n\
         pptx.addSlide().addText('Hello', { x: 1, y: 1 });\n\
         pptx.writeFile({ fileName: 'slides.pptx' }).then((name) => console.log(name));\n\
         JS\n\
         node slides.js && python3 -c \"from pptx import Presentation; print(len(Presentation('slides.pptx').slides))\"",
        "slides.pptx\n1\n",
    ),
    (
        "printf '#include <stdio.h>\\nint main(void) { puts(\"compiled\"); return 0; }' > a.c && gcc a.c -o a && ./a",
        "compiled\n",
    ),
    (
        "git init -q g && cd g && git -c user.name=n -c user.email=e commit -q --allow-empty -m first && git log --format=%s",
        "first\n",
    ),
];

#[tokio::test]
async fn the_full_image_runs_node_with_pptxgenjs_a_c_compiler_and_git() {
    let Some(bench) = bench(Flavor::Full, embedded()).await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    for (command, wanted) in LANGUAGES {
        let said = bash(&guest, command).await;
        assert_eq!(
            (said.code, said.out.as_str()),
            (0, wanted),
            "{command}: {}",
            said.err
        );
    }
    bench.end().await;
}

#[tokio::test]
async fn every_documented_library_works() {
    let Some(bench) = bench(Flavor::Full, embedded()).await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let code = include_str!("documented.py").to_owned();
    let tag = "srvtoolu_01documented".to_owned();
    let done = exec(&guest, ExecKind::Python { code, tag }).await.unwrap();
    let out = String::from_utf8(done.stdout).unwrap();
    let wanted = LIBRARIES
        .map(|name| {
            format!(
                "ok {name}
"
            )
        })
        .concat();
    assert_eq!(out, wanted, "{}", String::from_utf8_lossy(&done.stderr));
    bench.end().await;
}

#[tokio::test]
async fn every_documented_tool_runs_by_its_documented_name() {
    for flavor in [Flavor::Full, Flavor::Slim] {
        let Some(bench) = bench(flavor, embedded()).await else {
            return;
        };
        let guest = wake(&bench, &new_spec(Limits::default())).await;
        for (command, wanted) in TOOLS {
            let said = bash(&guest, command).await;
            assert_eq!(
                (said.code, said.out.as_str()),
                (0, wanted),
                "{flavor}: {command}: {}",
                said.err
            );
        }
        bench.end().await;
    }
}

#[tokio::test]
async fn the_first_plot_is_fast_and_quiet_and_leaves_the_home_clean() {
    let Some(bench) = bench(Flavor::Full, embedded()).await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let started = Instant::now();
    let plot = "python -c 'import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.savefig(\"/tmp/p.png\")'";
    let said = bash(&guest, plot).await;
    eprintln!("MEASURED: first plot in {:?}", started.elapsed());
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(bash(&guest, "ls -A").await.out, "");
    // Built beforehand, in the image: not written by this plot.
    let fonts = bash(
        &guest,
        "find $MPLCONFIGDIR -name 'fontlist*' ! -newer /etc/hostname | wc -l",
    )
    .await;
    assert_eq!(fonts.out, "1\n");
    bench.end().await;
}

#[tokio::test]
async fn a_file_saved_by_pandas_comes_back_as_an_output() {
    let Some(bench) = bench(Flavor::Full, embedded()).await else {
        return;
    };
    let guest = wake(&bench, &new_spec(Limits::default())).await;
    let code = "import os, pandas as pd\n\
                pd.DataFrame({'a': [1]}).to_csv(os.environ['OUTPUT_DIR'] + '/a.csv', index=False)\n";
    let tag = "srvtoolu_01output".to_owned();
    let done = exec(
        &guest,
        ExecKind::Python {
            code: code.to_owned(),
            tag,
        },
    )
    .await
    .unwrap();
    let names: Vec<_> = done
        .outputs
        .iter()
        .map(|file| (file.name.as_str(), file.size))
        .collect();
    assert_eq!(names, [("a.csv", 4)]);
    bench.end().await;
}

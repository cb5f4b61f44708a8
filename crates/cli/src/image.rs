//! `sandtable image build`: the build with its progress shown.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use sandbox::docker::image;
pub use sandbox::docker::image::{BuildArgs, Built, Flavor, FlavorError, ImageError, Progress};

/// Builds the sandbox image: a bar on a terminal, plain lines on stderr otherwise.
pub async fn build(args: BuildArgs) -> Result<Built, ImageError> {
    let mut display = Display::new();
    let outcome = image::build(&args, &mut |event| display.show(event)).await;
    display.finish();
    outcome
}

/// Where the progress goes.
#[derive(Debug)]
pub struct Display {
    bar: ProgressBar,
    on_terminal: bool,
}

impl Display {
    /// Shows progress on stderr.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let on_terminal = !bar.is_hidden();
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {wide_msg}")
            .expect("the template is well-formed");
        bar.set_style(style);
        if on_terminal {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Self { bar, on_terminal }
    }

    /// Shows one event.
    pub fn show(&mut self, event: Progress) {
        match event {
            Progress::Note(text) => self.line(&text),
            Progress::Step { number, of, text } if self.on_terminal => {
                self.bar.set_length(u64::from(of));
                self.bar.set_position(u64::from(number) - 1);
                self.bar.set_message(text);
            }
            Progress::Step { number, of, text } => {
                self.line(&format!("step {number}/{of}: {text}"));
            }
            Progress::Line(text) if self.on_terminal => self.bar.set_message(text),
            Progress::Line(text) => tracing::debug!("{text}"),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    #[expect(
        clippy::print_stderr,
        reason = "progress is for the person at the terminal"
    )]
    fn line(&self, text: &str) {
        if self.on_terminal {
            self.bar.println(text);
        } else {
            eprintln!("{text}");
        }
    }
}

impl Default for Display {
    fn default() -> Self {
        Self::new()
    }
}

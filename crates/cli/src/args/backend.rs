//! The backend as a command-line argument.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use server::config::BackendChoice;

/// Values of `--backend`: one for each backend that there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BackendArg(pub(crate) BackendChoice);

const COUNT: usize = BackendChoice::ALL.len();

impl ValueEnum for BackendArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [BackendArg; COUNT] = {
            let mut all = [BackendArg(BackendChoice::Auto); COUNT];
            let mut n = 0;
            while n < COUNT {
                all[n] = BackendArg(BackendChoice::ALL[n].0);
                n += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let mut all = BackendChoice::ALL.iter();
        let (_, word, help) = all.find(|(choice, _, _)| *choice == self.0)?;
        Some(PossibleValue::new(*word).help(*help))
    }
}

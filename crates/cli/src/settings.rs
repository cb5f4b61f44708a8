//! `sandtable.toml`: flags of the server in a file. A flag wins over its variable, a variable over the file.
//!
//! A key is a flag without its dashes, so that there is nothing to learn and nothing to keep in step. The file
//! gives clap other defaults, after each value has gone through the flag's own parser.

use std::any::TypeId;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Id};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::args::{BackendArg, CONFIG_VARIABLE, Cli, UsageError, backends_of};
use cassette::Mode;
use common::document::{Diagnostic, Position, did_you_mean};
use common::hinted::{Hinted, Place};
use common::input;
use server::config::BackendChoice;

/// The file that is looked for in the working directory.
const USUAL: &str = "sandtable.toml";
/// The command whose flags may be set.
const SERVE: &str = "serve";
/// The flags that a file cannot set, which has itself to be found first.
const NOT_SET: [&str; 2] = ["config", "help"];
/// A file of flags is not long.
const MAX_BYTES: u64 = 1024 * 1024;

/// One line of the file: a flag and the values it gets.
#[derive(Debug, PartialEq, Eq)]
struct Setting {
    id: String,
    values: Vec<OsString>,
}

/// Parses the command line, with the file's values for flags that it lacks. Ends the process where clap does.
pub(super) fn parse() -> Result<Cli, Wrong> {
    let mut command = undivided(Cli::command(), &|_| true);
    let plain = matches(&mut command);
    let (_, flags) = plain.subcommand().unwrap_or((SERVE, &plain));
    let of_variables: HashSet<Id> = flags
        .ids()
        .filter(|id| flags.value_source(id.as_str()) == Some(ValueSource::EnvVariable))
        .cloned()
        .collect();
    let file = find(&command, &plain);
    let matches = if file.is_none() && of_variables.is_empty() {
        plain
    } else {
        let divided = undivided(Cli::command(), &|id| !of_variables.contains(id));
        match file {
            Some(path) => matches(&mut with(divided, &load(&path)?)),
            None => matches(&mut { divided }),
        }
    };
    if let Some(mistake) = idle(&command, &matches) {
        return Err(Wrong::Flags(mistake));
    }
    Ok(Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()))
}

/// Parses the command line, or ends the process as clap does. Of a mistake that is not typed the variable is named.
fn matches(command: &mut Command) -> ArgMatches {
    let result = command.try_get_matches_from_mut(std::env::args_os());
    result.unwrap_or_else(|error| with_variable(error, command, std::env::args_os()).exit())
}

/// Names the variable that has the wrong value, where that is not on the command line.
fn with_variable(
    mut error: clap::Error,
    command: &Command,
    line: impl IntoIterator<Item = OsString>,
) -> clap::Error {
    let Some(ContextValue::String(told)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    // Only then an argument can be told.
    let mut built = command.clone();
    built.build();
    let args = built.get_subcommands().flat_map(Command::get_arguments);
    let mut args = built.get_arguments().chain(args);
    let arg = args.find(|arg| arg.to_string() == *told && arg.get_env().is_some());
    let Some(name) = arg.and_then(Arg::get_env).map(ToOwned::to_owned) else {
        return error;
    };
    let typed = each_arg(command.clone(), &without_variable).try_get_matches_from(line);
    let is_typed = typed.is_err_and(|other| {
        other.kind() == error.kind()
            && other.get(ContextKind::InvalidArg) == error.get(ContextKind::InvalidArg)
    });
    if !is_typed {
        let tip = format!("the value is that of the variable {}", name.display());
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

fn without_variable(arg: Arg) -> Arg {
    arg.env(None::<&str>)
}

/// A mistake on the command line that clap does not know of: a flag is typed that does nothing there.
fn idle(command: &Command, matches: &ArgMatches) -> Option<UsageError> {
    let (name, flags) = matches.subcommand().unwrap_or((SERVE, matches));
    if !takes_flags_of_serve(command.find_subcommand(name)?) {
        return None;
    }
    let command = command.find_subcommand(name)?;
    let source = |id: &str| {
        let is_known = command.get_arguments().any(|arg| arg.get_id() == id);
        is_known.then(|| flags.value_source(id)).flatten()
    };
    let is_typed = |id: &str| source(id) == Some(ValueSource::CommandLine);
    let is_given = |id: &str| source(id).is_some();
    if let Some(mistake) = of_another_backend(command, flags, &is_typed) {
        return Some(mistake);
    }
    if name == "conform" {
        let of_a_server = ["backend", "isolation", "image", "docker_runtime"];
        let typed = of_a_server.into_iter().find(|id| is_typed(id));
        let idle = typed.filter(|_| is_given("upstream"))?;
        return Some(UsageError::Flags {
            message: format!(
                "`--{}` does nothing with `--upstream`",
                idle.replace('_', "-")
            ),
            hint: "the one who is asked runs code as it likes: leave one of them out",
        });
    }
    if name == "record" && is_typed("cassettes") {
        return Some(UsageError::Flags {
            message: "`record` does not read a `--cassette`".to_owned(),
            hint: "`--out` names what is written; `serve --cassette FILE --record new` adds to a cassette",
        });
    }
    if name == "record" || name == "replay" || is_given("cassettes") {
        let of_scripts = [("scripts", "script"), ("on_unmatched", "on-unmatched")];
        if let Some((_, flag)) = of_scripts.into_iter().find(|(id, _)| is_typed(id)) {
            return Some(UsageError::Flags {
                message: format!("`--{flag}` does nothing beside recordings"),
                hint: "they answer alone, and no script is asked: leave one of them out",
            });
        }
    }
    if name == "record" {
        return None;
    }
    let records = |mode: &Mode| *mode != Mode::None;
    if name == "replay" && is_typed("mode") && flags.get_one("mode").is_some_and(records) {
        return Some(UsageError::Flags {
            message: "`replay` records nothing".to_owned(),
            hint: "`serve --cassette FILE --record new` adds to a cassette",
        });
    }
    if name == "replay" || is_given("cassettes") || is_given("cassette_dir") {
        return None;
    }
    let of_recordings = ["upstream", "pace", "ignore"];
    let idle = of_recordings.into_iter().find(|id| is_typed(id))?;
    Some(UsageError::Flags {
        message: format!("`--{idle}` does nothing without recordings"),
        hint: "add `--cassette FILE` or `--cassette-dir DIR`, or leave it out",
    })
}

/// A flag is typed that does nothing for the backend that is asked for. `none` switches all of them off.
fn of_another_backend(
    command: &Command,
    flags: &ArgMatches,
    is_typed: &dyn Fn(&str) -> bool,
) -> Option<UsageError> {
    let choice = flags.get_one::<BackendArg>("backend")?.0;
    let mut args = command.get_arguments();
    let arg = args.find(|arg| {
        let id = arg.get_id().as_str();
        let is_let_be = choice == BackendChoice::None
            || backends_of(id).is_none_or(|backends| backends.contains(&choice));
        !is_let_be && is_typed(id)
    })?;
    let word = |choice: &BackendChoice| {
        let mut all = BackendChoice::ALL.iter();
        all.find(|(other, ..)| other == choice).map(|found| found.1)
    };
    let backends = backends_of(arg.get_id().as_str()).unwrap_or_default();
    let backends = backends.iter().filter(|of| **of != BackendChoice::Auto);
    let backends: Vec<_> = backends.filter_map(word).collect();
    Some(UsageError::Flags {
        message: format!(
            "`--{}` is of the backend `{}`, and `{}` is asked for",
            arg.get_long().unwrap_or_default(),
            backends.join("` or `"),
            word(&choice).unwrap_or_default(),
        ),
        hint: "name the backend that is meant with `--backend`, or leave the flag out",
    })
}

/// Why a command line with its file is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error(transparent)]
    File(#[from] Diagnostic),
    #[error(transparent)]
    Flags(UsageError),
}

impl Hinted for Wrong {
    fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::File(error) => error.hint(),
            Self::Flags(error) => error.hint(),
        }
    }

    fn place(&self) -> Option<Place<'_>> {
        match self {
            Self::File(error) => error.place(),
            Self::Flags(error) => error.place(),
        }
    }
}

/// The commands, each argument changed.
fn each_arg(command: Command, change: &dyn Fn(Arg) -> Arg) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let command = command.mut_args(change);
    names.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |command| command.mut_args(change))
    })
}

/// The commands, whose lists of paths are divided where they come from variables alone: what is typed, or stands in
/// the file, is one path, whatever is in its name.
fn undivided(command: Command, is_whole: &dyn Fn(&Id) -> bool) -> Command {
    let whole = |arg: Arg| {
        if is_path(&arg) && is_whole(arg.get_id()) {
            arg.value_delimiter(None)
        } else {
            arg
        }
    };
    each_arg(command, &whole)
}

fn is_path(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<PathBuf>()
}

/// The file that is named, or the usual one if it is there and the command takes a server's flags.
fn find(command: &Command, matches: &ArgMatches) -> Option<PathBuf> {
    let (name, flags) = matches.subcommand().unwrap_or((SERVE, matches));
    if !takes_flags_of_serve(command.find_subcommand(name)?) {
        return None;
    }
    match flags.get_one::<PathBuf>("config") {
        // The empty name means none.
        Some(path) => Some(path.clone()).filter(|path| !path.as_os_str().is_empty()),
        None => Some(PathBuf::from(USUAL)).filter(|path| path.exists()),
    }
}

fn takes_flags_of_serve(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "config")
}

fn load(path: &Path) -> Result<Vec<Setting>, Diagnostic> {
    let text = input::read_text(path, MAX_BYTES).map_err(|error| Diagnostic {
        file: path.display().to_string(),
        at: Position::default(),
        message: format!("cannot be read: {error}"),
        hint: Some(format!(
            "`--config FILE` names another file; `--config ''` or an empty {CONFIG_VARIABLE} means none"
        )),
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    read(&text, folder).map_err(|mistake| mistake.within(path, &text))
}

/// A mistake, and which bytes of the file it is.
#[derive(Debug)]
struct Mistake {
    span: Range<usize>,
    message: String,
    hint: String,
}

impl Mistake {
    fn within(self, path: &Path, text: &str) -> Diagnostic {
        Diagnostic {
            file: path.display().to_string(),
            at: Position::of_byte(text, self.span.start),
            message: self.message,
            hint: Some(self.hint),
        }
    }
}

/// A value that a flag does not take.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("one value is wanted, not a list")]
    List,
    #[error("true or false is wanted")]
    NoSwitch,
    #[error("a text or a number is wanted")]
    NoScalar,
    #[error("a path is wanted, as a text")]
    NoPath,
    #[error("the path is empty")]
    EmptyPath,
    /// The message of the flag's own parser, on one line.
    #[error("{0}")]
    Refused(String),
}

fn read(text: &str, folder: &Path) -> Result<Vec<Setting>, Mistake> {
    let table = DeTable::parse(text).map_err(|error| Mistake {
        span: error.span().unwrap_or(0..0),
        message: error.message().to_owned(),
        hint: "the file is TOML: `port = 4010`, `script = [\"a.yaml\"]`, `strict-betas = true`"
            .to_owned(),
    })?;
    let root = Cli::command();
    let serve = root.find_subcommand(SERVE).expect("serve is a command");
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let arg = flag(serve, key.get_ref()).ok_or_else(|| no_flag(serve, key))?;
        let values = values(arg, value, folder).map_err(|(span, unfit)| Mistake {
            span,
            message: unfit.to_string(),
            hint: usage(arg),
        })?;
        settings.push(Setting {
            id: arg.get_id().to_string(),
            values,
        });
    }
    Ok(settings)
}

/// Each flag that may be set, by its name.
fn flags(serve: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    serve
        .get_arguments()
        .filter(|arg| !NOT_SET.contains(&arg.get_id().as_str()))
        .filter_map(|arg| Some((arg.get_long()?, arg)))
}

fn flag<'a>(serve: &'a Command, key: &str) -> Option<&'a Arg> {
    flags(serve)
        .find(|(long, _)| *long == key)
        .map(|(_, arg)| arg)
}

fn no_flag(serve: &Command, key: &Spanned<Cow<'_, str>>) -> Mistake {
    let name = key.get_ref();
    let (message, hint) = if NOT_SET.contains(&&**name) {
        let hint = format!("`--{name}` is for the command line alone");
        (format!("`{name}` cannot be set in a file"), hint)
    } else {
        (format!("there is no flag `--{name}`"), near(serve, name))
    };
    Mistake {
        span: key.span(),
        message,
        hint,
    }
}

/// The hint for a key that is no flag: those that may have been meant.
fn near(serve: &Command, key: &str) -> String {
    did_you_mean(key, flags(serve).map(|(long, _)| long), || {
        "keys are the flags of `sandtable serve --help` without their dashes".to_owned()
    })
}

/// The flag's values, as they would be typed, or which bytes of the file are none; paths are from the file's folder on.
fn values(
    arg: &Arg,
    value: &Spanned<DeValue<'_>>,
    folder: &Path,
) -> Result<Vec<OsString>, (Range<usize>, Unfit)> {
    let repeats = matches!(arg.get_action(), ArgAction::Append);
    let read = |item: &Spanned<DeValue<'_>>| {
        let read = one(arg, item.get_ref(), folder);
        let checked = read.and_then(|read| check(arg, &read).map(|()| read));
        checked.map_err(|unfit| (item.span(), unfit))
    };
    match value.get_ref() {
        DeValue::Array(items) if repeats => items.iter().map(read).collect(),
        DeValue::Array(_) => Err((value.span(), Unfit::List)),
        _ => read(value).map(|value| vec![value]),
    }
}

fn one(arg: &Arg, value: &DeValue<'_>, folder: &Path) -> Result<OsString, Unfit> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let text = match value {
        DeValue::Boolean(on) if is_switch => on.to_string(),
        _ if is_switch => return Err(Unfit::NoSwitch),
        DeValue::String(text) if is_path(arg) && !text.is_empty() => {
            return Ok(folder.join(text.as_ref()).into_os_string());
        }
        DeValue::String(_) if is_path(arg) => return Err(Unfit::EmptyPath),
        _ if is_path(arg) => return Err(Unfit::NoPath),
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Err(Unfit::NoScalar);
        }
    };
    Ok(text.into())
}

/// Lets the flag's own parser look at a value.
fn check(arg: &Arg, value: &OsString) -> Result<(), Unfit> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return Ok(());
    }
    let long = arg.get_long().unwrap_or_default();
    let mut typed = OsString::from(format!("--{long}="));
    typed.push(value);
    let line = [OsString::from("sandtable"), SERVE.into(), typed];
    // What variables hold is no mistake of the file.
    let command = each_arg(Cli::command(), &without_variable);
    let error = match command.try_get_matches_from(line) {
        Ok(_) => return Ok(()),
        Err(error) => error.to_string(),
    };
    let said = error.trim_start_matches("error: ");
    let said = said.split("\n\n").next().unwrap_or_default();
    Err(Unfit::Refused(
        said.split_whitespace().collect::<Vec<_>>().join(" "),
    ))
}

fn usage(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string);
    let long = arg.get_long().unwrap_or_default();
    format!("`--{long}`: {}", help.unwrap_or_default())
}

/// The commands with the file's values as defaults.
fn with(command: Command, settings: &[Setting]) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|command| takes_flags_of_serve(command))
        .map(|command| command.get_name().to_owned())
        .collect();
    let set = |command: Command| {
        settings.iter().fold(command, |command, setting| {
            // `conform` takes some alone.
            if !command
                .get_arguments()
                .any(|arg| arg.get_id() == &*setting.id)
            {
                return command;
            }
            command.mut_arg(&setting.id, |arg| {
                arg.default_values(setting.values.clone())
            })
        })
    };
    names.iter().fold(set(command), |command, name| {
        command.mut_subcommand(name, set)
    })
}

#[cfg(test)]
mod tests;

//! Variables whose values recordings keep out.

use super::UsageError;
use cassette::is_long_enough;

/// The values of these variables.
pub(super) fn of_variables(names: &[String]) -> Result<Vec<String>, UsageError> {
    let values = names
        .iter()
        .map(|name| value(name, std::env::var(name).ok()));
    values.collect()
}

/// The value of a variable, if it can be kept out.
fn value(name: &str, value: Option<String>) -> Result<String, UsageError> {
    let Some(value) = value else {
        return Err(UsageError::Flags {
            message: format!("`--redact-env {name}`: there is no such variable"),
            hint: "a secret that is not known cannot be kept out",
        });
    };
    if !is_long_enough(&value) {
        return Err(UsageError::Flags {
            message: format!("`--redact-env {name}`: its value is too short to be kept out"),
            hint: "what has less than 6 bytes would be found everywhere; `--redact REGEX` takes any",
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_out_is_refused() {
        let told = |given: Option<&str>| {
            let value = value("E", given.map(str::to_owned));
            value.map_err(|error| error.to_string())
        };
        assert_eq!(told(Some("secret")), Ok("secret".to_owned()));
        for short in ["", "tiny!"] {
            assert!(told(Some(short)).is_err_and(|it| it.contains("too short")));
        }
        assert!(told(None).is_err_and(|it| it.contains("no such variable")));
    }
}

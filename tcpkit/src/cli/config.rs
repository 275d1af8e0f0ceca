//! Options from a file (`--config`): TOML, a key for each option.
//!
//! A key is the option's long name, or where it has none the name that `docs/tcpkit.toml` shows. What is
//! typed beside `--config` counts instead of the same option in the file.

use std::{ffi::OsString, fs, path::Path};

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use toml::{Table, Value};

/// Options that print something and exit: in a file they would make it useless.
const NOT_IN_FILES: [&str; 6] = ["config", "help", "version", "list", "dump", "script_api"];

/// Why a file of options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the options from {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no TOML.
    #[error("{path} is no TOML: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// Line, column and reason.
        message: String,
    },
    /// A key that is no option.
    #[error("{path}: `{key}` is no option; those of the command line are, by their long names")]
    Unknown {
        /// The file.
        path: String,
        /// The key.
        key: String,
    },
    /// A value that the option does not take.
    #[error("{path}: `{key}` takes {takes}")]
    Value {
        /// The file.
        path: String,
        /// The key.
        key: String,
        /// What it takes.
        takes: &'static str,
    },
}

/// The name that an option has in a file.
#[must_use]
pub fn key(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| arg.get_id().as_str().replace('_', "-"), str::to_owned)
}

/// The options that a file may have.
pub fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !NOT_IN_FILES.contains(&arg.get_id().as_str()))
}

/// What a file stands for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// Options and words of the filter.
    pub options: Vec<OsString>,
    /// What is typed behind `--`.
    pub last: Vec<OsString>,
}

/// The words that the file stands for, but for options that were typed (`typed`).
///
/// # Errors
/// It cannot be read, is no TOML, or has what is no option.
pub fn words(path: &Path, command: &Command, typed: &ArgMatches) -> Result<Words, ConfigError> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: name.clone(), source })?;
    let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: name.clone(),
        message: error.to_string().trim_end().replace('\n', " "),
    })?;
    let mut words = Words::default();
    for (name_of, value) in table {
        let wanted = name_of.replace('_', "-");
        let arg = options(command)
            .find(|arg| key(arg) == wanted)
            .ok_or_else(|| ConfigError::Unknown { path: name.clone(), key: name_of.clone() })?;
        if typed.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        let into = if arg.is_last_set() { &mut words.last } else { &mut words.options };
        push(into, arg, &value).map_err(|takes| ConfigError::Value {
            path: name.clone(),
            key: name_of,
            takes,
        })?;
    }
    Ok(words)
}

/// Appends an option as it would be typed.
fn push(words: &mut Vec<OsString>, arg: &Arg, value: &Value) -> Result<(), &'static str> {
    let option = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => Some(format!("--{long}")),
        (None, Some(short)) => Some(format!("-{short}")),
        (None, None) => None,
    };
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Boolean(is_set)) => {
            words.extend(option.filter(|_| *is_set).map(OsString::from));
            Ok(())
        }
        (ArgAction::SetTrue, _) => Err("true or false"),
        (ArgAction::Count, Value::Integer(count @ 0..=9)) => {
            words.extend((0..*count).filter_map(|_| option.clone().map(OsString::from)));
            Ok(())
        }
        (ArgAction::Count, _) => Err("a number from 0 to 9: how often it would be typed"),
        (ArgAction::Append, Value::Array(values)) => {
            values.iter().try_for_each(|value| push_value(words, option.as_deref(), value))
        }
        (_, value) => push_value(words, option.as_deref(), value),
    }
}

fn push_value(
    words: &mut Vec<OsString>,
    option: Option<&str>,
    value: &Value,
) -> Result<(), &'static str> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => return Err("a text, a number, or for options that may be repeated a list of them"),
    };
    match option {
        // In one word, so that a value may begin with a hyphen.
        Some(option) if option.starts_with("--") => words.push(format!("{option}={text}").into()),
        Some(option) => words.push(format!("{option}{text}").into()),
        None => words.push(text.into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// The file that shows all options.
    const EXAMPLE: &str = include_str!("../../../docs/tcpkit.toml");

    /// What comes of a file and of words typed beside it.
    fn read(number: u32, text: &str, typed: &str) -> Result<Cli, String> {
        let path =
            std::env::temp_dir().join(format!("tcpkit-config-{}-{number}", std::process::id()));
        fs::write(&path, text).expect("room");
        let line = format!("tcpkit --config {} {typed}", path.display());
        let cli = Cli::read(line.split_whitespace().map(OsString::from).collect());
        fs::remove_file(&path).expect("it is there");
        cli.map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_is_as_good_as_typing() {
        let text = "interface = ['a', 'b']\nprotocol = 'redis'\nthreshold = 1.5\nmax-flows = 7\n\
                    max_open = 9\nverbose = 2\nnumeric = 1\nexpression = 'tcp port 6379'\n";
        let cli = read(1, text, "").expect("good");
        assert_eq!(cli.source.interfaces(), ["a", "b"]);
        assert_eq!(cli.source.expression(), ["tcp port 6379"]);
        assert_eq!(
            (cli.threshold_ns(), cli.limits().max_flows, cli.verbosity()),
            (1_500_000, 7, 2)
        );
        assert_eq!(cli.limits().max_open, 9);
        // What is typed counts instead.
        let cli = read(2, text, "-i c -t 3 udp").expect("good");
        assert_eq!(cli.source.interfaces(), ["c"]);
        assert_eq!((cli.threshold_ns(), cli.limits().max_flows), (3_000_000, 7));
        assert_eq!(cli.source.expression(), ["udp"]);
        // Options without a long name.
        let cli =
            read(3, "write = '/tmp/x'\nrotate-bytes = '5'\nrotate-count = 3", "").expect("good");
        assert_eq!(cli.packets.rotate_bytes(), Some(5_000_000));
        assert_eq!(cli.packets.rotate_count(), Some(3));
    }

    #[test]
    fn mistakes_are_named() {
        for (number, text, says) in [
            (10, "protocoll = 'redis'", "`protocoll` is no option"),
            (11, "protocol = ", "is no TOML"),
            (12, "protocol = 'nonsense'", "nonsense"),
            (13, "print = 'yes'", "`print` takes true or false"),
            (14, "verbose = 'much'", "`verbose` takes a number from 0 to 9"),
            (15, "max-flows = { a = 1 }", "`max-flows` takes a text, a number"),
            (16, "threshold = -1", "is not between 0"),
            (17, "threshold = 5", "-t is for requests"),
            (18, "list = true", "`list` is no option"),
        ] {
            let error = read(number, text, "").err().unwrap_or_default();
            assert!(error.contains(says), "{text}: {error}");
        }
        let error = Cli::read(["tcpkit", "--config", "/nowhere"].map(OsString::from).to_vec());
        let error = error.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("cannot read the options from /nowhere"), "{error}");
    }

    #[test]
    fn the_example_shows_every_option_and_nothing_else() {
        let command = Cli::command();
        let typed = command.clone().try_get_matches_from(["tcpkit"]).expect("nothing is needed");
        let mut shown = Vec::new();
        for (number, line) in (100..).zip(EXAMPLE.lines().filter(|line| line.contains(" = "))) {
            let line = line.trim_start_matches("# ");
            shown.push(line.split(' ').next().expect("a key").to_owned());
            let path =
                std::env::temp_dir().join(format!("tcpkit-config-{}-{number}", std::process::id()));
            fs::write(&path, line).expect("room");
            let words = words(&path, &command, &typed);
            fs::remove_file(&path).expect("it is there");
            words.unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        let mut expect: Vec<_> = options(&command).map(key).collect();
        expect.sort();
        shown.sort();
        assert_eq!(shown, expect);
    }
}

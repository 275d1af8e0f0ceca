//! The command line: tcpdump's arguments wherever tcpdump has one.

pub mod config;
mod packets;
mod process;
mod script;
mod source;
mod statistics;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{
    ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, Parser, ValueEnum,
    builder::PossibleValuesParser, error::ErrorKind, parser::ValueSource,
};

pub use self::{
    packets::PacketArgs,
    process::ProcessArgs,
    script::ScriptArgs,
    source::{Backend, SourceArgs},
    statistics::{Listen, StatisticsArgs},
};
use crate::{
    config::Limits,
    flow::table::Expiry,
    messages::allows_colour,
    output::Count,
    protocol::{
        PROTOCOLS, SecretNames, Selection,
        selection::{AUTO, SelectionError},
    },
    sink::{self, SINKS, SinkKind},
};

/// What `-p` takes beside protocols: packets as they are.
const RAW: &str = "raw";

/// Without `--workers` each so many CPUs have one, which is a small part of what one can do
/// (docs/performance.md); more only cost more memory and, for each packet, looking for its connection in
/// the kernel.
const CPUS_PER_WORKER: usize = 8;
const MOST_WORKERS: u32 = 4;

/// The options, by their names in files, that are read again while a run goes on; beside the script, if
/// there is one at the start.
const RELOADED: [&str; 6] =
    ["threshold", "slow", "arguments", "script-budget", "script-strict", "script-unsafe"];

/// Request latencies read from the wire.
///
/// Captures in the kernel what EXPRESSION selects, pairs each response with its request and prints
/// one line a request. Run it where the client runs to see what the client waited, where the server
/// runs to see what the server took; the difference is the network. Without -p it prints packets,
/// as tcpdump does.
#[derive(Debug, Parser)]
#[command(name = "tcpkit", version, disable_version_flag = true, max_term_width = 100)]
pub struct Cli {
    #[arg(short, long, value_name = "NAME[:PORT]", value_delimiter = ',',
          value_parser = parse_protocol, help = protocol_help())]
    protocol: Vec<String>,

    /// Print only requests that took at least this long, in ms (decimals allowed).
    #[arg(short, long, value_name = "MS", default_value = "0", value_parser = parse_ms)]
    threshold: u64,

    /// Stop after this many printed transactions; without -p, after this many packets.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// How transactions are printed.
    #[arg(long, value_name = "FORM", default_value = "text",
          value_parser = PossibleValuesParser::new(SINKS.iter().map(|s| s.name)))]
    format: String,

    /// Append requests to a file instead of printing them; it is opened anew on SIGHUP.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// When to colour slow requests.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,

    /// Longest text of a request, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 128,
          value_parser = clap::value_parser!(u16).range(8..=4096))]
    max_text: u16,

    /// Further parameters of requests whose values are not shown, beside `token`, `password` and their
    /// like.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    redact: Vec<String>,

    /// Most connections to follow at once; the one longest without packets makes room for another.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_flows)]
    max_flows: usize,

    /// Most requests that may wait for their responses, per connection.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_open)]
    max_open: usize,

    /// Most memory for packets that arrived out of order, per connection, in KiB.
    #[arg(long, value_name = "KIB", default_value_t = Limits::default().max_held_bytes / 1024)]
    max_held: usize,

    /// Forget connections that were quiet for this long, in seconds.
    #[arg(long, value_name = "S", default_value_t = 3600)]
    idle_timeout: u32,

    /// Take options from a file, too (TOML, a key for each; see docs/tcpkit.toml). What is typed counts more.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Say more on stderr; repeat for more. -vvv brings the kernel programs' own messages.
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Print the version.
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: (),

    /// What was given, by the options' names in files.
    #[arg(skip)]
    given: BTreeMap<String, Vec<OsString>>,

    /// Where packets come from.
    #[command(flatten)]
    pub source: SourceArgs,

    /// How packets are printed and written.
    #[command(flatten)]
    pub packets: PacketArgs,

    /// The user's own analysis.
    #[command(flatten)]
    pub script: ScriptArgs,

    /// What is counted.
    #[command(flatten)]
    pub statistics: StatisticsArgs,

    /// How the process runs.
    #[command(flatten)]
    pub process: ProcessArgs,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What `-p` takes, and what that means.
fn protocol_help() -> String {
    let mut help =
        "Protocols to decode; with :PORT only on connections to that port. Several are told \
                    apart by their first bytes:"
            .to_owned();
    for protocol in PROTOCOLS {
        help.push_str(&format!("\n- {}: {}", protocol.name, protocol.summary));
    }
    help.push_str(&format!(
        "\n- {AUTO}: whatever of them a connection turns out to speak, but for what fits any"
    ));
    help.push_str(&format!("\n- {RAW}, or no -p: packets as they are"));
    help
}

fn parse_protocol(text: &str) -> Result<String, SelectionError> {
    if text != RAW {
        Selection::parse([text])?;
    }
    Ok(text.to_owned())
}

/// Milliseconds with decimals, as ns.
fn parse_ms(text: &str) -> Result<u64, String> {
    if text.starts_with('t') {
        return Err("here -t is the least latency; tcpdump's -t, -tt and -tttt are --time none, \
                    epoch and date"
            .to_owned());
    }
    let ms: f64 = text.parse().map_err(|_| format!("`{text}` is no number of milliseconds"))?;
    if !(0.0..=86_400_000.0).contains(&ms) {
        return Err(format!("`{text}` is not between 0 and 86400000 (a day)"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    Ok((ms * 1e6).round() as u64)
}

/// What was given for each option, by its name in files.
fn given(command: &Command, matches: &ArgMatches) -> BTreeMap<String, Vec<OsString>> {
    let values = |arg: &clap::Arg| {
        let id = arg.get_id().as_str();
        matches.value_source(id).filter(|source| *source != ValueSource::DefaultValue)?;
        let raw = matches.get_raw(id)?;
        Some((config::key(arg), raw.map(ToOwned::to_owned).collect()))
    };
    config::options(command).filter_map(values).collect()
}

impl Cli {
    /// Reads the process's arguments; ends it with a message where they make no sense.
    #[must_use]
    pub fn from_arguments() -> Self {
        Self::read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit())
    }

    /// Reads the process's arguments once more, and the file that they name.
    ///
    /// # Errors
    /// They make no sense any more.
    pub fn again() -> Result<Self, clap::Error> {
        Self::read(std::env::args_os().collect())
    }

    /// The options that are different in `new`, by their names in files, and that are read at the start
    /// only.
    #[must_use]
    pub fn fixed_changes(&self, new: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.given.keys().chain(new.given.keys()).collect();
        let has_script = (self.has_script(), new.has_script());
        let is_fixed = |name: &str| match name {
            "script" => has_script.0 != has_script.1,
            _ => !RELOADED.contains(&name),
        };
        let changed = |name: &&&String| self.given.get(**name) != new.given.get(**name);
        names
            .iter()
            .filter(changed)
            .filter(|name| is_fixed(name))
            .map(ToString::to_string)
            .collect()
    }

    /// Reads words as they are typed, the program's name first, and the file that they name.
    fn read(mut words: Vec<OsString>) -> Result<Self, clap::Error> {
        let command = Self::command();
        // Whatever is wrong is said below, when everything is known.
        let typed = command.clone().ignore_errors(true).try_get_matches_from(&words)?;
        if let Some(file) = typed.get_one::<PathBuf>("config") {
            let more = config::words(file, &command, &typed)
                .map_err(|error| Self::command().error(ErrorKind::ValueValidation, error))?;
            let behind_name = words.len().min(1);
            words.splice(behind_name..behind_name, more.options);
            if !more.last.is_empty() {
                words.push("--".into());
                words.extend(more.last);
            }
        }
        let matches = command.clone().try_get_matches_from(words)?;
        let mut cli = Self::from_arg_matches(&matches)?.with_words();
        cli.given = given(&command, &matches);
        match cli.check() {
            Ok(()) => Ok(cli),
            Err(message) => Err(Self::command().error(ErrorKind::ArgumentConflict, message)),
        }
    }

    /// Words behind `--` that are no script's belong to the expression, as tcpdump has it.
    fn with_words(mut self) -> Self {
        let words = self.script.take_words();
        self.source.add_words(words);
        self
    }

    /// Why one worker has to read everything, if there is a reason.
    fn single_worker(&self) -> Option<&'static str> {
        let reasons = [
            (!self.decodes(), "without -p, packets are put out in their order"),
            (self.packets.write().is_some(), "with -w, packets are written in their order"),
            (self.count.is_some(), "with -c, one has to count"),
            (self.has_script(), "with -S, the script gets everything in its order"),
            (self.source.read().is_some(), "a file is read by one"),
            (self.source.backend() == Backend::Packet, "packet sockets are read by one"),
        ];
        reasons.iter().find_map(|(holds, why)| holds.then_some(*why))
    }

    /// How many workers read packets of `cpus` CPUs.
    #[must_use]
    pub fn workers(&self, cpus: usize) -> u32 {
        match self.single_worker() {
            Some(_) => 1,
            None => self.source.workers().unwrap_or_else(|| {
                u32::try_from(cpus / CPUS_PER_WORKER).unwrap_or(1).clamp(1, MOST_WORKERS)
            }),
        }
    }

    fn has_script(&self) -> bool {
        self.script.file().is_some()
    }

    /// What clap cannot check: options that contradict each other.
    fn check(&self) -> Result<(), String> {
        if let (Some(2..), Some(why)) = (self.source.workers(), self.single_worker()) {
            return Err(format!("there can be one of --workers only: {why}"));
        }
        let to_stdout = self.packets.write().is_some_and(|file| file.as_os_str() == "-");
        if self.protocol.len() > 1 && self.protocol.iter().any(|name| name == RAW) {
            return Err(format!("-p {RAW} prints packets, the others requests: it stands alone"));
        }
        if to_stdout && self.has_script() {
            return Err("-w - takes standard output, where the script prints".to_owned());
        }
        if self.statistics.top() {
            self.check_top()?;
        }
        if self.decodes() {
            Selection::parse(self.names()).map_err(|error| error.to_string())?;
            let name = self.protocol.join(",");
            if let Some(option) = self.packets.needs_lines(self.has_script()) {
                return Err(format!(
                    "{option} is for printed packets, and -p {name} prints requests"
                ));
            }
            if to_stdout && self.output.is_none() {
                return Err(format!("-w - takes standard output, where -p {name} prints"));
            }
            return Ok(());
        }
        if to_stdout && self.packets.rotates() {
            return Err("-C and -G begin new files, and standard output (-w -) is one".to_owned());
        }
        if to_stdout && self.packets.prints(false) {
            return Err("-w - takes standard output, where --print prints".to_owned());
        }
        if self.output.is_some() {
            return Err("-o is for requests: it needs -p (packets are written with -w)".to_owned());
        }
        if self.has_format() {
            return Err(format!("--format {} is for requests: it needs -p", self.format));
        }
        if self.threshold > 0 {
            return Err("-t is for requests: it needs -p".to_owned());
        }
        if self.statistics.wants_port() {
            return Err("-P is for statistics of requests: it needs -p".to_owned());
        }
        if self.statistics.summary() {
            return Err("--summary is of requests: it needs -p".to_owned());
        }
        Ok(())
    }

    /// What cannot be had beside the view of `--top`.
    fn check_top(&self) -> Result<(), String> {
        let to_stdout = self.packets.write().is_some_and(|file| file.as_os_str() == "-");
        let reasons = [
            (!self.decodes(), "--top is of requests: it needs -p"),
            (self.has_script(), "--top takes the terminal, where the script (-S) prints"),
            (to_stdout, "--top takes standard output: not with -w -"),
            (self.is_for_programs(), "--top prints no requests: --format needs a file (-o)"),
        ];
        reasons.iter().find(|(holds, _)| *holds).map_or(Ok(()), |(_, why)| Err((*why).to_owned()))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.protocol.iter().map(String::as_str).filter(|name| *name != RAW)
    }

    /// Whether requests are wanted, and not packets as they are.
    #[must_use]
    pub fn decodes(&self) -> bool {
        self.names().next().is_some()
    }

    /// The protocols to decode; `None` for packets as they are.
    #[must_use]
    pub fn selection(&self) -> Option<Selection> {
        self.decodes().then(|| Selection::parse(self.names()).ok()).flatten()
    }

    /// Whether transactions are printed, if there are any.
    #[must_use]
    pub fn prints_transactions(&self) -> bool {
        self.output.is_some()
            || !self.shows_top() && (!self.has_script() || self.packets.asks_to_print())
    }

    /// The file that transactions are appended to, instead of standard output.
    #[must_use]
    pub fn output(&self) -> Option<&Path> {
        self.output.as_deref()
    }

    /// Whether the terminal shows what is counted, and nothing else.
    #[must_use]
    pub fn shows_top(&self) -> bool {
        self.statistics.top()
    }

    /// Whether packets are printed.
    #[must_use]
    pub fn prints_packets(&self) -> bool {
        !self.decodes() && self.packets.prints(self.has_script())
    }

    /// Whether a table of all requests is printed at the end; `on_terminal` says whether lines go there.
    #[must_use]
    pub fn prints_summary(&self, on_terminal: bool) -> bool {
        let by_default = on_terminal
            && self.source.read().is_some()
            && self.decodes()
            && self.prints_transactions();
        self.statistics.summary() || by_default
    }

    /// Where statistics can be asked for.
    #[must_use]
    pub fn listen(&self) -> Option<Listen> {
        let is_live = self.source.read().is_none();
        self.decodes().then(|| self.statistics.listen(is_live)).flatten()
    }

    /// How long transactions have to take to be kept for those who ask, in ns.
    #[must_use]
    pub fn slow_ns(&self) -> u64 {
        self.statistics.slow_ns().max(self.threshold)
    }

    /// Whether standard output is for programs.
    #[must_use]
    pub fn is_for_programs(&self) -> bool {
        self.output.is_none() && self.has_format()
    }

    /// Whether somebody asked for another form than the usual one.
    fn has_format(&self) -> bool {
        self.format != SINKS.first().map_or("", |kind| kind.name)
    }

    /// Bytes of payload to copy from each packet, for a script that wants them, too; `u32::MAX` for all.
    #[must_use]
    pub fn snaplen(&self, for_script: bool) -> u32 {
        let default = if self.packets.wants_payload() {
            u32::MAX
        } else if self.decodes() || for_script {
            source::DEFAULT_SNAPLEN
        } else {
            source::LINES_SNAPLEN
        };
        self.source.snaplen().unwrap_or(default)
    }

    /// The kind of output.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn sink(&self) -> anyhow::Result<&'static SinkKind> {
        sink::by_name(&self.format)
            .ok_or_else(|| anyhow::anyhow!("no output format is called `{}`", self.format))
    }

    /// The smallest latency to print, in ns.
    #[must_use]
    pub fn threshold_ns(&self) -> u64 {
        self.threshold
    }

    /// How many transactions or packets to print.
    #[must_use]
    pub fn count(&self) -> Count {
        match (self.count, self.decodes()) {
            (None, _) => Count::Unlimited,
            (Some(count), true) => Count::Transactions(count),
            (Some(count), false) => Count::Packets(count),
        }
    }

    /// Whether output that goes to a terminal (or not) is to be coloured.
    #[must_use]
    pub fn colour(&self, is_terminal: bool) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => allows_colour(is_terminal),
        }
    }

    /// The names of parameters whose values are not shown.
    #[must_use]
    pub fn secrets(&self) -> SecretNames {
        SecretNames::with(&self.redact)
    }

    /// The longest text of a request, in bytes.
    #[must_use]
    pub fn max_text(&self) -> usize {
        usize::from(self.max_text)
    }

    /// The bounds on what grows with traffic.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let defaults = Limits::default();
        Limits {
            max_flows: self.max_flows.max(1),
            max_held_bytes: self.max_held.saturating_mul(1024),
            max_open: self.max_open.max(1),
            expiry: Expiry {
                idle_ns: u64::from(self.idle_timeout.max(1)).saturating_mul(1_000_000_000),
                ..defaults.expiry
            },
        }
    }

    /// How often `-v` was given.
    #[must_use]
    pub fn verbosity(&self) -> u8 {
        self.verbose
    }
}

//! `cargo xtask tidy`: the project's own rules, which no other tool knows.
//!
//! - Every Rust file opens with a `//!` line that says what is in it.
//! - A file of more than 600 lines is worth splitting (a warning).
//! - The rooms from `packet` to `transaction` do no IO and know no clock, and look only backwards
//!   along the line that data flows.
//! - A protocol's name stands in its own room only.

mod source;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use self::source::{Source, Token};
use crate::workspace::Workspace;

const MANY_LINES: usize = 600;

/// The agent's sources, and the room of protocols in them.
const AGENT: &str = "tcpkit/src/";
const PROTOCOLS: &str = "tcpkit/src/protocol/";

/// Where a protocol's name may stand besides its own room: it is an example there.
const MAY_NAME_PROTOCOLS: &[&str] = &["tcpkit/src/protocol/mod.rs", "tcpkit/src/cli.rs"];

/// What speaks a protocol itself, to those who ask it.
const SPEAKS_PROTOCOLS: &str = "tcpkit/src/server/";

/// Rooms without IO, clock and `unsafe`, and the rooms that each must not know.
const PURE_ROOMS: &[(&str, &[&str])] = &[
    ("packet", &["flow", "protocol", "transaction", "sink", "pipeline", "cli"]),
    ("flow", &["transaction", "sink", "pipeline", "cli"]),
    ("protocol", &["capture", "packet", "flow", "transaction", "sink", "pipeline", "cli"]),
    ("transaction", &["sink", "pipeline", "cli"]),
];

/// Words that mean IO, a clock or `unsafe`.
const IMPURE: &[&str] = &[
    "File",
    "Instant",
    "OpenOptions",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixDatagram",
    "UnixListener",
    "UnixStream",
    "aya",
    "fs",
    "libc",
    "nix",
    "tokio",
    "unsafe",
];

/// A rule broken in a line of a file.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    says: String,
    is_error: bool,
}

/// A Rust file of the project; `path` is from the root, with slashes.
struct File {
    path: String,
    text: String,
}

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut files = Vec::new();
    collect(&workspace.root, &workspace.root, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let findings = check(&files);
    for Finding { path, line, says, is_error } in &findings {
        let kind = if *is_error { "error" } else { "warning" };
        eprintln!("{path}:{line}: {kind}: {says}");
    }
    let errors = findings.iter().filter(|it| it.is_error).count();
    if errors > 0 {
        bail!("{errors} of the project's rules are broken; see the lines above");
    }
    eprintln!("tidy: {} files keep the project's rules", files.len());
    Ok(())
}

/// The names of the protocols in the registry.
pub(crate) fn protocols(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    collect(root, &root.join(PROTOCOLS), &mut files)?;
    Ok(protocol_names(&files).into_iter().map(|(name, _)| name).collect())
}

/// Gathers the Rust files below `folder`, leaving out what is built or hidden.
fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    for entry in entries {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            let is_built = name == "target" || path.join("CACHEDIR.TAG").is_file();
            if !is_built && !name.starts_with('.') {
                collect(root, &path, files)?;
            }
        } else if path.extension() == Some(OsStr::new("rs")) {
            let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
            let path = path.strip_prefix(root)?.to_string_lossy().into_owned();
            files.push(File { path, text });
        }
    }
    Ok(())
}

fn check(files: &[File]) -> Vec<Finding> {
    let protocols = protocol_names(files);
    let mut findings = Vec::new();
    for file in files {
        let mut found = |line: usize, says: String, is_error: bool| {
            findings.push(Finding { path: file.path.clone(), line, says, is_error });
        };
        if !file.text.starts_with("//! ") {
            found(1, "open the file with a `//!` line that says what is in it".to_owned(), true);
        }
        let lines = file.text.lines().count();
        if lines > MANY_LINES {
            found(lines, format!("{lines} lines: worth splitting"), false);
        }
        if is_test(&file.path) {
            continue;
        }
        let source = Source::without_tests(&file.text);
        for (line, says) in check_room(&file.path, &source) {
            found(line, says, true);
        }
        for (line, says) in check_names(&file.path, &source, &protocols) {
            found(line, says, true);
        }
    }
    findings
}

/// Whether a file holds nothing but tests.
fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The room of the agent that a file belongs to.
fn room(path: &str) -> Option<&str> {
    let path = path.strip_prefix(AGENT)?;
    path.split_once('/').map(|(room, _)| room).or_else(|| path.strip_suffix(".rs"))
}

fn check_room(path: &str, source: &Source) -> Vec<(usize, String)> {
    let pure = room(path).and_then(|room| PURE_ROOMS.iter().find(|(name, _)| *name == room));
    let Some((room, unknown)) = pure else { return Vec::new() };
    let mut findings = Vec::new();
    for (line, word) in source.words() {
        if IMPURE.contains(&word) {
            findings.push((line, format!("`{word}`: `{room}` does no IO and knows no clock")));
        }
    }
    for (line, import) in source.rooms_named() {
        if unknown.contains(&import) {
            findings.push((line, format!("`{room}` must not know `{import}`")));
        }
    }
    findings
}

fn check_names(
    path: &str,
    source: &Source,
    protocols: &[(String, String)],
) -> Vec<(usize, String)> {
    let is_ours = ["tcpkit/src/", "tcpkit-common/src/", "tcpkit-ebpf/src/"]
        .iter()
        .any(|folder| path.starts_with(folder));
    if !is_ours || MAY_NAME_PROTOCOLS.contains(&path) || path.starts_with(SPEAKS_PROTOCOLS) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for token in &source.tokens {
        let (line, text) = match token {
            Token::Word(line, text) | Token::Literal(line, text) => (*line, text),
            Token::Sign(..) => continue,
        };
        for (name, home) in protocols {
            let is_home = path.starts_with(home.as_str());
            if !is_home && text.split(is_no_letter).any(|part| part.eq_ignore_ascii_case(name)) {
                findings.push((line, format!("the protocol `{name}` is named outside its room")));
            }
        }
    }
    findings
}

fn is_no_letter(character: char) -> bool {
    !character.is_ascii_alphanumeric()
}

/// The name of each protocol, and how the paths of its own files begin.
fn protocol_names(files: &[File]) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for file in files {
        let Some(inside) = file.path.strip_prefix(PROTOCOLS) else { continue };
        let source = Source::without_tests(&file.text);
        let Some(name) = source.registered_name() else { continue };
        let home = inside.split_once('/').map_or(inside, |(folder, _)| folder);
        let home = home.strip_suffix(".rs").unwrap_or(home);
        if inside != "mod.rs" {
            names.push((name.to_owned(), format!("{PROTOCOLS}{home}")));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDIS: &str =
        "//! Redis.\npub static PROTOCOL: Protocol = Protocol { name: \"redis\" };\n";

    fn check_one(path: &str, text: &str, expect: &[(usize, &str)]) {
        let files = [
            File { path: "tcpkit/src/protocol/redis.rs".to_owned(), text: REDIS.to_owned() },
            File { path: path.to_owned(), text: text.to_owned() },
        ];
        let findings = check(&files);
        let found: Vec<_> = findings.iter().map(|it| (it.line, it.says.as_str())).collect();
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for ((line, says), (expected_line, part)) in found.iter().zip(expect) {
            assert_eq!(line, expected_line, "{says}");
            assert!(says.contains(part), "{says}");
        }
    }

    #[test]
    fn a_file_opens_with_what_is_in_it() {
        check_one("xtask/src/a.rs", "//! A.\n", &[]);
        check_one("xtask/src/a.rs", "fn main() {}\n", &[(1, "//!")]);
        check_one("xtask/src/a.rs", "", &[(1, "//!")]);
    }

    #[test]
    fn a_long_file_is_only_warned_of() {
        let text = format!("//! Long.\n{}", "\n".repeat(600));
        let files = [File { path: "xtask/src/a.rs".to_owned(), text }];
        let findings = check(&files);
        assert!(matches!(findings.as_slice(), [Finding { line: 601, is_error: false, .. }]));
    }

    #[test]
    fn pure_rooms_do_no_io_and_know_no_clock() {
        let path = "tcpkit/src/flow/table.rs";
        check_one(path, "//! T.\nuse std::time::Instant;\n", &[(2, "Instant")]);
        check_one(path, "//! T.\nuse std::{fmt, fs};\n", &[(2, "`fs`")]);
        check_one(path, "//! T.\nfn f() {\n    unsafe { g() }\n}\n", &[(3, "unsafe")]);
        check_one(path, "//! T.\nuse std::net::IpAddr;\nuse std::time::Duration;\n", &[]);
        check_one(path, "//! T.\n// An Instant of unsafe.\nconst A: &str = \"fs\";\n", &[]);
        check_one(path, "//! T.\n#[cfg(test)]\nmod tests { use std::fs; }\n", &[]);
        check_one("tcpkit/src/flow/tests.rs", "//! T.\nuse std::fs;\n", &[]);
        check_one("tcpkit/src/flow.rs", "//! T.\nuse std::fs;\n", &[(2, "`fs`")]);
        check_one("tcpkit/src/sink/text.rs", "//! T.\nuse std::fs;\n", &[]);
    }

    #[test]
    fn imports_point_one_way() {
        let path = "tcpkit/src/protocol/cursor.rs";
        check_one(path, "//! C.\nuse crate::flow::Key;\n", &[(2, "must not know `flow`")]);
        check_one(
            path,
            "//! C.\nuse crate::{\n    ledger::Ledger,\n    packet::{sink, Packet},\n};\n",
            &[(4, "must not know `packet`")],
        );
        check_one(path, "//! C.\nuse super::Decoder;\nuse crate::ledger;\n", &[]);
        check_one("tcpkit/src/pipeline.rs", "//! P.\nuse crate::{flow, sink};\n", &[]);
    }

    #[test]
    fn a_protocol_is_named_in_its_own_room_only() {
        let path = "tcpkit/src/sink/text.rs";
        let says = "`redis` is named";
        check_one(path, "//! T.\nuse crate::protocol::redis;\n", &[(2, says)]);
        check_one(path, "//! T.\nfn redis_line() {}\n", &[(2, says)]);
        check_one(path, "//! T.\nconst A: &str = \"for Redis\";\n", &[(2, says)]);
        check_one(path, "//! T.\n/// As for Redis.\nfn predisposed() {}\n", &[]);
        check_one(path, "//! T.\n#[cfg(test)]\nmod tests { const A: &str = \"redis\"; }\n", &[]);
        check_one("tcpkit/src/protocol/mod.rs", "//! P.\nmod redis;\n", &[]);
        check_one("tcpkit/src/protocol/detect.rs", "//! P.\nuse super::redis;\n", &[(2, says)]);
        check_one("tcpkit/src/protocol/redis/resp.rs", "//! P.\nuse super::redis;\n", &[]);
        check_one("xtask/src/demo.rs", "//! D.\nconst A: &str = \"redis\";\n", &[]);
    }
}

//! Builds the agent, and the benchmark, and finds the binaries, wherever the target folder is.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;

/// Builds the agent in release mode, and returns the path of the binary.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    build_binary(workspace, "tcpkit", "tcpkit", &["--release"])
}

/// Builds the benchmark, and returns the path of the binary. It need not be as fast as the agent.
pub(crate) fn build_bench(workspace: &Workspace) -> Result<PathBuf> {
    build_binary(workspace, "tcpkit-tests", "bench", &[])
}

fn build_binary(
    workspace: &Workspace,
    package: &str,
    name: &str,
    options: &[&str],
) -> Result<PathBuf> {
    let mut child = Command::new(&workspace.cargo)
        .current_dir(&workspace.root)
        .args(["build", "--package", package, "--bin", name])
        .args(options)
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} cannot be started", workspace.cargo))?;
    let stdout = child.stdout.take().context("cargo's output is not there")?;
    let mut binary = None;
    for line in BufReader::new(stdout).lines() {
        binary = executable(&line?, name).or(binary);
    }
    if !child.wait()?.success() {
        let options = options.join(" ");
        bail!("{name} was not built: type `cargo build --package {package} {options}` to see why");
    }
    binary.with_context(|| {
        format!(
            "cargo did not say where {name} is: type `cargo build --package {package} --verbose`"
        )
    })
}

/// The path of the executable, if cargo's message says that the binary `name` is ready.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_binary = message.pointer("/target/kind/0")?.as_str()? == "bin";
    let is_named = message.pointer("/target/name")?.as_str()? == name;
    let path = message.pointer("/executable")?.as_str()?;
    (is_binary && is_named).then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expect: Option<&str>) {
        assert_eq!(executable(message, "tcpkit"), expect.map(PathBuf::from));
    }

    #[test]
    fn only_the_named_binary_counts() {
        let message = |kind: &str, name: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},
                    "executable":{executable}}}"#
            )
        };
        check(&message("bin", "tcpkit", "\"/t/release/tcpkit\""), Some("/t/release/tcpkit"));
        check(&message("lib", "tcpkit", "null"), None);
        check(&message("custom-build", "tcpkit", "\"/t/build\""), None);
        check(&message("bin", "xtask", "\"/t/debug/xtask\""), None);
        check(r#"{"reason":"build-finished","success":true}"#, None);
        check("not json", None);
    }
}

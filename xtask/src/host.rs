//! The machine: its programs, and who is asking.

use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

use xshell::{Cmd, Shell, cmd};

/// Where system programs are that a user's `PATH` often leaves out.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Finds a program by name in `PATH`, among cargo's programs, and among the system's.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(cargo_programs())
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

fn cargo_programs() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("bin"))
}

fn is_program(file: &Path) -> bool {
    nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok() && file.is_file()
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether sudo would work without asking for a password.
pub(crate) fn sudo_is_open() -> bool {
    std::process::Command::new("sudo")
        .args(["--non-interactive", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The words to put in front of a command that needs root.
pub(crate) fn root_prefix() -> &'static [&'static str] {
    if is_root() { &[] } else { &["sudo"] }
}

/// `words` as a command that runs as root.
pub(crate) fn as_root<'a>(shell: &'a Shell, words: &[&str]) -> Cmd<'a> {
    let mut all = root_prefix().iter().chain(words);
    let first = all.next().copied().unwrap_or("true");
    cmd!(shell, "{first} {all...}")
}

/// Environment that a command keeps on its way through sudo, as `NAME=value`.
pub(crate) fn kept_environment(names: &[&str]) -> Vec<String> {
    names.iter().filter_map(|name| Some(format!("{name}={}", env::var(name).ok()?))).collect()
}

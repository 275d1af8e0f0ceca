//! The Python environment of tests and recordings: packages in exact versions, in a folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Result;
use xshell::cmd;

use super::steps::Steps;
use crate::host;

/// The list of packages, and the folder of the environment, both from the project's root.
const PACKAGES: &str = "tests/requirements.txt";
const FOLDER: &str = "target/python";

/// Debian's package of what makes environments; it brings Python itself.
pub(super) const MAKER: &str = "python3-venv";

/// Where Debian's Python is, in case another one comes first and cannot make environments.
const DISTRIBUTION_PYTHON: &str = "/usr/bin/python3";

/// Whether the environment is there, with the packages that are wanted now.
pub(super) fn is_complete(root: &Path) -> bool {
    let folder = root.join(FOLDER);
    // The last step of the installation leaves a copy of the list.
    let (Ok(wanted), Ok(installed)) =
        (fs::read(root.join(PACKAGES)), fs::read(folder.join("requirements.txt")))
    else {
        return false;
    };
    wanted == installed && folder.join("bin/python3").is_file()
}

/// A Python that can make environments: the first in `PATH`, or Debian's.
pub(super) fn maker() -> Option<PathBuf> {
    let candidates = [host::find_program("python3"), Some(DISTRIBUTION_PYTHON.into())];
    candidates.into_iter().flatten().find(|python| can_make_environments(python))
}

/// Debian divides `venv` from Python, and what misses is `ensurepip`.
fn can_make_environments(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", "import ensurepip, venv"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Makes the environment anew, with what the list says and nothing else.
pub(super) fn install(steps: &Steps<'_>) -> Result<()> {
    let shell = steps.shell;
    let maker = maker().unwrap_or_else(|| "python3".into());
    let command = cmd!(shell, "{maker} -m venv --clear {FOLDER}");
    steps.step("make a Python environment", &command)?;
    let python = format!("{FOLDER}/bin/python3");
    let command = cmd!(
        shell,
        "{python} -m pip install --quiet --disable-pip-version-check --no-deps
            --only-binary=:all: --requirement {PACKAGES}"
    );
    steps.step("install Python packages into it", &command)?;
    let command = cmd!(shell, "cp {PACKAGES} {FOLDER}/requirements.txt");
    steps.step("note which packages it has", &command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_complete_with_the_packages_that_are_wanted() {
        let root = std::env::temp_dir().join(format!("tcpkit-xtask-python-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(PACKAGES, "a==1\n");
        assert!(!is_complete(&root), "there is no environment");
        write("target/python/bin/python3", "");
        assert!(!is_complete(&root), "its packages were not installed to the end");
        write("target/python/requirements.txt", "a==1\n");
        assert!(is_complete(&root));
        write(PACKAGES, "a==2\n");
        assert!(!is_complete(&root), "another version is wanted");
        fs::remove_dir_all(&root).unwrap();
    }
}

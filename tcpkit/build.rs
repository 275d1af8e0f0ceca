//! Compiles the eBPF programs, so that the agent carries them and is one file.

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode};

#[path = "build/toolchain.rs"]
mod toolchain;

use toolchain::{EBPF_PACKAGE, Host, RUSTC_VARIABLE};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let workspace = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("..");
    for input in [
        "tcpkit-ebpf/src",
        "tcpkit-ebpf/Cargo.toml",
        "tcpkit-common/src",
        "tcpkit-common/Cargo.toml",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/toolchain.rs");
    println!("cargo:rerun-if-env-changed={RUSTC_VARIABLE}");

    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    let big_endian = variable("CARGO_CFG_TARGET_ENDIAN")? == "big";
    let host = Host { arch: &arch, big_endian };
    // The outer cargo holds the lock of its own target directory: the inner one needs another.
    let target_dir = out.join("ebpf-target");
    let output = toolchain::find()?
        .cargo("build", host)
        .args(["--release", "--bins", "--color", "never", "--target-dir"])
        .arg(&target_dir)
        .current_dir(&workspace)
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "the eBPF programs do not compile:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    let object = target_dir.join(host.target()).join("release").join(EBPF_PACKAGE);
    fs::copy(object, out.join(EBPF_PACKAGE))?;
    Ok(())
}

fn variable(name: &str) -> Result<String, Box<dyn Error>> {
    env::var(name).map_err(|error| format!("{name}: {error}").into())
}

//! Options of Lua scripts.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use clap::Args;

use crate::script::{ScriptLimits, ScriptOptions};

/// The user's own analysis.
#[derive(Debug, Args)]
#[command(next_help_heading = "Scripts")]
pub struct ScriptArgs {
    /// Hand packets, requests and connections to a Lua script. What it prints is printed; beside it
    /// nothing is, unless --print is given.
    #[arg(short = 'S', long, value_name = "FILE")]
    script: Option<PathBuf>,

    /// What the script may use: millions of instructions in one call, and MiB of memory in all; 0 for
    /// as much as it wants.
    #[arg(long, value_name = "MILLIONS[,MIB]", default_value = "100,256", value_parser = parse_budget,
          requires = "script")]
    script_budget: ScriptLimits,

    /// End with the script's first error, instead of going on without what that call would have done.
    #[arg(long, requires = "script")]
    script_strict: bool,

    /// Let the script open files and run programs.
    #[arg(long, requires = "script")]
    script_unsafe: bool,

    /// Print what scripts may define and call, and exit. (An editor can use it, see docs/lua.md.)
    #[arg(long)]
    script_api: bool,

    /// What the script's init() gets.
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

fn parse_budget(text: &str) -> Result<ScriptLimits, String> {
    let wrong = || format!("`{text}` is not of the form MILLIONS or MILLIONS,MIB, such as 100,256");
    let (millions, mib) = text.split_once(',').map_or((text, None), |(a, b)| (a, Some(b)));
    let millions: u64 = millions.trim().parse().map_err(|_| wrong())?;
    let mut limits = ScriptLimits {
        instructions: millions.checked_mul(1_000_000).ok_or_else(wrong)?,
        ..ScriptLimits::default()
    };
    if let Some(mib) = mib {
        let mib: usize = mib.trim().parse().map_err(|_| wrong())?;
        limits.memory_bytes = mib.checked_mul(1 << 20).ok_or_else(wrong)?;
    }
    Ok(limits)
}

impl ScriptArgs {
    /// The script's file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.script.as_deref()
    }

    /// Whether to print what scripts may define and call.
    #[must_use]
    pub fn prints_api(&self) -> bool {
        self.script_api
    }

    /// How the script is run, if there is one; `stop` is set when somebody asks for the end.
    #[must_use]
    pub fn options(&self, stop: Arc<AtomicBool>) -> Option<ScriptOptions> {
        Some(ScriptOptions {
            path: self.script.clone()?,
            arguments: self.arguments.clone(),
            limits: self.script_budget,
            is_strict: self.script_strict,
            allows_all: self.script_unsafe,
            stop,
        })
    }

    /// The words behind `--` where they are not the script's.
    pub(super) fn take_words(&mut self) -> Vec<String> {
        match self.script {
            Some(_) => Vec::new(),
            None => std::mem::take(&mut self.arguments),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_millions_and_mib() {
        let limits = |instructions, memory_bytes| ScriptLimits { instructions, memory_bytes };
        assert_eq!(parse_budget("100,256"), Ok(ScriptLimits::default()));
        assert_eq!(parse_budget("5"), Ok(limits(5_000_000, 256 << 20)));
        assert_eq!(parse_budget("0,0"), Ok(limits(0, 0)));
        assert_eq!(parse_budget("1, 64"), Ok(limits(1_000_000, 64 << 20)));
        for bad in ["", "x", "1,", "1,x", "-1", "1,2,3", "99999999999999999999", "18446744073710"] {
            assert!(parse_budget(bad).is_err(), "{bad}");
        }
    }
}

//! What scripts get, may do and may not do, without a kernel.

mod budgets;
mod documented;
mod sandbox;
mod tables;

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use super::*;
use crate::{
    capture::InterfaceNames,
    config::Limits,
    connection::Connections,
    engine::{Engine, UsualPorts},
    output::{Count, Output, Takes},
    protocol::{DecodeOptions, PROTOCOLS},
    simulation::SimFrame,
    sink::written::Written,
};

/// A folder with scripts that is gone afterwards.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Holds these files.
    pub(super) fn with(files: &[(&str, &[u8])]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("tcpkit-script-{}-{number}", std::process::id()));
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("room");
            fs::write(path, text).expect("room");
        }
        Self(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is the system's to tidy up.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a script is run in tests.
pub(super) struct Trial {
    pub(super) limits: ScriptLimits,
    pub(super) is_strict: bool,
    pub(super) allows_all: bool,
    pub(super) arguments: Vec<String>,
    pub(super) frames: Vec<SimFrame>,
    pub(super) decodes: bool,
    pub(super) stop: Arc<AtomicBool>,
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            limits: ScriptLimits { instructions: 1_000_000, memory_bytes: 16 << 20 },
            is_strict: false,
            allows_all: false,
            arguments: Vec::new(),
            frames: Vec::new(),
            decodes: false,
            stop: Arc::default(),
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) printed: String,
    /// Of the callbacks.
    pub(super) errors: u64,
    /// What ended the run.
    pub(super) ended: Option<String>,
    pub(super) exit_code: Option<u8>,
    pub(super) metrics: String,
    pub(super) gave_up: bool,
}

impl Trial {
    pub(super) fn load(&self, path: PathBuf) -> Result<Script, ScriptError> {
        Script::load(ScriptOptions {
            path,
            arguments: self.arguments.clone(),
            limits: self.limits,
            is_strict: self.is_strict,
            allows_all: self.allows_all,
            stop: Arc::clone(&self.stop),
        })
    }

    /// Runs a script over the frames.
    pub(super) fn run(self, text: &str) -> Outcome {
        let folder = Folder::with(&[("test.lua", text.as_bytes())]);
        self.run_in(&folder)
    }

    /// Runs `test.lua` of a folder over the frames.
    pub(super) fn run_in(self, folder: &Folder) -> Outcome {
        let script = self.load(folder.path("test.lua")).unwrap_or_else(|error| panic!("{error}"));
        let wants = script.wants();
        let (metrics, exit_code) = (script.metrics(), script.exit_code());
        let protocol = PROTOCOLS[0];
        let hints = Box::new(UsualPorts(protocol));
        let limits = Limits::default();
        let connections = Connections::new(hints, Some(protocol.into()), limits, wants.connections);
        let names = InterfaceNames::default();
        names.insert(1, "eth1");
        let written = Written::default();
        let sink = script
            .into_sink(Box::new(written.clone()), names, connections)
            .unwrap_or_else(|error| panic!("{error}"));
        let takes = Takes {
            packets: wants.packets || wants.connections,
            transactions: wants.transactions,
            time: true,
        };
        let mut output = Output::new(Count::Unlimited).with_script(Box::new(sink), takes, 0);
        let options = DecodeOptions { fields: true, ..DecodeOptions::default() };
        let mut engine = Engine::new(protocol, limits, options, UsualPorts(protocol));
        for frame in &self.frames {
            if output.is_done() {
                break;
            }
            output.advance(frame.time_ns);
            output.take_packet(&frame.as_frame());
            if self.decodes {
                engine.on_frame(&frame.as_frame(), &mut |it| output.take(it));
            }
        }
        let mut ledger = engine.ledger().clone();
        output.finish(&ledger);
        output.count(&mut ledger);
        Outcome {
            printed: written.text(),
            errors: ledger.output.script.errors,
            ended: output.take_error().map(|error| error.to_string()),
            exit_code: exit_code.get(),
            metrics: metrics.to_string(),
            gave_up: ledger.output.script.gave_up,
        }
    }
}

/// What a script prints that has nothing to analyse.
pub(super) fn run(text: &str) -> Outcome {
    Trial::default().run(text)
}

/// Why a script does not start.
pub(super) fn refused(files: &[(&str, &[u8])]) -> String {
    let folder = Folder::with(files);
    match Trial::default().load(folder.path("test.lua")) {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string().replace(&folder.0.display().to_string(), "DIR"),
    }
}

//! Frames from a capture file, or from another program's capture through a pipe.

use std::{ops::ControlFlow, path::Path};

use tcpkit_common::Counters;

use super::{
    CaptureError, Frame, HookDirection, InterfaceNames, LinkType, Progress, Source,
    bar::{ReadingBar, Screen},
    file_error::FileError,
    input::{Filled, Input, STDIN},
};
use crate::{
    filter::{CaptureFilter, FileProgram, FilterError, Verdict},
    packet::cooked,
    pcapfile::{MAX_INTERFACES, Reader},
};

/// How many packets a call looks at, so that the caller can look at something else now and then.
const BATCH: usize = 512;

/// A capture file: pcap or pcapng, plain or compressed with gzip or zstd, regular or a pipe.
///
/// The packets' times are nanoseconds since the Unix epoch. An interface's number counts those of a
/// pcapng file from 1; that of packets with a Linux SLL2 header is the index that the capturing host
/// had for it, in pcapng files plus [`MAX_INTERFACES`], so that no other interface has it.
pub struct OfflineSource {
    /// For messages.
    name: String,
    input: Input,
    reader: Reader,
    programs: Programs,
    counters: Counters,
    /// Packets that were refused because the file does not say which way they went.
    undirected: u64,
    /// The latest time of a packet.
    now_ns: u64,
    bar: ReadingBar,
    is_done: bool,
    warned_foreign: bool,
}

/// The filter for each link type that came.
struct Programs {
    filter: CaptureFilter,
    ready: Vec<(LinkType, Option<FileProgram>)>,
}

impl OfflineSource {
    /// Opens a capture file, or standard input for `-`. Waits for nobody: that a pipe carries no
    /// capture shows when it is read.
    ///
    /// # Errors
    /// It is not there, a directory, or may not be read.
    pub fn open(path: &Path, filter: &CaptureFilter, screen: Screen) -> Result<Self, CaptureError> {
        let name = if path == Path::new(STDIN) {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        match Input::open(path) {
            Ok(input) => Ok(Self::new(name, input, filter, screen)),
            Err(error) => Err(CaptureError::File { path: name, why: FileError::opening(error) }),
        }
    }

    fn new(name: String, input: Input, filter: &CaptureFilter, screen: Screen) -> Self {
        let bar = ReadingBar::new(screen, input.file_len());
        Self {
            name,
            input,
            reader: Reader::new(),
            programs: Programs { filter: filter.clone(), ready: Vec::new() },
            counters: Counters::default(),
            undirected: 0,
            now_ns: 0,
            bar,
            is_done: false,
            warned_foreign: false,
        }
    }

    /// Reads more of the file.
    fn fill(&mut self) -> Result<Progress, CaptureError> {
        let filled = self.input.read(self.reader.room());
        self.warn_foreign();
        match filled {
            Ok(Filled::Bytes(len)) => {
                self.reader.filled(len);
                self.bar.update(self.input.taken(), self.reader.packets());
                Ok(Progress::Busy)
            }
            Ok(Filled::Nothing) => Ok(Progress::Idle { now_ns: self.now_ns }),
            Ok(Filled::End) => {
                let end = self.reader.finish();
                let tells_nothing = self.undirected > 0 && self.undirected == self.counters.seen;
                if tells_nothing {
                    self.undirected = 0;
                }
                self.end();
                match end {
                    Ok(()) if tells_nothing => Err(self.error(FileError::NoDirections)),
                    Ok(()) => Ok(Progress::Eof),
                    Err(error) => Err(self.error(error.into())),
                }
            }
            Err(error) => {
                let place = (self.reader.packets(), self.reader.offset());
                let why = FileError::reading(error, self.input.compression(), place);
                self.end();
                Err(self.error(why))
            }
        }
    }

    fn error(&self, why: FileError) -> CaptureError {
        CaptureError::File { path: self.name.clone(), why }
    }

    /// Nothing will be read any more.
    fn end(&mut self) {
        if self.is_done {
            return;
        }
        self.is_done = true;
        self.bar.clear();
        self.warn_foreign();
        if self.undirected > 0 {
            log::warn!(
                "{}: {} packets left out, since the filter asks for their direction and the file \
                 does not tell it",
                self.name,
                self.undirected
            );
        }
        if self.reader.untimed() > 0 {
            log::warn!(
                "{}: {} packets have no time of their own, so latencies that they are part of mean \
                 nothing",
                self.name,
                self.reader.untimed()
            );
        }
    }

    /// Says so when the first packet was skipped.
    fn warn_foreign(&mut self) {
        if self.warned_foreign || self.reader.foreign() == 0 {
            return;
        }
        self.warned_foreign = true;
        let mut numbers: Vec<_> =
            self.reader.interfaces().iter().filter_map(|it| it.link().err()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let numbers: Vec<_> = numbers.iter().map(u16::to_string).collect();
        log::warn!(
            "{}: packets of interfaces with link type {} are skipped: it is not understood",
            self.name,
            numbers.join(", ")
        );
    }
}

impl Source for OfflineSource {
    fn read(
        &mut self,
        on_frame: &mut dyn FnMut(Frame<'_>) -> ControlFlow<()>,
    ) -> Result<Progress, CaptureError> {
        if self.is_done {
            return Ok(Progress::Eof);
        }
        for _ in 0..BATCH {
            let frame = match self.reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return self.fill(),
                Err(error) => {
                    self.end();
                    return Err(self.error(error.into()));
                }
            };
            let frame = with_cooked(frame);
            self.now_ns = self.now_ns.max(frame.time_ns);
            let verdict = match self.programs.judge(&frame) {
                Ok(verdict) => verdict,
                Err(error) => {
                    self.end();
                    return Err(self.error(error.into()));
                }
            };
            let counters = &mut self.counters;
            counters.seen = counters.seen.saturating_add(1);
            if verdict != Verdict::Selected {
                counters.refused = counters.refused.saturating_add(1);
                let is_undirected = verdict == Verdict::NoDirection;
                self.undirected = self.undirected.saturating_add(is_undirected.into());
                continue;
            }
            counters.matched = counters.matched.saturating_add(1);
            counters.captured = counters.captured.saturating_add(1);
            counters.matched_bytes = counters.matched_bytes.saturating_add(frame.wire_len.into());
            if on_frame(frame).is_break() {
                break;
            }
        }
        Ok(Progress::Busy)
    }

    fn stop(&mut self) -> Result<(), CaptureError> {
        self.end();
        Ok(())
    }

    /// Of a pipe it is said when nothing waits.
    fn is_live(&self) -> bool {
        false
    }

    fn bad_records(&self) -> u64 {
        self.reader.foreign()
    }

    fn interface_names(&self) -> InterfaceNames {
        self.reader.interface_names()
    }

    fn wall_offset_ns(&self) -> i64 {
        0
    }

    /// Packets of link types that are not understood pass every filter, and are not handed over.
    fn kernel_counters(&self) -> Result<Option<Counters>, CaptureError> {
        let foreign = self.reader.foreign();
        let skipped =
            Counters { seen: foreign, matched: foreign, captured: foreign, ..Counters::default() };
        Ok(Some(self.counters + skipped))
    }
}

impl Programs {
    #[inline]
    fn judge(&mut self, frame: &Frame<'_>) -> Result<Verdict, FilterError> {
        if let Some((_, program)) = self.ready.iter().find(|(link, _)| *link == frame.link) {
            let verdict = program.as_ref().map(|program| program.judge(frame));
            return Ok(verdict.unwrap_or(Verdict::Refused));
        }
        self.compile(frame.link, frame.ifindex != 0)?;
        self.judge(frame)
    }

    /// Makes the filter ready for a link type. In a file with several of them an expression may have
    /// no meaning for one, and selects nothing there.
    #[cold]
    fn compile(&mut self, link: LinkType, may_differ: bool) -> Result<(), FilterError> {
        let program = match self.filter.for_link(link) {
            Ok(program) => Some(program),
            Err(error) if may_differ => {
                log::warn!("packets of link type {link:?} are left out: {error}");
                None
            }
            Err(error) => return Err(error),
        };
        self.ready.push((link, program));
        Ok(())
    }
}

/// Takes what a cooked header knows besides the packet. It is missing where that is cut.
#[inline]
fn with_cooked(mut frame: Frame<'_>) -> Frame<'_> {
    let Some(cooked) = cooked(&frame) else { return frame };
    if let Some(index) = cooked.ifindex {
        let taken = if frame.ifindex == 0 { 0 } else { MAX_INTERFACES as u32 };
        frame.ifindex = index.saturating_add(taken);
    }
    if frame.direction == HookDirection::Unknown {
        frame.direction = cooked.direction;
    }
    frame
}

#[cfg(test)]
mod tests;

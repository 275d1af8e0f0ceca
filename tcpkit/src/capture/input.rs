//! The bytes of a capture file: from a regular file, a pipe or standard input, decompressed on the way.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, Read},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The name that stands for standard input.
pub(super) const STDIN: &str = "-";

/// How long a read waits for a pipe, in ms.
const WAIT_MS: u16 = 10;

/// How much of a compressed file is read at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// How much is unpacked at once, in bytes.
const SMALL: usize = 16 * 1024;

/// zstd's window: a frame that asks for more memory is refused. All levels of the tool get by with it,
/// when it is not told to use `--long` windows. (As a power of two, in bytes.)
const MAX_WINDOW: u32 = 27;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A frame without content, of which there are sixteen kinds; some tools begin with one.
const ZSTD_SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// Where bytes come from, and how they are packed.
#[derive(Debug)]
pub(super) struct Input {
    packing: Packing,
    /// The length of a regular file, in bytes.
    len: Option<u64>,
}

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    End,
}

enum Packing {
    /// The first bytes have not come.
    Unknown(Raw),
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<Raw>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Raw>>),
    /// The decompressor could not be set up.
    Broken,
}

impl Input {
    /// Opens a file, or [`STDIN`]; does not wait for a pipe's other end.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = if path == Path::new(STDIN) {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?
        };
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let len = metadata.is_file().then_some(metadata.len());
        Ok(Self::new(file.into(), len))
    }

    /// Reads from `file`, of which only a regular one has a length.
    pub(super) fn new(file: OwnedFd, len: Option<u64>) -> Self {
        let raw = Raw {
            file: file.into(),
            is_live: len.is_none(),
            buffer: Vec::new(),
            start: 0,
            taken: 0,
        };
        Self { packing: Packing::Unknown(raw), len }
    }

    /// The length of a regular file, in bytes.
    pub(super) fn file_len(&self) -> Option<u64> {
        self.len
    }

    /// How many bytes of the file were read, as they are there.
    pub(super) fn taken(&self) -> u64 {
        match &self.packing {
            Packing::Unknown(raw) | Packing::Plain(raw) => raw.taken,
            Packing::Gzip(decoder) => decoder.get_ref().taken,
            Packing::Zstd(decoder) => decoder.get_ref().taken,
            Packing::Broken => 0,
        }
    }

    /// The compression's name, where there is one.
    pub(super) fn compression(&self) -> Option<&'static str> {
        match &self.packing {
            Packing::Gzip(_) => Some("gzip"),
            Packing::Zstd(_) => Some("zstd"),
            Packing::Unknown(_) | Packing::Plain(_) | Packing::Broken => None,
        }
    }

    /// Fills the beginning of `room`; waits for a pipe for a few ms at most.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<Filled> {
        let read = self.read_some(room);
        match read {
            Ok(0) => Ok(Filled::End),
            Ok(len) => Ok(Filled::Bytes(len)),
            Err(error) => match error.kind() {
                // The decompressors keep what they have, and go on with the next bytes.
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Filled::Nothing),
                _ => Err(error),
            },
        }
    }

    fn read_some(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if let Packing::Unknown(raw) = &mut self.packing {
            let magic = raw.peek()?;
            let Packing::Unknown(raw) = std::mem::replace(&mut self.packing, Packing::Broken)
            else {
                return Ok(0);
            };
            self.packing = unpack(raw, magic)?;
        }
        match &mut self.packing {
            Packing::Unknown(_) | Packing::Broken => Ok(0),
            Packing::Plain(raw) => raw.read(room),
            Packing::Gzip(decoder) => decoder.read(first_part(room)),
            Packing::Zstd(decoder) => decoder.read(first_part(room)),
        }
    }
}

impl std::fmt::Debug for Packing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown(_) => "Unknown",
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
            Self::Broken => "Broken",
        })
    }
}

/// When a decompressor finds an error, what the same call unpacked before it is lost; so calls are
/// small.
fn first_part(room: &mut [u8]) -> &mut [u8] {
    let len = room.len().min(SMALL);
    room.get_mut(..len).unwrap_or(&mut [])
}

/// Told by the first bytes, since names lie.
fn unpack(raw: Raw, [a, b, c, d]: [u8; 4]) -> io::Result<Packing> {
    Ok(if [a, b] == GZIP {
        Packing::Gzip(Box::new(MultiGzDecoder::new(raw)))
    } else if [a, b, c, d] == ZSTD || [a & 0xf0, b, c, d] == ZSTD_SKIPPABLE {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
        decoder.window_log_max(MAX_WINDOW)?;
        Packing::Zstd(Box::new(decoder))
    } else {
        Packing::Plain(raw)
    })
}

/// The file as it is, with a buffer for what the decompressors have not used.
#[derive(Debug)]
struct Raw {
    file: File,
    /// Whether reading may have to wait for somebody.
    is_live: bool,
    buffer: Vec<u8>,
    start: usize,
    taken: u64,
}

impl Raw {
    /// The first four bytes, which stay; zeroes in the place of those that the file does not have.
    fn peek(&mut self) -> io::Result<[u8; 4]> {
        while self.buffer.len() < 4 {
            let mut more = [0; 4];
            let missing = 4_usize.saturating_sub(self.buffer.len());
            let more = more.get_mut(..missing).unwrap_or(&mut []);
            let len = self.read_file(more)?;
            if len == 0 {
                break;
            }
            self.buffer.extend_from_slice(more.get(..len).unwrap_or(&[]));
        }
        let mut first = [0; 4];
        for (to, from) in first.iter_mut().zip(&self.buffer) {
            *to = *from;
        }
        Ok(first)
    }

    /// Reads from the file; [`io::ErrorKind::WouldBlock`] when a pipe has nothing for a few ms.
    fn read_file(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.is_live {
            let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(WAIT_MS))? == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let len = self.file.read(room)?;
        self.taken = self.taken.saturating_add(len as u64);
        Ok(len)
    }
}

impl Read for Raw {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let waiting = self.buffer.get(self.start..).unwrap_or(&[]);
        if waiting.is_empty() {
            return self.read_file(room);
        }
        let len = waiting.len().min(room.len());
        for (to, from) in room.iter_mut().zip(waiting) {
            *to = *from;
        }
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for Raw {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start >= self.buffer.len() {
            self.start = 0;
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(CHUNK, 0);
            let read = self.read_file(&mut buffer);
            buffer.truncate(*read.as_ref().unwrap_or(&0));
            self.buffer = buffer;
            read?;
        }
        Ok(self.buffer.get(self.start..).unwrap_or(&[]))
    }

    fn consume(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.buffer.len());
    }
}

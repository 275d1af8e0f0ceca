//! Why a capture file gives no (more) packets.

use std::io;

use crate::{
    filter::FilterError,
    pcapfile::{FormatError, place},
};

/// Why a capture file gives no (more) packets; the part of the message behind its name.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there.
    #[error("there is no such file")]
    Missing,
    /// It holds files.
    #[error("it is a directory; name a capture file in it")]
    Directory,
    /// It may not be read.
    #[error("no permission to read it; run tcpkit as somebody who may")]
    NoPermission,
    /// It cannot be opened for another reason.
    #[error("cannot open it: {0}")]
    Open(#[source] io::Error),
    /// Reading it failed.
    #[error("{}cannot read it: {error}", place(*packets, *offset))]
    Read {
        /// How many packets came before.
        packets: u64,
        /// Up to which byte of the (uncompressed) file packets were made.
        offset: u64,
        /// The kernel's or the decompressor's reason.
        #[source]
        error: io::Error,
    },
    /// It is compressed, and ends before the compressed data does.
    #[error("{}its {compression} data ends early: the file was cut", place(*packets, *offset))]
    Cut {
        /// How many packets came before.
        packets: u64,
        /// Up to which byte of the uncompressed file packets were made.
        offset: u64,
        /// How it is compressed.
        compression: &'static str,
    },
    /// It is compressed, and what was compressed cannot be told.
    #[error("{}its {compression} data is corrupt: {error}", place(*packets, *offset))]
    Corrupt {
        /// How many packets came before.
        packets: u64,
        /// Up to which byte of the uncompressed file packets were made.
        offset: u64,
        /// How it is compressed.
        compression: &'static str,
        /// The decompressor's reason.
        #[source]
        error: io::Error,
    },
    /// The filter is about directions, and no packet has one.
    #[error("the filter asks which way packets went, which this file tells of none")]
    NoDirections,
    /// It is no capture file, or is cut or corrupt.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The filter has no meaning for its packets.
    #[error("its packets cannot be filtered: {0}")]
    Filter(#[from] FilterError),
}

impl FileError {
    pub(super) fn opening(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::IsADirectory => Self::Directory,
            io::ErrorKind::PermissionDenied => Self::NoPermission,
            _ => Self::Open(error),
        }
    }

    /// From an error of reading, of which decompressors have their own.
    pub(super) fn reading(
        error: io::Error,
        compression: Option<&'static str>,
        (packets, offset): (u64, u64),
    ) -> Self {
        match (compression, error.kind()) {
            (Some(compression), io::ErrorKind::UnexpectedEof) => {
                Self::Cut { packets, offset, compression }
            }
            // The kernel's errors have a number.
            (Some(compression), _) if error.raw_os_error().is_none() => {
                Self::Corrupt { packets, offset, compression, error }
            }
            _ => Self::Read { packets, offset, error },
        }
    }
}

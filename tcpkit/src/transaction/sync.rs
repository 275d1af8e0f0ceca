//! Which directions of a conversation are being read.

use crate::protocol::Direction;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sync {
    /// Both directions are read and paired.
    Paired,
    /// The request stream was lost; responses to the requests that wait are still certain.
    RequestsLost,
    /// The response stream was lost; requests are read. Only where messages carry numbers.
    ResponsesLost,
    /// Neither direction is read.
    Lost,
}

impl Sync {
    /// Whether this direction is read.
    #[inline]
    pub(super) fn reads(self, direction: Direction) -> bool {
        match direction {
            Direction::Request => matches!(self, Self::Paired | Self::ResponsesLost),
            Direction::Response => matches!(self, Self::Paired | Self::RequestsLost),
        }
    }

    /// The same with this direction read.
    pub(super) fn found(self, direction: Direction) -> Self {
        match (self, direction) {
            (Self::Paired | Self::RequestsLost, Direction::Request) => Self::Paired,
            (Self::Paired | Self::ResponsesLost, Direction::Response) => Self::Paired,
            (Self::ResponsesLost | Self::Lost, Direction::Request) => Self::ResponsesLost,
            (Self::RequestsLost | Self::Lost, Direction::Response) => Self::RequestsLost,
        }
    }

    /// The same with this direction not read.
    pub(super) fn lost(self, direction: Direction) -> Self {
        match (self, direction) {
            (Self::Paired | Self::RequestsLost, Direction::Request) => Self::RequestsLost,
            (Self::Paired | Self::ResponsesLost, Direction::Response) => Self::ResponsesLost,
            (Self::ResponsesLost | Self::Lost, Direction::Request)
            | (Self::RequestsLost | Self::Lost, Direction::Response) => Self::Lost,
        }
    }
}

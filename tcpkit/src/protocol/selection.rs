//! Which protocols are looked for, and on which ports: what `-p` says.

use super::{Detection, PROTOCOLS, Protocol, by_name};

/// What `-p` takes for every protocol that can be told by its first bytes.
pub const AUTO: &str = "auto";

/// The most protocols that can be chosen at once.
const MAX_CHOICES: usize = 32;

/// A protocol, and the only server port it is looked for on, if one was named.
#[derive(Clone, Copy, Debug)]
struct Choice {
    protocol: &'static Protocol,
    port: Option<u16>,
}

/// The protocols that are looked for; at least one.
#[derive(Clone, Debug)]
pub struct Selection {
    choices: Vec<Choice>,
    first: &'static Protocol,
}

/// Some of the protocols of a [`Selection`], by their positions in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Candidates(u32);

impl Candidates {
    /// Their positions, in order.
    pub fn positions(self) -> impl Iterator<Item = u8> {
        (0..u32::BITS)
            .filter(move |at| self.0 >> at & 1 != 0)
            .filter_map(|at| u8::try_from(at).ok())
    }

    /// The only one, if there is only one.
    #[must_use]
    pub fn only(self) -> Option<u8> {
        (self.0.count_ones() == 1).then(|| u8::try_from(self.0.trailing_zeros()).unwrap_or(0))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<&'static Protocol> for Selection {
    fn from(protocol: &'static Protocol) -> Self {
        Self { choices: vec![Choice { protocol, port: None }], first: protocol }
    }
}

/// Why the argument of `-p` makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No protocol has this name.
    #[error("there is no protocol `{name}`: there are {}", known())]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// What stands behind the colon is no port, or a port stands alone.
    #[error("`{text}` is no protocol and port: for several, name each, as in NAME:80,NAME:8080")]
    Port {
        /// What stands there.
        text: String,
    },
    /// What cannot have a port has one.
    #[error("`{AUTO}` is for all connections; a port takes a protocol's name, as in NAME:80")]
    AutoPort,
    /// Nothing was asked for.
    #[error("no protocol was asked for: there are {}", known())]
    Nothing,
    /// Too much.
    #[error("{MAX_CHOICES} protocols and ports at most can be asked for at once")]
    TooMany,
}

/// The names that `-p` takes, for messages.
fn known() -> String {
    let names: Vec<_> = PROTOCOLS.iter().map(|protocol| protocol.name).collect();
    format!("{}, {AUTO} and raw", names.join(", "))
}

impl Selection {
    /// What texts such as `NAME`, `NAME:PORT` and `auto` choose; those that cannot be told by first
    /// bytes come last, so that they are taken when nothing else fits.
    ///
    /// # Errors
    /// A name that nobody has, a port that is none, or too many of them.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, SelectionError> {
        let mut choices: Vec<Choice> = Vec::new();
        let mut add = |protocol: &'static Protocol, port| {
            let is_there = choices
                .iter()
                .any(|choice| std::ptr::eq(choice.protocol, protocol) && choice.port == port);
            if !is_there {
                choices.push(Choice { protocol, port });
            }
        };
        for text in texts {
            if text == AUTO {
                PROTOCOLS
                    .iter()
                    .filter(|it| it.detection == Detection::Auto)
                    .for_each(|it| add(it, None));
                continue;
            }
            let wrong_port = || SelectionError::Port { text: text.to_owned() };
            let (name, port) = match text.split_once(':') {
                None if text.parse::<u16>().is_ok() => return Err(wrong_port()),
                None => (text, None),
                Some((AUTO, _)) => return Err(SelectionError::AutoPort),
                Some((name, port)) => match port.parse::<u16>() {
                    Ok(port @ 1..) => (name, Some(port)),
                    _ => return Err(wrong_port()),
                },
            };
            let protocol = by_name(&name.to_ascii_lowercase())
                .ok_or_else(|| SelectionError::Unknown { name: name.to_owned() })?;
            add(protocol, port);
        }
        if choices.len() > MAX_CHOICES {
            return Err(SelectionError::TooMany);
        }
        choices.sort_by_key(|choice| choice.protocol.detection);
        let first = choices.first().ok_or(SelectionError::Nothing)?.protocol;
        Ok(Self { choices, first })
    }

    /// Whether a connection may speak one of several.
    #[must_use]
    pub fn is_several(&self) -> bool {
        self.choices.len() > 1
    }

    /// The protocol at a position.
    #[must_use]
    #[inline]
    pub fn protocol(&self, at: u8) -> &'static Protocol {
        self.choices.get(usize::from(at)).map_or(self.first, |choice| choice.protocol)
    }

    /// Every protocol, some perhaps several times.
    pub fn protocols(&self) -> impl Iterator<Item = &'static Protocol> {
        self.choices.iter().map(|choice| choice.protocol)
    }

    /// Whether this port was named for a protocol, so that servers have it.
    #[must_use]
    pub fn names_port(&self, port: u16) -> bool {
        self.choices.iter().any(|choice| choice.port == Some(port))
    }

    /// Whether servers of one of the protocols usually have this port.
    #[must_use]
    pub fn has_usual_port(&self, port: u16) -> bool {
        self.protocols().any(|protocol| protocol.ports.contains(&port))
    }

    /// What a connection may speak, one of whose ports is the server's: what the port was named for, or
    /// else whatever was chosen without a port.
    #[must_use]
    pub fn candidates(&self, ports: &[u16]) -> Candidates {
        let these = |holds: &dyn Fn(&Choice) -> bool| {
            self.choices.iter().enumerate().fold(0, |bits, (at, choice)| {
                if holds(choice) {
                    bits | 1_u32.checked_shl(u32::try_from(at).unwrap_or(32)).unwrap_or(0)
                } else {
                    bits
                }
            })
        };
        let named = these(&|choice| choice.port.is_some_and(|port| ports.contains(&port)));
        Candidates(if named == 0 { these(&|choice| choice.port.is_none()) } else { named })
    }

    /// What a connection speaks without a look at it: the only candidate, if it was chosen alone or for
    /// the connection's port.
    #[must_use]
    pub fn decided(&self, candidates: Candidates) -> Option<u8> {
        let at = candidates.only()?;
        let choice = self.choices.get(usize::from(at))?;
        (choice.port.is_some() || !self.is_several()).then_some(at)
    }
}

//! Gives up what capturing no longer needs, before anything from the wire is read: the root user for a
//! named one, and all capabilities but those still needed (capabilities(7)).
//!
//! User and groups are a process's: the C library changes them in all of its threads. Capabilities are a
//! thread's own. Those of other threads are gone with the user where that was root; else each thread gives
//! up its own ([`give_up_all`]).

use std::{ffi::CString, fmt, fs::File, io, path::PathBuf};

use caps::{CapSet, Capability, CapsHashSet};
use nix::{
    errno::Errno,
    sys::prctl,
    unistd::{Gid, Uid, User, fchown, geteuid, initgroups, setresgid, setresuid},
};

/// The users that root becomes unless somebody says which: the first that there is.
const USERS: [&str; 2] = ["tcpkit", "nobody"];

/// The user of this number where none of these has a name, as in containers without `/etc/passwd`: whom the
/// kernel shows instead of users that it cannot show (`kernel.overflowuid`).
const OVERFLOW: u32 = 65_534;

/// A user without a name.
fn numbered(uid: u32) -> User {
    User {
        name: uid.to_string(),
        passwd: CString::default(),
        uid: Uid::from_raw(uid),
        gid: Gid::from_raw(uid),
        gecos: CString::default(),
        dir: PathBuf::new(),
        shell: PathBuf::new(),
    }
}

/// Why privileges cannot be dropped.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such user.
    #[error("there is no user `{0}` (-Z)")]
    NoUser(String),
    /// Only root can become another user.
    #[error("only root can become `{0}` (-Z)")]
    NotRoot(String),
    /// The system refused.
    #[error("cannot become `{user}`: {source} (--keep-root goes on as root)")]
    Become {
        /// The user's name.
        user: String,
        /// Why.
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot give up capabilities: {0} (--keep-root keeps them)")]
    Capabilities(#[from] caps::errors::CapsError),
}

/// Whom the process is to become; by default nobody else.
#[derive(Clone, Debug, Default)]
pub struct Privileges {
    /// `None` where it is nobody else than who started it.
    user: Option<User>,
    /// Somebody asked for just this user.
    is_explicit: bool,
}

impl Privileges {
    /// Looks for the user: the one of this name or number, or without one, where root started the
    /// process, the usual one.
    ///
    /// # Errors
    /// There is no such user, or it cannot be had.
    pub fn find(name: Option<&str>) -> Result<Self, PrivilegeError> {
        let Some(name) = name else {
            let usual = || USERS.iter().find_map(|name| User::from_name(name).ok().flatten());
            let user = geteuid().is_root().then(|| usual().unwrap_or_else(|| numbered(OVERFLOW)));
            return Ok(Self { user, is_explicit: false });
        };
        let by_number = || {
            let uid = name.parse().ok()?;
            let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            Some(known.unwrap_or_else(|| numbered(uid)))
        };
        let user = User::from_name(name).ok().flatten().or_else(by_number);
        match user {
            None => Err(PrivilegeError::NoUser(name.to_owned())),
            Some(user) if user.uid == geteuid() => Ok(Self { user: None, is_explicit: true }),
            Some(_) if !geteuid().is_root() => Err(PrivilegeError::NotRoot(name.to_owned())),
            Some(user) => Ok(Self { user: Some(user), is_explicit: true }),
        }
    }

    /// Becomes the user, and gives up all of this thread's capabilities but `keep`, for good: programs that
    /// it starts get none back. `hand_over` is called in between with the user, if it is another, and may
    /// give it files.
    ///
    /// # Errors
    /// The system refused. (Where the user was only the usual one, that is said, and the process remains
    /// root without capabilities.)
    pub fn drop_all_but(
        &self,
        keep: &[Capability],
        hand_over: impl FnOnce(&User),
    ) -> Result<(), PrivilegeError> {
        let permitted = caps::read(None, CapSet::Permitted)?;
        let keep: CapsHashSet =
            keep.iter().copied().filter(|capability| permitted.contains(capability)).collect();
        match self.user.as_ref().map(|user| (user, become_user(user))) {
            Some((user, Ok(()))) => {
                // The change of users left none that takes effect.
                if permitted.contains(&Capability::CAP_CHOWN) {
                    caps::raise(None, CapSet::Effective, Capability::CAP_CHOWN)?;
                }
                hand_over(user);
            }
            Some((user, Err(errno))) => {
                let user = user.name.clone();
                let error = PrivilegeError::Become { user, source: errno.into() };
                if self.is_explicit {
                    return Err(error);
                }
                log::warn!("{error}; going on as root without capabilities");
            }
            None => {}
        }
        limit(&keep)?;
        log::info!("privileges are dropped: {}", Held { keep: &keep });
        Ok(())
    }
}

/// Gives up all capabilities of the thread.
///
/// # Errors
/// The system refused.
pub fn give_up_all() -> Result<(), PrivilegeError> {
    Ok(limit(&CapsHashSet::new())?)
}

/// Who the process is: the user's name, or without one its number.
#[must_use]
pub fn user_name() -> String {
    let user = User::from_uid(geteuid()).ok().flatten();
    user.map_or_else(|| geteuid().to_string(), |user| user.name)
}

/// Makes a file that this process made a user's, who is to open it again later. Where that fails, the user
/// cannot, and says so then.
pub fn hand_over(file: &File, user: &User) {
    let is_file = file.metadata().is_ok_and(|it| it.is_file());
    if is_file && let Err(errno) = fchown(file, Some(user.uid), Some(user.gid)) {
        log::debug!("a file was not given to {}: {errno}", user.name);
    }
}

fn become_user(user: &User) -> nix::Result<()> {
    // Not by halves.
    let takes = [Capability::CAP_SETUID, Capability::CAP_SETGID];
    if !takes.iter().all(|it| caps::has_cap(None, CapSet::Effective, *it).unwrap_or(false)) {
        return Err(Errno::EPERM);
    }
    // So that this thread can still choose what it keeps.
    prctl::set_keepcaps(true)?;
    let name = CString::new(user.name.as_str()).map_err(|_| Errno::EINVAL)?;
    initgroups(&name, user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    prctl::set_keepcaps(false)
}

/// Leaves this thread these capabilities, which it has.
fn limit(keep: &CapsHashSet) -> Result<(), caps::errors::CapsError> {
    // Otherwise root, and programs with capabilities of their own, would get them back.
    if let Err(errno) = prctl::set_no_new_privs() {
        log::debug!("no_new_privs: {errno}");
    }
    // Kernels before 4.3 have no ambient set.
    if caps::has_cap(None, CapSet::Ambient, Capability::CAP_CHOWN).is_ok() {
        caps::clear(None, CapSet::Ambient)?;
    }
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, keep)?;
    caps::set(None, CapSet::Permitted, keep)
}

/// What is left, in words.
struct Held<'a> {
    keep: &'a CapsHashSet,
}

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", user_name())?;
        let mut kept: Vec<_> = self.keep.iter().map(ToString::to_string).collect();
        kept.sort_unstable();
        match kept.is_empty() {
            true => f.write_str(", no capabilities"),
            false => write!(f, ", {}", kept.join(", ")),
        }
    }
}

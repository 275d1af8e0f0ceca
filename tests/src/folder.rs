//! Folders for a test's files, gone when the test is over.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails panics"
)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A folder of the test's own, and what is mounted on it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_mounted: bool,
}

impl Folder {
    /// Creates an empty folder, which everybody may write to: the agent does not remain root.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tcpkit-test-{}-files-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Self { path, is_mounted: false }
    }

    /// One on a disk of its own that has room for so many bytes, in pages.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        let mut folder = Self::new();
        let options = format!("size={bytes}");
        let none = MsFlags::empty();
        mount(Some("tmpfs"), &folder.path, Some("tmpfs"), none, Some(options.as_str())).unwrap();
        folder.is_mounted = true;
        folder
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_mounted {
            umount2(&self.path, MntFlags::MNT_DETACH).unwrap();
        }
        fs::remove_dir_all(&self.path).unwrap();
    }
}

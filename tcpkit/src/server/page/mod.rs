//! The dashboard: one page, so that a browser asks for nothing else.

use std::sync::LazyLock;

/// What `/` answers with.
pub(super) struct Page {
    /// The whole page; `text/html; charset=utf-8`.
    pub(super) html: String,
    /// Its `Content-Security-Policy`.
    pub(super) policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| Page {
    html: include_str!("index.html").to_owned(),
    policy: "default-src 'self' 'unsafe-inline'".to_owned(),
});

/// The page.
pub(super) fn page() -> &'static Page {
    &PAGE
}

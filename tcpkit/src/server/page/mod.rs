//! The dashboard: one page with its style and scripts in it, so that a browser asks for nothing else.
//!
//! `uplot/` is uPlot 1.6.32, the library that draws the lines, unchanged, under its own licence (MIT).

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    sync::LazyLock,
};

/// What `/` answers with.
pub(super) struct Page {
    /// The whole page; `text/html; charset=utf-8`.
    pub(super) html: String,
    /// Its `Content-Security-Policy`: only the page's own scripts run, and it talks to its own server only.
    /// So even a text from the wire that became markup by mistake could not do anything.
    pub(super) policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(build);

/// The page, put together when it is asked for first.
pub(super) fn page() -> &'static Page {
    &PAGE
}

/// The scripts, in the order in which they use each other.
const SCRIPTS: &[&str] = &[
    "\"use strict\";\n",
    include_str!("format.js"),
    include_str!("model.js"),
    include_str!("charts.js"),
    include_str!("heatmap.js"),
    include_str!("tables.js"),
    include_str!("page.js"),
];

/// uPlot, with its licence in front, as that wants to go with every copy.
const UPLOT: &[&str] =
    &["/*\n", include_str!("uplot/LICENSE"), "*/\n", include_str!("uplot/uPlot.iife.min.js")];

fn build() -> Page {
    // Differs from run to run, so that nobody can write it into a text beforehand.
    let nonce = format!("{:016x}", RandomState::new().build_hasher().finish());
    let html = include_str!("index.html")
        .replace("/*NONCE*/", &nonce)
        .replace("/*UPLOT_CSS*/", include_str!("uplot/uPlot.min.css"))
        .replace("/*CSS*/", include_str!("page.css"))
        .replace("/*UPLOT*/", &UPLOT.concat())
        .replace("/*JS*/", &SCRIPTS.concat());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Page { html, policy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_for_nothing_else() {
        let html = &page().html;
        for mark in ["/*NONCE*/", "/*UPLOT_CSS*/", "/*CSS*/", "/*UPLOT*/", "/*JS*/"] {
            assert!(!html.contains(mark), "{mark} was not filled in");
        }
        assert_eq!(html.matches("</script>").count(), 2, "a script ends before its end");
        assert_eq!(html.matches("</style>").count(), 1, "the style ends before its end");
        for outside in [" src=", "@import", "url(", "rel=\"stylesheet\""] {
            assert!(!html.contains(outside), "{outside} asks for another file");
        }
    }

    #[test]
    fn the_policy_lets_the_pages_own_scripts_run_and_no_others() {
        let Page { html, policy } = page();
        let nonce = policy.split("'nonce-").nth(1).and_then(|it| it.split('\'').next());
        let nonce = nonce.expect("the policy names a nonce");
        assert_eq!(html.matches(&format!("<script nonce=\"{nonce}\">")).count(), 2);
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn texts_never_become_markup() {
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser"] {
            assert!(
                SCRIPTS.iter().all(|script| !script.contains(way)),
                "{way} makes markup of text"
            );
        }
    }
}

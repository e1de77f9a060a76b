//! The files of the page, in the program itself. Imports nothing of the crate.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

pub struct File {
    pub kind: &'static str,
    pub content: &'static str,
    pub tag: String,
}

static FILES: LazyLock<Vec<(&str, File)>> = LazyLock::new(|| {
    [
        (
            "/",
            "text/html; charset=utf-8",
            include_str!("page/index.html"),
        ),
        (
            "/page.css",
            "text/css; charset=utf-8",
            include_str!("page/page.css"),
        ),
        (
            "/page.js",
            "text/javascript; charset=utf-8",
            include_str!("page/page.js"),
        ),
        (
            "/plot.js",
            "text/javascript; charset=utf-8",
            include_str!("page/plot.js"),
        ),
        (
            "/graph.js",
            "text/javascript; charset=utf-8",
            include_str!("page/graph.js"),
        ),
        ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ]
    .map(|(path, kind, content)| {
        let hash = Sha256::digest(content.as_bytes());
        let short: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let file = File {
            kind,
            content,
            tag: format!("\"{short}\""),
        };
        (path, file)
    })
    .into()
});

pub fn file(path: &str) -> Option<&'static File> {
    let mut files = FILES.iter();
    files.find_map(|(own, file)| (*own == path).then_some(file))
}

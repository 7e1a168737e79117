// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The page that shows the window: one file, which loads nothing but `/window.json`.
//!
//! Its policy names the only style and script that may run by their hashes, so that even markup
//! that got into the page by a mistake would do nothing.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("page/page.html");
const CSS: &str = include_str!("page/page.css");
/// In one scope: each uses what those before it define.
const JS: &str = concat!(
    include_str!("page/elements.js"),
    include_str!("page/numbers.js"),
    include_str!("page/tiles.js"),
    include_str!("page/rates.js"),
    include_str!("page/grid.js"),
    include_str!("page/detail.js"),
    include_str!("page/tables.js"),
    include_str!("page/look.js"),
);

/// The page.
pub(super) static PAGE: LazyLock<String> =
    LazyLock::new(|| HTML.replacen("{{CSS}}", CSS, 1).replacen("{{JS}}", JS, 1));

/// Its Content-Security-Policy.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(JS),
        source(CSS)
    )
});

/// An inline style or script, as a policy names it.
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::{CSS, JS, PAGE};

    #[test]
    fn the_page_is_whole_and_loads_nothing_else() {
        assert!(!PAGE.contains("{{") && PAGE.contains(CSS) && PAGE.contains(JS));
        // The name of SVG's elements is no address.
        let page = PAGE.replace("http://www.w3.org/2000/svg", "");
        for foreign in [
            "http:",
            "https:",
            "src=",
            "@import",
            "url(",
            "innerHTML",
            "insertAdjacent",
        ] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}

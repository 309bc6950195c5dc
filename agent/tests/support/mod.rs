//! What several tests of views need.

use std::path::Path;

/// Holds a text to its golden file; `UPDATE_EXPECT=1 cargo test` rewrites that.
pub fn golden(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let file = folder.join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, text).expect("writes the golden file");
    }
    let golden = std::fs::read_to_string(&file).expect("reads the golden file");
    assert!(
        text == golden,
        "{name} changed; if that is meant, UPDATE_EXPECT=1 rewrites it:\n{text}"
    );
}

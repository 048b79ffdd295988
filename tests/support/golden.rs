//! Files that hold what others rely on, word for word. `UPDATE_GOLDEN=1 cargo test` writes them anew; the difference is
//! then in the commit, for a reviewer to judge.

use std::path::Path;

/// Compares with a file of this repository.
pub fn assert_golden(path: &str, found: &[u8]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, found).unwrap();
        return;
    }
    let expected = std::fs::read(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(
        expected == found,
        "{path} differs; UPDATE_GOLDEN=1 writes it anew. Found:\n{}",
        String::from_utf8_lossy(found)
    );
}

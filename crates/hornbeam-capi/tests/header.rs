//! `include/hornbeam.h` is what cbindgen writes. `HORNBEAM_UPDATE=1 cargo test -p hornbeam-capi` writes it anew.

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_crate(folder).with_config(config).generate().unwrap();
    let mut written = Vec::new();
    bindings.write(&mut written);
    // A heading of Rust's documentation; the sentence below it says enough.
    let written = String::from_utf8(written).unwrap().replace(" * # Safety\n", "");
    let header = folder.join("include/hornbeam.h");
    if std::env::var_os("HORNBEAM_UPDATE").is_some() {
        std::fs::write(&header, &written).unwrap();
    }
    let stored = std::fs::read_to_string(&header).unwrap_or_default();
    assert!(stored == written, "hornbeam.h is out of date: HORNBEAM_UPDATE=1 cargo test -p hornbeam-capi");
}

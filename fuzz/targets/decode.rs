//! Any bytes: a graph that compiles, or an error that says why not.
#![no_main]

use hornbeam_fuzz::drive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        drive::compile(text);
    }
});

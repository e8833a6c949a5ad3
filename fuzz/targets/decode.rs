//! Any bytes: the result is a compiled graph or an error with a reason.
#![no_main]

use hornbeam_fuzz::drive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        drive::compile(text);
    }
});

#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::ENTRIES;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&ENTRIES), |data: &[u8]| check(&ENTRIES, data));

#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::STORED;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&STORED), |data: &[u8]| check(&STORED, data));

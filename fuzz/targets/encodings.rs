#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::ENCODINGS;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&ENCODINGS), |data: &[u8]| check(&ENCODINGS, data));

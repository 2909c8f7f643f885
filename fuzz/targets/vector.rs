#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::VECTOR;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&VECTOR), |data: &[u8]| check(&VECTOR, data));

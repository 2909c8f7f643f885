#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::PROJECTION;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&PROJECTION), |data: &[u8]| check(&PROJECTION, data));

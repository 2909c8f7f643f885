#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::FLUENT;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&FLUENT), |data: &[u8]| check(&FLUENT, data));

#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::OPENTELEMETRY;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&OPENTELEMETRY), |data: &[u8]| check(&OPENTELEMETRY, data));

#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::HTTP_BODY;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&HTTP_BODY), |data: &[u8]| check(&HTTP_BODY, data));

#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_http::fuzzing::MSGPACK;
use profile_http_fuzz::{check, plant};

fuzz_target!(init: plant(&MSGPACK), |data: &[u8]| check(&MSGPACK, data));

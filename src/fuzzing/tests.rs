use super::*;

/// Seeds damaged in as many ways as a test has time for.
const DAMAGED: usize = 300;

fn holds(target: Target) {
    let mut random = fastrand::Rng::with_seed(11);
    (target.check)(b"");
    for seed in (target.seeds)() {
        (target.check)(&seed);
        for _ in 0..DAMAGED {
            let mut bytes = seed.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..=bytes.len());
                match random.u8(..4) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, random.u8(..)),
                    2 => bytes.extend_from_within(at..),
                    _ => {
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte = random.u8(..);
                        }
                    }
                }
            }
            (target.check)(&bytes);
        }
    }
}

#[test]
fn decoders_keep_their_promises_of_what_senders_write_and_of_damaged_bytes() {
    TARGETS.into_iter().for_each(holds);
}

//! Where the adaptive limit settles and what it delivers, as a part of the best that any fixed limit
//! does, over simulated endpoints.

mod simulation;

use profile_http::delivery::ConcurrencySettings;
use simulation::{CONSTANT, Endpoint, Times, simulate};

const TIMES: Times = Times { settling: 20, end: 80 };

fn main() {
    let scenarios = [
        ("constant link", CONSTANT),
        ("jittery link", Endpoint { jitter: 0.1, ..CONSTANT }),
        ("very jittery link", Endpoint { jitter: 0.5, ..CONSTANT }),
        ("slow link", Endpoint { scale: 1.0, ..CONSTANT }),
        ("shallow knee", Endpoint { knee: Some((10, 1.1)), ..CONSTANT }),
        ("fifty workers", Endpoint { workers: Some(50), jitter: 0.1, ..CONSTANT }),
        ("drops beyond 5", Endpoint { drops_beyond: Some(5), ..CONSTANT }),
        ("503 beyond 5", Endpoint { defers_beyond: Some(5), ..CONSTANT }),
        ("one in 20 fails", Endpoint { fails: (0.05, 503), jitter: 0.1, ..CONSTANT }),
        (
            "one in 80 answered 429",
            Endpoint { fails: (0.0125, 429), delay: 0.01, jitter: 0.1, ..CONSTANT },
        ),
        ("503 beyond 50", Endpoint { defers_beyond: Some(50), ..CONSTANT }),
        ("503 beyond 100/s", Endpoint { per_second: Some((100, 503)), ..CONSTANT }),
        ("429 beyond 100/s", Endpoint { per_second: Some((100, 429)), ..CONSTANT }),
        ("429 beyond 50/s, 1 ms", Endpoint { delay: 0.001, bucket: Some((50.0, 0.0)), ..CONSTANT }),
        (
            "429 beyond 50/s, 1 ms, burst 5",
            Endpoint { delay: 0.001, bucket: Some((50.0, 5.0)), ..CONSTANT },
        ),
        ("429 beyond 50/s, 100 ms, burst 5", Endpoint { bucket: Some((50.0, 5.0)), ..CONSTANT }),
        (
            "429 beyond 500/s, 10 ms, burst 50",
            Endpoint { delay: 0.01, bucket: Some((500.0, 50.0)), ..CONSTANT },
        ),
        ("429 beyond 1/s, 10 ms", Endpoint { delay: 0.01, bucket: Some((1.0, 0.0)), ..CONSTANT }),
    ];
    println!(
        "{:35} {:>6} {:>8} {:>8} {:>8} {:>7}",
        "endpoint", "best", "settled", "rate", "of best", "failed"
    );
    for (name, endpoint) in scenarios {
        let (best, most) = best(endpoint);
        let adaptive = ConcurrencySettings::Adaptive { max: 200 };
        let seen = simulate(endpoint, adaptive, TIMES, 1);
        println!(
            "{name:35} {best:>6} {:>8.1} {:>6.1}/s {:>7.0}% {:>6.2}%",
            seen.limit,
            seen.per_second,
            100.0 * seen.per_second / most,
            100.0 * seen.failed,
        );
    }
}

/// The smallest fixed limit that delivers, but for a hundredth, as much as any, and how much.
fn best(endpoint: Endpoint) -> (usize, f64) {
    let limits = (1..=20).chain((25..=60).step_by(5)).chain([80, 100, 150, 200]);
    let times = Times { settling: 5, end: 25 };
    let delivered: Vec<_> = limits
        .map(|limit| (limit, simulate(endpoint, ConcurrencySettings::Fixed(limit), times, 1)))
        .map(|(limit, seen)| (limit, seen.per_second))
        .collect();
    let most = delivered.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    delivered
        .into_iter()
        .find(|(_, rate)| *rate >= 0.99 * most)
        .map_or((0, 0.0), |(limit, _)| (limit, most))
}

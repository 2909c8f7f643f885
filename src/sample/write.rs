use std::io::Write;

use jiff::Timestamp;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::{NAMESPACE, SEGMENTS, Samples, State};

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;

const FIRST_NAMES: [&str; 8] =
    ["Ada", "Grace", "Edsger", "Barbara", "Alan", "Radia", "Niklaus", "Frances"];
const LAST_NAMES: [&str; 8] =
    ["Sample", "Example", "Muster", "Esempio", "Exemple", "Ejemplo", "Voorbeeld", "Näidis"];
const TIERS: [&str; super::TIERS as usize] = ["bronze", "silver", "platinum", "gold"];
const PAGES: [&str; 4] = ["/", "/offers/autumn", "/account/orders", "/help/returns"];
/// Segments that no sink of the samples maps.
const UNMAPPED: [&str; 2] =
    ["9b7e4d20-30aa-4c1f-8f6d-51c0de000011", "9b7e4d20-30aa-4c1f-8f6d-51c0de000012"];

/// Bits that belong to a profile for good.
pub(super) fn bits(seed: u64, profile: u32) -> u64 {
    xxh3_64_with_seed(&profile.to_le_bytes(), seed)
}

/// The record of a profile as it stands.
pub(super) fn record(seed: u64, profile: u32, state: &State, followed: bool) -> Vec<u8> {
    let mut json = Vec::with_capacity(1100);
    write(&mut json, seed, profile, state, followed).expect("writing to memory does not fail");
    json
}

fn write(
    out: &mut Vec<u8>,
    seed: u64,
    profile: u32,
    state: &State,
    followed: bool,
) -> std::io::Result<()> {
    let bits = bits(seed, profile);
    let id = Samples::id(profile);
    let first = FIRST_NAMES[pick(bits, 8, FIRST_NAMES.len())];
    let last = LAST_NAMES[pick(bits, 16, LAST_NAMES.len())];
    let State { records, changed, emails, .. } = *state;
    let email = format!("{}.{profile}.{emails}@example.org", first.to_lowercase());
    let joined = START - 86_400 * i64::try_from(bits >> 54).expect("10 bits");
    let visited = time(profile, records);

    write!(
        out,
        "{{\"person\":{{\"name\":{{\"firstName\":\"{first}\",\"lastName\":\"{last}\"}},\
         \"birthYear\":{}}},\"personalEmail\":{{\"address\":\"{email}\"}},\
         \"loyalty\":{{\"tier\":\"{}\",\"points\":{},\"joinDate\":\"{}\"}},\
         \"web\":{{\"visits\":{records},\"lastPage\":\"{}\",\"lastVisit\":\"{visited}\"}},\
         \"consents\":{{\"marketing\":{{\"email\":{{\"val\":\"y\"}}}}}},",
        1940 + pick(bits, 24, 66),
        TIERS[usize::from(state.tier)],
        records * 10,
        at(joined),
        PAGES[(records as usize) % PAGES.len()],
    )?;

    write!(out, "\"segmentMembership\":{{\"ups\":{{")?;
    for segment in UNMAPPED {
        membership(out, segment, visited, "realized")?;
        out.push(b',');
    }
    if followed {
        membership(out, SEGMENTS[0].0, at(joined), "realized")?;
        out.push(b',');
    }
    if followed && state.was_gold {
        let status = if state.gold { "realized" } else { "exited" };
        membership(out, SEGMENTS[1].0, time(profile, changed), status)?;
        out.push(b',');
    }
    out.pop();

    write!(out, "}}}},\"identityMap\":{{\"{NAMESPACE}\":[{{\"id\":\"{id}\"}}],\"ecid\":[")?;
    for device in 0..=state.devices {
        // 38 digits, as the real ones have.
        let ecid = xxh3_128_with_seed(id.as_bytes(), seed ^ u64::from(device)) % 10u128.pow(37);
        write!(out, "{{\"id\":\"{:038}\"}},", 10u128.pow(37) + ecid)?;
    }
    out.pop();
    let hash = |part| xxh3_128_with_seed(email.as_bytes(), part);
    write!(out, "],\"email_lc_sha256\":[{{\"id\":\"{:032x}{:032x}\"}}]}}}}", hash(0), hash(1))
}

fn membership(
    out: &mut Vec<u8>,
    segment: &str,
    since: Timestamp,
    status: &str,
) -> std::io::Result<()> {
    write!(out, "\"{segment}\":{{\"lastQualificationTime\":\"{since}\",\"status\":\"{status}\"}}")
}

/// One of several, by the bits from `shift` on.
fn pick(bits: u64, shift: u32, among: usize) -> usize {
    usize::try_from((bits >> shift) % 256).expect("8 bits") % among
}

/// The time of a profile's nth record.
fn time(profile: u32, records: u32) -> Timestamp {
    at(START + i64::from(profile % 3600) + 3600 * i64::from(records))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

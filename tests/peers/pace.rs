//! Against nginx that lets 50 requests a second through.

use std::collections::HashMap;

use crate::{
    nginx::{Answered, FIFTY_A_SECOND, Nginx, TAKE},
    program::{ends_well, options, profile, records, run},
    support::Site,
};

/// Answers in which the sink may find out what pace nginx bears.
const SETTLING: usize = 300;

#[test]
fn a_limit_is_found_and_kept_with_next_to_no_refusals() {
    let Some(nginx) = Nginx::start(&format!("{FIFTY_A_SECOND} {TAKE}")) else { return };
    let site = Site::new();
    let mut process = run(&site, &nginx, &options(&nginx));
    process.write(&records(1000, 1));
    let is_good = |request: &Answered| request.status == "204";
    let mut answered = Vec::new();
    while answered.iter().filter(|request| is_good(request)).count() < 1000 {
        answered.push(nginx.answered());
        if answered.len() == SETTLING {
            process.write(&records(100, 2));
        }
    }
    ends_well(process);
    answered.extend(nginx.rest());

    let settled = &answered[SETTLING..];
    let refused = settled.iter().filter(|request| !is_good(request)).count();
    assert!(refused * 50 < settled.len(), "{refused} of {} are refused", settled.len());
    assert!(settled.iter().all(|request| ["204", "429"].contains(&&*request.status)));
    let mut last = HashMap::new();
    for (id, version) in answered.iter().filter(|request| is_good(request)).map(profile) {
        let former = last.insert(id.clone(), version);
        assert!(former.is_none_or(|former| former < version), "{id}: {version} after {former:?}");
    }
    assert_eq!(last.len(), 1000, "none is lost");
    assert_eq!(last.values().filter(|version| **version == 2).count(), 100);
}

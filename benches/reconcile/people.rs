//! The profiles: who is in which segment, how each stands, and what must have arrived of them.

use profile_http::local_endpoint::LocalEndpoint;
use serde_json::Value;

/// Profiles by number: of each twenty, two are in segment `s`, which is mapped from the start, and
/// two in `t`, which is mapped later; one of them is in both.
pub(crate) struct People {
    /// How often the name of each has changed.
    names: Vec<u8>,
}

impl People {
    pub(crate) fn new(profiles: u32) -> Self {
        Self { names: vec![0; profiles as usize] }
    }

    fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.names.len()).expect("made of a number of that size")
    }

    /// A record of each, as it is.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.numbers().map(|number| self.record(number, 0))
    }

    /// New names for some of one in five: for all of these in round 0, for fewer in each of two more.
    pub(crate) fn some_changed(&mut self, round: u32) -> impl Iterator<Item = Vec<u8>> + '_ {
        let changes = self.numbers().filter(move |n| n / 20 % 5 == 0 && n % 3 >= round);
        changes.map(move |number| {
            self.names[number as usize] += 1;
            self.record(number, 1 + round)
        })
    }

    /// A record of somebody in which nothing differs that is mapped.
    pub(crate) fn visit(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        self.record(random.u32(self.numbers()), random.u32(..))
    }

    /// About 900 bytes.
    fn record(&self, number: u32, visits: u32) -> Vec<u8> {
        let name = self.names[number as usize];
        let member = |segment: char, is: bool| {
            let status = if is { "realized" } else { return String::new() };
            format!(
                r#","{segment}":{{"lastQualificationTime":"2026-01-02T03:04:05Z","status":"{status}"}}"#
            )
        };
        let (s, t) = (member('s', is_in_s(number)), member('t', is_in_t(number)));
        let second = visits % 60;
        format!(
            r#"{{"identityMap":{{"crmid":[{{"id":"{id}"}}],"ecid":[{{"id":"38{number:036}"}}]}},"person":{{"name":{{"firstName":"Name {name}","lastName":"Example"}},"birthDate":"1980-01-31","gender":"not_specified"}},"personalEmail":{{"address":"person-{number}@example.org"}},"loyalty":{{"tier":"gold","points":{visits},"joined":"2019-05-06"}},"homeAddress":{{"street1":"1 Example Street","city":"Exampletown","postalCode":"{number:05}","countryCode":"GB"}},"visits":{visits},"web":{{"referrer":"https://www.example.org/catalogue/things?page={visits}","device":"a browser of some kind"}},"segmentMembership":{{"ups":{{"unmapped-1":{{"lastQualificationTime":"2026-01-02T03:04:{second:02}Z","status":"realized"}},"unmapped-2":{{"lastQualificationTime":"2026-01-02T03:04:{second:02}Z","status":"existing"}}{s}{t}}}}}}}"#,
            id = id(number),
        )
        .into_bytes()
    }

    /// How often each has arrived.
    pub(crate) fn times(&self, endpoint: &LocalEndpoint) -> Vec<u64> {
        let times = |number| endpoint.received("crmid", &id(number)).map_or(0, |r| r.times);
        self.numbers().map(times).collect()
    }

    /// Exactly the members of `t` have arrived since then, once each but for what was in flight
    /// when the sink was killed, and as they were last known.
    pub(crate) fn check(&self, endpoint: &LocalEndpoint, before: &[u64]) {
        let (mut exported, mut repeated) = (0, 0);
        for (number, (now, before)) in self.numbers().zip(self.times(endpoint).iter().zip(before)) {
            let more = now - before;
            assert_eq!(more > 0, is_in_t(number), "profile {number} arrived {more} times");
            if more == 0 {
                continue;
            }
            exported += 1;
            repeated += more - 1;
            let body = endpoint.received("crmid", &id(number)).expect("it arrived").body;
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let name = format!("Name {}", self.names[number as usize]);
            assert_eq!(body["person"]["name"]["firstName"], name, "profile {number}");
            assert_eq!(body["segmentMembership"]["ups"]["t"]["status"], "realized");
        }
        let report = endpoint.report();
        assert_eq!(report.duplicates, repeated, "a repeat is of the same version");
        assert_eq!(report.order_violations, 0);
        println!(
            "exported: the {exported} members and nobody else, each as it was last known; \
             {repeated} in flight at the kill came twice"
        );
    }
}

fn is_in_s(number: u32) -> bool {
    number % 20 < 2
}

fn is_in_t(number: u32) -> bool {
    matches!(number % 20, 1 | 2)
}

fn id(number: u32) -> String {
    format!("C-{number:07}")
}

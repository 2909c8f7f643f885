//! After a profile was forgotten and the files were rewritten, nothing of it is left in them.
//!
//! Files are searched as they are, compressed blocks included: an identifier here is random enough
//! for a compressor to find no part of it elsewhere, so where it stands first in a block it stands
//! there byte for byte. That this finds what is there is shown with everybody else's.

use std::{collections::HashMap, fs, path::PathBuf};

use super::{super::engine::Engine, *};
use crate::{
    profile::ProfileKey,
    store::{
        Dismissal,
        embedded::disk::{Disk, Space},
    },
};

const PEOPLE: usize = 300;

const AT_ONCE: Dismissal = Dismissal { exit: false, suppress: false };

/// Text that compresses well and is long enough for blob files.
const PROSE: &str = "all work and no play makes jack a dull boy; ";

struct Crowd {
    dir: TempDir,
    store: EmbeddedStore,
    mapping: Arc<Mapping>,
    /// What names each person: the key, and an address that is no key.
    people: Vec<[String; 2]>,
}

fn random_name() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(24).collect()
}

fn crowd_mapping() -> Arc<Mapping> {
    mapping(MappingSpec {
        key: vec!["identityMap.crmid".parse().unwrap()],
        attributes: Attributes::Listed(vec!["bio".parse().unwrap()]),
        ..with_segment("s")
    })
}

fn open(dir: &TempDir, mapping: &Arc<Mapping>) -> EmbeddedStore {
    EmbeddedStore::open(
        &dir.path().join("crm"),
        mapping.clone(),
        EmbeddedSettings::default(),
        Clock::system(),
        Component::detached(),
    )
    .unwrap()
}

impl Crowd {
    async fn new() -> Self {
        let (dir, mapping) = (tempfile::tempdir().unwrap(), crowd_mapping());
        let store = open(&dir, &mapping);
        let people = (0..PEOPLE).map(|_| [random_name(), random_name()]).collect();
        let crowd = Self { dir, store, mapping, people };
        crowd.update(0..PEOPLE, "first").await;
        crowd
    }

    async fn update(&self, people: impl IntoIterator<Item = usize>, round: &str) {
        let updates = people.into_iter().map(|place| {
            let [key, address] = &self.people[place];
            let json = format!(
                r#"{{"identityMap":{{"crmid":[{{"id":"{key}"}}],"email":[{{"id":"{address}"}}]}},"bio":"{round} {address} {} {key}","segmentMembership":{{"ups":{{"s":{{"status":"realized"}}}}}}}}"#,
                PROSE.repeat(1 + place % 40)
            );
            seeded_update(self.store.seed(), &self.mapping, &json, START)
        });
        self.store.apply(updates.collect(), Vec::new()).await.unwrap();
    }

    fn key(&self, place: usize) -> [ProfileKey; 1] {
        let text = self.people[place][0].clone();
        [ProfileKey { path: "identityMap.crmid".to_owned(), text }]
    }

    async fn forget(&self, place: usize) -> crate::store::Forgotten {
        self.store.forget(&self.key(place), AT_ONCE).await.unwrap().1
    }

    /// Every file beside and in the store, with what is in it.
    fn files(&self) -> HashMap<PathBuf, Vec<u8>> {
        let mut files = HashMap::new();
        let mut dirs = vec![self.dir.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        files
    }

    /// Who is named in the files.
    fn found(&self) -> Vec<bool> {
        let files = self.files();
        let named = |name: &String| {
            files.values().any(|bytes| memchr::memmem::find(bytes, name.as_bytes()).is_some())
        };
        self.people.iter().map(|names| names.iter().any(named)).collect()
    }

    /// Who is named in what the database has to say of all keyspaces.
    fn readable(&self, disk: &Disk) -> Vec<bool> {
        let spaces = disk.in_use().unwrap();
        let entries = Space::ALL.iter().flat_map(|space| spaces.of(*space).iter());
        let bytes: Vec<u8> = entries
            .flat_map(|entry| {
                let (key, value) = entry.into_inner().unwrap();
                [key.to_vec(), value.to_vec()].concat()
            })
            .collect();
        let named = |name: &String| memchr::memmem::find(&bytes, name.as_bytes()).is_some();
        self.people.iter().map(|names| names.iter().any(named)).collect()
    }
}

fn everybody_but(gone: &[usize]) -> Vec<bool> {
    (0..PEOPLE).map(|place| !gone.contains(&place)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_of_a_forgotten_profile_is_left_in_any_file() {
    let crowd = Crowd::new().await;
    // From now on what was there lies compressed in tables and blob files.
    crowd.forget(0).await;
    assert!(crowd.store.erase().await.unwrap());
    let files = crowd.files();
    assert!(
        files.keys().any(|path| path.to_string_lossy().contains("blobs")),
        "{:?}",
        files.keys()
    );
    assert_eq!(crowd.found(), everybody_but(&[0]), "the search sees through compression");

    // And from now on in several versions, in journals too, and in letters.
    crowd.update(1..PEOPLE / 2, "second").await;
    crowd.update(1..PEOPLE / 3, "third").await;
    // Letters that are too old would be dropped.
    let now = Clock::system().now();
    let claims = crowd.store.claim(PEOPLE).await.unwrap().ready;
    let outcomes = claims.iter().map(|claim| {
        let place = crowd.people.iter().position(|names| names[0] == claim.known.key.text);
        // The answer to one names the next one, as the answer to a batch would.
        let next = &crowd.people[(place.unwrap() + 1) % PEOPLE][1];
        let Outcome::Refused(letter) = letter() else { panic!() };
        let mut letter = (*letter).clone();
        letter.at = now;
        letter.answer = format!("do not send {} and {next}", claim.known.key.text).into();
        let Claim { id, version, .. } = *claim;
        Settled { id, version, outcome: Outcome::Refused(Arc::new(letter)), unknown: false }
    });
    crowd.store.settle(outcomes.collect()).await.unwrap();
    // Whoever is forgotten already would be named anew.
    let invalid = crowd.people.iter().enumerate().skip(1).map(|(place, names)| InvalidRecord {
        source: "s".to_owned(),
        place: "line 1".to_owned(),
        reason: "r".to_owned(),
        received: now + place as u64,
        excerpt: format!(r#"{{"id":"{}",{}"#, names[1], PROSE.repeat(9)).into(),
    });
    crowd.store.apply(Vec::new(), invalid.collect()).await.unwrap();
    let gone = [0, 1, 2, 50, 77, 120, 200, PEOPLE - 1];
    for place in &gone[1..] {
        let forgotten = crowd.forget(*place).await;
        assert!(forgotten.known && forgotten.dead_letter);
        assert_eq!(forgotten.invalid_records, 1);
        assert!(crowd.store.find(&crowd.key(*place)).await.unwrap().is_none());
    }
    assert!(crowd.found().into_iter().filter(|found| *found).count() > PEOPLE - 8);
    assert!(crowd.store.erase().await.unwrap());
    assert_eq!(crowd.found(), everybody_but(&gone));
    assert_eq!(crowd.readable(&crowd.store.disk), everybody_but(&gone));
    let siblings = fs::read_dir(crowd.dir.path()).unwrap().count();
    assert_eq!(siblings, 1, "no copy stays beside the store");

    // Everybody else is as before, in this process and in the next.
    let Crowd { dir, store, mapping, people } = crowd;
    let counts = store.counts();
    assert_eq!(usize::try_from(counts.known).unwrap(), PEOPLE - gone.len());
    store.stop().await.unwrap();
    drop(store);
    let store = open(&dir, &mapping);
    let crowd = Crowd { dir, store, mapping, people };
    for place in 0..PEOPLE {
        let state = crowd.store.find(&crowd.key(place)).await.unwrap();
        assert_eq!(state.is_some(), !gone.contains(&place));
        if let Some(state) = state {
            assert!(state.dead_letter.is_some());
        }
    }
    assert_eq!(crowd.found(), everybody_but(&gone));
    crowd.store.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clean_stop_erases_what_was_forgotten_and_a_crash_puts_that_off() {
    let Crowd { dir, store, mapping, people } = Crowd::new().await;
    let crowd = Crowd { dir, store, mapping, people };
    crowd.forget(3).await;
    let Crowd { dir, store, mapping, people } = crowd;
    // As after a crash: dropped without a stop, while the writer is not told.
    let copied = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copied.path());
    let crowd = Crowd { store: open(&copied, &mapping), dir: copied, mapping, people };
    assert!(crowd.found()[3], "it is still there");
    assert!(crowd.store.find(&crowd.key(3)).await.unwrap().is_none());
    crowd.store.stop().await.unwrap();
    assert_eq!(crowd.found(), everybody_but(&[3]));
    store.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nobody_waits_for_files_to_be_rewritten_when_the_mapping_is_exchanged() {
    let Crowd { dir, store, mapping, people } = Crowd::new().await;
    let crowd = Crowd { dir, store, mapping, people };
    crowd.forget(3).await;
    let Crowd { dir, store, mapping, people } = crowd;
    let settings = EmbeddedSettings::default();
    let reopened =
        store.reopen(mapping.clone(), settings, Clock::system(), Component::detached()).await;
    let crowd = Crowd { dir, store: reopened.unwrap(), mapping, people };
    assert!(crowd.found()[3], "the files are as they were");
    crowd.store.stop().await.unwrap();
    assert_eq!(crowd.found(), everybody_but(&[3]), "the next clean stop rewrites them");
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_that_arrive_while_the_files_are_rewritten_are_kept() {
    let crowd = Crowd::new().await;
    for gone in 0..3 {
        crowd.forget(gone).await;
        let store = crowd.store.clone();
        let erasing = tokio::spawn(async move { store.erase().await });
        let mut rounds = HashMap::new();
        for round in 0.. {
            let place = 10 + round % (PEOPLE - 10);
            rounds.insert(place, round);
            crowd.update([place], &format!("round {round}")).await;
            if erasing.is_finished() {
                break;
            }
        }
        assert!(erasing.await.unwrap().unwrap());
        for (place, round) in rounds {
            let state = crowd.store.find(&crowd.key(place)).await.unwrap().unwrap();
            let document = String::from_utf8(state.known.document.to_vec()).unwrap();
            assert!(document.contains(&format!("round {round} ")), "{place}: {document}");
        }
    }
    assert_eq!(crowd.found(), everybody_but(&[0, 1, 2]));
    crowd.store.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_is_forgotten_after_being_copied_is_erased_too() {
    let crowd = Crowd::new().await;
    let (store, disk) = (&crowd.store, &crowd.store.disk);
    crowd.forget(1).await;
    let begun = store.chore(Engine::begin_erasing).await.unwrap();
    let copy = disk.copy().unwrap();
    crowd.forget(2).await;
    let ended = store.chore(move |engine| engine.end_erasing(copy, begun)).await.unwrap();
    assert!(!ended.unwrap(), "the copy held somebody who is forgotten");
    assert!(disk.is_unerased().unwrap());
    crowd.store.stop().await.unwrap();
    assert_eq!(crowd.found(), everybody_but(&[1, 2]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_crash_at_any_step_of_the_exchange_leaves_a_whole_store() {
    let crowd = Crowd::new().await;
    crowd.forget(1).await;
    let Crowd { dir, store, mapping, people } = crowd;
    let disk = store.disk.clone();
    disk.track();
    let copy = disk.copy().unwrap();
    disk.catch_up(&copy).unwrap();
    copy.mark_erased().unwrap();
    drop(copy);
    let (crm, erasing, erased) = ("crm", "crm.erasing", "crm.erased");
    assert!(dir.path().join(erasing).is_dir());
    // Which directories a crash finds, and under which names it leaves them.
    let steps = [
        vec![(crm, crm), (erasing, erasing)],
        vec![(crm, erased), (erasing, erasing)],
        vec![(erasing, crm), (crm, erased)],
        vec![(crm, erased)],
    ];
    for (step, names) in steps.iter().enumerate() {
        let crashed = tempfile::tempdir().unwrap();
        for (from, to) in names {
            let to = crashed.path().join(to);
            fs::create_dir(&to).unwrap();
            copy_dir(&dir.path().join(from), &to);
        }
        let store = open(&crashed, &mapping);
        let crowd = Crowd { store, dir: crashed, mapping: mapping.clone(), people: people.clone() };
        assert_eq!(fs::read_dir(crowd.dir.path()).unwrap().count(), 1, "step {step}");
        assert!(crowd.store.find(&crowd.key(1)).await.unwrap().is_none());
        assert!(crowd.store.find(&crowd.key(2)).await.unwrap().is_some());
        crowd.store.stop().await.unwrap();
        assert_eq!(crowd.found(), everybody_but(&[1]), "step {step}");
    }
    store.stop().await.unwrap();
}

use super::BatchSettings;

/// How much goes into a request now: no more than was configured, and less where that does not
/// fit.
#[derive(Debug)]
pub(in crate::dispatch) struct Sizes {
    max_profiles: usize,
    max_bytes: usize,
    profiles: usize,
    bytes: usize,
}

impl Sizes {
    pub(in crate::dispatch) fn new(settings: &BatchSettings) -> Self {
        let BatchSettings { max_profiles, max_bytes, .. } = *settings;
        Self { max_profiles, max_bytes, profiles: max_profiles, bytes: max_bytes }
    }

    /// Profiles that a request may carry.
    pub(in crate::dispatch) fn max_profiles(&self) -> usize {
        self.max_profiles
    }

    /// Profiles that are expected to fill a request: fewer than may be where they are large, or
    /// differ in where they go.
    pub(in crate::dispatch) fn profiles(&self) -> usize {
        self.profiles
    }

    /// Bytes that a body may have.
    pub(in crate::dispatch) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes that a body of so many bytes was too large for the endpoint: half of it is tried next.
    pub(in crate::dispatch) fn was_too_large(&mut self, bytes: usize) {
        self.bytes = self.bytes.min(bytes / 2).max(1);
    }

    /// Whether a part of a batch is so large that it will not fit: about as large as one that did
    /// not.
    pub(in crate::dispatch) fn is_too_large(&self, bytes: usize) -> bool {
        bytes > self.bytes + self.bytes / 2
    }

    /// Notes a delivery: an endpoint whose limit has grown, or a limit found by one odd profile,
    /// is tried again 1 % at a time, so that of about 70 requests one is too large.
    pub(in crate::dispatch) fn was_delivered(&mut self) {
        self.bytes = (self.bytes + self.bytes / 100 + 1).min(self.max_bytes);
    }

    /// Notes that so many profiles filled so many requests where there was room for `slots`.
    pub(in crate::dispatch) fn filled(&mut self, profiles: usize, requests: usize, slots: usize) {
        if requests > slots {
            self.profiles = (profiles / requests).max(1);
        } else if self.profiles < self.max_profiles {
            self.profiles = (self.profiles + self.profiles / 4 + 1).min(self.max_profiles);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Sizes {
        Sizes::new(&BatchSettings { max_profiles: 100, max_bytes: 1000, ..Default::default() })
    }

    #[test]
    fn a_body_that_was_too_large_halves_the_size_which_grows_back_by_deliveries() {
        let mut sizes = sizes();
        sizes.was_too_large(800);
        assert_eq!(sizes.bytes(), 400);
        sizes.was_too_large(1000);
        assert_eq!(sizes.bytes(), 400, "one that was sent before");
        let deliveries = (0..1000).take_while(|_| {
            sizes.was_delivered();
            sizes.bytes() < 800
        });
        assert!((50..80).contains(&deliveries.count()));
        (0..100).for_each(|_| sizes.was_delivered());
        assert_eq!(sizes.bytes(), 1000);
        (0..20).for_each(|_| sizes.was_too_large(1));
        assert_eq!(sizes.bytes(), 1);
    }

    #[test]
    fn no_more_profiles_are_claimed_than_there_are_requests_for() {
        let mut sizes = sizes();
        sizes.filled(200, 10, 2);
        assert_eq!(sizes.profiles(), 20);
        sizes.filled(40, 2, 2);
        assert_eq!(sizes.profiles(), 26);
        (0..20).for_each(|_| sizes.filled(1, 1, 2));
        assert_eq!(sizes.profiles(), 100);
    }
}

use http::{Response, StatusCode};

use super::{AttemptError, TokenError};

/// The class of an answer: what it says about the version that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The endpoint took it.
    Delivered,
    /// It may succeed later.
    Later,
    /// The endpoint will not take this profile.
    Refused,
    /// The endpoint as a whole cannot take anything; not this profile's fault.
    Endpoint,
}

/// Which statuses fall into which class, where the operator says otherwise than the defaults
/// (`request.classes`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    /// Statuses of class [`Class::Later`].
    pub later: Vec<u16>,
    /// Statuses of class [`Class::Refused`].
    pub refused: Vec<u16>,
    /// Statuses of class [`Class::Endpoint`].
    pub endpoint: Vec<u16>,
}

impl Classes {
    /// The same for a URL that differs between profiles: unless the operator says otherwise, 404
    /// and 410 speak of the one profile that the URL names.
    pub fn for_templated_url(mut self) -> Self {
        for code in [404, 410] {
            if ![&self.later, &self.refused, &self.endpoint].iter().any(|l| l.contains(&code)) {
                self.refused.push(code);
            }
        }
        self
    }

    /// The class of an answer's status.
    pub fn of_status(&self, status: StatusCode) -> Class {
        let code = status.as_u16();
        if self.later.contains(&code) {
            return Class::Later;
        }
        if self.refused.contains(&code) {
            return Class::Refused;
        }
        if self.endpoint.contains(&code) {
            return Class::Endpoint;
        }
        match code {
            200..=299 => Class::Delivered,
            408 | 425 | 429 => Class::Later,
            300..=399 | 401..=405 | 407 | 410 | 501 => Class::Endpoint,
            400..=499 => Class::Refused,
            _ => Class::Later,
        }
    }

    /// The class of an attempt or a delivery. A delivery that the gate held back has none.
    pub fn of<B>(&self, result: &Result<Response<B>, AttemptError>) -> Option<Class> {
        match result {
            Ok(answer) => Some(self.of_status(answer.status())),
            Err(AttemptError::GateClosed) => None,
            Err(
                AttemptError::Tls(_)
                | AttemptError::Proxy(_)
                | AttemptError::Secret(_)
                | AttemptError::Results { .. }
                | AttemptError::Token(TokenError::Refused(_)),
            ) => Some(Class::Endpoint),
            Err(_) => Some(Class::Later),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn class(status: u16) -> Class {
        Classes::default().of_status(StatusCode::from_u16(status).unwrap())
    }

    fn class_of(error: AttemptError) -> Option<Class> {
        Classes::default().of::<()>(&Err(error))
    }

    fn each(statuses: impl IntoIterator<Item = u16>, expected: Class) {
        for status in statuses {
            assert_eq!(class(status), expected, "{status}");
        }
    }

    #[test]
    fn any_2xx_is_delivered() {
        each(200..=299, Class::Delivered);
    }

    #[test]
    fn temporary_trouble_is_tried_again_later() {
        each([408, 425, 429, 500, 502, 503, 504, 505, 507, 511, 599], Class::Later);
    }

    #[test]
    fn an_answer_about_the_profile_is_refused() {
        each(
            [400, 406, 409, 411, 412, 413, 414, 415, 416, 418, 422, 424, 428, 431],
            Class::Refused,
        );
        each([451, 499], Class::Refused);
    }

    #[test]
    fn an_answer_about_the_endpoint_is_not_held_against_the_profile() {
        each([300, 301, 302, 303, 304, 307, 308, 399], Class::Endpoint);
        each([401, 402, 403, 404, 405, 407, 410, 501], Class::Endpoint);
    }

    #[test]
    fn connection_failures_and_timeouts_are_tried_again_later() {
        let second = Duration::from_secs(1);
        for error in [
            AttemptError::Connect(String::new()),
            AttemptError::Unprocessed(String::new()),
            AttemptError::Interrupted(String::new()),
            AttemptError::Timeout(second),
            AttemptError::Deadline(second),
            AttemptError::Answer(String::new()),
            AttemptError::Token(TokenError::Unavailable(String::new())),
        ] {
            assert_eq!(class_of(error.clone()), Some(Class::Later), "{error}");
        }
    }

    #[test]
    fn tls_failures_proxies_unreadable_secrets_and_a_refused_client_are_the_endpoints() {
        assert_eq!(class_of(AttemptError::Tls(String::new())), Some(Class::Endpoint));
        assert_eq!(class_of(AttemptError::Proxy(String::new())), Some(Class::Endpoint));
        assert_eq!(class_of(AttemptError::Secret(String::new())), Some(Class::Endpoint));
        let refused = TokenError::Refused(String::new());
        assert_eq!(class_of(AttemptError::Token(refused)), Some(Class::Endpoint));
    }

    #[test]
    fn what_the_gate_held_back_has_no_class() {
        assert_eq!(class_of(AttemptError::GateClosed), None);
    }

    #[test]
    fn behind_a_templated_url_404_and_410_are_about_the_profile_unless_the_operator_differs() {
        let class = |classes: Classes, status| {
            let classes = classes.for_templated_url();
            classes.of_status(StatusCode::from_u16(status).unwrap())
        };
        for status in [404, 410] {
            assert_eq!(class(Classes::default(), status), Class::Refused);
            let endpoint = Classes { endpoint: vec![status], ..Classes::default() };
            assert_eq!(class(endpoint, status), Class::Endpoint);
            let later = Classes { later: vec![status], ..Classes::default() };
            assert_eq!(class(later, status), Class::Later);
        }
        assert_eq!(class(Classes::default(), 405), Class::Endpoint);
    }

    #[test]
    fn the_operators_lists_come_before_the_defaults() {
        let classes =
            Classes { later: vec![404, 200], refused: vec![403, 503], endpoint: vec![422, 500] };
        let class = |status| classes.of_status(StatusCode::from_u16(status).unwrap());
        assert_eq!(class(404), Class::Later);
        assert_eq!(class(200), Class::Later);
        assert_eq!(class(403), Class::Refused);
        assert_eq!(class(503), Class::Refused);
        assert_eq!(class(422), Class::Endpoint);
        assert_eq!(class(500), Class::Endpoint);
        assert_eq!(class(502), Class::Later);
    }
}

use std::{cell::RefCell, path::PathBuf};

use crate::{
    config::problem::{Place, Problem},
    delivery::{IdentitySettings, JwtAlgorithm, sign::KeyKind},
    listen::TlsFiles,
};

/// What is found while a plan is made, besides the plan.
#[derive(Default)]
pub(super) struct Findings {
    errors: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    needs: RefCell<Vec<Need>>,
}

/// Something outside the configuration that a plan relies on.
#[derive(Clone, Debug)]
pub(in crate::config) struct Need {
    pub(in crate::config) place: Place,
    pub(in crate::config) kind: NeedKind,
}

/// What kind of thing is needed.
#[derive(Clone, Debug)]
pub(in crate::config) enum NeedKind {
    /// A directory that can be written, or can be made.
    Directory(PathBuf),
    /// A file that holds a secret.
    Secret(PathBuf),
    /// A file that holds a key to sign with, besides being one of a secret.
    SigningKey(PathBuf, KeyKind),
    /// A file that holds certificates.
    Certificates(PathBuf),
    /// A file that holds the certificate that we show.
    Certificate(PathBuf),
    /// The key of that certificate.
    Key(IdentitySettings),
    /// A file that holds a private key, for signatures by the algorithm.
    PrivateKey(PathBuf, JwtAlgorithm),
    /// Certificate and key of a listening source, and the authorities of its clients.
    ServerTls(TlsFiles),
    /// A host that can be looked up.
    Host(String, u16),
}

impl Findings {
    /// Something that makes the plan unusable.
    pub(super) fn error(&self, problem: Problem) {
        self.errors.borrow_mut().push(problem);
    }

    /// How many errors were found so far.
    pub(super) fn errors(&self) -> usize {
        self.errors.borrow().len()
    }

    /// Something that deserves a second look.
    pub(super) fn warn(&self, problem: Problem) {
        self.warnings.borrow_mut().push(problem);
    }

    /// Something that must be there when the plan is carried out.
    pub(super) fn need(&self, place: &Place, kind: NeedKind) {
        self.needs.borrow_mut().push(Need { place: place.clone(), kind });
    }

    /// How many needs were found so far.
    pub(super) fn needs(&self) -> usize {
        self.needs.borrow().len()
    }

    /// Needs another host instead of one that was needed after the first `from` needs.
    pub(super) fn replace_need(&self, from: usize, host: &NeedKind, place: &Place, by: NeedKind) {
        let NeedKind::Host(host, port) = host else { return };
        let mut needs = self.needs.borrow_mut();
        let after = needs.split_off(from);
        let is_it = |need: &Need| matches!(&need.kind, NeedKind::Host(name, at) if name == host && at == port);
        needs.extend(after.into_iter().filter(|need| !is_it(need)));
        if let NeedKind::Host(name, at) = &by
            && !needs[from..]
                .iter()
                .any(|need| matches!(&need.kind, NeedKind::Host(n, p) if n == name && p == at))
        {
            needs.push(Need { place: place.clone(), kind: by });
        }
    }

    /// Errors, warnings and needs, each in the order in which they were found.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Problem>, Vec<Need>) {
        (self.errors.into_inner(), self.warnings.into_inner(), self.needs.into_inner())
    }
}

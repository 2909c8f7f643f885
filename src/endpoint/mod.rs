//! The wire: the hyper client and its TLS.

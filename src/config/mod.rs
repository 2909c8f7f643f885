//! The configuration: what the operator wrote, checked and resolved into what will run.

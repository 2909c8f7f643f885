//! Sources: each reads records and hands them on in batches, and tells its sender that they are
//! safe only after the [`Intake`](crate::record::Intake) said so.

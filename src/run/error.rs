use crate::{
    delivery::StackError, listen::ListenError, source::stdin::StdinError, store::StoreError,
};

/// Why a run could not start, or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A source cannot listen.
    #[error("source {name}: {error}")]
    Listen {
        /// The source.
        name: String,
        /// What is wrong.
        error: ListenError,
    },
    /// The API cannot listen.
    #[error(
        "the API {0} (api.address: another process, perhaps another profile-http, has the port, so \
         give each its own; or api.enabled: false)"
    )]
    Api(ListenError),
    /// The system does not tell where a source or the API listens.
    #[error("cannot tell where a source or the API listens: {0}")]
    Address(std::io::Error),
    /// Standard input cannot be read.
    #[error(transparent)]
    Stdin(#[from] StdinError),
    /// The delivery of a sink cannot be set up.
    #[error("sink {sink}: {error}")]
    Stack {
        /// The sink.
        sink: String,
        /// What is wrong.
        error: StackError,
    },
    /// The store of a sink cannot be opened, or failed.
    #[error("sink {sink}: {error}")]
    Store {
        /// The sink.
        sink: String,
        /// What is wrong.
        error: StoreError,
    },
    /// A part of the program failed in a way that it should not.
    #[error("a task failed: {0}")]
    Panicked(String),
}

//! Compresses the bodies of requests and says so in `Content-Encoding`.
//!
//! A body of less than 256 bytes goes as it is: what is saved of a small profile is no more than
//! what the format adds. So does one whose request says itself how it is encoded.
//!
//! ```
//! # use bytes::Bytes;
//! use http::{Request, Response};
//! use profile_http::delivery::{AttemptError, Coding, compress::CompressLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), AttemptError> {
//! let service = ServiceBuilder::new()
//!     .layer(CompressLayer::new(Coding::Gzip))
//!     .service(service_fn(async |request: Request<Bytes>| {
//!         assert_eq!(request.headers()["content-encoding"], "gzip");
//!         assert!(request.body().len() < 100);
//!         Ok(Response::new(Bytes::new()))
//!     }));
//! service.oneshot(Request::new(Bytes::from(vec![b'x'; 1000]))).await?;
//! # Ok(()) }
//! ```

mod coding;
mod layer;
mod service;

#[cfg(test)]
mod tests;

pub use layer::CompressLayer;
pub use service::{Compress, CompressFuture};

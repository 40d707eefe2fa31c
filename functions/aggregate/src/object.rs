//! The S3 objects that notifications name.

use std::time::Duration;

use serde::Deserialize;
use tally_store::s3;
use tally_store::signed_request::RequestError;

/// The timeout for S3.
const PATIENCE: Duration = Duration::from_mins(1);
/// The maximum object size in bytes. A batch has at most 6 MB, and the quotes in it are escaped.
const MOST: usize = 32 * 1024 * 1024;

/// The `EventBridge` notification of an object that was put into a bucket.
#[derive(Clone, Debug, Deserialize)]
pub struct Created {
    bucket: Bucket,
    object: Object,
}

#[derive(Clone, Debug, Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Object {
    key: String,
}

impl Created {
    /// Returns the object's key.
    pub(crate) fn key(&self) -> &str {
        &self.object.key
    }
}

/// Reads an object.
pub(crate) async fn get(object: &Created) -> Result<Vec<u8>, RequestError> {
    s3::Object { bucket: &object.bucket.name, key: &object.object.key }.get(MOST, PATIENCE).await
}

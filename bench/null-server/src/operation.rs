//! Which S3 operation a request is.

use crate::head::{Head, Method};

/// The operations that are told apart, in the statistics too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    PutObject,
    UploadPart,
    CreateMultipartUpload,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    ListMultipartUploads,
    ListObjects,
    ListObjectsV2,
    HeadObject,
    GetObject,
    DeleteObject,
    HeadBucket,
    CreateBucket,
    DeleteBucket,
    GetBucketLocation,
    GetBucketVersioning,
    ListBuckets,
    /// `GET /-/stats`: the server's own, neither counted nor limited.
    Stats,
    /// Whatever else S3 knows: answered 501.
    Other,
}

impl Operation {
    /// S3's name of the operation.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PutObject => "PutObject",
            Self::UploadPart => "UploadPart",
            Self::CreateMultipartUpload => "CreateMultipartUpload",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
            Self::AbortMultipartUpload => "AbortMultipartUpload",
            Self::ListParts => "ListParts",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::ListObjects => "ListObjects",
            Self::ListObjectsV2 => "ListObjectsV2",
            Self::HeadObject => "HeadObject",
            Self::GetObject => "GetObject",
            Self::DeleteObject => "DeleteObject",
            Self::HeadBucket => "HeadBucket",
            Self::CreateBucket => "CreateBucket",
            Self::DeleteBucket => "DeleteBucket",
            Self::GetBucketLocation => "GetBucketLocation",
            Self::GetBucketVersioning => "GetBucketVersioning",
            Self::ListBuckets => "ListBuckets",
            Self::Stats => "Stats",
            Self::Other => "Other",
        }
    }

    pub(crate) fn of(head: &Head) -> Self {
        if head.bucket == "-" {
            return if head.key == "stats" { Self::Stats } else { Self::Other };
        }
        if head.is_copy {
            return Self::Other;
        }
        match (head.bucket.is_empty(), head.key.is_empty()) {
            (true, _) if head.method == Method::Get => Self::ListBuckets,
            (true, _) => Self::Other,
            (false, true) => Self::of_bucket(head),
            (false, false) => Self::of_object(head),
        }
    }

    /// Whether the request writes bytes of an object.
    pub(crate) fn is_write(self) -> bool {
        matches!(self, Self::PutObject | Self::UploadPart)
    }

    fn of_bucket(head: &Head) -> Self {
        match head.method {
            Method::Head => Self::HeadBucket,
            Method::Put if head.query.is_empty() => Self::CreateBucket,
            Method::Delete if head.query.is_empty() => Self::DeleteBucket,
            Method::Get if head.has_parameter("location") => Self::GetBucketLocation,
            Method::Get if head.has_parameter("versioning") => Self::GetBucketVersioning,
            Method::Get if head.has_parameter("uploads") => Self::ListMultipartUploads,
            Method::Get if head.parameter("list-type") == Some("2") => Self::ListObjectsV2,
            Method::Get if is_list(head) => Self::ListObjects,
            Method::Get | Method::Put | Method::Post | Method::Delete | Method::Other => {
                Self::Other
            }
        }
    }

    fn of_object(head: &Head) -> Self {
        let is_part = head.has_parameter("uploadId");
        match head.method {
            Method::Put if is_part => Self::UploadPart,
            Method::Put if is_plain(head) => Self::PutObject,
            Method::Post if head.has_parameter("uploads") => Self::CreateMultipartUpload,
            Method::Post if is_part => Self::CompleteMultipartUpload,
            Method::Delete if is_part => Self::AbortMultipartUpload,
            Method::Delete => Self::DeleteObject,
            Method::Get if is_part => Self::ListParts,
            Method::Get if is_plain(head) => Self::GetObject,
            Method::Head => Self::HeadObject,
            Method::Get | Method::Put | Method::Post | Method::Other => Self::Other,
        }
    }
}

/// A bucket's GET is a listing unless it names a sub-resource.
fn is_list(head: &Head) -> bool {
    const KNOWN: [&str; 5] = ["prefix", "delimiter", "marker", "max-keys", "encoding-type"];
    head.query.iter().all(|(name, _)| KNOWN.contains(&name.as_str()) || name == "x-id")
}

/// SDKs add `x-id=PutObject` to tell operations apart; other parameters name sub-resources.
fn is_plain(head: &Head) -> bool {
    head.query.iter().all(|(name, _)| name == "x-id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Operation {
        let text = format!("{line} HTTP/1.1\r\n\r\n");
        Operation::of(&Head::parse(text.as_bytes()).unwrap().unwrap().0)
    }

    #[test]
    fn requests_are_told_apart() {
        for (line, operation) in [
            ("PUT /b/k?x-id=PutObject", Operation::PutObject),
            ("PUT /b/k?partNumber=1&uploadId=7", Operation::UploadPart),
            ("PUT /b/k?tagging", Operation::Other),
            ("POST /b/k?uploads", Operation::CreateMultipartUpload),
            ("POST /b/k?uploadId=7", Operation::CompleteMultipartUpload),
            ("DELETE /b/k?uploadId=7", Operation::AbortMultipartUpload),
            ("DELETE /b/k", Operation::DeleteObject),
            ("HEAD /b/k", Operation::HeadObject),
            ("HEAD /b", Operation::HeadBucket),
            ("PUT /b/", Operation::CreateBucket),
            ("GET /b?location", Operation::GetBucketLocation),
            ("GET /b/?list-type=2&prefix=x", Operation::ListObjectsV2),
            ("GET /b?prefix=x&marker=y", Operation::ListObjects),
            ("GET /b?acl", Operation::Other),
            ("GET /", Operation::ListBuckets),
            ("GET /-/stats", Operation::Stats),
            ("POST /b?delete", Operation::Other),
        ] {
            assert_eq!(of(line), operation, "{line}");
        }
    }
}

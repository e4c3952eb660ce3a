//! A thin S3 client over hyper: the upload path, measured and kept fast.

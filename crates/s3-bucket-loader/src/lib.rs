//! The face of s3-bucket-loader: what people and scripts see.

pub mod demo;

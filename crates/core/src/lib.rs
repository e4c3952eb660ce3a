//! Values and state machines of s3-bucket-loader: no I/O, no clock, no runtime.

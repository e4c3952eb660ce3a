//! The program; everything else is in the library beside it.

fn main() -> std::process::ExitCode {
    s3_bucket_loader::run(std::env::args_os())
}

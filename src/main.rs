//! s3pipe: pipe a stream of any length into S3 and back.

fn main() {
    s3pipe::main()
}

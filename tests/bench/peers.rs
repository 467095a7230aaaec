//! Other programs that move objects to S3 and back, as far as they are on PATH,
//! at the same tasks as s3pipe.
//!
//! Each runs with the defaults that it comes with: parts, connections and
//! checks as its authors chose them. What one cannot do (curl has no multipart
//! upload, and so none of a pipe) it is not asked for.

use std::path::{Path, PathBuf};

use crate::call::{self, Call, Endpoint};

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Aws,
    S5cmd,
    Rclone,
    S3cmd,
    Curl,
}

/// All that are known.
const TOOLS: [Tool; 5] = [
    Tool::Aws,
    Tool::S5cmd,
    Tool::Rclone,
    Tool::S3cmd,
    Tool::Curl,
];

/// What one is asked to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A file, which is stdin, to the tool's object.
    PutFile,
    /// A pipe, which is stdin, to the tool's object.
    PutPipe,
    /// The object [`DOWN`] to stdout.
    Get,
    /// Names of all objects that are a stream's head, to stdout.
    List,
    /// Say its version.
    Version,
}

/// What [`Task::Get`] reads, behind the bucket.
pub const DOWN: &str = "peer/down-0";

impl Tool {
    /// The name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Aws => "aws",
            Tool::S5cmd => "s5cmd",
            Tool::Rclone => "rclone",
            Tool::S3cmd => "s3cmd",
            Tool::Curl => "curl",
        }
    }

    /// How to ask it for `task`, if it can do that; `program` is its file.
    pub fn call(self, program: &Path, task: Task, endpoint: &Endpoint) -> Option<Call> {
        let call = Call::new(program)
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench");
        let own = format!("peer/{}", self.name());
        match self {
            Tool::Aws => aws(call, task, endpoint, &own),
            Tool::S5cmd => s5cmd(call, task, endpoint, &own),
            Tool::Rclone => rclone(call, task, endpoint, &own),
            Tool::S3cmd => s3cmd(call, task, endpoint, &own),
            Tool::Curl => curl(call, task, endpoint, &own),
        }
    }
}

/// Those on PATH, with their files; and the names of the others.
pub fn find() -> (Vec<(Tool, PathBuf)>, Vec<&'static str>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for tool in TOOLS {
        match call::on_path(tool.name()) {
            Some(program) => found.push((tool, program)),
            None => missing.push(tool.name()),
        }
    }
    (found, missing)
}

fn aws(call: Call, task: Task, endpoint: &Endpoint, own: &str) -> Option<Call> {
    let mut call = call
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    if let Some(authority) = &endpoint.authority {
        call = call.env("AWS_CA_BUNDLE", authority);
    }
    let s3 = |call: Call| call.args(["--endpoint-url", &endpoint.url(), "s3"]);
    Some(match task {
        Task::PutPipe => s3(call).args(["cp", "-", &format!("s3://bench/{own}")]),
        Task::Get => s3(call).args(["cp", &format!("s3://bench/{DOWN}"), "-"]),
        Task::List => s3(call).args(["ls", "s3://bench/s3pipe/manifest/"]),
        Task::Version => call.arg("--version"),
        Task::PutFile => return None,
    })
}

fn s5cmd(mut call: Call, task: Task, endpoint: &Endpoint, own: &str) -> Option<Call> {
    call = call.env("AWS_REGION", "us-east-1");
    if let Some(authority) = &endpoint.authority {
        call = call.env("SSL_CERT_FILE", authority);
    }
    let call = call.args(["--endpoint-url", &endpoint.url()]);
    Some(match task {
        Task::PutPipe => call.args(["pipe", &format!("s3://bench/{own}")]),
        Task::Get => call.args(["cat", &format!("s3://bench/{DOWN}")]),
        Task::List => call.args(["ls", "s3://bench/s3pipe/manifest/"]),
        Task::Version => call.arg("version"),
        Task::PutFile => return None,
    })
}

fn rclone(mut call: Call, task: Task, endpoint: &Endpoint, own: &str) -> Option<Call> {
    call = call
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_CONFIG_SINK_TYPE", "s3")
        .env("RCLONE_CONFIG_SINK_PROVIDER", "Other")
        .env("RCLONE_CONFIG_SINK_ENV_AUTH", "true")
        .env("RCLONE_CONFIG_SINK_ENDPOINT", endpoint.url())
        .env("RCLONE_CONFIG_SINK_REGION", "us-east-1")
        .env("RCLONE_CONFIG_SINK_NO_CHECK_BUCKET", "true");
    if let Some(authority) = &endpoint.authority {
        call = call.env("SSL_CERT_FILE", authority);
    }
    Some(match task {
        Task::PutPipe => call.args(["rcat", &format!("sink:bench/{own}")]),
        Task::Get => call.args(["cat", &format!("sink:bench/{DOWN}")]),
        Task::List => call.args(["lsf", "sink:bench/s3pipe/manifest/"]),
        Task::Version => call.arg("version"),
        Task::PutFile => return None,
    })
}

fn s3cmd(mut call: Call, task: Task, endpoint: &Endpoint, own: &str) -> Option<Call> {
    let host = endpoint.host();
    call = call
        .args(["--config=/dev/null", "--no-progress", "--region=us-east-1"])
        .args(["--access_key=bench", "--secret_key=bench"])
        .arg(format!("--host={host}"))
        .arg(format!("--host-bucket={host}"));
    call = match &endpoint.authority {
        None => call.arg("--no-ssl"),
        Some(authority) => call.arg("--ssl").arg("--ca-certs").arg(authority),
    };
    Some(match task {
        Task::PutPipe => call.args(["put", "-", &format!("s3://bench/{own}")]),
        Task::Get => call.args(["get", &format!("s3://bench/{DOWN}"), "-"]),
        Task::List => call.args(["ls", "s3://bench/s3pipe/manifest/"]),
        Task::Version => call.arg("--version"),
        Task::PutFile => return None,
    })
}

fn curl(mut call: Call, task: Task, endpoint: &Endpoint, own: &str) -> Option<Call> {
    if task == Task::Version {
        return Some(call.arg("--version"));
    }
    call = call
        .args(["-q", "--silent", "--show-error", "--fail"])
        .args([
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "--user",
            "bench:bench",
        ]);
    if let Some(authority) = &endpoint.authority {
        call = call.arg("--cacert").arg(authority);
    }
    let url = format!("{}/bench", endpoint.url());
    Some(match task {
        Task::PutFile => call.args(["-T", "/dev/stdin", &format!("{url}/{own}")]),
        Task::Get => call.arg(format!("{url}/{DOWN}")),
        _ => return None,
    })
}

//! An S3 server for tests: s3s-fs over a folder, on loopback.
//!
//! It verifies signatures (SigV4 and SigV2) of one key, and otherwise answers
//! as s3s-fs does, oddities included: what a client meets here, it meets in
//! the field. It says `listening PORT` on stdout once it listens, and ends
//! when its stdin does, so that it never outlives the test that started it.
//! A failure is one line on stderr: status 64 for the command line, 1 for
//! the rest. A connection that fails takes only itself down.

#![forbid(unsafe_code)]

mod args;
mod host;
mod tls;

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::{env, fs, process, thread};

use hyper::rt::{Read as HttpRead, Write as HttpWrite};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use args::Args;

fn main() -> ExitCode {
    let args = match Args::parse(env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => return fail(64, &format!("{why} ({})", args::USAGE)),
    };
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

/// Says why on stderr, and gives the exit status.
fn fail(status: u8, why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "s3-server: {why}");
    ExitCode::from(status)
}

/// Serves until the process ends.
fn serve(args: &Args) -> Result<(), Box<dyn Error>> {
    let service = service(args)?;
    let tls = match &args.tls {
        Some(folder) => Some(
            tls::acceptor(folder, args.domain.as_deref())
                .map_err(|error| format!("{}: {error}", folder.display()))?,
        ),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen)
            .await
            .map_err(|error| format!("{}: {error}", args.listen))?;
        announce(listener.local_addr()?)?;
        thread::spawn(end_with_stdin);
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(connection(socket, tls.clone(), service.clone()));
        }
    })
}

/// The S3 service over the root folder, for the one key.
fn service(args: &Args) -> Result<S3Service, Box<dyn Error>> {
    let root = args.root.display();
    fs::create_dir_all(&args.root).map_err(|error| format!("{root}: {error}"))?;
    let files =
        s3s_fs::FileSystem::new(&args.root).map_err(|error| format!("{root}: {error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(
        args.access_key.as_str(),
        args.secret_key.as_str(),
    ));
    if let Some(domain) = &args.domain {
        builder.set_host(host::Domain(domain.clone()));
    }
    Ok(builder.build())
}

/// Tells the parent where to connect.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening {}", address.port())?;
    stdout.flush()
}

/// Waits for the end of stdin, which comes at the latest with the parent's
/// own end, and then ends the process.
fn end_with_stdin() {
    let mut stdin = io::stdin().lock();
    let mut ignored = [0; 64];
    loop {
        match stdin.read(&mut ignored) {
            Ok(0) => process::exit(0),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => process::exit(1),
        }
    }
}

/// Serves one client until it goes away; how it went is its own affair.
async fn connection(socket: TcpStream, tls: Option<TlsAcceptor>, service: S3Service) {
    let _ = socket.set_nodelay(true);
    match tls {
        None => http(TokioIo::new(socket), service).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(socket).await {
                http(TokioIo::new(stream), service).await;
            }
        }
    }
}

/// Serves HTTP/1.1 with keep-alive on one stream.
async fn http(stream: impl HttpRead + HttpWrite + Unpin, service: S3Service) {
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(stream, service)
        .await;
}
